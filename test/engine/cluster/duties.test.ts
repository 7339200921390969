// What one server is to do, done once by one of several, and by another when that one is gone: deadlines, effects, bulks, retention, nodes.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jobId, requestId, taskId, workItemOf, type WorkItemId } from '../../../src/domain/ids.ts'
import { LOOPBACK_PATTERNS } from '../../../src/domain/policy/url-pattern.ts'
import { firstAmong } from '../../../src/domain/policy/rendezvous.ts'
import { SERVER_GRACE_MS, SERVER_TERM_MS } from '../../../src/engine/cluster/membership.ts'
import { nodeDuty } from '../../../src/engine/long-tasks/node-index.ts'
import type { RecordedEvent } from '../../../src/store/port.ts'
import { ask, contextOf, insert, register, right, settle, SILENCE_MS } from '../../support/engine.ts'
import { until } from '../../support/eventually.ts'
import { closeNodes, startNode } from '../../support/fake-node.ts'
import { accept, reply } from '../../support/kept-requests.ts'
import { factsOf, giveOut } from '../../support/long-tasks.ts'
import { createServers, expectEqualServers, leaseFrom, type Servers, type TestServer } from '../../support/servers.ts'

let servers: Servers
let all: readonly TestServer[]
beforeEach(async () => {
  servers = createServers()
  const started: TestServer[] = []
  for (const name of ['a', 'b', 'c']) started.push(await servers.start(name, { allowUrls: LOOPBACK_PATTERNS, retention: { settledMs: 60_000 } }))
  all = started
  await settle()
})
afterEach(async () => {
  await servers.close()
  await closeNodes()
})

const NAMES = ['a', 'b', 'c']
const at = (index: number): TestServer => all[index % all.length] as TestServer
const ownerOf = (thing: string): TestServer => all[NAMES.indexOf(firstAmong(NAMES, thing) ?? '')] as TestServer
const othersThan = (server: TestServer): readonly TestServer[] => all.filter((each) => each !== server)
const ofType = async (type: string): Promise<readonly RecordedEvent[]> => right(await servers.log.readAll({ max: 100_000 })()).filter((event) => event.type === type)
const serverIn = ({ meta }: RecordedEvent): string => (JSON.parse(meta) as { readonly server: string }).server
const itemIn = ({ stream }: RecordedEvent): WorkItemId => workItemOf(stream) ?? ''

/** So many tasks, inserted and leased at each server in turn. */
const leaseTasks = async (count: number, termMs: number): Promise<void> => {
  for (let index = 0; index < count; index += 1) await insert(at(index), String(index))
  await settle()
  for (let index = 0; index < count; index += 1) await leaseFrom(servers, at(index), { termMs })
  await settle()
}

describe('a deadline', () => {
  it('is acted upon once, by the server that it belongs to', async () => {
    await leaseTasks(90, 30_000)
    await servers.pass(31_000)
    expect(await ofType('LeaseExpired')).toEqual([])
    await servers.pass(10_000)
    const expired = await ofType('LeaseExpired')
    expect(new Set(expired.map(itemIn)).size).toBe(90)
    expect(expired).toHaveLength(90)
    for (const event of expired) expect(serverIn(event)).toBe(firstAmong(NAMES, itemIn(event)))
    await expectEqualServers(servers)
  })

  it('of a server that is gone is acted upon by the next in rank, two seconds later, without waiting for its term', async () => {
    await leaseTasks(60, 6_000)
    const gone = at(0)
    gone.vanish()
    await servers.pass(6_000 + 2 * SERVER_GRACE_MS + 500)
    const expired = await ofType('LeaseExpired')
    expect([expired.length, new Set(expired.map(itemIn)).size]).toEqual([60, 60])
    const inherited = expired.filter((event) => firstAmong(NAMES, itemIn(event)) === gone.name)
    expect(inherited.length).toBeGreaterThan(5)
    for (const event of inherited) expect(serverIn(event)).toBe(firstAmong(['b', 'c'], itemIn(event)))
    await expectEqualServers(servers)
  })

  it('that was put off at another server is not acted upon', async () => {
    await insert(at(0), '1')
    await settle()
    const [held] = await leaseFrom(servers, at(0), { termMs: 10_000 })
    const workItem = taskId('shop', 'mail', '1')
    const other = othersThan(ownerOf(workItem))[0] as TestServer
    await servers.pass(9_000)
    right(await other.engine.execute(workItem, { type: 'ExtendLease', by: 'worker', lease: held?.item.lease.token ?? '', termMs: 60_000 }, contextOf(other.world, 'worker')))
    await servers.pass(30_000)
    expect(await ofType('LeaseExpired')).toEqual([])
    await servers.pass(40_000)
    expect(await ofType('LeaseExpired')).toHaveLength(1)
  })
})

describe('a job server', () => {
  it('that is heard at one server only is not lost, whoever judges, and is when it is heard nowhere', async () => {
    const jobs = await Promise.all(
      ['1', '2', '3', '4'].map(async (id) => {
        const workItem = jobId(id)
        const other = othersThan(ownerOf(workItem))[0] as TestServer
        return { workItem, other, token: (await register(other, id)).lease }
      }),
    )
    for (let asked = 0; asked < 40; asked += 1) {
      await servers.pass(5_000)
      for (const { workItem, other, token } of jobs) right(await ask(other, workItem, token))
    }
    expect(await ofType('HolderLost')).toEqual([])
    await servers.pass(2 * SILENCE_MS + 2 * SERVER_GRACE_MS)
    const lost = await ofType('HolderLost')
    expect(lost.map((event) => `${itemIn(event)} by ${serverIn(event)}`).toSorted()).toEqual(jobs.map(({ workItem }) => `${workItem} by ${ownerOf(workItem).name}`))
    await expectEqualServers(servers)
  })
})

