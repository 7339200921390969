// A channel from the side of the server: who may open one, what overtakes what, what becomes of calls that nobody waits for, what a peer may do to it, and how it ends.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { gatedStore } from '../support/gated-store.ts'
import { until } from '../support/eventually.ts'
import { answered, bodyOf, codeOf, cutChannels, messageFor, openRawChannel, type RawChannel } from '../support/raw-channel.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(async () => {
  cutChannels()
  await closeAll()
})

const TASKS = '/v1/queues/shop/mail/tasks'
const POLL = { headers: ['Prefer', 'wait=30'], body: '{"worker":"w"}' }
const AUTH = { settings: { auth: { tokens: true } } }

const post = (channel: RawChannel, path: string, body: unknown, headers: readonly string[] = []) => channel.ask('POST', path, { headers, body: JSON.stringify(body) })

/** Polls that wait, each until its wait is over. */
const polling = (api: TestApi, count = 1): Promise<void> => api.world.until((pending) => pending.filter((ms) => ms === 30_000).length >= count + 1)
const waiters = (api: TestApi): number => api.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters
const stateOf = (api: TestApi, id: string): string | undefined => api.engine.live(`task/shop/mail/${id}`)?.status

describe('answers over a channel', () => {
  it('overtake a call that waits', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const order: string[] = []
    const poll = channel.ask('POST', `${TASKS}/lease`, POLL).then((answer) => order.push(bodyOf(answer).items[0].id as string))
    await polling(api)
    order.push(`${(await channel.ask('GET', '/v1/jobs')).status}`)
    await post(channel, TASKS, { id: 'a' })
    await poll
    expect(order).toEqual(['200', 'a'])
  })

  it('say who is asked, by which request and at which place in the log', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    for (const [method, path, said] of [
      ['GET', '/v1/jobs', {}],
      ['GET', '/nothing', {}],
      ['GET', '/v1/jobs', { headers: [1] }],
    ] as const) {
      const { headers } = await channel.ask(method, path, said)
      expect([headers.get('stint-position'), headers.get('stint-request-id')]).toEqual([api.engine.position(), expect.stringMatching(/^[\w-]{36}$/)])
    }
  })
})

/** A server whose log can be held up in the moment in which it records a lease: the caller can go away meanwhile. */
const startGated = async () => {
  const world = virtualWorld()
  const store = gatedStore(world)
  const api = await startApi({ engine: await startEngine({ store, world }) })
  return {
    api,
    /** The task is handed to who waits in the append in which it is born; resolves when that is under way, with the answer to come. */
    leasing: async (): Promise<{ readonly inserting: Promise<unknown> }> => {
      store.shut()
      const inserting = api.post(TASKS, { id: 'a' })
      await until(() => store.sent.includes('Leased'))
      return { inserting }
    },
    release: store.release,
  }
}

