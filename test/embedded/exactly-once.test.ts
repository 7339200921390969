// `exactlyOnce` as an app writes it: over a directory, an opened engine or an address, several routes on one store, and what it refuses to begin with.
import express from 'express'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { exactlyOnce, type ExactlyOnce } from '../../src/embedded/express.ts'
import { open } from '../../src/embedded/open.ts'
import { askPort } from '../support/contract-app.ts'
import { startRealStint } from '../support/real-stint.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-exactly-once-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const directory = (): string => mkdtempSync(join(folder, 'data-'))

const serving = async (routes: Readonly<Record<string, ExactlyOnce>>): Promise<{ readonly port: number; readonly runs: string[]; readonly end: () => Promise<void> }> => {
  const app = express()
  const runs: string[] = []
  for (const [path, middleware] of Object.entries(routes))
    app.post(path, middleware, (_req, res) => {
      runs.push(path)
      res.json({ run: runs.length })
    })
  const server: Server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const end = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    for (const middleware of Object.values(routes)) await middleware.close()
  }
  return { port: (server.address() as AddressInfo).port, runs, end }
}

describe('exactlyOnce', () => {
  it('has several routes on one directory, and gives it back when the last is closed', async () => {
    const store = directory()
    const app = await serving({ '/a': exactlyOnce({ store, contract: 'a' }), '/b': exactlyOnce({ store, contract: 'b' }) })
    const ask = (path: string) => askPort(app.port, { path, key: 'k' })
    expect([(await ask('/a')).text, (await ask('/b')).text, (await ask('/a')).text]).toEqual(['{"run":1}', '{"run":2}', '{"run":1}'])
    expect(app.runs).toEqual(['/a', '/b'])
    await app.end()
    await (await open({ data: store })).close()
  })

  it('stands over an engine that the app has opened', async () => {
    await using embedded = await open({ data: directory() })
    const app = await serving({ '/a': exactlyOnce({ store: embedded, contract: 'a', release: 'encouraged', retainSeconds: 60 }) })
    const first = await askPort(app.port, { path: '/a', key: 'k' })
    const again = await askPort(app.port, { path: '/a', key: 'k' })
    expect([again.text, again.headers['stint-release']]).toEqual([first.text, first.headers['stint-release']])
    expect(first.headers['stint-release']).toMatch(/^encouraged; expires="/)
    await app.end()
    expect(embedded.engine.contracts.get('a')?.config).toMatchObject({ release: { policy: 'encouraged', retainMs: 60_000 } })
  })

  it('stands over a server, writes its settings down there the first time, and says when they differ later', async () => {
    const real = await startRealStint()
    const troubles: string[] = []
    const settings = { store: real.url, contract: 'a', retainSeconds: 60, onTrouble: (what: string) => void troubles.push(what) }
    const app = await serving({ '/a': exactlyOnce(settings), '/b': exactlyOnce({ ...settings, contract: 'b' }) })
    const first = await askPort(app.port, { path: '/a', key: 'k' })
    const again = await askPort(app.port, { path: '/a', key: 'k' })
    expect([again.text, again.headers['idempotency-replayed']]).toEqual([first.text, 'true'])
    await using other = exactlyOnce({ ...settings, retainSeconds: 90 })
    await other.ready()
    expect(troubles).toEqual(['The contract a has retainSeconds 60 at the server, not 90 as here; what the server says holds'])
    await app.end()
    await real.close()
  })

  it('answers 503 while its store cannot be opened, and serves as soon as it can', async () => {
    const store = directory()
    const holder = await open({ data: store })
    const middleware = exactlyOnce({ store, contract: 'a', onTrouble: () => undefined })
    await expect(middleware.ready()).rejects.toThrow()
    const app = await serving({ '/a': middleware })
    expect((await askPort(app.port, { path: '/a', key: 'k' })).status).toBe(503)
    await holder.close()
    expect((await askPort(app.port, { path: '/a', key: 'k' })).status).toBe(200)
    expect(app.runs).toEqual(['/a'])
    await app.end()
  })

  it.each([
    ['a name that is none', { contract: 'a b' }],
    ['a time under a policy without one', { contract: 'a', release: 'required', retainSeconds: 1 }],
    ['a policy that needs a way to release', { contract: 'a', release: 'required' }],
    ['a time that is none', { contract: 'a', retainSeconds: 0 }],
  ] as const)('refuses %s before anything is opened', (_what, given) => {
    expect(() => exactlyOnce({ store: directory(), ...given })).toThrow(TypeError)
  })
})
