// Servers that have a log open together: they say that they are there, notice who is gone, and each counts itself out before the others do.
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMembership, SERVER_GRACE_MS, SERVER_TERM_MS, type Membership } from '../../../src/engine/cluster/membership.ts'
import { memoryStore } from '../../../src/store/memory.ts'
import type { EventStore } from '../../../src/store/port.ts'
import { right, settle } from '../../support/engine.ts'
import { connectTo, createServers, type Connection } from '../../support/servers.ts'
import type { World } from '../../../src/world.ts'
import { virtualWorld, type VirtualWorld } from '../../support/virtual-world.ts'

interface Member extends Membership {
  readonly connection: Connection
  readonly superseded: () => number
  readonly shifts: () => number
}

let world: VirtualWorld
let log: EventStore
const members: Member[] = []

beforeEach(() => {
  world = virtualWorld()
  log = memoryStore({ world, shared: true })
})
afterEach(() => {
  for (const { stop } of members.splice(0)) stop()
})

/** A member that is told of the stream by `spread`. */
const member = async (server: string, ownWorld: World = world): Promise<Member> => {
  const connection = connectTo(log)
  let superseded = 0
  let shifts = 0
  const membership = createMembership({
    ...{ store: connection, world: ownWorld, server, onAppended: () => undefined, onTrouble: () => undefined },
    onSuperseded: () => void (superseded += 1),
  })
  right(await membership.load())
  membership.onShift(() => void (shifts += 1))
  const made = { ...membership, connection, superseded: () => superseded, shifts: () => shifts }
  members.push(made)
  return made
}

const events = async () => right(await log.readStream('servers')())
const spread = async (): Promise<void> => {
  await settle()
  for (const each of members) right(each.follow(await events()))
}
const joining = async (server: string, ownWorld?: World): Promise<Member> => {
  const made = await member(server, ownWorld)
  right(await made.join(`http://${server}`))
  await spread()
  return made
}
const pass = async (ms: number): Promise<void> => {
  for (let passed = 0; passed < ms; passed += 500) {
    world.advance(500)
    await spread()
  }
}
const namesAt = ({ present }: Membership) => present().map(({ server }) => server)

describe('the servers over one log', () => {
  it('know each other, with where they are reached', async () => {
    const a = await joining('a')
    const b = await joining('b')
    expect(a.present()).toEqual([
      { server: 'a', instance: a.instance, url: 'http://a' },
      { server: 'b', instance: b.instance, url: 'http://b' },
    ])
    expect(b.present()).toEqual(a.present())
    const late = await member('c')
    expect(namesAt(late)).toEqual(['a', 'b'])
    expect([late.isIn(), late.rankOf('x'), late.isMine('x')]).toEqual([false, Infinity, false])
  })

  it('come in again after a time out only when they have heard what the others did meanwhile', async () => {
    const a = await joining('a')
    const b = await joining('b')
    const heard = await events()
    a.connection.cut()
    for (let passed = 0; passed < SERVER_TERM_MS + SERVER_GRACE_MS; passed += 500) {
      world.advance(500)
      await settle()
    }
    expect([a.isIn(), b.isIn()]).toEqual([false, true])
    a.connection.mend()
    world.advance(1_000)
    await settle()
    // Its event is in the log, but it has not been told of anything yet.
    const all = await events()
    expect(JSON.parse(all.at(-1)?.data ?? '{}')).toMatchObject({ server: 'a' })
    expect([a.isIn(), a.rankOf('x')]).toEqual([false, Infinity])
    right(a.follow(all.slice(heard.length, -1)))
    expect(a.isIn()).toBe(false)
    const before = a.shifts()
    right(a.follow(all))
    expect(a.isIn()).toBe(true)
    expect(a.shifts()).toBeGreaterThan(before)
  })

  it('agree on whose each thing is', async () => {
    const all = [await joining('a'), await joining('b'), await joining('c')]
    for (let thing = 0; thing < 100; thing += 1) {
      expect(all.map(({ rankOf }) => rankOf(`thing ${thing}`)).toSorted((a, b) => a - b)).toEqual([0, 1, 2])
      const owner = ['a', 'b', 'c'][all.findIndex(({ isMine }) => isMine(`thing ${thing}`))]
      expect(all.map(({ ownerOf }) => ownerOf(`thing ${thing}`)?.server)).toEqual([owner, owner, owner])
    }
  })

  it('say that they are there twice a term and no more often', async () => {
    await joining('a')
    await pass(10 * SERVER_TERM_MS)
    expect((await events()).length).toBe(21)
  })

  it('notice that one has gone when its term is over, and not before', async () => {
    const a = await joining('a')
    const b = await joining('b')
    b.connection.cut()
    await pass(SERVER_TERM_MS - 500)
    expect(namesAt(a)).toEqual(['a', 'b'])
    const shifts = a.shifts()
    await pass(SERVER_GRACE_MS + 1_000)
    expect([namesAt(a), a.shifts() - shifts]).toEqual([['a'], 1])
  })

  it('are told at once when one stops', async () => {
    const a = await joining('a')
    const b = await joining('b')
    b.stop()
    await b.leave()
    await spread()
    expect(namesAt(a)).toEqual(['a'])
  })
})

