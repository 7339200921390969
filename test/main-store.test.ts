// A server whose log is in EventStoreDB: it keeps nothing of value of its own, says when the log is away, and goes on when it is back.
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import { startServer, type RunningServer } from '../src/main.ts'
import type { ServerConfig } from '../src/settings.ts'
import { realWorld, type World } from '../src/world.ts'
import { quickWorld } from './support/quick-world.ts'
import { startDouble, type Double } from './support/kurrent-double/double.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-main-store-'))
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

const start = async (given: Partial<ServerConfig>, world: World = realWorld): Promise<RunningServer> => {
  const defaults = loadConfig({})
  if (E.isLeft(defaults)) throw new Error('The defaults fit together')
  const log = createLog({ level: 'silent', world, human: false })
  const server = await startServer({ ...defaults.right, port: 0, data: ':memory:', ...given }, { world, log })
  open.push(server.close)
  return server
}

const register = (server: RunningServer, id: string): Promise<Response> =>
  fetch(`${server.url}/v1/jobs`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id, service: 's', server: 'a' }) })
/** Reads once the server has seen what `after` answered. */
const read = async (server: RunningServer, path: string, after?: Response): Promise<unknown> => {
  const position = after?.headers.get('Stint-Position')
  return (await fetch(`${server.url}${path}`, position === null || position === undefined ? {} : { headers: { 'Stint-Position': position } })).json()
}

describe('a server over EventStoreDB', () => {
  it('keeps what it took there, and only tables in its directory', async () => {
    const double = await served()
    const data = join(folder, 'kept')
    const first = await start({ store: double.connectionString, data })
    expect((await register(first, 'kept')).status).toBe(201)
    await first.close()
    expect(readdirSync(data).filter((name) => name.startsWith('stint'))).toEqual([])
    const second = await start({ store: double.connectionString, data })
    expect(await read(second, '/v1/jobs/kept')).toMatchObject({ id: 'kept', state: 'running' })
    await second.close()
  })

  it('starts anew from the log alone, in an empty directory or with none', async () => {
    const double = await served()
    const first = await start({ store: double.connectionString, data: join(folder, 'one') })
    for (const id of ['a', 'b', 'c']) expect((await register(first, id)).status).toBe(201)
    await first.close()
    for (const data of [join(folder, 'two'), ':memory:']) {
      const next = await start({ store: double.connectionString, data })
      expect(next.engine.recovered.folded).toBeGreaterThan(0)
      expect(await read(next, '/v1/jobs')).toMatchObject({ items: [{ id: expect.any(String) }, { id: expect.any(String) }, { id: expect.any(String) }] })
      await next.close()
    }
  })

  it('refuses a directory that another one holds, or that has a log of its own', async () => {
    const double = await served()
    const data = join(folder, 'held')
    const holder = await start({ store: double.connectionString, data })
    await expect(start({ store: double.connectionString, data })).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'in-use' })
    await holder.close()
    const own = join(folder, 'own')
    await (await start({ data: own })).close()
    await expect(start({ store: double.connectionString, data: own })).rejects.toMatchObject({ problem: 'settings', message: expect.stringContaining('log of its own') })
  })

  it('does not begin a log of its own in its directory when nobody says where its log is', async () => {
    const double = await served()
    const data = join(folder, 'forgotten')
    const server = await start({ store: double.connectionString, data })
    await server.close()
    await expect(start({ data })).rejects.toMatchObject({ problem: 'settings', message: expect.stringContaining('STINT_STORE') })
    expect(readdirSync(data)).not.toContain('stint.db')
  })

  it('lets go of its directory when the server of the log is not to be used', async () => {
    const double = await startDouble({ version: '21.10.0.0' })
    open.push(double.close)
    const data = join(folder, 'let-go')
    await expect(start({ store: double.connectionString, data })).rejects.toMatchObject({ name: 'StoreOpenError' })
    const usable = await served()
    await (await start({ store: usable.connectionString, data })).close()
    expect(existsSync(join(data, 'tables.holder'))).toBe(false)
  })

  it('does not start where the user may not read everything, says so, and lets go of its directory', async () => {
    const double = await served()
    double.node.faults.deniesAll = true
    const data = join(folder, 'denied')
    await expect(start({ store: double.connectionString, data })).rejects.toThrow('EventStoreDB denies access; check the user and its rights in the connection string')
    double.node.faults.deniesAll = false
    await (await start({ store: double.connectionString, data })).close()
  })

  it('answers commands 503 while the log is away, and takes them when it is back', async () => {
    const double = await served()
    const server = await start({ store: double.connectionString }, quickWorld(20))
    const before = await register(server, 'before')
    expect(await read(server, '/v1/jobs', before)).toMatchObject({ items: [{ id: 'before' }] })
    await double.node.stop()
    const refused = await register(server, 'meanwhile')
    expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, expect.stringMatching(/^\d+$/)])
    // Lists are read from the tables, which are here.
    expect(await read(server, '/v1/jobs')).toMatchObject({ items: [{ id: 'before' }] })
    await double.node.start()
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status).toBe(200)
    const after = await register(server, 'after')
    expect(after.status).toBe(201)
    expect(await read(server, '/v1/jobs/after')).toMatchObject({ state: 'running' })
    expect(await read(server, '/v1/jobs', after)).toMatchObject({ items: [{ id: 'after' }, { id: 'before' }] })
  })
})

describe('the setting of the store', () => {
  it('takes what EventStoreDB is reached by, and nothing else', () => {
    const loaded = (store: string) => {
      const config = loadConfig({ env: { STINT_STORE: store } })
      return E.isRight(config) ? config.right.store : config.left.map(({ source }) => source)
    }
    expect(loaded('esdb+discover://admin:changeit@cluster.example:2113?tls=true')).toBe('esdb+discover://admin:changeit@cluster.example:2113?tls=true')
    expect(loaded('postgres://localhost')).toEqual(['STINT_STORE'])
  })
})
