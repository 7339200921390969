// Several servers over one log: each sees what the others append, decides at the head where it appends nothing, and none believes what is no longer so.
import { afterEach, describe, expect, it } from 'vitest'
import { jobId, taskId } from '../../../src/domain/ids.ts'
import { isHeld } from '../../../src/domain/work-item/state.ts'
import { DEFAULT_CONTRACT } from '../../../src/domain/contract.ts'
import type { Done, LeasedItem } from '../../../src/engine/command.ts'
import { ask, contextOf, direct, insert, left, register, report, right, settle, type TestEngine } from '../../support/engine.ts'
import { createServers, expectEqualServers, leaderOf, leaseFrom, type Servers, type TestServer } from '../../support/servers.ts'

let servers: Servers
const two = async (): Promise<readonly [TestServer, TestServer]> => {
  servers = createServers()
  return [await servers.start('a'), await servers.start('b')]
}
afterEach(() => servers.close())

const TASK = taskId('shop', 'mail', '1')
const complete = ({ engine, world }: TestEngine, { workItem, item }: LeasedItem) =>
  engine.execute(workItem, { type: 'Report', by: 'worker', lease: item.lease.token, outcome: { completed: {} }, digest: 'done', retry: { pauseMs: 0 } }, contextOf(world, 'worker'))
const statusAt = ({ engine }: TestEngine, workItem = TASK) => engine.live(workItem)?.status
/** As a client does that carries the position of its last answer to another server. */
const afterSeeing = async (at: TestEngine, { position }: Pick<Done, 'position'>): Promise<void> => {
  const reached = at.engine.reached(position, 5_000, 'live')
  await settle()
  expect(await reached).toBe('reached')
}

