// Servers whose log in EventStoreDB goes away, hangs, is cut off from one of them, or is another when it comes back: what they say meanwhile, what goes on, and that all goes on by itself.
import * as E from 'fp-ts/lib/Either.js'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { jobId } from '../src/domain/ids.ts'
import { createLog } from '../src/log.ts'
import { startServer, type RunningServer } from '../src/main.ts'
import type { ServerConfig } from '../src/settings.ts'
import { openKurrentStore } from '../src/store/kurrent/store.ts'
import type { RecordedEvent } from '../src/store/port.ts'
import { pause, realWorld, type World } from '../src/world.ts'
import { right } from './support/engine.ts'
import { startDouble, type Double, type DoubleNode } from './support/kurrent-double/double.ts'
import { openFront, type Front } from './support/kurrent-double/front.ts'
import { DoubleLog } from './support/kurrent-double/log.ts'
import { quickWorld } from './support/quick-world.ts'
import { expectReplayEqual } from './support/replay.ts'
import { readStream } from './support/sse.ts'

/** Terms of servers are over in three seconds, patience in two. Any faster, and a busy machine is taken for a log that hangs. */
const TIMES = 5

const folder = mkdtempSync(join(tmpdir(), 'stint-main-outage-'))
afterAll(() => rmSync(folder, { recursive: true }))

let open: (() => Promise<void>)[] = []
afterEach(async () => {
  const all = open.toReversed()
  open = []
  for (const close of all) await close()
})

interface Scene {
  readonly double: Double
  readonly world: World
}

const served = async (): Promise<Scene> => {
  const double = await startDouble()
  open.push(double.close)
  const world = quickWorld(TIMES)
  double.log.setClock(world.now)
  return { double, world }
}

/** Resolves when it is so; looks now and then only, as many parts share the processor. */
const until = async (isSo: () => boolean): Promise<void> => {
  const never = new AbortController()
  while (!isSo()) await pause(realWorld, 5, never.signal)
}

let directories = 0

const start = async ({ double, world }: Scene, given: Partial<ServerConfig> = {}): Promise<RunningServer> => {
  const defaults = loadConfig({})
  if (E.isLeft(defaults)) throw new Error('The defaults fit together')
  const log = createLog({ level: 'silent', world, human: false })
  const data = join(folder, `data-${(directories += 1)}`)
  const server = await startServer({ ...defaults.right, port: 0, data, store: double.connectionString, ...given }, { world, log })
  open.push(server.close)
  return server
}

const ask = async (server: RunningServer, method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}) => {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: (text === '' ? {} : JSON.parse(text)) as { readonly [name: string]: unknown } }
}

const checkOf = (server: RunningServer, name: string) => server.engine.status().checks.find((check) => check.name === name)
const isReady = (server: RunningServer): boolean => server.engine.status().status === 'ready'
const isDown = (server: RunningServer): boolean => server.engine.status().status === 'not-ready'

const register = async (server: RunningServer, id: string, silenceSeconds = 60): Promise<string> => {
  const made = await ask(server, 'POST', '/v1/jobs', { id, service: 's', server: 'a', silenceSeconds })
  expect(made.status).toBe(201)
  return String(made.body['lease'])
}

/** So much time by the hurried clock. */
const passed = async ({ world }: Scene, ms: number): Promise<void> => {
  const end = world.monotonic() + ms
  await until(() => world.monotonic() >= end)
}

/** Waits again and again for something else at an address, as those do who watch it; answers the statuses that it met, each once, until there was. */
const watched = async (server: RunningServer, path: string, etag: string): Promise<readonly number[]> => {
  const met = new Set<number>([304])
  for (;;) {
    const { status } = await ask(server, 'GET', path, undefined, { Prefer: 'wait=30', 'If-None-Match': etag })
    met.add(status)
    if (status === 200) return [...met]
  }
}

