// One server gives out what waits in a line: so rates, keys, turns and repeats hold over all servers. Another takes over when it is gone, and is given a line that is its own.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { contractLine, decodeLeaderEvent, encodeLeaderEvent, evolveLeaders, queueLine, type LeaderEvent } from '../../../src/domain/leader.ts'
import { DEFAULT_STINT_SETTINGS, type QueueConfig } from '../../../src/domain/queue/config.ts'
import { requestId, taskId } from '../../../src/domain/ids.ts'
import { SERVER_GRACE_MS, SERVER_TERM_MS } from '../../../src/engine/cluster/membership.ts'
import type { LeaseRequest } from '../../../src/engine/command.ts'
import { contextOf, insert, lease, left, right, settle } from '../../support/engine.ts'
import { accept } from '../../support/kept-requests.ts'
import { createServers, expectEqualServers, leaderOf, leaseFrom, type Servers, type TestServer } from '../../support/servers.ts'

let servers: Servers
beforeEach(() => {
  servers = createServers()
})
afterEach(() => servers.close())

const start = async (...names: readonly string[]): Promise<readonly TestServer[]> => {
  const started: TestServer[] = []
  for (const name of names) started.push(await servers.start(name))
  await settle()
  return started
}
const ask: Omit<LeaseRequest, 'queue'> = { app: 'shop', max: 1, termMs: 60_000, waitMs: 0, holder: { subject: 'worker', name: 'w' } }
const ledBy = async (): Promise<readonly LeaderEvent[]> =>
  right(await servers.log.readStream('leaders')()).map(({ type, v, data }) => right(decodeLeaderEvent(type, v, JSON.parse(data) as unknown)))
const leaderSeenBy = async (seen: readonly TestServer[], queue = 'mail'): Promise<readonly (string | undefined)[]> => {
  const names: (string | undefined)[] = []
  for (const server of seen) names.push((await leaderOf(servers, server, queue))?.name)
  return names
}

describe('a line', () => {
  it('is led by one server, which all others name, from the first call on', async () => {
    const all = await start('a', 'b', 'c')
    for (const queue of ['mail', 'print', 'index', 'resize']) {
      const seen = await leaderSeenBy(all, queue)
      await settle()
      expect(new Set([...seen, ...(await leaderSeenBy(all, queue))]).size).toBe(1)
    }
    expect((await ledBy()).map(({ epoch }) => epoch)).toEqual([1, 1, 1, 1])
    expect(new Set((await ledBy()).map(({ server }) => server)).size).toBeGreaterThan(1)
  })

  it('is leased from nowhere else', async () => {
    const all = await start('a', 'b', 'c')
    await insert(all[0] as TestServer, '1')
    await settle()
    const leader = await leaderOf(servers, all[0] as TestServer)
    for (const { engine, world } of all.filter((server) => server !== leader))
      expect(left(await engine.leaseTasks({ ...ask, queue: 'mail' }, contextOf(world, 'worker')))).toEqual({ type: 'no-leader' })
    expect(await lease(leader as TestServer)).toHaveLength(1)
  })

  it('of a contract is led like that of a queue', async () => {
    const all = await start('a', 'b')
    const workItem = await accept(all[0] as TestServer, '1', { leased: false })
    await settle()
    const leading = await Promise.all(all.map(({ engine }) => engine.leaderOf(contractLine('orders'))))
    expect(leading.filter((led) => led === 'here')).toHaveLength(1)
    const [leader, other] = leading[0] === 'here' ? all : all.toReversed()
    const call = { max: 1, termMs: 60_000, waitMs: 0, holder: { subject: 'worker', name: 'w' } }
    const leaseAt = (server: TestServer | undefined) => (server as TestServer).engine.contracts.lease('orders', call, contextOf(servers.world, 'worker'))
    expect(left(await leaseAt(other))).toEqual({ type: 'no-leader' })
    expect(right(await leaseAt(leader)).map((each) => each.workItem)).toEqual([workItem])
    expect(workItem).toBe(requestId('orders', 'anna', '1'))
  })

  it('is claimed once, however many calls come at the same time', async () => {
    const all = await start('a', 'b', 'c')
    const asked = Array.from({ length: 60 }, (_, index) => (all[index % 3] as TestServer).engine.leaderOf(queueLine({ app: 'shop', queue: `q${index % 20}` })))
    expect((await Promise.all(asked)).filter((led) => led === undefined)).toEqual([])
    await settle()
    const lines = (await ledBy()).map(({ line }) => line)
    expect(lines.length).toBe(new Set(lines).size)
  })
})

