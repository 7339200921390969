// Who may: every route with every role, one's own items and those of others, tokens and JWTs, and what holds when no auth is configured.
import { createServer as createHttpServer, request } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as E from 'fp-ts/lib/Either.js'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createServer } from '../../src/api/server.ts'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { roles, type Role } from '../../src/wire/route.ts'
import type { RouteName } from '../../src/wire/routes.ts'
import { settle, startEngine } from '../support/engine.ts'
import { allRoutes, closeAll, startApi, type AnyRoute, type TestApi } from '../support/api.ts'
import { make, pathOf, validRequests, type Made } from '../support/requests.ts'

const tokensOn = { settings: { auth: { tokens: true } } }
const withNodes = async () => ({ ...tokensOn, engine: await startEngine({ settings: { allowUrls: LOOPBACK_PATTERNS } }) })

const send = async (api: TestApi, route: AnyRoute, made: Made, token: string | undefined) => {
  const request_ = validRequests[route.name as RouteName](made)
  const ask = (method: string) => api.ask(method, pathOf(route, request_), { body: request_.body, token })
  if (route.mediaType !== 'text/event-stream') return ask(route.method)
  // Of a stream that may be read the head is enough: it does not end.
  const head = await ask('HEAD')
  return head.status < 300 ? head : ask(route.method)
}

describe('a route', () => {
  let api: TestApi
  const tokens = new Map<Role, string>()
  let count = 0

  beforeAll(async () => {
    api = await startApi(await withNodes())
    for (const role of roles) tokens.set(role, await api.tokenFor(`${role}@example.com`, role))
  })
  afterAll(closeAll)

  /** Fresh things to ask about, because many requests use them up: made by those whose they are. */
  const fresh = (): Promise<Made> => {
    const of = (role: Role) => tokens.get(role)
    return make(api, `r${(count += 1)}`, {
      jobServer: of('jobServer'),
      producer: of('producer'),
      worker: of('worker'),
      admin: of('admin'),
      management: of('management'),
      node: of('node'),
      writers: ['producer@example.com'],
      users: ['worker@example.com'],
    })
  }

  /** Who may do so with what somebody else holds or made is for `own and foreign` below; here it is enough not to be refused for lack of a role. */
  const lacksRole = (answer: { status: number; body?: { code?: string; detail?: string } }) =>
    answer.status === 403 && (answer.body === undefined || answer.body.detail?.startsWith('Expected the role') === true)

  describe.each(allRoutes.map((route) => [route.name, route] as const))('%s', (_name, route) => {
    it('is open to its roles and to administrators, and to nobody else', async () => {
      const made = await fresh()
      for (const role of roles) {
        const answer = await send(api, route, made, tokens.get(role))
        const isAllowed = typeof route.roles === 'string' || role === 'admin' || route.roles.includes(role)
        expect([role, lacksRole(answer)]).toEqual([role, !isAllowed])
      }
    })

    it('is open without a token only if it is for anyone', async () => {
      const answer = await send(api, route, await fresh(), undefined)
      expect(answer.status === 401).toBe(route.roles !== 'anyone')
      if (answer.status === 401) expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    })
  })
})