interface Outage {
  readonly begin: (node: DoubleNode) => unknown
  readonly end: (node: DoubleNode) => unknown
}

const outages: Readonly<Record<string, Outage>> = {
  stops: { begin: (node) => node.stop(), end: (node) => node.start() },
  hangs: { begin: (node) => node.freeze(), end: (node) => node.thaw() },
}

describe('a server whose log is away', () => {
  it.each(Object.entries(outages))('because it %s says so, keeps those who wait, judges nobody, and goes on by itself', async (_what, { begin, end }) => {
    const scene = await served()
    const { double } = scene
    const server = await start(scene)
    const lease = await register(server, 'j1', 20)
    const poll = `/v1/jobs/j1/directive`
    const first = await ask(server, 'GET', poll, undefined, { 'Stint-Lease': lease })
    const waiting = watched(server, poll, first.headers.get('ETag') ?? '')
    const events = await readStream(`${server.url}/v1/events?after=start`)
    open.push(async () => events.close())
    let hasEnded = false
    void events.ended.then(() => (hasEnded = true))
    await events.until('JobRegistered')
    // In the tables too, which are asked later on.
    expect((await ask(server, 'GET', '/v1/jobs', undefined, { 'Stint-Position': server.engine.position() })).body).toMatchObject({ items: [{ id: 'j1' }] })

    await begin(double.node)
    await until(() => isDown(server) && checkOf(server, 'store')?.ok === false)
    const ready = await ask(server, 'GET', '/readyz')
    expect([ready.status, ready.headers.get('Retry-After')]).toEqual([503, '1'])
    expect(ready.body['checks']).toContainEqual({ name: 'store', ok: false, detail: expect.stringMatching(/cannot be reached/) })
    const refused = await ask(server, 'POST', '/v1/jobs', { id: 'j2', service: 's', server: 'a' })
    expect([refused.status, refused.headers.get('Retry-After'), refused.body['code']]).toEqual([503, '5', 'store-unavailable'])
    expect((await ask(server, 'GET', '/v1/jobs')).body).toMatchObject({ items: [{ id: 'j1' }] })
    // Longer than its silence and than the term of a server.
    await passed(scene, 25_000)
    // Its holder is heard all the same, and told what is known.
    expect((await ask(server, 'GET', poll, undefined, { 'Stint-Lease': lease })).body).toMatchObject({ directive: 'normal' })
    expect([server.engine.live(jobId('j1'))?.status, hasEnded, checkOf(server, 'among the servers')?.ok]).toEqual(['running', false, false])

    await end(double.node)
    await until(() => isReady(server))
    expect((await ask(server, 'POST', '/v1/jobs/j1/directives', { directive: 'pause' })).status).toBeLessThan(300)
    expect(await waiting).toEqual([304, 200])
    expect(await events.until('DirectiveGiven')).not.toContain('HolderLost')
    // From then on silence counts again.
    await until(() => server.engine.live(jobId('j1'))?.status === 'lost')
  })
})

/** What of it was answered, with what it was asked for again and again until it was: as clients do that have a key for each thing they ask. */
const persistently = async (servers: readonly RunningServer[], turn: number, method: string, path: string, body: unknown, key: string) => {
  for (let tried = 0; ; tried += 1) {
    const server = servers[(turn + tried) % servers.length] as RunningServer
    const answer = await ask(server, method, path, body, { 'Idempotency-Key': key }).catch(() => undefined)
    if (answer !== undefined && answer.status < 500 && answer.status !== 429) return answer
  }
}

const TASKS = '/v1/queues/shop/mail/tasks'
const WORKERS = 8

/**
 * Puts tasks in, leases and completes them, all at the same time; answers once each was acknowledged as completed. What was leased by a call whose answer is not known is given out again
 * when that lease is over.
 */
