// What `why` says of a request that has settled and still owes something: deliveries that fail, are held back, were given up, and effects that were refused.
import { afterEach, describe, expect, it } from 'vitest'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { call, contract, done, eventsOf, lease, reply, REQUESTS } from '../support/pay-contract.ts'
import { closeReceivers, startReceiver } from '../support/receiver.ts'

afterEach(closeAll)
afterEach(closeReceivers)

const settings = { allowUrls: LOOPBACK_PATTERNS }
const why = async (api: TestApi, id = 'a', ask: Parameters<TestApi['get']>[1] = {}) => (await api.get(`${REQUESTS}/${id}/why`, ask)).body
const carriedOut = async (api: TestApi, id = 'a'): Promise<void> => {
  while (!(await eventsOf(api, id)).includes('EffectsCarriedOut')) await settle()
}

describe('why a settled request', () => {
  it('owes nothing says so by its silence', async () => {
    const api = await startApi()
    await done(api, 'a')
    expect(await why(api)).toEqual({ state: 'completed', gate: 'settled', detail: 'It has settled: completed.', since: expect.any(String) })
  })

  it('has not brought its reply to its callback: after how many attempts, why the last one failed, and when the next one begins', async () => {
    const there = await startReceiver()
    there.answer(503)
    const api = await startApi({ engine: await startEngine({ settings }) })
    await call(api, 'a', { amount: 5 }, { 'Stint-Callback': there.url })
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    await there.until(1)
    while (api.engine.deliveries.figures().failedAttempts < 1) await settle()
    const { detail, outbox, gate } = await why(api)
    expect([gate, outbox]).toEqual([
      'settled',
      [
        {
          what: 'reply',
          state: 'under-way',
          attempts: 1,
          lastAttemptAt: new Date(api.world.now()).toISOString(),
          lastStatus: 503,
          lastError: 'The receiver answered 503.',
          nextAttemptAt: expect.any(String),
        },
      ],
    ])
    const [{ nextAttemptAt }] = outbox
    expect(Date.parse(nextAttemptAt)).toBeGreaterThan(api.world.now() + 3_000)
    expect(detail).toBe(
      `It has settled: completed. Still to be delivered: the reply to its callback, after 1 attempt, of which the last that ended failed: The receiver answered 503; the next attempt begins at ${nextAttemptAt}.`,
    )
  })

  it('has given its callback up: after how many attempts, and why', async () => {
    const there = await startReceiver()
    there.answer(410)
    const api = await startApi({ engine: await startEngine({ settings }) })
    await call(api, 'a', { amount: 5 }, { 'Stint-Callback': there.url })
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    await carriedOut(api)
    expect(await why(api)).toMatchObject({
      detail: 'It has settled: completed. Given up: the reply to its callback after 1 attempt (gone).',
      outbox: [{ what: 'reply', state: 'given-up', attempts: 1, code: 'gone' }],
    })
  })

  it('may not make its callback for now: why not, and when that is looked at again', async () => {
    let secret: string | undefined = `whsec_${Buffer.alloc(32, 3).toString('base64')}`
    const api = await startApi({ engine: await startEngine({ settings, secretOf: () => secret }) })
    const there = await startReceiver()
    await contract(api, { callbackSecretEnv: 'PAY_SECRET' })
    await call(api, 'a', { amount: 5 }, { 'Stint-Callback': there.url })
    secret = undefined
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    await settle()
    expect(await why(api)).toMatchObject({
      detail: expect.stringMatching(/^It has settled: completed\. Held back for now: the reply to its callback: .*PAY_SECRET.*; it is looked at again at 2\S+Z\.$/),
      outbox: [{ what: 'reply', state: 'held-back', lastError: expect.stringContaining('PAY_SECRET'), nextAttemptAt: expect.any(String) }],
    })
  })

  it('could not bring an effect about: which one, and why; of many the first ones in words', async () => {
    const api = await startApi()
    const abort = { directive: { workItem: 'job/none', directive: 'abort' } }
    await done(api, 'a', { effects: [abort, { task: { app: 'shop', queue: 'mail', payload: 1 } }, abort, abort, abort] })
    await carriedOut(api)
    const { detail, outbox } = await why(api)
    expect(outbox).toEqual([0, 2, 3, 4].map((effect) => ({ what: 'directive', effect, state: 'refused', code: 'not-found' })))
    expect(detail).toBe(`It has settled: completed. ${'Refused: a directive (not-found). '.repeat(3)}And 1 more.`)
  })

  it('tells only those who look after the contract why the callback of an effect fails: where it goes is not its caller’s business', async () => {
    const there = await startReceiver()
    there.answer(500)
    const api = await startApi({ engine: await startEngine({ settings }), settings: { auth: { tokens: true } } })
    const [admin, shop, till] = [
      await api.tokenFor('admin@example.com', 'admin'),
      await api.tokenFor('shop@example.com', 'requester'),
      await api.tokenFor('till@example.com', 'worker'),
    ]
    await api.ask('PUT', '/v1/contracts/pay', { body: { callers: ['shop@example.com'], workers: ['till@example.com'] }, token: admin })
    const accepted = await api.ask('PUT', `${REQUESTS}/a`, { body: { amount: 5 }, token: shop })
    const [, , caller = ''] = (accepted.body.workItem as string).split('/')
    const [leased] = (await api.post('/v1/contracts/pay/lease', {}, { token: till })).body.items
    const body = { lease: leased.lease, caller: decodeURIComponent(caller), reply: { status: 201, body: {} }, effects: [{ callback: { url: there.url, body: 1 } }] }
    expect((await api.post(`${REQUESTS}/a/reply`, body, { token: till })).status).toBe(200)
    while (api.engine.deliveries.figures().failedAttempts < 1) await settle()
    const entry = { what: 'callback', effect: 0, state: 'under-way', attempts: 1, lastStatus: 500 }
    expect((await why(api, 'a', { token: shop })).outbox).toEqual([{ ...entry, lastAttemptAt: expect.any(String), nextAttemptAt: expect.any(String) }])
    const asTill = await api.get(`${REQUESTS}/a/why?caller=${caller}`, { token: till })
    expect(asTill.body.outbox).toMatchObject([{ ...entry, lastError: 'The receiver answered 500.' }])
  })
})
