// A channel from the side of the server: who may open one, what overtakes what, what becomes of calls that nobody waits for, what a peer may do to it, and how it ends.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { CHANNEL_CALLS_MAX, CHANNEL_HEAD_BYTES_MAX, CHANNEL_MESSAGE_BYTES_MAX } from '../../src/wire/channel.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { EventStore } from '../../src/store/port.ts'
import { settle, startEngine } from '../support/engine.ts'
import { until } from '../support/eventually.ts'
import { cutChannels, messageFor, openRawChannel, type ChannelAnswer, type RawChannel } from '../support/raw-channel.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(async () => {
  cutChannels()
  await closeAll()
})

const TASKS = '/v1/queues/shop/mail/tasks'
const POLL = { headers: ['Prefer', 'wait=30'], body: '{"worker":"w"}' }
const AUTH = { settings: { auth: { tokens: true } } }

// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into field by field
const bodyOf = (answer: ChannelAnswer): any => JSON.parse(answer.body.toString())
const codeOf = (answer: ChannelAnswer): string => bodyOf(answer).code
const post = (channel: RawChannel, path: string, body: unknown, headers: readonly string[] = []) => channel.ask('POST', path, { headers, body: JSON.stringify(body) })

/** Polls that wait, each until its wait is over. */
const polling = (api: TestApi, count = 1): Promise<void> => api.world.until((pending) => pending.filter((ms) => ms === 30_000).length >= count + 1)
const waiters = (api: TestApi): number => api.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters
/** The server has read what was sent before. */
const answered = async (channel: RawChannel): Promise<void> => void (await channel.ask('GET', '/v1/nothing'))
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
  const store = memoryStore({ world })
  const gate = Promise.withResolvers<void>()
  const sent: string[] = []
  let isGated = false
  const gated: EventStore = {
    ...store,
    append: (stream, expected, events) => {
      const append = store.append(stream, expected, events)
      sent.push(...events.map(({ type }) => type))
      return async () => {
        if (isGated) await gate.promise
        return append()
      }
    },
  }
  const api = await startApi({ engine: await startEngine({ store: gated, world }) })
  return {
    api,
    /** The task is handed to who waits in the append in which it is born; resolves when that is under way, with the answer to come. */
    leasing: async (): Promise<{ readonly inserting: Promise<unknown> }> => {
      isGated = true
      const inserting = api.post(TASKS, { id: 'a' })
      await until(() => sent.includes('Leased'))
      return { inserting }
    },
    release: gate.resolve,
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

describe('a message', () => {
  it.each([
    ['without anything', ''],
    ['without a head', 'GET /v1/jobs\n'],
    ['with a head that is no object', '7\n'],
    ['with null for a head', 'null\n'],
    ['without an id', '{"method":"GET","path":"/v1/jobs"}\n'],
    ['with an id that is no whole number', '{"id":1.5,"method":"GET","path":"/v1/jobs"}\n'],
    ['with an id that is a text', '{"id":"1","method":"GET","path":"/v1/jobs"}\n'],
    ['with an id that is beyond whole numbers', '{"id":9007199254740993,"method":"GET","path":"/v1/jobs"}\n'],
  ])('%s ends the channel', async (_what, message) => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const poll = channel.ask('POST', `${TASKS}/lease`, POLL)
    poll.catch(() => undefined)
    await polling(api)
    channel.send(message)
    expect((await channel.closed)[0]).toBe(1_002)
    await until(() => waiters(api) === 0)
  })

  it('under the id of a call that is under way ends the channel, and what follows is not done', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    channel.begin('POST', `${TASKS}/lease`, POLL)
    await polling(api)
    channel.send(messageFor(1, 'GET', '/v1/jobs'))
    channel.send(messageFor(2, 'POST', TASKS, { body: '{"id":"a"}' }))
    expect(await channel.closed).toEqual([1_002, 'A call with this id is under way.'])
    await until(() => waiters(api) === 0)
    await settle()
    expect(stateOf(api, 'a')).toBeUndefined()
  })

  it('that is too large ends the channel', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const fits = JSON.stringify({ payload: 'x'.repeat(CHANNEL_MESSAGE_BYTES_MAX - 1_000) })
    expect((await channel.ask('POST', TASKS, { body: fits })).status).toBe(201)
    channel.send(Buffer.alloc(CHANNEL_MESSAGE_BYTES_MAX + 1, 0x20))
    expect((await channel.closed)[0]).toBe(1_009)
  })

  it('with a head that is none of a call is refused by its id, and others go on', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const heads: readonly (readonly [object, string])[] = [
      [{ method: 'GET' }, '/path'],
      [{ method: 'GET', path: 7 }, '/path'],
      [{ method: 'GET', path: '' }, '/path'],
      [{ method: 'GET', path: 'v1/jobs' }, '/path'],
      [{ method: 'GET', path: 'http://evil.example.com/v1/jobs' }, '/path'],
      [{ method: 'GET', path: '/v1/jobs HTTP/1.1\r\nHost: evil' }, '/path'],
      [{ method: 'GET', path: '/v1/jobs/\u00e4' }, '/path'],
      [{ path: '/v1/jobs' }, '/method'],
      [{ method: ['GET'], path: '/v1/jobs' }, '/method'],
      [{ method: 'get', path: '/v1/jobs' }, '/method'],
      [{ method: '__proto__', path: '/v1/jobs' }, '/method'],
      [{ method: 'GET', path: '/v1/jobs', headers: {} }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: null }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: 'Accept' }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: ['Accept'] }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: ['Accept', 7] }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: [['Accept', '*/*']] }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: ['X', 'a\r\nb: c'] }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: ['X Y', 'a'] }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: ['', 'a'] }, '/headers'],
      [{ method: 'GET', path: '/v1/jobs', headers: ['X', '\u2603'] }, '/headers'],
    ]
    for (const [index, [head, path]] of heads.entries()) {
      const answer = channel.answerTo(1_000 + index)
      channel.send(`${JSON.stringify({ id: 1_000 + index, ...head })}\n`)
      expect([head, (await answer).status, bodyOf(await answer).errors]).toEqual([head, 400, [expect.objectContaining({ path })]])
    }
    expect((await channel.ask('GET', '/v1/jobs', { headers: ['__proto__', 'x', 'constructor', 'y', 'toString', 'z'] })).status).toBe(200)
    expect(codeOf(await channel.ask('GET', '/v1/jobs', { headers: ['X', 'x'.repeat(CHANNEL_HEAD_BYTES_MAX)] }))).toBe('headers-too-large')
    expect(codeOf(await channel.ask('GET', `/v1/jobs/${'x'.repeat(CHANNEL_HEAD_BYTES_MAX)}`))).toBe('headers-too-large')
    expect(api.errors).toEqual([])
  })

  it('may come without a line break, in binary, and with an id below zero', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const answer = channel.answerTo(-1)
    channel.send(Buffer.from('{"id":-1,"method":"GET","path":"/v1/jobs"}'))
    expect((await answer).status).toBe(200)
  })

  it('that cancels what is not there changes nothing', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    channel.cancel(7)
    channel.send('{"id":8,"cancel":false,"method":"GET","path":"/v1/jobs"}\n')
    expect((await channel.answerTo(8)).status).toBe(200)
  })

  it('without a media type has a body in JSON', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    expect((await channel.ask('POST', TASKS, { body: '{"id":"a"}' })).status).toBe(201)
    expect((await channel.ask('POST', TASKS, { body: '{"id":"a"}', headers: ['content-type', 'text/plain'] })).status).toBe(415)
  })

  it('of what is not under /v1/ finds nothing: whatever stands before the server may keep it inside', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    for (const path of [
      '/',
      '/metrics',
      '/healthz',
      '/readyz',
      '/openapi.json',
      '/taskqueue/v1beta2/projects/shop/taskqueues/mail',
      '//v1/jobs',
      '/V1/jobs',
      '/v1',
      '/v1/../metrics',
    ])
      expect([path, codeOf(await channel.ask('GET', path))]).toEqual([path, 'not-found'])
  })

  it('that opens a stream is refused, and takes no seat of those who may', async () => {
    const api = await startApi({ settings: { eventClientsMax: 1 } })
    const channel = await openRawChannel(api.port)
    for (let round = 0; round < 3; round += 1) expect(codeOf(await channel.ask('GET', '/v1/events'))).toBe('not-acceptable')
    const over = new AbortController()
    const response = await fetch(`${api.url}/v1/events`, { signal: over.signal })
    expect(response.status).toBe(200)
    over.abort()
  })
})