describe('a leader that is gone', () => {
  it('is replaced when its term is over and not before; the calls until then are told that nobody leads', async () => {
    const all = await start('a', 'b', 'c')
    const leader = (await leaderOf(servers, all[0] as TestServer)) as TestServer
    await insert(leader, '1')
    await settle()
    leader.vanish()
    const [one, two] = servers.running() as [TestServer, TestServer]
    await servers.pass(SERVER_TERM_MS / 2)
    expect(await leaderSeenBy([one, two])).toEqual([undefined, undefined])
    await servers.pass(SERVER_TERM_MS / 2 + SERVER_GRACE_MS)
    const next = await leaderSeenBy([one, two])
    expect(next[0]).toBe(next[1])
    expect(await leaseFrom(servers, one)).toHaveLength(1)
    expect((await ledBy()).map(({ epoch, server }) => [epoch, server])).toEqual([
      [1, leader.name],
      [2, next[0]],
    ])
    await expectEqualServers(servers)
  })

  it('is replaced at once when it has stopped', async () => {
    const all = await start('a', 'b')
    const leader = (await leaderOf(servers, all[0] as TestServer)) as TestServer
    await insert(leader, '1')
    await settle()
    await leader.engine.close()
    await settle()
    expect(await leaseFrom(servers, servers.running()[0] as TestServer)).toHaveLength(1)
  })

  it('is replaced at once when its own server comes again: what it led died with it', async () => {
    const [a] = await start('a')
    await leaderOf(servers, a as TestServer)
    a?.vanish()
    const [again] = await start('a')
    expect(await leaderSeenBy([again as TestServer])).toEqual(['a'])
    expect((await ledBy()).map(({ epoch }) => epoch)).toEqual([1, 2])
  })

  it('gives out nothing when it comes back and another leads', async () => {
    const all = await start('a', 'b')
    const leader = (await leaderOf(servers, all[0] as TestServer)) as TestServer
    const other = servers.running().find((server) => server !== leader) as TestServer
    await insert(other, '1')
    await settle()
    leader.connection.cut()
    await servers.pass(SERVER_TERM_MS + SERVER_GRACE_MS + 500)
    expect(left(await leader.engine.leaseTasks({ ...ask, queue: 'mail' }, contextOf(leader.world, 'worker')))).toEqual({ type: 'no-leader' })
    expect(await leaderSeenBy([other])).toEqual([other.name])
    leader.connection.mend()
    await servers.pass(3_000)
    // The one whose line it is by rendezvous is given it back by whoever led meanwhile.
    expect(await leaderSeenBy([leader, other])).toEqual([leader.name, leader.name])
    expect(await leaseFrom(servers, other)).toHaveLength(1)
    await expectEqualServers(servers)
  })
})

describe('a server that lags behind the log', () => {
  const keyed = async (at: TestServer, id: string): Promise<void> => {
    const task = { app: 'shop', queue: 'mail', key: 'one', dueAt: at.world.now() }
    const command = { type: 'InsertTask', by: 'p', task, mediaType: 'text/plain', digest: 'd' } as const
    right(await at.engine.execute(taskId('shop', 'mail', id), command, contextOf(at.world, 'p'), new Uint8Array()))
  }

  it('takes over from nobody before it has heard what was given out: keys and repeats hold', async () => {
    const [leader] = (await start('b')) as [TestServer]
    await servers.pass(5_000)
    const [lagging] = (await start('a')) as [TestServer]
    const all = [leader, lagging]
    expect(await leaderSeenBy(all)).toEqual(['b', 'b'])
    for (const id of ['1', '2']) await keyed(leader, id)
    await servers.pass(SERVER_TERM_MS / 2 + 250)
    lagging.connection.hold()
    const named = { ...ask, queue: 'mail', requestId: 'r1' }
    const first = right(await leader.engine.leaseTasks(named, contextOf(leader.world, 'worker')))
    // Of the leader it has heard nothing for longer than its term, and of itself a little later.
    await servers.pass(12_250)
    const leading = lagging.engine.leaderOf(queueLine({ app: 'shop', queue: 'mail' }))
    const leasing = lagging.engine.leaseTasks(named, contextOf(lagging.world, 'worker'))
    await servers.pass(3_000)
    expect([await leading, left(await leasing)]).toEqual([undefined, { type: 'no-leader' }])
    expect((await ledBy()).map(({ server }) => server)).toEqual([leader.name])
    lagging.connection.resume()
    await servers.pass(3_000)
    expect(await leaderSeenBy(all)).toEqual([leader.name, leader.name])
    expect(right(await leader.engine.leaseTasks(named, contextOf(leader.world, 'worker'))).map(({ workItem }) => workItem)).toEqual(first.map(({ workItem }) => workItem))
    await expectEqualServers(servers)
  })
})