const workOff = async (servers: readonly RunningServer[], count: number, onCompleted: (completed: number) => unknown): Promise<void> => {
  const inserting = Array.from({ length: WORKERS }, async (_, lane) => {
    for (let index = lane; index < count; index += WORKERS) {
      const put = await persistently(servers, lane, 'POST', TASKS, { id: `t${index}`, payload: 'x' }, `put-${index}`)
      expect([200, 201]).toContain(put.status)
    }
  })
  const completed = new Set<string>()
  const working = Array.from({ length: WORKERS }, async (_, worker) => {
    for (let call = 0; completed.size < count; call += 1) {
      const leased = await persistently(servers, worker, 'POST', `${TASKS}/lease`, { max: 5, worker: `w${worker}`, leaseSeconds: 30 }, `lease-${worker}-${call}`)
      expect(leased.status).toBe(200)
      for (const { id, lease } of (leased.body['items'] ?? []) as readonly { readonly id: string; readonly lease: string }[]) {
        const done = await persistently(servers, worker, 'POST', `${TASKS}/complete`, { id, lease }, `complete-${id}-${lease}`)
        if (done.status !== 200) continue
        completed.add(id)
        onCompleted(completed.size)
      }
    }
  })
  await Promise.all([...inserting, ...working])
}

/** Each task was born once and completed once, and every server knows what the log says. */
const expectEachOnce = async ({ double }: Scene, servers: readonly RunningServer[], count: number): Promise<void> => {
  const store = await openKurrentStore({ connectionString: double.connectionString })
  const counts: Record<string, number> = {}
  for (let index = 0; index < count; index += 1) {
    const types = right(await store.readStream(`workItem-task/shop/mail/t${index}`)()).map(({ type }: RecordedEvent) => type)
    for (const type of ['TaskInserted', 'Completed']) counts[type] = (counts[type] ?? 0) + types.filter((each) => each === type).length
  }
  expect(counts).toEqual({ TaskInserted: count, Completed: count })
  const { position } = right(await store.head()())
  for (const { engine } of servers) {
    await until(() => engine.known() >= position)
    await expectReplayEqual(engine, store)
  }
  await store.close()
}

describe('under load', () => {
  const COUNT = 150
  it.each([1, 2])('so many servers (%i) lose nothing and double nothing while the log stops, hangs and is cut off in turn', { timeout: 300_000 }, async (count) => {
    const scene = await served()
    const { node } = scene.double
    const servers: RunningServer[] = []
    for (let each = 0; each < count; each += 1) servers.push(await start(scene))
    const faults: (() => Promise<void>)[] = [
      async () => {
        await node.stop()
        await until(() => servers.every((server) => !isReady(server)))
        await node.start()
      },
      async () => node.drop(),
      async () => {
        node.freeze()
        await until(() => servers.every(isDown))
        node.thaw()
      },
      async () => {
        node.faults.appends.push('lost', 'dropped after', 'dropped before')
      },
      async () => {
        await node.stop()
        await until(() => servers.every(isDown))
        await node.start()
      },
    ]
    let failing: Promise<void> = Promise.resolve()
    await workOff(servers, COUNT, (completed) => {
      const next = completed % 25 === 0 ? faults.shift() : undefined
      if (next !== undefined) failing = failing.then(next)
    })
    await failing
    expect(faults).toEqual([])
    await until(() => servers.every(isReady))
    await expectEachOnce(scene, servers, COUNT)
  })
})