describe('more than a channel carries', () => {
  it('calls are refused beyond so many that are under way, until some are not', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    for (let call = 1; call <= CHANNEL_CALLS_MAX; call += 1) channel.begin('POST', `${TASKS}/lease`, { headers: ['Prefer', 'wait=30'], body: `{"worker":"w${call}"}` })
    await until(() => waiters(api) === CHANNEL_CALLS_MAX)
    const refused = await channel.ask('GET', '/v1/jobs')
    expect([refused.status, codeOf(refused), refused.headers.get('retry-after')]).toEqual([503, 'overloaded', '1'])
    channel.cancel(7)
    await until(() => waiters(api) === CHANNEL_CALLS_MAX - 1)
    expect((await channel.ask('GET', '/v1/jobs')).status).toBe(200)
  })

  it('bodies are refused beyond so many bytes of calls that are under way', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const body = `{"worker":"w"}${' '.repeat(1_000_000)}`
    const polls = Array.from({ length: 40 }, () => channel.begin('POST', `${TASKS}/lease`, { headers: ['Prefer', 'wait=30'], body }))
    await answered(channel)
    expect(waiters(api)).toBe(33)
    const answers = await Promise.all(polls.slice(33).map(({ answer }) => answer))
    expect(answers.map(codeOf)).toEqual(Array.from({ length: 7 }, () => 'overloaded'))
    for (const { id } of polls) channel.cancel(id)
    await until(() => waiters(api) === 0)
    expect((await channel.ask('POST', TASKS, { body: `{"id":"a"}${' '.repeat(1_000_000)}` })).status).toBe(201)
  })

  /** A peer that asks for a large payload so many times and reads nothing. */
  const overfed = async (times: number) => {
    const api = await startApi()
    await api.post(TASKS, { id: 'big', payloadBase64: Buffer.alloc(1024 * 1024, 7).toString('base64') })
    const channel = await openRawChannel(api.port)
    const other = await openRawChannel(api.port)
    channel.socket.pause()
    const answers = Array.from({ length: times }, () => channel.ask('GET', `${TASKS}/big?payload=true`))
    const rounds = async (): Promise<void> => {
      for (let round = 0; round < 100; round += 1) await answered(other)
    }
    await rounds()
    return { api, channel, answers, rounds }
  }

  it('a peer that does not read is read no further until it does, and holds up nobody else', async () => {
    const { api, channel, answers, rounds } = await overfed(20)
    const inserting = channel.ask('POST', TASKS, { body: '{"id":"late"}' })
    await rounds()
    expect(stateOf(api, 'late')).toBeUndefined()
    channel.socket.resume()
    expect((await inserting).status).toBe(201)
    expect((await Promise.all(answers)).map(({ status, body }) => status === 200 && body.length > 1024 * 1024)).toEqual(Array.from({ length: 20 }, () => true))
  })

  it('a peer is cut for which more piles up than can be held', async () => {
    const { channel, answers } = await overfed(300)
    channel.socket.resume()
    expect((await channel.closed)[0]).toBe(1_006)
    const heard = (await Promise.allSettled(answers)).filter(({ status }) => status === 'fulfilled')
    expect(heard.length).toBeLessThan(100)
  })

  it('a peer that pings and reads no pong is cut', async () => {
    const api = await startApi()
    const channel = await openRawChannel(api.port)
    const raw = (channel.socket as unknown as { readonly _socket: Socket })._socket
    raw.pause()
    for (let ping = 0; !raw.destroyed; ping += 1) {
      channel.socket.ping('x'.repeat(125))
      if (ping % 1_000 === 0) await settle()
    }
    expect((await channel.closed)[0]).toBe(1_006)
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
