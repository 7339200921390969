// Servers as they are started, two over one EventStoreDB: each with a name, tables and a way to it of its own, and any of them takes any call.
import * as E from 'fp-ts/lib/Either.js'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { queueLine } from '../src/domain/leader.ts'
import { createLog } from '../src/log.ts'
import { reachedAt, startServer, type RunningServer } from '../src/main.ts'
import { settings, type ServerConfig } from '../src/settings.ts'
import { openKurrentStore } from '../src/store/kurrent/store.ts'
import { decode } from '../src/wire/schema.ts'
import { realWorld } from '../src/world.ts'
import { right } from './support/engine.ts'
import { until } from './support/eventually.ts'
import { startGateway } from './support/gateway.ts'
import { startDouble, type Double } from './support/kurrent-double/double.ts'
import { expectReplayEqual } from './support/replay.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-main-cluster-'))
afterAll(() => rmSync(folder, { recursive: true }))

let open: (() => Promise<void>)[] = []
afterEach(async () => {
  const all = open.toReversed()
  open = []
  for (const close of all) await close()
})

const served = async (): Promise<Double> => {
  const double = await startDouble()
  open.push(double.close)
  return double
}

let directories = 0

const silent = createLog({ level: 'silent', world: realWorld, human: false })

const start = async (double: Double, given: Partial<ServerConfig> = {}, log = silent): Promise<RunningServer> => {
  const defaults = loadConfig({})
  if (E.isLeft(defaults)) throw new Error('The defaults fit together')
  const data = join(folder, `data-${(directories += 1)}`)
  const server = await startServer({ ...defaults.right, port: 0, data, store: double.connectionString, ...given }, { world: realWorld, log })
  open.push(server.close)
  return server
}

const TASKS = '/v1/queues/shop/mail/tasks'
const LINE = queueLine({ app: 'shop', queue: 'mail' })