describe('a server that cannot say that it is there', () => {
  it('counts itself out before the others count it out, and is in again when it can', async () => {
    const a = await joining('a')
    const b = await joining('b')
    b.connection.cut()
    await pass(SERVER_TERM_MS)
    expect([b.isIn(), b.rankOf('x'), namesAt(a)]).toEqual([false, Infinity, ['a', 'b']])
    const shifts = b.shifts()
    b.connection.mend()
    await pass(2_000)
    expect(b.isIn()).toBe(true)
    expect(b.shifts()).toBeGreaterThan(shifts)
    expect(namesAt(a)).toEqual(['a', 'b'])
  })
})

describe('a server whose clock is not that of the others', () => {
  it('is missed when its term is over, though it has said that it is there for an hour', async () => {
    const a = await joining('a')
    const ahead = await joining('b', { ...world, now: () => world.now() + 3_600_000 })
    expect([namesAt(a), ahead.isIn()]).toEqual([['a', 'b'], true])
    await pass(2 * SERVER_TERM_MS)
    expect(namesAt(a)).toEqual(['a', 'b'])
    ahead.stop()
    await pass(SERVER_TERM_MS + SERVER_GRACE_MS)
    expect(namesAt(a)).toEqual(['a'])
    // Nor does one wait that comes afterwards.
    const late = await joining('c')
    await pass(SERVER_TERM_MS + SERVER_GRACE_MS)
    expect(namesAt(late)).toEqual(['a', 'c'])
  })

  it('counts itself out when it wakes up with its machine: only the wall has gone on', async () => {
    let asleepMs = 0
    const a = await joining('a', { ...world, now: () => world.now() + asleepMs })
    expect(a.isIn()).toBe(true)
    asleepMs = SERVER_TERM_MS
    expect([a.isIn(), a.rankOf('x')]).toEqual([false, Infinity])
    await pass(SERVER_TERM_MS / 2)
    expect(a.isIn()).toBe(true)
  })
})

describe('a server that does not hear of the log any more', () => {
  it('counts itself out, though it could still write: another leads and acts in its place', async () => {
    const servers = createServers()
    const [deaf, other] = [await servers.start('a'), await servers.start('b')]
    await settle()
    deaf.connection.hold()
    await servers.pass(2 * SERVER_TERM_MS)
    expect(deaf.engine.status()).toMatchObject({ status: 'not-ready' })
    expect(await deaf.engine.leaderOf('queue shop/mail')).toBeUndefined()
    for (const queue of ['mail', 'print', 'index', 'scan']) expect(await other.engine.leaderOf(`queue shop/${queue}`)).toBe('here')
    deaf.connection.resume()
    await servers.pass(3_000)
    expect(deaf.engine.status().status).toBe('ready')
    await servers.close()
  })
})

