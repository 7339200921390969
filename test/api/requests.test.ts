// Exactly-once requests over HTTP: accepted once, worked off under a lease, replied to once, and the same reply for every duplicate until it is released.
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import * as TE from 'fp-ts/lib/TaskEither.js'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/store/memory.ts'
import { StoreFault, type EventStore } from '../../src/store/port.ts'
import { closeAll, startApi, type Answer, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { closeReceivers, startReceiver } from '../support/receiver.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(closeAll)

const PAY = '/v1/contracts/pay'
const REQUESTS = `${PAY}/requests`
const call = (api: TestApi, id: string, body: unknown = { amount: 5 }, headers: Record<string, string> = {}) => api.ask('PUT', `${REQUESTS}/${id}`, { body, headers })
const lease = async (api: TestApi, body: object = {}) => (await api.post(`${PAY}/lease`, body)).body.items
const reply = (api: TestApi, id: string, token: string, more: object = {}) =>
  api.post(`${REQUESTS}/${id}/reply`, { lease: token, reply: { status: 201, headers: { Location: '/p/1', 'Set-Cookie': ['a=1', 'b=2'] }, body: { paid: true } }, ...more })
const contract = (api: TestApi, body: object) => api.ask('PUT', PAY, { body })
const eventsOf = async (api: TestApi, id: string): Promise<string[]> => (await api.get(`${REQUESTS}/${id}/history`)).body.items.map((event: { type: string }) => event.type)

/** Calls, works and replies. */
const done = async (api: TestApi, id: string, more: object = {}): Promise<void> => {
  await call(api, id)
  const [leased] = await lease(api)
  expect((await reply(api, leased.id, leased.lease, more)).status).toBe(200)
}

const seen = ({ status, text, headers }: Answer) => ({ status, text, location: headers.get('location'), cookies: headers.getSetCookie(), type: headers.get('content-type') })

describe('a call', () => {
  it('is accepted, and its caller told where to ask', async () => {
    const api = await startApi()
    const answer = await call(api, 'a')
    expect(answer.status).toBe(202)
    expect(answer.body).toMatchObject({ id: 'a', workItem: 'request/pay/local/a', kind: 'request', state: 'waiting', caller: 'local', contract: 'pay', bytes: 12 })
    expect(answer.headers.get('location')).toBe(`${REQUESTS}/a`)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('stint-release')).toBeNull()
  })

  it('that waits is given the reply itself, with what Stint has to say about it', async () => {
    const api = await startApi()
    const waiting = call(api, 'a', { amount: 5 }, { Prefer: 'wait=30' })
    await settle()
    const [leased] = await lease(api)
    expect(leased).toMatchObject({ id: 'a', caller: 'local', attempt: 1, mediaType: 'application/json', body: { amount: 5 } })
    await reply(api, 'a', leased.lease)
    const answer = await waiting
    expect(seen(answer)).toEqual({ status: 201, text: '{"paid":true}', location: '/p/1', cookies: ['a=1', 'b=2'], type: 'application/json' })
    expect(answer.headers.get('stint-work-item')).toBe('request/pay/local/a')
    expect(answer.headers.get('stint-release')).toMatch(/^encouraged; expires="\d{4}-.*Z"; uri="\/v1\/contracts\/pay\/requests\/a\/interaction"$/)
    expect(answer.headers.get('idempotency-replayed')).toBeNull()
  })

  it('may be of any type, and its worker gets the bytes', async () => {
    const api = await startApi()
    const bytes = Buffer.from([0, 255, 1, 254])
    const response = await fetch(`${api.url}${REQUESTS}/raw`, { method: 'PUT', headers: { 'Content-Type': 'image/x-tiny' }, body: bytes })
    expect(response.status).toBe(202)
    await response.text()
    expect(await lease(api)).toMatchObject([{ id: 'raw', mediaType: 'image/x-tiny', bodyBase64: bytes.toString('base64') }])
  })

  it.each([['x'.repeat(201)], ['text/plain; title=\xe9'], ['']])('with the media type %j is refused, so that no worker has to be given it', async (type) => {
    const api = await startApi()
    const sent = httpRequest(`${api.url}${REQUESTS}/a`, { method: 'PUT', headers: { 'Content-Type': type } }).end('x')
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect([response.statusCode, await json(response)]).toMatchObject([400, { code: 'invalid', errors: [{ path: '/headers/content-type' }] }])
    expect(await lease(api)).toEqual([])
  })

  it('is answered with nothing that only Stint can say, though its worker passes it on from elsewhere', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [leased] = await lease(api)
    const foreign = ['Idempotency-Replayed', 'Stint-Release', 'Stint-Work-Item', 'Stint-Position', 'Stint-Request-Id', 'Stint-Kept', 'Preference-Applied']
    await reply(api, 'a', leased.lease, { reply: { status: 200, headers: { ...Object.fromEntries(foreign.map((name) => [name, 'foreign'])), 'X-Own': 'own' } } })
    const { headers } = await call(api, 'a')
    expect([headers.get('x-own'), headers.get('idempotency-replayed')]).toEqual(['own', 'true'])
    expect([...headers].filter(([, value]) => value.includes('foreign'))).toEqual([])
  })

  it('in JSON that cannot be read without losing some of it goes to its worker byte for byte', async () => {
    const api = await startApi()
    const text = '{"account":12345678901234567890,"limit":1e400}'
    await call(api, 'a', text, { 'Content-Type': 'application/json' })
    const [{ body, bodyBase64 }] = await lease(api)
    expect([body, Buffer.from(bodyBase64, 'base64').toString()]).toEqual([undefined, text])
    expect((await call(api, 'a', text.replace('890', '891'), { 'Content-Type': 'application/json' })).status).toBe(422)
  })

  it('by Idempotency-Key is the call under that id, quoted or bare', async () => {
    const api = await startApi()
    const post = (key: string | undefined) => api.post(REQUESTS, { amount: 5 }, { headers: key === undefined ? {} : { 'Idempotency-Key': key } })
    expect((await post('"k-1"')).body.id).toBe('k-1')
    expect([(await post('k-1')).status, (await call(api, 'k-1')).status]).toEqual([409, 409])
    expect((await post(undefined)).body.errors).toMatchObject([{ path: '/headers/idempotency-key', code: 'required' }])
    expect((await post('not/an/id')).body.errors).toMatchObject([{ path: '/headers/idempotency-key', code: 'pattern' }])
  })

  it('larger than 1 MiB is refused and nothing of it is stored', async () => {
    const api = await startApi()
    const answer = await call(api, 'large', 'x'.repeat(1024 * 1024 + 1), { 'Content-Type': 'text/plain' })
    expect([answer.status, answer.body.code]).toEqual([413, 'too-large'])
    expect((await api.get(`${REQUESTS}/large`)).status).toBe(404)
    expect((await call(api, 'large', 'x'.repeat(1024 * 1024), { 'Content-Type': 'text/plain' })).status).toBe(202)
  })
})