describe('one of two servers that is cut off from the log', () => {
  it('counts itself out, while the other does what was its own, and comes in again with all that it missed', async () => {
    const scene = await served()
    const front: Front = await openFront(
      () => scene.double.node.port,
      () => undefined,
    )
    open.push(front.shut)
    const staying = await start(scene)
    const cut = await start(scene, { store: `esdb://127.0.0.1:${front.port}?tls=false` })
    const lease = await register(cut, 'j1', 20)
    await until(() => isReady(staying) && isReady(cut))
    await front.shut()
    await until(() => checkOf(cut, 'among the servers')?.ok === false)
    expect((await ask(cut, 'POST', `${TASKS}/lease`, { worker: 'w' })).status).toBe(503)
    expect((await ask(cut, 'GET', '/readyz')).status).toBe(503)
    for (let index = 0; index < 20; index += 1) expect((await persistently([staying], 0, 'POST', TASKS, { id: `t${index}`, payload: 'x' }, `put-${index}`)).status).toBe(201)
    await workOff([staying], 20, () => undefined)
    // Nobody has heard of its holder there: whoever can know it says so.
    await until(() => staying.engine.live(jobId('j1'))?.status === 'lost')
    expect(cut.engine.live(jobId('j1'))?.status).toBe('running')
    await front.reopen()
    await until(() => isReady(cut))
    expect(checkOf(cut, 'among the servers')?.ok).toBe(true)
    await expectEachOnce(scene, [staying, cut], 20)
    // The lease stands: its holder is found again with its next sign of life, at whichever server.
    expect((await ask(cut, 'GET', '/v1/jobs/j1/directive', undefined, { 'Stint-Lease': lease })).status).toBe(200)
    expect(cut.engine.live(jobId('j1'))?.status).toBe('running')
  })
})

describe('a log that is another when it comes back', () => {
  const kept = async (data: string) => {
    const scene = await served()
    const server = await start(scene, { data })
    await register(server, 'before')
    const backup = scene.double.log.copy()
    const last = await ask(server, 'POST', '/v1/jobs', { id: 'after', service: 's', server: 'a' })
    await server.engine.tables.reached(last.headers.get('Stint-Position') ?? '', 10_000)
    return { scene, server, backup, position: last.headers.get('Stint-Position') ?? '' }
  }
  const replace = async ({ double }: Scene, log: DoubleLog): Promise<void> => {
    await double.node.stop()
    double.replaceLog(log)
    await double.node.start()
  }
  const idsOf = async (server: RunningServer): Promise<readonly string[]> =>
    ((await ask(server, 'GET', '/v1/jobs')).body['items'] as readonly { readonly id: string }[]).map(({ id }) => id)

  it('because an older backup was restored is appended to no more until a restart, which makes the tables anew', async () => {
    const data = join(folder, 'restored')
    const { scene, server, backup, position } = await kept(data)
    await replace(scene, backup)
    await until(() => isDown(server))
    expect(checkOf(server, 'store')?.detail).toMatch(/lacks what it has shown .*restart this server/)
    const { length } = backup
    expect((await ask(server, 'POST', '/v1/jobs', { id: 'more', service: 's', server: 'a' })).status).toBe(503)
    expect(backup.length).toBe(length)
    await server.close()
    const again = await start(scene, { data })
    expect(await idsOf(again)).toEqual(['before'])
    // What was given out by the log as it was is not reached here.
    expect((await ask(again, 'GET', '/v1/jobs/before', undefined, { 'Stint-Position': `${position.slice(0, -16)}${'9'.repeat(16)}` })).status).toBe(503)
  })

  it('because it was begun anew has another incarnation: positions of the one before are answered 412', async () => {
    const data = join(folder, 'anew')
    const { scene, server, position } = await kept(data)
    await replace(scene, new DoubleLog(scene.world.now))
    await until(() => isDown(server))
    expect(checkOf(server, 'store')?.detail).toContain('holds no log of Stint')
    await server.close()
    const again = await start(scene, { data })
    expect(await idsOf(again)).toEqual([])
    expect((await ask(again, 'GET', '/v1/jobs', undefined, { 'Stint-Position': position })).status).toBe(412)
    await register(again, 'before')
  })
})