describe('own and foreign', () => {
  let api: TestApi
  let made: Made
  const tokens: Record<string, string> = {}

  beforeAll(async () => {
    api = await startApi(await withNodes())
    const people = {
      ann: ['jobServer', 'producer', 'worker'],
      bob: ['jobServer', 'producer'],
      wendy: ['worker'],
      vera: ['viewer'],
      mark: ['management'],
      mia: ['management'],
      nora: ['node'],
      ned: ['node'],
      adam: ['admin'],
    } as const
    for (const [name, own] of Object.entries(people)) tokens[name] = await api.tokenFor(`${name}@example.com`, ...own)
    made = await make(api, 'own', {
      jobServer: tokens['ann'],
      producer: tokens['ann'],
      worker: tokens['ann'],
      admin: tokens['adam'],
      management: tokens['mark'],
      node: tokens['nora'],
      writers: ['ann@example.com'],
      users: ['ann@example.com', 'wendy@example.com'],
    })
  })
  afterAll(closeAll)

  const READS_OF_JOBS: readonly RouteName[] = ['showJob', 'jobHistory', 'jobWhy', 'askJobDirective', 'showWorkItem', 'workItemHistory', 'workItemWhy', 'askDirective']
  const READS_OF_TASKS: readonly RouteName[] = ['showTask', 'taskHistory', 'taskWhy', 'askTaskDirective']
  const route = (name: RouteName): AnyRoute => allRoutes.find((each) => each.name === name) as AnyRoute
  const statusFor = async (name: RouteName, who: string) => (await send(api, route(name), made, tokens[who])).status

  it.each(READS_OF_JOBS)('%s: a job is seen by its maker, viewers and administrators', async (name) => {
    expect(await Promise.all(['ann', 'vera', 'adam'].map((who) => statusFor(name, who)))).toEqual([200, 200, 200])
    expect(await Promise.all(['bob', 'wendy'].map((who) => statusFor(name, who)))).toEqual([403, 403])
  })

  it.each(READS_OF_TASKS)('%s: a task is seen by its maker, by those who may work its queue, and by administrators', async (name) => {
    expect(await Promise.all(['ann', 'wendy', 'adam'].map((who) => statusFor(name, who)))).toEqual([200, 200, 200])
    expect(await Promise.all(['bob', 'vera'].map((who) => statusFor(name, who)))).toEqual([403, 403])
  })

  const READS_OF_LONG_TASKS: readonly RouteName[] = ['showLongTask', 'longTaskHistory', 'longTaskWhy', 'askLongTaskDirective']

  it.each(READS_OF_LONG_TASKS)('%s: a long task is seen by whoever gave it out, viewers and administrators', async (name) => {
    expect(await Promise.all(['mark', 'vera', 'adam'].map((who) => statusFor(name, who)))).toEqual([200, 200, 200])
    expect(await Promise.all(['mia', 'bob', 'wendy', 'ned'].map((who) => statusFor(name, who)))).toEqual([403, 403, 403, 403])
    // The node that has it may ask what is wanted of it, and nothing more.
    expect(await statusFor(name, 'nora')).toBe(name === 'askLongTaskDirective' ? 200 : 403)
  })

  it('lists show what one may see', async () => {
    await settle()
    const count = async (path: string, who: string) => (await api.get(path, { token: tokens[who] })).body.items.length
    expect(await Promise.all(['ann', 'bob', 'vera', 'adam'].map((who) => count('/v1/jobs', who)))).toEqual([1, 0, 1, 1])
    expect(await Promise.all(['ann', 'wendy', 'adam'].map((who) => count('/v1/queues/shop/own/tasks', who)))).toEqual([1, 1, 1])
    expect(await Promise.all(['mark', 'mia', 'vera', 'adam'].map((who) => count('/v1/long-tasks', who)))).toEqual([1, 0, 1, 1])
    expect(await Promise.all(['mark', 'nora', 'vera', 'adam'].map((who) => count('/v1/nodes', who)))).toEqual([1, 1, 1, 1])
  })

  it('reports come from the maker alone, even with the right lease', async () => {
    for (const who of ['bob', 'adam']) {
      const one = await api.post('/v1/jobs/own/reports', { lease: made.jobLease, phase: 'x' }, { token: tokens[who] })
      expect([who, one.status, one.body.code]).toEqual([who, 403, 'forbidden'])
      const many = await api.post(
        '/v1/jobs/reports',
        {
          items: [
            { id: 'own', lease: made.jobLease, phase: 'x' },
            { id: 'none', lease: 'x' },
          ],
        },
        { token: tokens[who] },
      )
      expect(many.body.items.map((item: { status: number }) => item.status)).toEqual([403, 404])
    }
    expect((await api.post('/v1/jobs/own/reports', { lease: made.jobLease, phase: 'x' }, { token: tokens['ann'] })).status).toBe(200)
  })

  it('a lease serves only the worker that was given it', async () => {
    const stolen = await api.post('/v1/queues/shop/own/tasks/complete', { id: 'own', lease: made.taskLease }, { token: tokens['wendy'] })
    expect([stolen.status, stolen.body.code]).toEqual([403, 'forbidden'])
  })

  it('refusals of known principals are audited by name, those of bad credentials as nobody’s, without the credential', async () => {
    const audited = async () => {
      const events = E.getOrElse(() => [] as readonly { stream: string; data: string }[])(await api.store.readAll()())
      return events.filter((event) => event.stream.startsWith('audit-')).map((event) => JSON.parse(event.data) as { subject: string; code: string; route: string; target: string })
    }
    api.world.advance(2_000)
    const before = (await audited()).length
    await api.get('/v1/jobs/own', { token: tokens['bob'] })
    await api.post('/v1/tokens', { name: 'x', email: 'x@example.com', roles: ['admin'] }, { token: tokens['vera'] })
    const unknown = 'stint_000000000000_' + 'a'.repeat(43)
    await api.get(`/v1/jobs/own?key=${unknown}`, { token: unknown })
    // Who comes without any is asked for one, and that is all.
    await api.get('/v1/jobs/own')
    await settle()
    const noted = (await audited()).slice(before)
    expect(JSON.stringify(noted)).not.toContain(unknown)
    expect(noted).toEqual([
      expect.objectContaining({ subject: 'bob@example.com', code: 'forbidden', route: 'showJob', target: '/v1/jobs/own' }),
      expect.objectContaining({ subject: 'vera@example.com', code: 'forbidden', route: 'addToken' }),
      { subject: 'nobody', code: 'unauthenticated', route: 'showJob', target: '/v1/jobs/own', detail: 'The token is unknown, revoked or expired.' },
    ])
    for (let call = 0; call < 20; call += 1) await api.get('/v1/me', { headers: { Authorization: `Bearer guess-${call}` } })
    await settle()
    expect((await audited()).slice(before).filter(({ subject }) => subject === 'nobody')).toHaveLength(10)
  })
})