describe('a duplicate', () => {
  it('of a pending request is cancelled, and the first goes on', async () => {
    const api = await startApi()
    await call(api, 'a')
    for (const state of ['waiting', 'running']) {
      const answer = await call(api, 'a', { amount: 5 })
      expect([answer.status, answer.body.code, answer.body.state]).toEqual([409, 'pending', state])
      expect([answer.headers.get('location'), answer.headers.get('retry-after')]).toEqual([`${REQUESTS}/a`, '1'])
      if (state === 'waiting') expect(await lease(api)).toHaveLength(1)
    }
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased'])
  })

  it('of a pending request that waits is given the reply of the first', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [leased] = await lease(api)
    const waiting = call(api, 'a', { amount: 5 }, { Prefer: 'wait=30' })
    await settle()
    await reply(api, 'a', leased.lease)
    const answer = await waiting
    expect([answer.status, answer.text, answer.headers.get('idempotency-replayed')]).toEqual([201, '{"paid":true}', 'true'])
  })

  it('of a request that was replied to is given the same again, byte for byte, also after a restart', async () => {
    const world = virtualWorld()
    const store = memoryStore({ world })
    const api = await startApi({ engine: await startEngine({ store, world }) })
    await done(api, 'a')
    const first = await call(api, 'a')
    expect(first.headers.get('idempotency-replayed')).toBe('true')
    const later = await startApi({ engine: await startEngine({ store, world }) })
    const again = await call(later, 'a')
    expect(seen(again)).toEqual(seen(first))
    expect(seen(again)).toEqual({ status: 201, text: '{"paid":true}', location: '/p/1', cookies: ['a=1', 'b=2'], type: 'application/json' })
    expect(again.headers.get('stint-release')).toBe(first.headers.get('stint-release'))
    expect(await eventsOf(later, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('is the same however its JSON is written, and another when it says something else', async () => {
    const api = await startApi()
    await done(api, 'a')
    expect((await call(api, 'a', '{ "amount" : 5 }')).status).toBe(201)
    for (const other of ['{"amount":6}', '[5]', 'no json']) {
      const answer = await call(api, 'a', other)
      expect([answer.status, answer.body.code]).toEqual([422, 'fingerprint-mismatch'])
      expect(answer.body.detail).toMatch(/came at \d{4}-/)
    }
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('of a request that was settled without a reply is told so, the same each time', async () => {
    const api = await startApi()
    await contract(api, { onInterrupted: 'fail' })
    await call(api, 'a')
    const [leased] = await lease(api)
    await api.post(`${REQUESTS}/a/fail`, { lease: leased.lease, failed: { code: 'no-bank', message: 'The bank is closed.' } })
    for (let time = 0; time < 2; time += 1) {
      const answer = await call(api, 'a')
      expect([answer.status, answer.body.code, answer.body.state, answer.headers.get('idempotency-replayed')]).toEqual([409, 'interrupted', 'failed', 'true'])
      expect(answer.body.detail).toBe('The bank is closed. (no-bank)')
    }
    await call(api, 'b')
    await api.post(`${REQUESTS}/b/directives`, { directive: 'abort', reason: 'not needed' })
    expect((await call(api, 'b')).body).toMatchObject({ code: 'cancelled', state: 'cancelled' })
  })
})

describe('an execution', () => {
  it('whose lease ended is followed by another, and the reply of the first is refused', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [first] = await lease(api, { leaseSeconds: 10 })
    api.world.advance(40_000)
    await settle()
    const [second] = await lease(api, { worker: 'w2' })
    expect(second).toMatchObject({ id: 'a', attempt: 2 })
    expect((await reply(api, 'a', first.lease)).body.code).toBe('stale-lease')
    expect((await reply(api, 'a', second.lease)).body).toMatchObject({ state: 'completed', recorded: true })
    expect((await reply(api, 'a', first.lease)).body.code).toBe('settled')
  })

  it('that ends by time fails as interrupted where the contract says so', async () => {
    const api = await startApi()
    await contract(api, { onInterrupted: 'fail', leaseSeconds: 10 })
    await call(api, 'a')
    await lease(api)
    api.world.advance(40_000)
    await settle()
    expect((await call(api, 'a')).body).toMatchObject({ code: 'interrupted', state: 'failed' })
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'LeaseExpired', 'Failed'])
  })

  it('replies once: said again it is a repeat, said otherwise it comes too late', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [{ lease: token }] = await lease(api)
    expect((await reply(api, 'a', token)).body).toEqual({ id: 'a', state: 'completed', recorded: true })
    expect((await reply(api, 'a', token)).body).toEqual({ id: 'a', state: 'completed', recorded: true })
    const other = await reply(api, 'a', token, { reply: { status: 500 } })
    expect(other.body).toEqual({ id: 'a', state: 'completed', recorded: true, late: true })
    expect((await reply(api, 'a', token, { reply: { status: 404 } })).body.code).toBe('settled')
    expect((await call(api, 'a')).status).toBe(201)
  })

  it('may be given back, extended, and failed to be tried again', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [first] = await lease(api)
    expect((await api.post(`${REQUESTS}/a/extend`, { lease: first.lease, leaseSeconds: 600 })).body.state).toBe('running')
    expect((await api.post(`${REQUESTS}/a/release`, { lease: first.lease, reason: 'busy' })).body.state).toBe('waiting')
    const [second] = await lease(api)
    expect(second.attempt).toBe(1)
    expect((await api.post(`${REQUESTS}/a/fail`, { lease: second.lease, failed: { code: 'x', message: 'y' } })).body.state).toBe('waiting')
    api.world.advance(1_000)
    expect(await lease(api)).toMatchObject([{ id: 'a', attempt: 2 }])
  })

  it('goes straight to a worker that waits', async () => {
    const api = await startApi()
    const waiting = api.post(`${PAY}/lease`, { worker: 'w1' }, { headers: { Prefer: 'wait=30' } })
    await settle()
    const answer = await call(api, 'a')
    expect(answer.body.state).toBe('running')
    expect((await waiting).body.items).toMatchObject([{ id: 'a' }])
  })
})

