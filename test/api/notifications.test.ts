// News of work over HTTP: to whom, in which form, until when; and what the queue, the list of queues and the metrics show of webhooks.
import { afterEach, describe, expect, it } from 'vitest'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { closeReceivers, startReceiver } from '../support/receiver.ts'
import { readStream, type Reader } from '../support/sse.ts'

afterEach(async () => {
  await closeAll()
  await closeReceivers()
})

const PATH = '/v1/queues/shop/mail/notifications'
const USER = 'user@shop.example'

const listen = (api: TestApi, token?: string): Promise<Reader> => readStream(api.url + PATH, token === undefined ? {} : { Authorization: `Bearer ${token}` })
const insert = (api: TestApi, id: string, token?: string) => api.post('/v1/queues/shop/mail/tasks', { id, payload: 'secret content' }, { token })
const readyIn = (text: string): readonly unknown[] => [...text.matchAll(/^event: ready\ndata: (.+)\n\n/gm)].map(([, data = '']) => JSON.parse(data) as unknown)

/** Lets time pass, and what was inserted before it be seen by the tables. */
const pass = async ({ world }: TestApi, ms: number): Promise<void> => {
  await settle()
  world.advance(ms)
  await settle()
}

const guarded = async () => {
  const api = await startApi({ engine: await startEngine({ settings: { openQueues: false } }), settings: { auth: { tokens: true } } })
  const config = queueConfig('shop', 'mail', { users: [USER], writers: ['writer@shop.example'] })
  await configure(api, config)
  return { api, config, user: await api.tokenFor(USER), writer: await api.tokenFor('writer@shop.example') }
}

describe('a reader of notifications', () => {
  it('hears of what waits, then of what comes, once a debounce and never what it is', async () => {
    const api = await startApi()
    await insert(api, 'a')
    const reader = await listen(api)
    expect(reader.response.headers['content-type']).toBe('text/event-stream')
    await reader.until('"waiting":1')
    await insert(api, 'b')
    await insert(api, 'c')
    await pass(api, 1_000)
    const text = await reader.until('"waiting":3')
    expect(readyIn(text)).toEqual([
      { type: 'queue.ready', app: 'shop', queue: 'mail', waiting: 1, oldestDueAt: '2026-01-01T00:00:00.000Z', at: '2026-01-01T00:00:00.000Z' },
      { type: 'queue.ready', app: 'shop', queue: 'mail', waiting: 3, oldestDueAt: '2026-01-01T00:00:00.000Z', at: '2026-01-01T00:00:01.000Z' },
    ])
    expect(text).not.toContain('secret content')
  })

  it('sees every 15 seconds that the connection lives', async () => {
    const api = await startApi()
    const reader = await listen(api)
    api.world.advance(15_000)
    await reader.until(/^:\n\n/)
    api.world.advance(15_000)
    await reader.until(/^:\n\n:\n\n/)
  })

  it('is cut off when it has lost its token, or its place on the list', async () => {
    const { api, config, user, writer } = await guarded()
    const other = await api.tokenFor(USER)
    const revoked = await listen(api, other)
    const stays = await listen(api, user)
    await insert(api, 'a', writer)
    await pass(api, 1_000)
    await Promise.all([revoked.until('"waiting":1'), stays.until('"waiting":1')])
    const admin = await api.tokenFor('admin@shop.example', 'admin')
    await api.ask('DELETE', `/v1/tokens/${other.split('_')[1]}`, { token: admin })
    await insert(api, 'b', writer)
    await pass(api, 1_000)
    await revoked.ended
    await stays.until('"waiting":2')
    await configure(api, { ...config, users: [] })
    await insert(api, 'c', writer)
    await pass(api, 1_000)
    await stays.ended
    expect([readyIn(revoked.text()).length, readyIn(stays.text()).length]).toEqual([1, 2])
  })

  it('is cut off at the next sign of life, though no work comes, when it has lost its place on the list', async () => {
    const { api, user } = await guarded()
    const reader = await listen(api, user)
    await configure(api, queueConfig('shop', 'mail'))
    api.world.advance(15_000)
    await reader.ended
  })

  it('takes one of the seats of the event streams', async () => {
    const api = await startApi({ settings: { eventClientsMax: 1 } })
    const reader = await listen(api)
    expect([(await api.get(PATH)).body.code, (await api.get('/v1/events')).body.code]).toEqual(['overloaded', 'overloaded'])
    const timers = api.world.pending().length
    reader.close()
    await api.world.until((pending) => pending.length < timers)
    expect((await listen(api)).response.statusCode).toBe(200)
  })

  it('is let go when the server stops', async () => {
    const api = await startApi()
    const reader = await listen(api)
    await api.server.close({ graceMs: 5_000 })
    await reader.ended
    expect(reader.response.complete).toBe(true)
  })

  it('has to be one who may lease from the queue, and the queue has to be there', async () => {
    const { api, user, writer } = await guarded()
    const admin = await api.tokenFor('admin@shop.example', 'admin')
    for (const token of [writer, admin]) expect(await api.get(PATH, { token })).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect((await api.get('/v1/queues/shop/other/notifications', { token: user })).status).toBe(404)
    expect((await api.get(PATH)).status).toBe(401)
  })
})