describe('a name', () => {
  it('belongs to the process that came last; the one before is told, and what it still says harms nobody', async () => {
    const first = await joining('a')
    const second = await joining('a')
    expect([first.superseded() > 0, second.superseded()]).toEqual([true, 0])
    await pass(SERVER_TERM_MS)
    expect(second.superseded()).toBe(0)
  })

  it('stops the engine of the process before', async () => {
    const servers = createServers()
    const first = await servers.start('a')
    const second = await servers.start('a')
    await settle()
    expect([first, second].map(({ engine }) => engine.status().status)).toEqual(['not-ready', 'ready'])
    await servers.close()
  })

  it('is not spoken under any more by the process before, so that what it leads stays led', async () => {
    const servers = createServers()
    const first = await servers.start('a', { url: 'http://first' })
    const second = await servers.start('a', { url: 'http://second' })
    const other = await servers.start('b')
    await servers.pass(4 * SERVER_TERM_MS)
    const said = right(await servers.log.readStream('servers')()).map(({ data }) => JSON.parse(data) as { readonly server: string; readonly url?: string })
    expect(said.filter(({ url }) => url === 'http://first')).toHaveLength(1)
    expect(await first.engine.leaderOf('queue shop/mail')).toBeUndefined()
    for (const queue of ['mail', 'print', 'index', 'scan']) {
      const led = await second.engine.leaderOf(`queue shop/${queue}`)
      await settle()
      const seen = await other.engine.leaderOf(`queue shop/${queue}`)
      expect(led === 'here' ? seen : led).toMatchObject(led === 'here' ? { url: 'http://second' } : { url: 'http://b' })
    }
    await servers.close()
  })

  it('is taken back at once from a process that wakes up after its place was taken', async () => {
    const first = await joining('a')
    const heard = await events()
    const second = await member('a')
    right(await second.join('http://second'))
    right(second.follow(await events()))
    // It stood still, and speaks before it hears.
    right(await first.join('http://a'))
    right(second.follow(await events()))
    await settle()
    const last = JSON.parse((await events()).at(-1)?.data ?? '{}') as object
    expect(last).toMatchObject({ instance: second.instance, url: 'http://second' })
    right(second.follow(await events()))
    expect(second.find('a')).toMatchObject({ instance: second.instance })
    expect([heard.length, second.isIn(), second.superseded()]).toEqual([1, true, 0])
  })

  it('is free again for a restart, even when the process before has just been killed', async () => {
    const servers = createServers()
    const killed = await servers.start('a')
    killed.vanish()
    const again = await servers.start('a')
    await servers.pass(30_000)
    expect(again.engine.status().status).toBe('ready')
    await servers.close()
  })
})

describe('the stream of the servers', () => {
  it('is read from its end, however long it is', async () => {
    const old = Array.from({ length: 1_500 }, (_, index) => ({
      ...{ id: world.uuid(), type: 'ServerJoined', v: 1, time: 1, meta: '{}' },
      data: JSON.stringify({ server: `old-${index}`, instance: 'i', url: '', until: 1 }),
    }))
    right(await log.append('servers', 'any', old)())
    await joining('a')
    expect(namesAt(await member('b'))).toEqual(['a'])
  })

  it('stops a start when it holds what this version cannot read', async () => {
    right(await log.append('servers', 'any', [{ id: world.uuid(), type: 'ServerJoined', v: 9, time: 1, data: '{}', meta: '{}' }])())
    const made = createMembership({
      ...{ store: log, world, server: 'a', onAppended: () => undefined, onSuperseded: () => undefined, onTrouble: () => undefined },
    })
    const loaded = await made.load()
    expect(E.isLeft(loaded) ? loaded.left.message : '').toContain('ServerJoined v9')
  })
})