describe('a lease call of which nobody waits for the answer', () => {
  it('waits no longer when it is cancelled, and takes nothing', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const { id } = channel.begin('POST', `${TASKS}/lease`, POLL)
    await polling(api)
    channel.cancel(id)
    await answered(channel)
    expect(waiters(api)).toBe(0)
    await api.post(TASKS, { id: 'a' })
    await settle()
    expect(stateOf(api, 'a')).toBe('waiting')
  })

  it('waits no longer when its channel is cut, and takes nothing', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    for (let index = 0; index < 3; index += 1) channel.begin('POST', `${TASKS}/lease`, POLL)
    await polling(api, 3)
    channel.socket.terminate()
    await until(() => waiters(api) === 0)
    await api.post(TASKS, { id: 'a' })
    await settle()
    expect(stateOf(api, 'a')).toBe('waiting')
  })

  it.each(['cancelled', 'cut'])('gives back what it was given while it was %s', async (how) => {
    const { api, leasing, release } = await startGated()
    const channel = await openRawChannel(api.port)
    const { id } = channel.begin('POST', `${TASKS}/lease`, POLL)
    await polling(api)
    const { inserting } = await leasing()
    if (how === 'cut') channel.socket.terminate()
    else channel.cancel(id)
    await answered(how === 'cut' ? await openRawChannel(api.port) : channel)
    release()
    await inserting
    await until(() => stateOf(api, 'a') === 'waiting')
    expect(api.engine.live('task/shop/mail/a')).toMatchObject({ attempt: 0 })
    const { body } = await api.post(`${TASKS}/lease`, { worker: 'w' })
    expect(body.items).toMatchObject([{ id: 'a', attempt: 1 }])
  })

  it('gives back what its peer did not read', async () => {
    const api = await startApi()
    const payloadBase64 = Buffer.alloc(1024 * 1024, 7).toString('base64')
    for (let from = 0; from < 20; from += 10) await api.post(TASKS, { items: Array.from({ length: 10 }, (_, index) => ({ id: `t${from + index}`, payloadBase64 })) })
    const channel = await openRawChannel(api.port)
    channel.socket.pause()
    channel.begin('POST', `${TASKS}/lease`, { body: '{"max":20,"worker":"w"}' })
    await until(() => stateOf(api, 't19') === 'running')
    channel.socket.terminate()
    await until(() => stateOf(api, 't19') === 'waiting')
    expect((await api.post(`${TASKS}/lease`, { worker: 'w' })).body.items).toMatchObject([{ id: 't0', attempt: 1 }])
  })

  it('keeps what it was given for its repeat, when it has a name', async () => {
    const { api, leasing, release } = await startGated()
    const channel = await openRawChannel(api.port)
    const body = '{"worker":"w","requestId":"r"}'
    const { id } = channel.begin('POST', `${TASKS}/lease`, { ...POLL, body })
    await polling(api)
    const { inserting } = await leasing()
    channel.cancel(id)
    await answered(channel)
    release()
    await inserting
    await api.world.until((pending) => pending.includes(10_000))
    const repeated = await channel.ask('POST', `${TASKS}/lease`, { body })
    expect(bodyOf(repeated).items).toMatchObject([{ id: 'a', lease: expect.stringMatching(/^1\./) }])
    expect(api.world.pending()).not.toContain(10_000)
  })

  it('may be asked again under the id of the one that was cancelled', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    for (let round = 0; round < 3; round += 1) {
      channel.send(messageFor(1, 'POST', `${TASKS}/lease`, POLL))
      channel.cancel(1)
    }
    const last = channel.answerTo(1)
    channel.send(messageFor(1, 'POST', `${TASKS}/lease`, POLL))
    await polling(api)
    expect(waiters(api)).toBe(1)
    await api.post(TASKS, { id: 'a' })
    expect(bodyOf(await last).items).toMatchObject([{ id: 'a' }])
  })
})