describe('a server over a shared log', () => {
  it('follows what the others append: work items, and what their own wait for', async () => {
    const [a, b] = await two()
    const done = await insert(a, '1')
    await afterSeeing(b, done)
    expect(statusAt(b)).toBe('waiting')
    const [leased] = await leaseFrom(servers, b)
    expect(leased?.workItem).toBe(TASK)
    right(await complete(b, leased as LeasedItem))
    await settle()
    expect([statusAt(a), statusAt(b)]).toEqual(['settled', 'settled'])
    await expectEqualServers(servers)
  })

  it('decides a command anew for as long as others get through before it', async () => {
    const [a, b] = await two()
    const { workItem, lease } = await register(a)
    let phase = 0
    const other = (): Promise<unknown> => report(a, workItem, lease, { phase: `of a ${(phase += 1)}` }).then(right)
    await settle()
    b.connection.overtake(20, other)
    right(await report(b, workItem, lease, { phase: 'of b' }))
    expect([b.connection.figures().conflicts, phase]).toEqual([20, 20])
    b.connection.overtake(1_000, other)
    expect(left(await report(b, workItem, lease, { phase: 'of b again' }))).toMatchObject({ kind: 'overloaded' })
    b.connection.overtake(0, other)
    await settle()
    await expectEqualServers(servers)
  })

  it('looks once at the end of the log for all who ask at the same time, and not before they ask', async () => {
    const [a, b] = await two()
    await settle()
    const before = a.connection.looks()
    const since = a.engine.known()
    a.connection.hold()
    const early = Array.from({ length: 200 }, () => a.engine.catchUp(since))
    await Promise.resolve()
    await insert(b, '1')
    const late = Array.from({ length: 200 }, () => a.engine.catchUp(since))
    await settle()
    a.connection.resume()
    expect(new Set(await Promise.all(late))).toEqual(new Set([true]))
    await Promise.all(early)
    expect(a.connection.looks() - before).toBeLessThanOrEqual(2)
  })

  it('follows queues, contracts, nodes and tokens', async () => {
    const [a, b] = await two()
    const context = contextOf(a.world, 'admin')
    right(await a.engine.queues.pause({ app: 'shop', queue: 'mail' }, 'a holiday', context))
    right(await a.engine.contracts.configure('pay', DEFAULT_CONTRACT, contextOf(a.world, 'admin')))
    const { token, id } = right(await a.engine.tokens.add({ name: 'ci', email: 'ci@example.com', roles: ['worker'] }, context))
    await settle()
    expect(b.engine.queues.get({ app: 'shop', queue: 'mail' })?.paused?.reason).toBe('a holiday')
    expect(b.engine.contracts.get('pay')?.isConfigured).toBe(true)
    expect(b.engine.tokens.authenticate(token)?.email).toBe('ci@example.com')
    right(await b.engine.tokens.revoke(id, context, { keepsAdministrator: false }))
    await settle()
    expect(a.engine.tokens.authenticate(token)).toBeUndefined()
  })

  it('keeps the last administrator, though two take each other their tokens on two servers at once', async () => {
    const [a, b] = await two()
    const context = contextOf(a.world, 'admin')
    const ids: string[] = []
    for (const name of ['one', 'two']) ids.push(right(await a.engine.tokens.add({ name, email: `${name}@example.com`, roles: ['admin'] }, contextOf(a.world, 'admin'))).id)
    await settle()
    const revoked = await Promise.all(
      [a, b].map(({ engine }, index) => engine.tokens.revoke(ids[index] ?? '', { ...context, commandId: a.world.uuid() }, { keepsAdministrator: true })),
    )
    expect(revoked.map(({ _tag }) => _tag).toSorted()).toEqual(['Left', 'Right'])
  })

  it('serves whoever waits at another server than the one that took the task', async () => {
    const [a, b] = await two()
    const waiting = leaseFrom(servers, b, { waitMs: 10_000 })
    await settle()
    await insert((await leaderOf(servers, a)) === a ? b : a, '1')
    await settle()
    expect((await waiting).map(({ workItem }) => workItem)).toEqual([TASK])
  })

  it('gives a task to one of two workers, though two servers lease it at once', async () => {
    const [a, b] = await two()
    await afterSeeing(b, await insert(a, '1'))
    const leased = await Promise.all(
      [a, b].map(({ engine, world, name }) =>
        engine.execute(TASK, { type: 'LeaseItem', holder: { subject: name, name }, token: 'tokenabc', termMs: 60_000 }, contextOf(world, name)),
      ),
    )
    expect(leased.map(({ _tag }) => _tag).toSorted()).toEqual(['Left', 'Right'])
    await settle()
    expect(a.engine.live(TASK)).toEqual(b.engine.live(TASK))
    await expectEqualServers(servers)
  })

  it('lets another one see what it has answered with, by its position', async () => {
    const [a, b] = await two()
    b.connection.hold()
    const done = await insert(a, '1')
    const early = b.engine.reached(done.position, 1_000, 'live')
    await servers.pass(2_000)
    expect(await early).toBe('behind')
    expect(statusAt(b)).toBeUndefined()
    const late = b.engine.reached(done.position, 60_000, 'live')
    b.connection.resume()
    await settle()
    expect(await late).toBe('reached')
    expect(statusAt(b)).toBe('waiting')
  })
})