describe('a webhook', () => {
  const withWebhook = async (url: string) => {
    const api = await startApi({ engine: await startEngine({ settings: { allowUrls: LOOPBACK_PATTERNS } }) })
    await configure(api, queueConfig('shop', 'mail', { stint: { webhook: { url, debounceMs: 500 } } }))
    return api
  }
  const shown = async (api: TestApi) => (await api.get('/v1/queues/shop/mail')).body
  const attempts = async (api: TestApi): Promise<void> => {
    do await settle()
    while (api.engine.deliveries.underWay().some(({ attempts: made, lastFailed }) => made !== lastFailed?.number))
  }

  it('is shown with its queue: how its calls go', async () => {
    const receiver = await startReceiver()
    const api = await withWebhook(receiver.url)
    expect((await shown(api)).webhook).toEqual({ url: receiver.url, state: 'on', failures: 0 })
    receiver.answer(503, 204)
    await insert(api, 'a')
    await pass(api, 500)
    await receiver.until(1)
    await attempts(api)
    const { webhook, settings } = await shown(api)
    expect(settings.webhook).toEqual({ url: receiver.url, debounceSeconds: 0.5 })
    expect(webhook).toEqual({
      url: receiver.url,
      state: 'on',
      failures: 1,
      lastAttemptAt: '2026-01-01T00:00:00.500Z',
      lastStatus: 503,
      lastError: 'The receiver answered 503.',
      nextAttemptAt: expect.stringMatching(/^2026-01-01T00:00:0[56]\.\d{3}Z$/),
    })
    await pass(api, 6_500)
    await receiver.until(2)
    await attempts(api)
    expect((await shown(api)).webhook).toMatchObject({ failures: 0, lastStatus: 204 })
  })

  it('that is off is a warning where the mistakes of queue files are', async () => {
    const api = await withWebhook('https://elsewhere.example/in')
    expect((await shown(api)).webhook).toEqual({ url: 'https://elsewhere.example/in', state: 'off', off: 'Its URL matches no pattern of the setting allowUrls.', failures: 0 })
    expect((await api.get('/v1/queues')).body.warnings).toEqual(['shop/mail: its webhook is off. Its URL matches no pattern of the setting allowUrls.'])
    expect((await api.get('/readyz')).body.status).toBe('ready')
  })

  it('is counted', async () => {
    const receiver = await startReceiver()
    const api = await withWebhook(receiver.url)
    receiver.answer(500, 204)
    await insert(api, 'a')
    await pass(api, 500)
    await receiver.until(1)
    await attempts(api)
    const samples = async () => [...(await api.get('/metrics')).text.matchAll(/^(stint_deliver\w+ \d+)$/gm)].map(([, sample]) => sample)
    expect(await samples()).toEqual([
      'stint_deliveries_acknowledged_total 0',
      'stint_deliveries_given_up_total 0',
      'stint_delivery_attempts_failed_total 1',
      'stint_deliveries_under_way 1',
    ])
    await pass(api, 6_500)
    await receiver.until(2)
    await attempts(api)
    expect(await samples()).toEqual([
      'stint_deliveries_acknowledged_total 1',
      'stint_deliveries_given_up_total 0',
      'stint_delivery_attempts_failed_total 1',
      'stint_deliveries_under_way 0',
    ])
  })
})
