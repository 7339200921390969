// The composition root: what it starts runs, and whether it fails or is closed, nothing of it is left behind.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import { startServer } from '../src/main.ts'
import type { ServerConfig } from '../src/settings.ts'
import { realWorld } from '../src/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-main-'))
afterAll(() => rmSync(folder, { recursive: true }))

const configOf = (given: Partial<ServerConfig>): ServerConfig => {
  const defaults = loadConfig({})
  if (E.isLeft(defaults)) throw new Error('The defaults fit together')
  return { ...defaults.right, port: 0, data: ':memory:', ...given }
}
const start = (given: Partial<ServerConfig>) => startServer(configOf(given), { world: realWorld, log: createLog({ level: 'silent', world: realWorld, human: false }) })

const taken = (): Promise<{ port: number; free: () => Promise<void> }> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () =>
      resolve({ port: (server.address() as AddressInfo).port, free: () => new Promise((freed) => server.close(() => freed())) }),
    )
  })

describe('a server', () => {
  it('answers where it says and not after it was closed', async () => {
    const server = await start({})
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    await server.close()
    await server.close()
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow('fetch failed')
  })

  it('keeps what it took in its directory', async () => {
    const data = join(folder, 'kept')
    const first = await start({ data })
    const made = await fetch(`${first.url}/v1/jobs`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ id: 'kept', service: 's', server: 'a' }),
    })
    expect(made.status).toBe(201)
    await first.close()
    const second = await start({ data })
    expect(await (await fetch(`${second.url}/v1/jobs/kept`)).json()).toMatchObject({ id: 'kept', state: 'running' })
    await second.close()
  })

  it('lets go of its directory when the port is taken', async () => {
    const data = join(folder, 'let-go')
    const { port, free } = await taken()
    await expect(start({ data, port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await free()
    const server = await start({ data })
    expect(server.engine.status().status).toBe('ready')
    await server.close()
  })

  it('refuses a directory that another one holds', async () => {
    const data = join(folder, 'held')
    const holder = await start({ data })
    await expect(start({ data })).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'in-use' })
    await holder.close()
  })

  it('makes a token for an administrator at its first start with tokens, and only then', async () => {
    const data = join(folder, 'tokens')
    const first = await start({ data, auth: 'tokens' })
    expect((await fetch(`${first.url}/v1/me`)).status).toBe(401)
    const me = await fetch(`${first.url}/v1/me`, { headers: { Authorization: `Bearer ${first.firstToken}` } })
    expect(await me.json()).toMatchObject({ email: 'admin@localhost', roles: ['admin'] })
    await first.close()
    const second = await start({ data, auth: 'tokens' })
    expect(second.firstToken).toBeUndefined()
    await second.close()
  })
})