const ask = async (server: RunningServer, method: string, path: string, body?: unknown, position?: string) => {
  const headers = { 'Content-Type': 'application/json', ...(position === undefined ? {} : { 'Stint-Position': position }) }
  const answer = await fetch(`${server.url}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  return { status: answer.status, position: answer.headers.get('Stint-Position') ?? '', body: (await answer.json()) as { readonly [name: string]: unknown } }
}

/** Asks until it is answered so: nobody leads for a moment after a leader has gone. */
const askUntil = async (status: number, ...asked: Parameters<typeof ask>): ReturnType<typeof ask> => {
  for (;;) {
    const answer = await ask(...asked)
    if (answer.status === status) return answer
  }
}

interface Joined {
  readonly type: string
  readonly server: string
  readonly url: string
}

/** What the servers have said of themselves. */
const joined = async (double: Double): Promise<readonly Joined[]> => {
  const store = await openKurrentStore({ connectionString: double.connectionString })
  const events = right(await store.readStream('servers')())
  await store.close()
  return events.map(({ type, data }) => ({ type, ...(JSON.parse(data) as { readonly server: string; readonly url: string }) }))
}

describe('two servers over one EventStoreDB', () => {
  it('have names of their own, that stay over a restart, and say where they are reached', async () => {
    const double = await served()
    const data = join(folder, 'stays')
    const first = await start(double, { data })
    const second = await start(double)
    await first.close()
    const again = await start(double, { data })
    const said = await joined(double)
    const names = said.filter(({ type, url }) => type === 'ServerJoined' && url !== '').map(({ server }) => server)
    expect([...new Set(names)]).toHaveLength(2)
    expect(names[0]).toBe(names[2])
    expect(said.map(({ url }) => url).filter((url) => url !== undefined && url !== '')).toEqual([first.url, second.url, again.url])
    for (const { engine } of [second, again]) expect(engine.status().checks.every(({ ok }) => ok)).toBe(true)
  })

  it('show at one what was written at the other, once it has seen that position: items, lists and conflicts', async () => {
    const double = await served()
    const [first, second] = [await start(double), await start(double)]
    const made = await ask(first, 'POST', '/v1/jobs', { id: 'j1', service: 's', server: 'a' })
    expect(made.status).toBe(201)
    expect((await ask(second, 'GET', '/v1/jobs/j1', undefined, made.position)).body).toMatchObject({ id: 'j1', state: 'running' })
    expect((await ask(second, 'GET', '/v1/jobs', undefined, made.position)).body).toMatchObject({ items: [{ id: 'j1' }] })
    const tried = await Promise.all([first, second].map((server, index) => ask(server, 'POST', '/v1/jobs', { id: 'j2', service: 's', server: `a${index}` })))
    expect(tried.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409])
    const store = await openKurrentStore({ connectionString: double.connectionString })
    for (const { engine } of [first, second]) {
      expect(await engine.reached(right(await store.head()()).position, 10_000, 'tables')).toBe('reached')
      await expectReplayEqual(engine, store)
    }
    await store.close()
  })

  it('give out each task once, whichever is asked, and reach each other where they say', async () => {
    const double = await served()
    const first = await start(double)
    const second = await start(double)
    const gateways = await Promise.all([first, second].map(({ url }) => startGateway(url)))
    for (const gateway of gateways) open.push(gateway.close)
    const advertised = [first, second].map(async ({ engine }, index) => right(await engine.announce(gateways[index]?.url ?? '')))
    await Promise.all(advertised)
    // Both know the addresses by now that both have said last.
    const store = await openKurrentStore({ connectionString: double.connectionString })
    for (const { engine } of [first, second]) await engine.reached(right(await store.head()()).position, 10_000, 'tables')
    await store.close()

    const put = await ask(first, 'POST', TASKS, { id: 't1', payload: 'x' })
    expect(put.status).toBe(201)
    const leased = await Promise.all([first, second].map((server) => ask(server, 'POST', `${TASKS}/lease`, { max: 5, worker: 'w' }, put.position)))
    expect(leased.map(({ status }) => status)).toEqual([200, 200])
    const items = leased.flatMap(({ body }) => body['items'] as readonly { readonly id: string; readonly lease: string }[])
    expect(items.map(({ id }) => id)).toEqual(['t1'])
    const leader = (await first.engine.leaderOf(LINE)) === 'here' ? 0 : 1
    const passedOn = gateways.map(({ seen }) => seen.filter(({ headers }) => headers['stint-forwarded'] !== undefined).map(({ path }) => path))
    expect([passedOn[leader], passedOn[1 - leader]]).toEqual([[`${TASKS}/lease`], []])
    const completions = await Promise.all([first, second].map((server) => ask(server, 'POST', `${TASKS}/complete`, { id: 't1', lease: items[0]?.lease })))
    expect(completions.map(({ body }) => body['state'])).toEqual(['completed', 'completed'])
    const again = await openKurrentStore({ connectionString: double.connectionString })
    expect(right(await again.readStream('workItem-task/shop/mail/t1')()).map(({ type }) => type)).toEqual(['TaskInserted', 'Leased', 'Completed'])
    await again.close()
  })

  it('tell in their figures who is there, who gives out what, and how far their tables are behind', async () => {
    const double = await served()
    const servers = [await start(double, { server: 'a' }), await start(double, { server: 'b' })]
    await ask(servers[0] as RunningServer, 'POST', TASKS, { id: 't1', payload: 'x' })
    await ask(servers[1] as RunningServer, 'POST', `${TASKS}/lease`, { worker: 'w' })
    const figures = async ({ url }: RunningServer): Promise<readonly string[]> => (await (await fetch(`${url}/metrics`)).text()).split('\n')
    const led = (each: readonly string[]): readonly string[] => each.filter((line) => line.startsWith('stint_queue_led{'))
    const isTold = (each: readonly string[]): boolean => led(each).length === 1 && each.includes('stint_tables_behind_seconds 0')
    let told = await Promise.all(servers.map(figures))
    while (!told.every(isTold)) told = await Promise.all(servers.map(figures))
    for (const each of told) expect(each.filter((line) => line.startsWith('stint_server_there'))).toEqual(['stint_server_there{server="a"} 1', 'stint_server_there{server="b"} 1'])
    const label = 'stint_queue_led{app="shop",queue="mail"}'
    expect(told.flatMap(led).toSorted()).toEqual([`${label} 0`, `${label} 1`])
  })

  it('hand over at once when one of them stops', async () => {
    const double = await served()
    const servers = [await start(double), await start(double)]
    const put = await ask(servers[0] as RunningServer, 'POST', TASKS, { id: 't1', payload: 'x' })
    const leaders = await Promise.all(servers.map(({ engine }) => engine.leaderOf(LINE)))
    const [leaving, staying] = leaders[0] === 'here' ? servers : servers.toReversed()
    await leaving?.close()
    const answer = await askUntil(200, staying as RunningServer, 'POST', `${TASKS}/lease`, { worker: 'w' }, put.position)
    expect(answer.body).toMatchObject({ items: [{ id: 't1' }] })
  })

  it('start from the tables that another has left, with what came since', async () => {
    const double = await served()
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    const first = await start(double, { data: from })
    const made = await ask(first, 'POST', '/v1/jobs', { id: 'before', service: 's', server: 'a' })
    await first.engine.tables.reached(made.position, 10_000)
    await first.close()
    cpSync(from, to, { recursive: true })
    const other = await start(double)
    await ask(other, 'POST', '/v1/jobs', { id: 'since', service: 's', server: 'a' })
    const second = await start(double, { data: to })
    expect(second.engine.recovered.kept).toBe(1)
    const again = await start(double, { data: from })
    const { position } = await ask(other, 'POST', '/v1/jobs', { id: 'now', service: 's', server: 'a' })
    for (const server of [second, again, other])
      expect((await ask(server, 'GET', '/v1/jobs', undefined, position)).body).toMatchObject({ items: [{ id: 'now' }, { id: 'since' }, { id: 'before' }] })
    expect(new Set((await joined(double)).map(({ server }) => server)).size).toBe(3)
  })
})

describe('a server that has another one under its name', () => {
  it('takes no more commands, and says why', async () => {
    const double = await served()
    const lines: string[] = []
    const log = createLog({ level: 'error', world: realWorld, human: false, write: (line) => void lines.push(line) })
    const [first, second] = [await start(double, { server: 'same' }, log), await start(double, { server: 'same' })]
    const made = await ask(second, 'POST', '/v1/jobs', { id: 'j', service: 's', server: 'a' })
    expect(made.status).toBe(201)
    await until(() => first.engine.status().checks.some(({ ok }) => !ok))
    const refused = await ask(first, 'POST', '/v1/jobs', { id: 'k', service: 's', server: 'a' })
    expect(refused.status).toBe(503)
    expect(JSON.stringify(first.engine.status())).toContain('under the name of this server, same')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ msg: 'This server takes no more commands until it is restarted', err: expect.objectContaining({ message: expect.stringContaining('same') }) }),
    ])
  })
})

describe('the setting of where others reach a server', () => {
  it('takes an address without a path, as calls keep the path that they have', () => {
    const isTaken = (url: string): boolean => E.isRight(decode(settings.advertise.codec, url))
    expect(['', 'http://stint-1:7070', 'https://stint-1.example/', 'http://[::1]:7070'].map(isTaken)).toEqual([true, true, true, true])
    expect(['stint-1:7070', 'https://stint.example/one', 'http://user@stint-1', 'ftp://stint-1'].map(isTaken)).toEqual([false, false, false, false])
  })

  it('is what others are told', async () => {
    const double = await served()
    await start(double, { advertise: 'http://stint-1.example:7070' })
    expect((await joined(double)).map(({ url }) => url).filter((url) => url !== '')).toEqual(['http://stint-1.example:7070'])
  })

  it('is where it listens unless it is set, by the name of its machine if that is every address', () => {
    expect(reachedAt('10.0.0.7', 7070)).toBe('http://10.0.0.7:7070')
    expect(reachedAt('fd00::7', 7070)).toBe('http://[fd00::7]:7070')
    expect(['0.0.0.0', '::'].map((address) => reachedAt(address, 7070))).toEqual([`http://${hostname()}:7070`, `http://${hostname()}:7070`])
  })
})