describe('tokens', () => {
  afterEach(closeAll)

  it('are shown once, listed without their secret, and refused once revoked or expired', async () => {
    const api = await startApi(tokensOn)
    const admin = await api.tokenFor('adam@example.com', 'admin')
    const made = await api.post('/v1/tokens', { name: 'ci', email: 'ci@example.com', roles: ['viewer', 'jobServer'], expiresSeconds: 60 }, { token: admin })
    expect([made.status, made.body.token]).toEqual([201, expect.stringMatching(/^stint_/)])
    const { token, id } = made.body
    expect((await api.get('/v1/me', { token })).body).toEqual({ subject: 'ci@example.com', email: 'ci@example.com', roles: ['viewer', 'jobServer'] })
    expect((await api.get('/v1/tokens', { token: admin })).text).not.toContain(token.slice(-43))
    api.world.advance(61_000)
    expect((await api.get('/v1/me', { token })).status).toBe(401)
    const other = await api.post('/v1/tokens', { name: 'b', email: 'b@example.com', roles: ['viewer'] }, { token: admin })
    expect((await api.ask('DELETE', `/v1/tokens/${other.body.id}`, { token: admin })).body.revokedAt).toBeDefined()
    expect((await api.get('/v1/me', { token: other.body.token })).status).toBe(401)
    expect((await api.ask('DELETE', '/v1/tokens/none', { token: admin })).status).toBe(404)
    expect((await api.get('/v1/tokens', { token: admin })).body.items.map((entry: { id: string }) => entry.id)).toContain(id)
  })

  it('are all revoked but the last of an administrator, unless there is another way in', async () => {
    const revokeOwn = async (api: TestApi) => {
      const token = await api.tokenFor('adam@example.com', 'admin')
      const { id } = (await api.get('/v1/tokens', { token })).body.items[0]
      return { answer: await api.ask('DELETE', `/v1/tokens/${id}`, { token }), again: await api.get('/v1/me', { token }) }
    }
    const alone = await revokeOwn(await startApi(tokensOn))
    expect(alone.answer).toMatchObject({ status: 409, body: { code: 'not-possible', detail: expect.stringContaining('last valid token of an administrator') as unknown } })
    expect(alone.again.status).toBe(200)
    const jwt = { keysUrl: 'http://127.0.0.1:9/keys', issuer: 'issuer', audience: 'stint' }
    expect((await revokeOwn(await startApi({ settings: { auth: { tokens: true, jwt } } }))).answer.status).toBe(200)
    const open = await startApi()
    const made = await open.post('/v1/tokens', { name: 'a', email: 'adam@example.com', roles: ['admin'] })
    expect((await open.ask('DELETE', `/v1/tokens/${made.body.id}`)).status).toBe(200)
  })

  it('of any other form are refused', async () => {
    const api = await startApi(tokensOn)
    for (const header of ['Basic YTpi', 'Bearer', 'Bearer ', 'Bearer a b', 'stint_x', 'Bearer stint_x', `Bearer ${'x'.repeat(9_000)}`, 'Bearer eyJhbGciOiJub25lIn0.e30.']) {
      const answer = await api.get('/v1/me', { headers: { Authorization: header } })
      expect([header.slice(0, 40), answer.status, answer.body.code]).toEqual([header.slice(0, 40), 401, 'unauthenticated'])
    }
    const token = await api.tokenFor('ann@example.com', 'viewer')
    expect((await api.get('/v1/me', { token, headers: { 'Stint-As': 'adam@example.com' } })).status).toBe(403)
  })
})

