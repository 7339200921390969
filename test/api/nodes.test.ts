// Implementation nodes over HTTP: registered, refused where they cannot be called, shown with what was found of them, listed page by page, removed.
import { afterEach, describe, expect, it } from 'vitest'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { startEngine } from '../support/engine.ts'
import { until } from '../support/eventually.ts'
import { closeNodes, startNode } from '../support/fake-node.ts'

afterEach(async () => {
  await closeAll()
  await closeNodes()
})

const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`

const start = async ({ auth = false, allowUrls = LOOPBACK_PATTERNS } = {}): Promise<TestApi> => {
  const secretOf = (name: string) => ({ GOOD: SECRET, BAD: 'hunter2' })[name]
  return startApi({ engine: await startEngine({ settings: { allowUrls }, secretOf }), settings: { auth: { tokens: auth } } })
}

const COPY = { operation: 'CopyImage', long: true, timeoutSeconds: 900, progressEverySeconds: 0.5, stalledAfterSeconds: 60 }

const body = (more: object = {}) => ({ id: 'n1', url: 'http://127.0.0.1:9', operations: [COPY, { operation: 'Ping', long: false }], ...more })

describe('registering a node', () => {
  it('tells where it is and what it can do, and what was found of it', async () => {
    const api = await start()
    const node = await startNode()
    const first = await api.post('/v1/nodes', body({ url: node.url(), instance: 'i1' }))
    const at = new Date(api.world.now()).toISOString()
    expect([first.status, first.headers.get('location')]).toEqual([201, '/v1/nodes/n1'])
    expect(first.body).toEqual({
      ...{ id: 'n1', url: node.url(), instance: 'i1', operations: [COPY, { operation: 'Ping', long: false }] },
      ...{ health: 'unknown', running: 0, waiting: 0, createdAt: at, updatedAt: at },
    })
    await until(() => api.engine.longTasks.node('n1')?.health.state === 'up')
    expect((await api.get('/v1/nodes/n1')).body).toMatchObject({ health: 'up', healthSince: at, lastAnsweredAt: at })
    expect((await api.post('/v1/nodes', body({ url: node.url(), instance: 'i1' }))).status).toBe(200)
  })

  it('is refused where this server may not call, cannot sign, or is told what cannot be', async () => {
    const api = await start()
    const refusal = async (more: object) => {
      const { status, body: refused } = await api.post('/v1/nodes', body(more))
      return [status, refused.errors?.map(({ path, code }: { path: string; code: string }) => `${path} ${code}`), refused.detail]
    }
    expect(await refusal({ url: 'https://nodes.example.com' })).toEqual([
      400,
      ['/url pattern'],
      'Expected a node that this server may call. Its URL matches no pattern of the setting allowUrls.',
    ])
    expect(await refusal({ url: 'no url' })).toEqual([400, ['/url pattern'], 'Expected a node that this server may call. It is no URL.'])
    expect((await refusal({ url: 'http://ann:pw@127.0.0.1:9' }))[1]).toEqual(['/url pattern'])
    expect((await refusal({ url: 'http://127.0.0.1:9/?x' }))[1]).toEqual(['/url pattern'])
    expect((await refusal({ secretEnv: 'MISSING' }))[1]).toEqual(['/secretEnv pattern'])
    const bad = await refusal({ secretEnv: 'BAD' })
    expect(bad[1]).toEqual(['/secretEnv pattern'])
    expect(String(bad[2])).not.toContain('hunter2')
    expect(await refusal({ operations: [COPY, COPY] })).toEqual([400, ['/operations choice'], 'Expected each operation once, but "CopyImage" comes twice.'])
    expect(await refusal({ operations: Array.from({ length: 1_001 }, (_, index) => ({ operation: `op-${index}`, long: true })) })).toEqual([
      400,
      ['/operations length'],
      'Expected at most 1000 operations, but there are 1001.',
    ])
    expect(await refusal({ operations: [{ operation: 'A', long: 'yes' }, { long: true }, { operation: 'B', long: true, colour: 1 }] })).toEqual([
      400,
      ['/operations/0/long type', '/operations/1/operation required', '/operations/2/colour unknown'],
      '3 fields are not valid.',
    ])
    expect((await api.post('/v1/nodes', body({ secretEnv: 'GOOD' }))).body.secretEnv).toBe('GOOD')
    expect((await api.get('/v1/nodes')).body.items.map(({ id }: { id: string }) => id)).toEqual(['n1'])
  })

  it('is refused outright where nothing may be called', async () => {
    const api = await start({ allowUrls: [] })
    expect((await api.post('/v1/nodes', body())).status).toBe(400)
  })
})

describe('nodes', () => {
  it('are listed by name, page by page', async () => {
    const api = await start()
    for (const id of ['c', 'a', 'b']) await api.post('/v1/nodes', body({ id }))
    const first = await api.get('/v1/nodes?limit=2')
    expect([first.body.items.map(({ id }: { id: string }) => id), first.body.next]).toEqual([['a', 'b'], 'b'])
    const second = await api.get('/v1/nodes?limit=2&after=b')
    expect([second.body.items.map(({ id }: { id: string }) => id), second.body.next]).toEqual([['c'], undefined])
  })

  it('that do not answer are down, and say why', async () => {
    const api = await start()
    await api.post('/v1/nodes', body())
    await until(() => api.engine.longTasks.node('n1')?.health.state === 'down')
    expect((await api.get('/v1/nodes/n1')).body).toMatchObject({ health: 'down', lastFailure: expect.stringContaining('ECONNREFUSED') as unknown })
    expect((await api.get('/v1/nodes/none')).status).toBe(404)
  })

  it('are registered by nodes, seen by those concerned, and removed by administrators', async () => {
    const api = await start({ auth: true })
    const token: Record<string, string> = {}
    for (const role of ['node', 'management', 'viewer', 'worker', 'admin'] as const) token[role] = await api.tokenFor(`${role}@example.com`, role)
    const other = await api.tokenFor('other@example.com', 'node')
    const statuses = async (method: string, path: string, sent?: object) =>
      Object.fromEntries(await Promise.all(Object.entries(token).map(async ([role, one]) => [role, (await api.ask(method, path, { body: sent, token: one })).status])))
    expect((await api.post('/v1/nodes', body(), { token: token['node'] })).status).toBe(201)
    expect((await api.post('/v1/nodes', body(), { token: other })).body).toMatchObject({ status: 409, code: 'id-in-use' })
    expect(await statuses('POST', '/v1/nodes', body())).toEqual({ node: 200, management: 403, viewer: 403, worker: 403, admin: 409 })
    for (const path of ['/v1/nodes', '/v1/nodes/n1']) expect(await statuses('GET', path)).toEqual({ node: 200, management: 200, viewer: 200, worker: 403, admin: 200 })
    const { admin, ...others } = token
    for (const one of Object.values(others)) expect((await api.ask('DELETE', '/v1/nodes/n1', { token: one })).status).toBe(403)
    expect((await api.ask('DELETE', '/v1/nodes/n1', { token: admin })).body).toMatchObject({ id: 'n1', health: 'unknown' })
    expect((await api.ask('DELETE', '/v1/nodes/none', { token: admin })).status).toBe(404)
    expect((await api.get('/v1/nodes/n1', { token: admin })).status).toBe(404)
    // The name is free for somebody else.
    expect((await api.post('/v1/nodes', body(), { token: other })).status).toBe(201)
  })
})