describe('a release', () => {
  it('by its caller is final, idempotent, and never means a second execution', async () => {
    const api = await startApi()
    await call(api, 'a')
    const release = () => api.ask('DELETE', `${REQUESTS}/a/interaction`)
    expect((await release()).body.code).toBe('pending')
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    expect((await release()).body).toMatchObject({ id: 'a', released: { how: 'client' } })
    expect((await release()).status).toBe(200)
    for (const body of [{ amount: 5 }, { amount: 6 }]) expect([410, 422]).toContain((await call(api, 'a', body)).status)
    expect((await call(api, 'a')).body.code).toBe('released')
    expect(await lease(api)).toEqual([])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed', 'ReplyReleased'])
  })

  it('comes by itself when the published time is over', async () => {
    const api = await startApi()
    await contract(api, { release: 'none-required', retainSeconds: 60 })
    await done(api, 'a')
    api.world.advance(59_000)
    expect((await call(api, 'a')).status).toBe(201)
    api.world.advance(1_000)
    expect((await call(api, 'a')).body.code).toBe('released')
    expect((await api.get(`${REQUESTS}/a`)).body).toMatchObject({ state: 'completed', released: { how: 'time' } })
  })

  it('never comes by time where it is required', async () => {
    const api = await startApi()
    await contract(api, { release: 'required' })
    await done(api, 'a')
    api.world.advance(10 * 365 * 86_400_000)
    const answer = await call(api, 'a')
    expect([answer.status, answer.headers.get('stint-release')]).toEqual([201, `required; uri="${REQUESTS}/a/interaction"`])
  })

  it('of a contract that contradicts itself is refused by its field', async () => {
    const api = await startApi()
    const answer = await contract(api, { release: 'required', retainSeconds: 60 })
    expect(answer.body.errors).toMatchObject([{ path: '/retainSeconds' }])
  })
})