describe('JWTs', () => {
  afterEach(closeAll)

  const ISSUER = 'https://issuer.example'
  let keysUrl = ''
  let down = false
  let key: CryptoKey
  let strangerKey: CryptoKey
  const keys = createHttpServer()

  beforeAll(async () => {
    const own = await generateKeyPair('ES256', { extractable: true })
    key = own.privateKey
    strangerKey = (await generateKeyPair('ES256')).privateKey
    const jwk = { ...(await exportJWK(own.publicKey)), kid: 'k1', alg: 'ES256' }
    keys.on('request', (_req, res) => {
      res.writeHead(down ? 500 : 200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }))
    })
    keys.listen(0, '127.0.0.1')
    await once(keys, 'listening')
    keysUrl = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/keys`
  })
  afterAll(() => void keys.close())

  const start = () => startApi({ settings: { auth: { tokens: true, jwt: { keysUrl, issuer: ISSUER, audience: 'stint' } } } })
  const sign = (api: TestApi, claims: object, { by = key, issuer = ISSUER, audience = 'stint', expiresIn = 600 } = {}) =>
    new SignJWT({ sub: 'user-1', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(api.world.now() / 1_000)
      .setExpirationTime(api.world.now() / 1_000 + expiresIn)
      .sign(by)

  it('give subject, e-mail and roles', async () => {
    const api = await start()
    const me = async (claims: object) => (await api.get('/v1/me', { token: await sign(api, claims) })).body
    expect(await me({ email: 'ann@example.com', stint_roles: ['viewer', 'nonsense'], roles: ['admin'] })).toEqual({
      subject: 'user-1',
      email: 'ann@example.com',
      roles: ['viewer'],
    })
    expect(await me({ roles: 'viewer worker' })).toEqual({ subject: 'user-1', email: 'user-1', roles: ['viewer', 'worker'] })
    expect((await api.get('/v1/tokens', { token: await sign(api, { roles: ['viewer'] }) })).status).toBe(403)
    expect((await api.get('/v1/me', { token: await api.tokenFor('ann@example.com', 'viewer') })).status).toBe(200)
  })

  it('are refused when they are of another issuer, for another audience, forged or over', async () => {
    const api = await start()
    const good = await sign(api, { roles: ['viewer'] })
    const [head, body, signature] = good.split('.')
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`
    const refused = [
      await sign(api, {}, { issuer: 'https://other.example' }),
      await sign(api, {}, { audience: 'other' }),
      await sign(api, {}, { by: strangerKey }),
      await sign(api, {}, { expiresIn: -61 }),
      unsigned,
      `${head}.${Buffer.from(JSON.stringify({ sub: 'root', roles: ['admin'] })).toString('base64url')}.${signature}`,
    ]
    for (const token of refused) expect((await api.get('/v1/me', { token })).status).toBe(401)
    expect((await api.get('/v1/me', { token: good })).status).toBe(200)
    expect((await api.get('/v1/me', { token: await sign(api, { roles: ['viewer'] }, { expiresIn: -59 }) })).status).toBe(200)
  })

  it('are remembered, but no longer than they are good', async () => {
    const api = await start()
    const token = await sign(api, { roles: ['viewer'] }, { expiresIn: 10 })
    expect((await api.get('/v1/me', { token })).status).toBe(200)
    api.world.advance(69_000)
    expect((await api.get('/v1/me', { token })).status).toBe(200)
    api.world.advance(2_000)
    expect((await api.get('/v1/me', { token })).status).toBe(401)
  })

  it('cannot be judged while the keys cannot be read', async () => {
    down = true
    const api = await start()
    const answer = await api.get('/v1/me', { token: await sign(api, { roles: ['viewer'] }) })
    expect([answer.status, answer.body.code, answer.headers.get('retry-after')]).toEqual([503, 'keys-unavailable', '5'])
    down = false
    expect((await api.get('/v1/me', { token: await sign(api, { roles: ['viewer'] }) })).status).toBe(200)
  })
})