describe('effects of a reply', () => {
  const EFFECT = { task: { app: 'shop', queue: 'mail', mediaType: 'text/plain', bodyBase64: '' } }

  it('are carried out once, by the server that they belong to', async () => {
    const requests: WorkItemId[] = []
    for (let index = 0; index < 30; index += 1) {
      const workItem = await accept(at(index), String(index))
      await settle()
      await reply(at(index + 1), workItem, { effects: [EFFECT, EFFECT] })
      requests.push(workItem)
    }
    await servers.pass(2_000)
    expect(await ofType('TaskInserted')).toHaveLength(60)
    const carriedOut = await ofType('EffectsCarriedOut')
    expect(carriedOut.map(itemIn).toSorted()).toEqual(requests.toSorted())
    for (const event of carriedOut) expect(serverIn(event)).toBe(firstAmong(NAMES, itemIn(event)))
    await expectEqualServers(servers)
  })

  it('of a server that is gone are carried out by another when its term is over', async () => {
    const gone = ownerOf(requestId('orders', 'anna', '7'))
    const other = othersThan(gone)[0] as TestServer
    const workItem = await accept(other, '7')
    await settle()
    gone.vanish()
    await reply(other, workItem, { effects: [EFFECT] })
    await servers.pass(5_000)
    expect(await ofType('EffectsCarriedOut')).toEqual([])
    await servers.pass(SERVER_TERM_MS + SERVER_GRACE_MS)
    expect([(await ofType('EffectsCarriedOut')).length, (await ofType('TaskInserted')).length]).toEqual([1, 1])
    await expectEqualServers(servers)
  })

  it('of a server that stops are carried out by another at once', async () => {
    const gone = ownerOf(requestId('orders', 'anna', '7'))
    const other = othersThan(gone)[0] as TestServer
    const workItem = await accept(other, '7')
    await settle()
    await gone.engine.close()
    await reply(other, workItem, { effects: [EFFECT] })
    await settle()
    expect(await ofType('EffectsCarriedOut')).toHaveLength(1)
    await expectEqualServers(servers)
  })
})

describe('a purge', () => {
  it('is carried out once, wherever it was begun', async () => {
    for (let index = 0; index < 30; index += 1) await insert(at(index), String(index))
    await settle()
    const begun = othersThan(ownerOf('bulks shop/mail'))[0] as TestServer
    right(await begun.engine.queues.startBulk({ app: 'shop', queue: 'mail' }, 'purge', {}, contextOf(begun.world, 'admin')))
    await servers.pass(3_000)
    const cancelled = await ofType('Cancelled')
    expect([cancelled.length, new Set(cancelled.map(serverIn))]).toEqual([30, new Set([ownerOf('bulks shop/mail').name])])
    expect((await ofType('BulkFinished')).map(({ data }) => JSON.parse(data) as unknown)).toMatchObject([{ done: 30 }])
    await expectEqualServers(servers)
  })
})

describe('what is past its retention', () => {
  it('is erased by one server, and by another when that one is gone', async () => {
    const settleOne = async (id: string, by: TestServer): Promise<void> => {
      const { workItem, lease: token } = await register(by, id)
      right(
        await by.engine.execute(
          workItem,
          { type: 'Report', by: 'server', lease: token, outcome: { completed: {} }, digest: 'd', retry: { pauseMs: 0 } },
          contextOf(by.world, 'server'),
        ),
      )
      await settle()
    }
    const first = ownerOf('sweeper')
    const others = othersThan(first)
    await settleOne('1', others[0] as TestServer)
    await servers.pass(70_000)
    expect((await ofType('Erased')).map(serverIn)).toEqual([first.name])
    first.vanish()
    await settleOne('2', others[1] as TestServer)
    await servers.pass(70_000)
    const next = firstAmong(
      others.map(({ name }) => name),
      'sweeper',
    )
    expect((await ofType('Erased')).map(serverIn)).toEqual([first.name, next])
  })
})

describe('an implementation node', () => {
  it('is dealt with by one server, wherever it and its long tasks came in, and by another when that one is gone', async () => {
    const node = await startNode()
    const owner = ownerOf(nodeDuty('n1'))
    const [other, third] = othersThan(owner) as [TestServer, TestServer]
    right(await other.engine.longTasks.register('n1', factsOf(node), contextOf(other.world, 'n1')))
    await until(() => owner.engine.longTasks.node('n1')?.health.state === 'up')
    await giveOut(third, '1')
    await until(() => node.given.length === 1)
    await until(() => all.every(({ engine }) => engine.live('long-task/1')?.status === 'running'))
    expect((await ofType('Leased')).map(serverIn)).toEqual([owner.name])
    expect([other, third].map(({ engine }) => engine.longTasks.node('n1')?.health.state)).toEqual(['unknown', 'unknown'])
    owner.vanish()
    await giveOut(third, '2')
    await servers.pass(SERVER_TERM_MS + SERVER_GRACE_MS + 500)
    await until(() => [other, third].every(({ engine }) => engine.live('long-task/2')?.status === 'running'))
    expect(node.given.map(({ id }) => id)).toEqual(['1', '2'])
  })
})