describe('a lease of which nobody knows whether it was given', () => {
  const call: LeaseRequest = { ...ask, queue: 'mail' }
  const leading = async (): Promise<TestServer> => {
    const all = await start('a', 'b')
    await insert(all[0] as TestServer, '1')
    await settle()
    return (await leaderOf(servers, all[0] as TestServer)) as TestServer
  }

  it('is given to the next who asks, where the log turns out not to have it', async () => {
    const leader = await leading()
    leader.connection.loseNextAppend()
    leader.connection.cut()
    expect(left(await leader.engine.leaseTasks(call, contextOf(leader.world, 'worker')))).toMatchObject({ kind: 'unknown-outcome' })
    await servers.pass(2_000)
    expect(leader.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).claims).toBe(1)
    leader.connection.mend()
    await servers.pass(4_000)
    expect(leader.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).claims).toBe(0)
    expect(await lease(leader)).toHaveLength(1)
    await expectEqualServers(servers)
  })

  it("is its holder's, where the log has it", async () => {
    const leader = await leading()
    leader.connection.loseNextAnswer(() => undefined)
    const named: LeaseRequest = { ...call, requestId: 'r' }
    expect(left(await leader.engine.leaseTasks(named, contextOf(leader.world, 'worker')))).toMatchObject({ kind: 'unknown-outcome' })
    await servers.pass(4_000)
    expect(await lease(leader)).toHaveLength(0)
    expect(right(await leader.engine.leaseTasks(named, contextOf(leader.world, 'worker')))).toHaveLength(1)
    await expectEqualServers(servers)
  })
})

describe('a lease that was known before the log told what became of it', () => {
  it('leaves the claim of the next lease of the task alone', async () => {
    const all = await start('a', 'b')
    await insert(all[0] as TestServer, '1')
    await settle()
    const leader = (await leaderOf(servers, all[0] as TestServer)) as TestServer
    const { connection, engine, world } = leader
    const workItem = taskId('shop', 'mail', '1')
    const named: LeaseRequest = { ...ask, queue: 'mail', requestId: 'r' }
    connection.hold()
    connection.loseNextAnswer(() => undefined)
    expect(left(await engine.leaseTasks(named, contextOf(world, 'worker')))).toMatchObject({ kind: 'unknown-outcome' })
    // Whatever is refused is decided again on what the log has, so that the lease is known before the log has told of it.
    left(await engine.takeBack(workItem, '9.none', contextOf(world, 'worker')))
    const [given] = right(await engine.leaseTasks(named, contextOf(world, 'worker')))
    right(await engine.takeBack(workItem, given?.item.lease.token ?? '', contextOf(world, 'worker')))
    let goOn: () => void = () => undefined
    connection.overtake(1, () => new Promise<void>((resolve) => (goOn = resolve)))
    const next = engine.leaseTasks({ ...named, requestId: 's' }, contextOf(world, 'worker'))
    await settle()
    expect(engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).claims).toBe(1)
    connection.resume()
    await settle()
    expect(engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).claims).toBe(1)
    goOn()
    expect(right(await next)).toHaveLength(1)
    await servers.pass(4_000)
    expect(engine.queues.figuresOf({ app: 'shop', queue: 'mail' })).toMatchObject({ claims: 0, leased: 1 })
  })
})

describe('a leader that meets an event that it cannot read', () => {
  it('gives out nothing from then on, and leaves its lines to others', async () => {
    const [a] = (await start('a')) as [TestServer]
    await leaderOf(servers, a)
    await insert(a, '1')
    right(await servers.log.append('workItem-task/shop/mail/9', 'noStream', [{ id: a.world.uuid(), type: 'TaskInserted', v: 99, time: 1, data: '{}', meta: '{}' }])())
    await settle()
    expect(a.engine.status().status).toBe('not-ready')
    expect(left(await a.engine.leaseTasks({ ...ask, queue: 'mail' }, contextOf(a.world, 'worker')))).toEqual({ type: 'no-leader' })
    const said = right(await servers.log.readStream('servers')()).map(({ type }) => type)
    await servers.pass(2 * SERVER_TERM_MS)
    expect(right(await servers.log.readStream('servers')()).map(({ type }) => type)).toEqual(said)
  })
})