describe('without auth', () => {
  afterEach(closeAll)

  it('everybody is local, with every role, or whoever they say they are, who is no administrator', async () => {
    const api = await startApi()
    expect((await api.get('/v1/me')).body).toEqual({ subject: 'local', email: 'local', roles })
    expect((await api.get('/v1/me', { headers: { 'Stint-As': 'ann@example.com' } })).body).toEqual({
      subject: 'ann@example.com',
      email: 'ann@example.com',
      roles: roles.filter((role) => role !== 'admin'),
    })
    const bad = await api.get('/v1/me', { headers: { 'Stint-As': 'ann' } })
    expect([bad.status, bad.body.errors[0].path]).toEqual([400, '/headers/stint-as'])
  })

  it('the server refuses to listen where others could reach it', async () => {
    const api = await startApi()
    const open = createServer({ engine: api.engine, world: api.world, log: pino({ level: 'silent' }) })
    for (const address of ['0.0.0.0', '::', '192.0.2.1', 'example.com', '127.0.0.1.example.com']) await expect(open.listen(0, address)).rejects.toThrow(/without auth/)
  })

  it('requests under a name of the web are refused, so that no page can reach it by a name of its own', async () => {
    const api = await startApi({ settings: { hosts: ['stint.internal'] } })
    const statusFor = async (host: string) => {
      const req = request(`${api.url}/v1/me`, { headers: { Host: host } })
      req.end()
      const [response] = (await once(req, 'response')) as [{ statusCode: number; resume: () => void }]
      response.resume()
      return response.statusCode
    }
    for (const host of [`localhost:${api.port}`, '127.0.0.1', '[::1]:7070', 'stint.internal:7070', 'LOCALHOST']) expect([host, await statusFor(host)]).toEqual([host, 200])
    for (const host of ['evil.example', `evil.example:${api.port}`, 'localhost.evil.example', '127.0.0.1.evil.example']) expect([host, await statusFor(host)]).toEqual([host, 403])
  })
})