describe('effects', () => {
  it('that is a request which its caller has made before, or makes again, is the same request', async () => {
    const api = await startApi()
    const body = { b: 1, a: 2 }
    await call(api, 'before', body)
    const [before] = await lease(api)
    await done(api, 'a', { effects: ['before', 'after'].map((id) => ({ request: { contract: 'pay', id, body } })) })
    await settle()
    const noted = (await api.get(`${REQUESTS}/a/history`)).body.items.find(({ type }: { type: string }) => type === 'EffectsCarriedOut')
    expect(noted.data.effects).toEqual([
      { entry: 0, outcome: 'done' },
      { entry: 1, outcome: 'done' },
    ])
    expect([before.id, (await call(api, 'after', { a: 2, b: 1 })).body.code]).toEqual(['before', 'pending'])
  })

  const EFFECTS = [
    { task: { app: 'shop', queue: 'mail', payload: { to: 'ann' }, id: 'mail-1' } },
    { task: { app: 'shop', queue: 'mail', payload: { to: 'bob' } } },
    { request: { contract: 'invoice', body: { n: 1 } } },
  ]

  it('are carried out after the reply, once, and noted', async () => {
    const api = await startApi()
    await done(api, 'a', { effects: EFFECTS })
    await settle()
    expect((await api.get('/v1/queues/shop/mail/tasks/mail-1?payload=true')).body).toMatchObject({ state: 'waiting', payload: { to: 'ann' } })
    expect((await api.post('/v1/queues/shop/mail/tasks/lease', { max: 10 })).body.items).toHaveLength(2)
    expect((await api.post('/v1/contracts/invoice/lease', { max: 10 })).body.items).toMatchObject([{ body: { n: 1 } }])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed', 'EffectsCarriedOut'])
    expect((await api.get(`${REQUESTS}/a`)).body.openEffects).toBeUndefined()
  })

  it('that a crash left open are carried out by the next start, those that were done already not again', async () => {
    const world = virtualWorld()
    const store = memoryStore({ world })
    const full: EventStore = {
      ...store,
      append: (stream, ...rest) => (stream.startsWith('workItem-task/') ? TE.left(new StoreFault('overloaded', 'no tasks today')) : store.append(stream, ...rest)),
    }
    const api = await startApi({ engine: await startEngine({ store: full, world }) })
    await done(api, 'a', { effects: EFFECTS.slice(0, 2) })
    await settle()
    expect((await api.get(`${REQUESTS}/a`)).body.openEffects).toBe(2)
    const later = await startApi({ engine: await startEngine({ store, world }) })
    await settle()
    expect((await later.post('/v1/queues/shop/mail/tasks/lease', { max: 10 })).body.items).toHaveLength(2)
    const third = await startApi({ engine: await startEngine({ store, world }) })
    await settle()
    expect((await third.get('/v1/queues/shop/mail/tasks')).body.items).toHaveLength(2)
    expect((await eventsOf(third, 'a')).filter((type) => type === 'EffectsCarriedOut')).toHaveLength(1)
  })

  it('that cannot be are noted as refused, and hold up nothing', async () => {
    const api = await startApi()
    await done(api, 'a', { effects: [{ directive: { workItem: 'job/none', directive: 'abort' } }, EFFECTS[0]] })
    await settle()
    const { items } = (await api.get(`${REQUESTS}/a/history`)).body
    const noted = items.filter((event: { type: string }) => event.type === 'EffectsCarriedOut').flatMap((event: { data: { effects: object[] } }) => event.data.effects)
    expect(noted).toEqual(
      expect.arrayContaining([
        { entry: 0, outcome: 'refused', code: 'not-found' },
        { entry: 1, outcome: 'done' },
      ]),
    )
  })
})

