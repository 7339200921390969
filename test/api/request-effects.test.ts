// What a reply sets going, the calls out, and the route of the middleware, over HTTP.
import * as TE from 'fp-ts/lib/TaskEither.js'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/store/memory.ts'
import { StoreFault, type EventStore } from '../../src/store/port.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { closeReceivers, startReceiver } from '../support/receiver.ts'
import { call, contract, done, eventsOf, lease, PAY, reply, REQUESTS } from '../support/pay-contract.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(closeAll)

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

  it('that is a request without a media type is the same as a call without one', async () => {
    const api = await startApi()
    const put = async (id: string, body: string) => (await fetch(`${api.url}${REQUESTS}/${id}`, { method: 'PUT', body: Buffer.from(body) })).status
    await put('before', '{ "b": 1, "a": 2 }')
    await lease(api)
    const base64 = (text: string) => ({ bodyBase64: Buffer.from(text).toString('base64') })
    const request = (id: string, text: string, more: object = {}) => ({ request: { contract: 'pay', id, ...base64(text), ...more } })
    await done(api, 'a', {
      effects: [request('before', '{"a":2,"b":1}'), request('after', '{"a":2,"b":1}'), request('bytes', '{"a":2,"b":1}', { mediaType: 'application/octet-stream' })],
    })
    await settle()
    const noted = (await api.get(`${REQUESTS}/a/history`)).body.items.find(({ type }: { type: string }) => type === 'EffectsCarriedOut')
    expect(noted.data.effects.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['done', 'done', 'done'])
    // Equal JSON is equal; what was said to be bytes is compared as bytes, with an effect as with a call.
    expect([await put('after', '{ "b": 1, "a": 2 }'), await put('bytes', '{ "b": 1, "a": 2 }')]).toEqual([409, 422])
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

  it('that were accepted stay open while they may not be made or cannot be signed, and go out once they can', async () => {
    const there = await startReceiver()
    const world = virtualWorld()
    const store = memoryStore({ world })
    const allowed = { allowUrls: LOOPBACK_PATTERNS }
    let secret: string | undefined = `whsec_${Buffer.alloc(32, 3).toString('base64')}`
    const secretOf = () => secret
    const open = async (api: TestApi): Promise<number | undefined> => (await api.get(`${REQUESTS}/a`)).body.openEffects
    const first = await startApi({ engine: await startEngine({ store, world, settings: allowed, secretOf }) })
    await contract(first, { callbackSecretEnv: 'PAY_SECRET' })
    expect((await call(first, 'a', { amount: 5 }, { 'Stint-Callback': there.url })).status).toBe(202)
    secret = undefined
    const [leased] = await lease(first)
    await reply(first, 'a', leased.lease)
    await settle()
    for (let hour = 0; hour < 3; hour += 1) {
      world.advance(2 * 3_600_000)
      await settle()
    }
    expect([await open(first), first.troubles]).toEqual([1, [expect.stringContaining('A callback of request/pay/local/a is held back')]])
    first.engine.stop()
    const unlisted = await startApi({ engine: await startEngine({ store, world, secretOf: () => undefined }) })
    await settle()
    expect([await open(unlisted), there.received, unlisted.troubles]).toEqual([1, [], [expect.stringContaining('is held back')]])
    unlisted.engine.stop()
    const last = await startApi({ engine: await startEngine({ store, world, settings: allowed, secretOf }) })
    await settle()
    secret = `whsec_${Buffer.alloc(32, 4).toString('base64')}`
    world.advance(120_000)
    expect((await there.until(1)).headers['webhook-signature']).toBeDefined()
    while (!(await eventsOf(last, 'a')).includes('EffectsCarriedOut')) await settle()
    expect(await open(last)).toBeUndefined()
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

  it('that gave it back is run again by the next duplicate, and does not wait for one for ever', async () => {
    const api = await startApi()
    await contract(api, { leaseSeconds: 10, interruptedAfterSeconds: 100 })
    const giveBack = (lease: string) => api.post(`${REQUESTS}/a/release`, { lease, caller: 'ann', reason: 'its reply was not kept' })
    const first = await begin(api, 'w1')
    expect((await giveBack(first.body.execute.lease)).status).toBe(200)
    api.world.advance(99_000)
    await settle()
    const second = await begin(api, 'w2')
    expect([second.status, second.body.execute.attempt]).toEqual([201, 1])
    await giveBack(second.body.execute.lease)
    const [{ until, detail }, { liveItems }] = [(await api.get(`${REQUESTS}/a/why?caller=ann`)).body, api.engine.status()]
    expect([Date.parse(until) - api.world.now(), detail, liveItems]).toEqual([
      100_000,
      'Its execution was given back: the next call with its id runs it again, and it fails in 100 s if none comes.',
      1,
    ])
    api.world.advance(100_000)
    await settle()
    expect(api.engine.status().liveItems).toBe(0)
    expect((await begin(api, 'w3')).body).toMatchObject({
      code: 'interrupted',
      state: 'failed',
      detail: 'Its execution was given back as having come to nothing, and nobody asked for it again in time. (given-back)',
    })
  })
})