const refusal = async (api: TestApi, headers: Readonly<Record<string, string>>): Promise<string> => {
  const lines = Object.entries({
    Host: `127.0.0.1:${api.port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`)
  return api.raw(`GET /v1/channel HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
}

describe('whoever opens a channel', () => {
  it('needs a token where there are tokens, and one that is good', async () => {
    const api = await startApi(AUTH)
    for (const headers of [{}, { Authorization: 'Bearer stint_nonsense' }, { Authorization: 'Basic x' }] as Record<string, string>[]) {
      const answer = await refusal(api, headers)
      expect(answer).toMatch(/^HTTP\/1.1 401 Unauthorized\r\n/)
      for (const part of ['WWW-Authenticate: Bearer', 'Stint-Request-Id: ', 'Stint-Position: ', 'Connection: close', '"code":"unauthenticated"']) expect(answer).toContain(part)
    }
    const admin = await api.tokenFor('admin@example.com', 'admin')
    const { body } = await api.get('/v1/audit', { token: admin })
    expect(body.items).toMatchObject([
      { code: 'unauthenticated', target: '/v1/channel' },
      { code: 'unauthenticated', target: '/v1/channel' },
    ])
  })

  it('is no page in a browser, whatever its name', async () => {
    const api = await startApi()
    for (const origin of ['http://evil.example.com', `http://127.0.0.1:${api.port}`, 'null']) expect(await refusal(api, { Origin: origin })).toMatch(/^HTTP\/1.1 403 /)
  })

  it('names a server that is open as this machine, so that no page comes in under a name of its own', async () => {
    const api = await startApi()
    expect(await refusal(api, { Host: 'evil.example.com' })).toMatch(/^HTTP\/1.1 403 [\s\S]*"code":"forbidden"/)
    const channel = await openRawChannel(api.port, { Host: 'localhost:1' })
    for (const name of ['host', 'Host', 'HOST']) expect(codeOf(await channel.ask('GET', '/v1/jobs', { headers: [name, 'evil.example.com'] }))).toBe('forbidden')
    expect(codeOf(await channel.ask('GET', '/v1/jobs', { headers: ['Host', 'localhost', 'Host', 'evil.example.com'] }))).toBe('forbidden')
    expect((await channel.ask('GET', '/v1/jobs', { headers: ['Host', 'localhost'] })).status).toBe(200)
  })

  it('speaks WebSocket, as it is written', async () => {
    const api = await startApi()
    expect(await refusal(api, { 'Sec-WebSocket-Key': 'short' })).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":"invalid"/)
    expect(await refusal(api, { 'Sec-WebSocket-Version': '7' })).toMatch(/^HTTP\/1.1 400 /)
    expect(await refusal(api, { 'Sec-WebSocket-Protocol': 'a,,b' })).toMatch(/^HTTP\/1.1 400 /)
  })

  it('opens it once and speaks for itself with each call that says so', async () => {
    const api = await startApi(AUTH)
    const ann = await api.tokenFor('ann@example.com', 'viewer')
    const admin = await api.tokenFor('admin@example.com', 'admin')
    const channel = await openRawChannel(api.port, { Authorization: `Bearer ${ann}` })
    expect((await channel.ask('GET', '/v1/jobs')).status).toBe(200)
    expect(codeOf(await channel.ask('GET', '/v1/tokens'))).toBe('forbidden')
    expect((await channel.ask('GET', '/v1/tokens', { headers: ['authorization', `Bearer ${admin}`] })).status).toBe(200)
    expect(codeOf(await channel.ask('GET', '/v1/tokens', { headers: ['Authorization', 'Bearer stint_none'] }))).toBe('unauthenticated')
    // Of two nobody can say which is meant.
    expect(codeOf(await channel.ask('GET', '/v1/tokens', { headers: ['Authorization', `Bearer ${ann}`, 'Authorization', `Bearer ${admin}`] }))).toBe('unauthenticated')
  })
})

describe('a token that is revoked under a channel', () => {
  it('opens nothing any more, and ends a poll as over HTTP', async () => {
    const api = await startApi(AUTH)
    const admin = await api.tokenFor('admin@example.com', 'admin')
    const viewer = await api.tokenFor('viewer@example.com', 'viewer')
    const server = await api.tokenFor('server@example.com', 'jobServer')
    await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' }, { token: server })
    const channel = await openRawChannel(api.port, { Authorization: `Bearer ${viewer}` })
    const etag = (await channel.ask('GET', '/v1/jobs/j1/directive')).headers.get('etag') ?? ''
    const poll = channel.ask('GET', '/v1/jobs/j1/directive', { headers: ['If-None-Match', etag, 'Prefer', 'wait=30'] })
    await polling(api)
    const { body } = await api.get('/v1/tokens', { token: admin })
    const { id } = body.items.find((entry: { email: string }) => entry.email === 'viewer@example.com')
    await api.ask('DELETE', `/v1/tokens/${id}`, { token: admin })
    expect(codeOf(await channel.ask('GET', '/v1/jobs/j1'))).toBe('unauthenticated')
    await api.post('/v1/jobs/j1/directives', { directive: 'abort', reason: 'secret' }, { token: admin })
    const answer = await poll
    expect([answer.status, answer.body.toString().includes('secret')]).toEqual([401, false])
  })
})