describe('calls out', () => {
  afterEach(closeReceivers)

  it('go only where the server may call', async () => {
    const api = await startApi()
    const answer = await call(api, 'a', {}, { 'Stint-Callback': 'https://example.com/x' })
    expect(answer.body.errors).toMatchObject([{ path: '/headers/stint-callback', code: 'pattern' }])
    await call(api, 'b')
    const [leased] = await lease(api)
    const replied = await reply(api, 'b', leased.lease, { effects: [{ callback: { url: 'https://example.com/x', body: 1 } }] })
    expect(replied.body.errors).toMatchObject([{ path: '/effects/0/callback/url' }])
    expect((await reply(api, 'b', leased.lease)).status).toBe(200)
  })

  it('are repeated until they are acknowledged, over a restart too, always under the same id', async () => {
    const there = await startReceiver()
    there.answer(500, 500, 204)
    const world = virtualWorld()
    const store = memoryStore({ world })
    const settings = { allowUrls: LOOPBACK_PATTERNS }
    const api = await startApi({ engine: await startEngine({ store, world, settings }) })
    await call(api, 'a', { amount: 5 }, { 'Stint-Callback': there.url })
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    await there.until(1)
    while (api.engine.deliveries.figures().failedAttempts < 1) await settle()
    world.advance(10_000)
    await there.until(2)
    api.engine.stop()
    const later = await startApi({ engine: await startEngine({ store, world, settings }) })
    await there.until(3)
    while (!(await eventsOf(later, 'a')).includes('EffectsCarriedOut')) await settle()
    expect((await later.get(`${REQUESTS}/a`)).body.openEffects).toBeUndefined()
    expect(new Set(there.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    const told = JSON.parse(there.received.at(-1)?.body ?? '') as {
      readonly type: string
      readonly data: { readonly reply: { readonly status: number; readonly bodyBase64: string } }
    }
    expect([told.type, told.data.reply.status, Buffer.from(told.data.reply.bodyBase64, 'base64').toString()]).toEqual(['request.settled', 201, '{"paid":true}'])
  })
})

describe('middleware', () => {
  const begin = (api: TestApi, worker: string, more: object = {}, headers: Record<string, string> = {}) =>
    api.post(`${PAY}/executions`, { id: 'a', caller: 'ann', fingerprint: 'f'.repeat(43), worker, bodyBase64: 'e30=', mediaType: 'application/json', ...more }, { headers })

  it('accepts and runs in one exchange; who did not hear the answer asks again under its own name', async () => {
    const api = await startApi()
    const first = await begin(api, 'w1')
    expect([first.status, first.body.execute.attempt]).toEqual([201, 1])
    const again = await begin(api, 'w1')
    expect([again.status, again.body.execute.lease]).toEqual([200, first.body.execute.lease])
    expect((await begin(api, 'w2')).body.code).toBe('pending')
    await reply(api, 'a', first.body.execute.lease, { caller: 'ann' })
    expect((await begin(api, 'w2')).body.reply).toMatchObject({ status: 201, bodyBase64: Buffer.from('{"paid":true}').toString('base64') })
    expect((await begin(api, 'w2', { fingerprint: 'e'.repeat(43) })).body.code).toBe('fingerprint-mismatch')
  })

  it('that broke off is run again by the next duplicate, and fails when none comes in time', async () => {
    const api = await startApi()
    await contract(api, { leaseSeconds: 10, interruptedAfterSeconds: 100 })
    await begin(api, 'w1')
    const waiting = begin(api, 'w2', {}, { Prefer: 'wait=60' })
    await settle()
    api.world.advance(40_000)
    await settle()
    expect((await waiting).body.execute.attempt).toBe(2)
    api.world.advance(40_000)
    await settle()
    expect(await lease(api)).toEqual([])
    api.world.advance(101_000)
    await settle()
    expect((await begin(api, 'w3')).body).toMatchObject({ code: 'interrupted', state: 'failed' })
  })
})