describe('those who wait in a line', () => {
  it('are sent away when another server is given the line, and served there', async () => {
    const [a] = (await start('a')) as [TestServer]
    const queues = Array.from({ length: 12 }, (_, index) => `q${index}`)
    const waiting = queues.map(async (queue) => a.engine.leaseTasks({ ...ask, queue, waitMs: 60_000 }, contextOf(a.world, 'worker')))
    await settle()
    const [b] = (await start('b')) as [TestServer]
    await settle()
    const now = new Map<string, string | undefined>()
    for (const queue of queues) now.set(queue, (await leaderOf(servers, a, queue))?.name)
    expect(new Set(now.values())).toEqual(new Set(['a', 'b']))
    for (const queue of queues) await insert(a, '1', { queue })
    await settle()
    const waited = await Promise.all(waiting)
    for (const [index, queue] of queues.entries()) {
      if (now.get(queue) === 'b') {
        expect(waited[index]).toMatchObject({ left: { type: 'no-leader' } })
        expect(await lease(b, { queue })).toHaveLength(1)
      } else expect(waited[index]).toMatchObject({ right: [{ workItem: taskId('shop', queue, '1') }] })
    }
    await expectEqualServers(servers)
  })
})

describe('what limits leases', () => {
  const limited = (stint: Partial<QueueConfig['stint']>): QueueConfig => ({
    ...{ app: 'shop', queue: 'mail', mode: 'pull', users: [], writers: [] },
    stint: { ...DEFAULT_STINT_SETTINGS, ...stint },
  })

  it('holds over all servers: a rate', async () => {
    const all = (await start('a', 'b', 'c')) as [TestServer, TestServer, TestServer]
    right(await all[0].engine.queues.apply([limited({ rate: { perSecond: 1, burst: 5 } })], 'change', contextOf(servers.world, 'admin')))
    for (let index = 0; index < 30; index += 1) await insert(all[index % 3] as TestServer, String(index))
    await settle()
    let leased = 0
    for (const at of [...all, ...all]) leased += (await leaseFrom(servers, at, { max: 3 })).length
    expect(leased).toBe(5)
  })

  it('holds over all servers: a key', async () => {
    const all = (await start('a', 'b', 'c')) as [TestServer, TestServer, TestServer]
    for (let index = 0; index < 6; index += 1) {
      const { engine, world } = all[index % 3] as TestServer
      const task = { app: 'shop', queue: 'mail', key: 'one', dueAt: world.now() }
      right(
        await engine.execute(
          taskId('shop', 'mail', String(index)),
          { type: 'InsertTask', by: 'p', task, mediaType: 'text/plain', digest: 'd' },
          contextOf(world, 'p'),
          new Uint8Array(),
        ),
      )
    }
    await settle()
    const first = await Promise.all(all.map((at) => leaseFrom(servers, at)))
    expect(first.flat()).toHaveLength(1)
    const [held] = first.flat()
    right(
      await all[1].engine.execute(
        held?.workItem ?? '',
        { type: 'Report', by: 'worker', lease: held?.item.lease.token ?? '', outcome: { completed: {} }, digest: 'd', retry: { pauseMs: 0 } },
        contextOf(servers.world, 'worker'),
      ),
    )
    await settle()
    expect(await leaseFrom(servers, all[2])).toHaveLength(1)
  })
})

describe('what is stored of a leader', () => {
  const event: LeaderEvent = { type: 'LineLed', line: 'queue shop/mail', server: 'a', instance: 'i', epoch: 2 }

  it('reads as it was written, in the form of its version', () => {
    const encoded = encodeLeaderEvent(event)
    expect(encoded).toEqual({ type: 'LineLed', v: 1, data: '{"line":"queue shop/mail","server":"a","instance":"i","epoch":2}' })
    expect(right(decodeLeaderEvent(encoded.type, encoded.v, JSON.parse(encoded.data) as unknown))).toEqual(event)
    expect(evolveLeaders(new Map(), event)).toEqual(new Map([['queue shop/mail', { server: 'a', instance: 'i', epoch: 2 }]]))
  })

  it('is refused when it cannot be read', () => {
    expect([left(decodeLeaderEvent('LineLost', 1, {})), left(decodeLeaderEvent('LineLed', 2, {})), left(decodeLeaderEvent('LineLed', 1, {}))]).toMatchObject([
      { reason: 'unknown-type' },
      { reason: 'newer-version' },
      { reason: 'invalid' },
    ])
  })
})