describe('an upgrade to something else', () => {
  it.each(['h2c', 'TLS/1.0', 'websocket/2'])('%s is answered as the request that it is', async (upgrade) => {
    const api = await startApi()
    for (const [path, status] of [
      ['/healthz', 200],
      ['/v1/channel', 404],
    ] as const) {
      const answer = await api.raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: ${upgrade}\r\n\r\n`)
      expect(answer).toContain(`HTTP/1.1 ${status} `)
    }
  })

  it('of another path or by another method is answered as a request too', async () => {
    const api = await startApi()
    const headers = 'Host: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
    expect(await api.raw(`GET /v1/jobs HTTP/1.1\r\n${headers}`)).toContain('HTTP/1.1 200 ')
    expect(await api.raw(`POST /v1/channel HTTP/1.1\r\nContent-Length: 0\r\n${headers}`)).toContain('HTTP/1.1 404 ')
  })
})

describe('a channel on which nothing is heard', () => {
  it('is asked for a sign of life, and cut when it shows none', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    channel.begin('POST', `${TASKS}/lease`, { headers: ['Prefer', 'wait=60'], body: '{"worker":"w"}' })
    await until(() => waiters(api) === 1)
    channel.socket.pause()
    api.world.advance(29_999)
    await answered(await openRawChannel(api.port))
    api.world.advance(30_000)
    await answered(await openRawChannel(api.port))
    expect(waiters(api)).toBe(1)
    api.world.advance(1)
    await until(() => waiters(api) === 0)
  })

  it('is kept while it answers pings', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    for (let round = 0; round < 5; round += 1) {
      const pinged = once(channel.socket, 'ping')
      api.world.advance(30_000)
      await pinged
      await answered(channel)
    }
    expect(channel.socket.readyState).toBe(WebSocket.OPEN)
  })
})

describe('a server that stops', () => {
  it('answers every poll of a channel, refuses what comes, and then says goodbye', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const polls = [1, 2, 3].map(() => channel.ask('POST', `${TASKS}/lease`, POLL))
    await polling(api, 3)
    const closing = api.server.close({ graceMs: 10_000 })
    channel.begin('GET', '/v1/jobs')
    const answers = await Promise.all(polls)
    expect(answers.map((answer) => [answer.status, bodyOf(answer).items, answer.headers.get('retry-after'), answer.headers.get('connection')])).toEqual(
      Array.from({ length: 3 }, () => [200, [], '1', 'close']),
    )
    expect(await channel.closed).toEqual([1_001, 'stopping'])
    await closing
  })

  it('waits a second for who does not answer its goodbye', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    await answered(channel)
    channel.socket.pause()
    const before = api.world.pending().filter((ms) => ms === 1_000).length
    const closing = api.server.close({ graceMs: 60_000 })
    await api.world.until((pending) => pending.filter((ms) => ms === 1_000).length > before)
    api.world.advance(1_000)
    await closing
    channel.socket.terminate()
  })

  it('is held up no longer than its grace by who does not read the answers', async () => {
    const api = await startApi()
    const payloadBase64 = Buffer.alloc(1024 * 1024, 7).toString('base64')
    await api.post(TASKS, { items: Array.from({ length: 20 }, (_, index) => ({ id: `t${index}`, payloadBase64 })) })
    const channel = await openRawChannel(api.port)
    channel.socket.pause()
    channel.begin('POST', `${TASKS}/lease`, { body: '{"max":20,"worker":"w"}' })
    await until(() => stateOf(api, 't19') === 'running')
    await settle()
    const closing = api.server.close({ graceMs: 5_000 })
    await settle()
    api.world.advance(5_000)
    await closing
    // What nobody heard of is given back before the server is gone.
    expect(stateOf(api, 't19')).toBe('waiting')
    channel.socket.terminate()
  })

  it('opens none any more', async () => {
    const api = await startApi()
    const first = await openRawChannel(api.port)
    first.begin('POST', `${TASKS}/lease`, POLL)
    await polling(api)
    const late = connect(api.port, '127.0.0.1')
    let said = ''
    late.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ended = once(late, 'close')
    // It has begun to ask when the server begins to stop.
    late.write('GET /v1/channel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n')
    for (let round = 0; round < 10; round += 1) await answered(first)
    // It does not answer the goodbye, so the server is still there.
    first.socket.pause()
    const closing = api.server.close({ graceMs: 60_000 })
    late.write('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n')
    await ended
    expect(said).toMatch(/^HTTP\/1.1 503 [\s\S]*"code":"stopping"/)
    first.socket.resume()
    await closing
    expect((await first.closed)[0]).toBe(1_001)
  })

  it('is not held up by a connection that was refused and stays', async () => {
    const api = await startApi()
    const kept = connect({ port: api.port, host: '127.0.0.1', allowHalfOpen: true })
    kept.on('error', () => undefined)
    kept.write(`GET /v1/channel HTTP/1.1\r\nHost: evil.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
    const [answer] = (await once(kept.setEncoding('utf8'), 'data')) as [string]
    expect(answer).toContain('HTTP/1.1 403 ')
    await api.server.close({ graceMs: 60_000 })
    kept.destroy()
  })
})