describe('a server whose clock is not that of its log', () => {
  it('takes no timers and says so, until it is set', async () => {
    const scene = await served()
    const server = await start(scene)
    scene.double.log.setClock(() => scene.world.now() - 30_000)
    await register(server, 'j1', 20)
    await until(() => checkOf(server, 'clock')?.ok === false)
    expect((await ask(server, 'GET', '/readyz')).body).toMatchObject({ status: 'degraded' })
    expect(checkOf(server, 'clock')?.detail).toMatch(/is \d+\.\d s ahead of the store's: this server takes no timers/)
    await passed(scene, 30_000)
    expect(server.engine.live(jobId('j1'))?.status).toBe('running')
    scene.double.log.setClock(scene.world.now)
    await until(() => checkOf(server, 'clock')?.ok === true)
    await until(() => server.engine.live(jobId('j1'))?.status === 'lost')
  })
})

describe('erasing over EventStoreDB', () => {
  const shown = ({ double }: Scene, id: string): readonly string[] => {
    const read = double.log.readStream(`workItem-job/${id}`, 'start', 100, false)
    return read.kind === 'events' ? read.events.map(({ type }) => type) : []
  }
  const erased = async (server: RunningServer, id: string): Promise<void> => {
    const lease = await register(server, id)
    expect((await ask(server, 'POST', `/v1/jobs/${id}/reports`, { lease, outcome: { completed: {} } })).status).toBe(200)
    expect((await ask(server, 'POST', `/v1/work-items/job%2F${id}/erase`, { reason: 'asked' })).status).toBe(200)
  }

  it('leaves the tombstone alone in the stream', async () => {
    const scene = await served()
    const server = await start(scene)
    await erased(server, 'j1')
    await until(() => shown(scene, 'j1').length === 1)
    expect(shown(scene, 'j1')).toEqual(['Erased'])
    await until(() => !server.engine.status().sweeper.isOwing)
    expect(server.engine.status().sweeper.pruned).toBe(3)
    expect((await ask(server, 'GET', '/v1/jobs/j1')).status).toBe(410)
    // Its id stays taken.
    expect((await ask(server, 'POST', '/v1/jobs', { id: 'j1', service: 's', server: 'a' })).status).toBe(409)
  })

  it('shows nothing of it to those who read the events from the start, at any server, though the log has it until it is scavenged', async () => {
    const scene = await served()
    const [server, other] = [await start(scene), await start(scene)]
    const lease = await register(server, 'j1')
    const report = { lease, outcome: { failed: { code: 'x', message: 'a secret' } } }
    expect((await ask(server, 'POST', '/v1/jobs/j1/reports', report)).status).toBe(200)
    expect((await ask(server, 'POST', '/v1/work-items/job%2Fj1/erase', { reason: 'asked' })).status).toBe(200)
    await register(other, 'j2')
    await until(() => shown(scene, 'j1').length === 1)
    const late = await start(scene)
    for (const { url } of [server, other, late]) {
      const events = await readStream(`${url}/v1/events?after=start`)
      const text = await events.until('event: caughtUp')
      events.close()
      const data = text
        .split('\n')
        .flatMap((row) => (row.startsWith('data: {"id"') ? [JSON.parse(row.slice(6)) as { readonly type: string; readonly data: unknown; readonly workItem: string }] : []))
      const ofErased = data.filter(({ workItem }) => workItem === 'job/j1')
      expect(ofErased.map(({ type, data: said }) => [type, said === null])).toEqual([
        ['JobRegistered', true],
        ['Leased', true],
        ['Failed', true],
        ['Erased', false],
      ])
      expect(text).not.toContain('a secret')
      expect(data.filter(({ workItem }) => workItem === 'job/j2').every(({ data: said }) => said !== null)).toBe(true)
    }
  })

  it('is finished by whoever starts next, where a server stops before it has truncated the stream', async () => {
    const scene = await served()
    const server = await start(scene)
    await erased(server, 'j1')
    await server.close()
    expect(shown(scene, 'j1')).toHaveLength(4)
    await start(scene)
    await until(() => shown(scene, 'j1').length === 1)
    expect(shown(scene, 'j1')).toEqual(['Erased'])
  })
})