describe('a server that lags behind its log', () => {
  it('takes a completion of a lease that another one gave', async () => {
    const [a, b] = await two()
    await afterSeeing(b, await insert(a, '1'))
    b.connection.hold()
    const leased = right(
      await a.engine.execute(TASK, { type: 'LeaseItem', holder: { subject: 'worker', name: 'w' }, token: 'tokenabc', termMs: 60_000 }, contextOf(a.world, 'worker')),
    )
    expect(statusAt(b)).toBe('waiting')
    expect(right(await complete(b, { ...leased, workItem: TASK } as LeasedItem)).item.status).toBe('settled')
    b.connection.resume()
    await expectEqualServers(servers)
  })

  it('finds what was born elsewhere, and refuses what has settled elsewhere', async () => {
    const [a, b] = await two()
    b.connection.hold()
    const { workItem, lease: token } = await register(a)
    expect(right(await report(b, workItem, token, { phase: 'reading' })).item.phase).toBe('reading')
    right(await report(a, workItem, token, { outcome: { completed: {} } }))
    expect(left(await direct(b, workItem, 'abort'))).toMatchObject({ type: 'settled' })
    b.connection.resume()
    await expectEqualServers(servers)
  })

  it('answers a repeat as the first was answered, and only what is really not there with not-found', async () => {
    const [a, b] = await two()
    b.connection.hold()
    const first = await insert(a, '1')
    const again = await insert(b, '1')
    expect([again.events, again.item]).toEqual([[], first.item])
    expect(left(await direct(b, jobId('nobody'), 'abort'))).toEqual({ type: 'not-found' })
    b.connection.resume()
    await expectEqualServers(servers)
  })

  it('knows a holder again that was lost and found elsewhere, and counts each item once', async () => {
    const [a, b] = await two()
    const { workItem, lease: token } = await register(a)
    await settle()
    b.connection.hold()
    right(await report(a, workItem, token, { state: 'paused' }))
    right(await direct(a, workItem, 'resume'))
    expect(right(await ask(b, workItem, token)).item.will).toBe('normal')
    right(await report(b, workItem, token, { state: 'running' }))
    b.connection.resume()
    await settle()
    expect(b.engine.live(workItem)).toEqual(a.engine.live(workItem))
    expect(isHeld(b.engine.live(workItem) as Done['item'])).toBe(true)
    expect([a, b].map(({ engine }) => engine.status().heldItems)).toEqual([1, 1])
    await expectEqualServers(servers)
  })

  it('decides on a queue by what its stream says', async () => {
    const [a, b] = await two()
    const name = { app: 'shop', queue: 'mail' }
    right(await a.engine.queues.pause(name, 'one', contextOf(a.world, 'admin')))
    await settle()
    b.connection.hold()
    right(await a.engine.queues.resume(name, contextOf(a.world, 'admin')))
    right(await b.engine.queues.pause(name, 'two', contextOf(b.world, 'admin')))
    b.connection.resume()
    await settle()
    expect([a, b].map(({ engine }) => engine.queues.get(name)?.paused?.reason)).toEqual(['two', 'two'])
  })

  it('takes in what it has not heard of when it is asked to', async () => {
    const [a, b] = await two()
    await settle()
    const known = b.engine.known()
    expect(await b.engine.catchUp(known)).toBe(false)
    b.connection.hold()
    await insert(a, '1')
    const caughtUp = b.engine.catchUp(known)
    await settle()
    b.connection.resume()
    await settle()
    expect(await caughtUp).toBe(true)
    expect(statusAt(b)).toBe('waiting')
  })
})

describe('a server whose log cannot be reached', () => {
  it('says so, refuses commands, and goes on by itself when it can be reached again', async () => {
    const [a, b] = await two()
    await insert(a, '1')
    await settle()
    b.connection.cut()
    await servers.pass(2_000)
    expect(b.engine.status()).toMatchObject({ status: 'not-ready' })
    expect(left(await b.engine.execute(TASK, { type: 'DeleteTask', by: 'admin' }, contextOf(b.world, 'admin')))).toMatchObject({ kind: 'unavailable' })
    await insert(a, '2')
    b.connection.mend()
    await servers.pass(2_000)
    expect(b.engine.status().status).toBe('ready')
    await expectEqualServers(servers)
  })

  it('does not go on over what it cannot read', async () => {
    const [a, b] = await two()
    right(await servers.log.append('workItem-job/9', 'noStream', [{ id: a.world.uuid(), type: 'JobTeleported', v: 1, time: 1, data: '{}', meta: '{}' }])())
    await servers.pass(1_000)
    for (const { engine, world } of [a, b]) {
      expect(engine.status().status).toBe('not-ready')
      expect(left(await engine.execute(TASK, { type: 'DeleteTask', by: 'admin' }, contextOf(world, 'admin')))).toEqual({ type: 'stopping' })
    }
  })
})
