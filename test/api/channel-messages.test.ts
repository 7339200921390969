// What is said over a channel and how much of it: messages that are none, heads that are none of a call's, and a peer that asks for more than is fair.
import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { CHANNEL_CALLS_MAX, CHANNEL_HEAD_BYTES_MAX, CHANNEL_MESSAGE_BYTES_MAX } from '../../src/wire/channel.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { settle } from '../support/engine.ts'
import { until } from '../support/eventually.ts'
import { answered, bodyOf, codeOf, cutChannels, messageFor, openRawChannel } from '../support/raw-channel.ts'

afterEach(async () => {
  cutChannels()
  await closeAll()
})

const TASKS = '/v1/queues/shop/mail/tasks'
const POLL = { headers: ['Prefer', 'wait=30'], body: '{"worker":"w"}' }
const waiters = (api: TestApi): number => api.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters
const polling = (api: TestApi): Promise<void> => until(() => waiters(api) === 1)
const stateOf = (api: TestApi, id: string): string | undefined => api.engine.live(`task/shop/mail/${id}`)?.status

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
