// Queues over HTTP: looked at, paused, resumed, purged and redriven, and what their settings do to the tasks in them.
import { afterEach, describe, expect, it } from 'vitest'
import { settle } from '../support/engine.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { configure, queueConfig, unconfigure } from '../support/queues.ts'

afterEach(closeAll)

const QUEUE = '/v1/queues/shop/mail'
const TASKS = `${QUEUE}/tasks`
const put = (api: TestApi, id: string, body: object = {}) => api.post(TASKS, { id, payload: id, ...body })
const lease = async (api: TestApi, body: object = {}) => (await api.post(`${TASKS}/lease`, body)).body.items
const why = async (api: TestApi, id: string) => (await api.get(`${TASKS}/${id}/why`)).body

/** Lets a bulk run to its end. */
const bulkDone = async (api: TestApi, location: string | null) => {
  for (let turn = 0; turn < 100; turn += 1) {
    const { body } = await api.get(location ?? '')
    if (body.state === 'finished') return body
    await settle()
  }
  throw new Error('Expected the bulk to end')
}

describe('a queue', () => {
  it('shows its settings as applied, how full it is, and what happened in it', async () => {
    const api = await startApi()
    await configure(
      api,
      queueConfig('shop', 'mail', {
        users: ['worker@shop.example'],
        writers: ['producer@shop.example'],
        retryLimit: 5,
        storageLimitBytes: 1_000_000,
        stint: { defaultLeaseMs: 30_000, keyConcurrency: 2, rate: { perSecond: 100, burst: 100 }, webhook: { url: 'https://shop.example/told', debounceMs: 500 } },
      }),
    )
    for (const id of ['a', 'b', 'c']) await put(api, id)
    await put(api, 'later', { delaySeconds: 60 })
    api.world.advance(3_000)
    const [a] = await lease(api)
    api.world.advance(2_000)
    await api.post(`${TASKS}/complete`, { id: 'a', lease: a.lease })
    await lease(api)
    const { body } = await api.get(QUEUE)
    expect(body).toMatchObject({
      app: 'shop',
      queue: 'mail',
      state: 'open',
      settings: {
        mode: 'pull',
        users: ['worker@shop.example'],
        writers: ['producer@shop.example'],
        retryLimit: 5,
        storageLimitBytes: 1_000_000,
        defaultLeaseSeconds: 30,
        maxWaitSeconds: 60,
        keyConcurrency: 2,
        rate: { perSecond: 100, burst: 100 },
        webhook: { debounceSeconds: 0.5 },
      },
      waiting: 1,
      delayed: 1,
      leased: 1,
      waitingWorkers: 0,
      statistics: {
        states: { waiting: 2, running: 1, completed: 1 },
        deadLetters: 0,
        insertedLastMinute: 4,
        leasedLastMinute: 2,
        leasedLastHour: 2,
        completedLastMinute: 1,
        totals: { inserted: 4, leased: 2, completed: 1, failed: 0, retried: 0, released: 0, expired: 0, deadLettered: 0, redriven: 0, cancelled: 0, aborted: 0 },
        waitSeconds: { count: 2, max: 5 },
        runSeconds: { count: 1, p50: 2 },
      },
    })
    expect(Date.parse(body.statistics.oldestDueAt)).toBe(api.world.now() - 5_000)
    expect(body.storedBytes).toBe('"b""c""later"'.length)
  })

  it('gives leases of its own length unless the worker says otherwise', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { stint: { defaultLeaseMs: 7_000 } }))
    for (const id of ['a', 'b']) await put(api, id)
    const [first] = await lease(api)
    const [second] = await lease(api, { leaseSeconds: 3 })
    expect([first, second].map((task) => Date.parse(task.leaseUntil) - api.world.now())).toEqual([7_000, 3_000])
  })

  it('lets nobody wait longer than it says', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { stint: { maxWaitMs: 2_000 } }))
    const waiting = api.post(`${TASKS}/lease`, {}, { headers: { Prefer: 'wait=30' } })
    await api.world.until((pending) => pending.includes(2_000))
    api.world.advance(2_000)
    const answer = await waiting
    expect([answer.body, answer.headers.get('preference-applied')]).toEqual([{ items: [] }, 'wait=2'])
  })

  it('tries a failed task again as its settings say, and then makes a dead letter of it', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { retryLimit: 3, stint: { backoff: { minMs: 10_000, maxMs: 15_000, doublings: 3, jitter: 0 } } }))
    await put(api, 'a')
    const failed = { code: 'smtp', message: 'no route' }
    for (const [pause, dueIn] of [
      [0, 10_000],
      [10_000, 15_000],
    ] as const) {
      api.world.advance(pause)
      const [task] = await lease(api)
      await api.post(`${TASKS}/fail`, { id: 'a', lease: task.lease, failed })
      const shown = (await api.get(`${TASKS}/a`)).body
      expect([shown.state, Date.parse(shown.dueAt) - api.world.now(), shown.failure]).toEqual(['waiting', dueIn, failed])
    }
    api.world.advance(15_000)
    const [last] = await lease(api)
    expect(last.attempt).toBe(3)
    expect((await api.post(`${TASKS}/fail`, { id: 'a', lease: last.lease, failed })).body).toMatchObject({ state: 'failed' })
    expect((await api.get(`${TASKS}/a`)).body).toMatchObject({ state: 'failed', deadLetter: true, outcome: { failed } })
    expect((await api.get(`${TASKS}?deadLetter=true`)).body.items.map((task: { id: string }) => task.id)).toEqual(['a'])
    expect((await api.get(`${TASKS}?deadLetter=false`)).body.items).toEqual([])
    expect((await api.get(QUEUE)).body.statistics).toMatchObject({ deadLetters: 1, states: { failed: 1 } })
    expect((await api.post(`${TASKS}/redrive`, { id: 'a' })).body).toMatchObject({ state: 'waiting' })
    expect(await lease(api)).toMatchObject([{ id: 'a', attempt: 1 }])
  })

  it('without dead letters lets a task that is out of attempts fail', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { retryLimit: 1, stint: { deadLetter: false } }))
    await put(api, 'a')
    const [task] = await lease(api, { leaseSeconds: 1 })
    api.world.advance(1_000)
    await settle()
    expect((await api.get(`${TASKS}/a`)).body).toMatchObject({ state: 'failed', outcome: { failed: { code: 'lease-expired' } } })
    expect((await api.post(`${TASKS}/complete`, { id: 'a', lease: task.lease })).body.state).toBe('failed')
    expect((await api.post(`${TASKS}/redrive`, { id: 'a' })).body.code).toBe('settled')
  })

  it('refuses what would be over the storage of its app', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { storageLimitBytes: 10 }))
    expect((await put(api, 'a')).status).toBe(201)
    const refused = await put(api, 'b', { payload: 'much too much' })
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([429, 'over-quota', '10'])
  })

  it('is listed by name, page by page', async () => {
    const api = await startApi()
    await configure(api, ...['b', 'a', 'c'].map((name) => queueConfig('shop', name)), queueConfig('bank', 'z'))
    const first = await api.get('/v1/queues?limit=3')
    const names = (body: { items: { app: string; queue: string }[] }) => body.items.map(({ app, queue }) => `${app}/${queue}`)
    expect(names(first.body)).toEqual(['bank/z', 'shop/a', 'shop/b'])
    const second = await api.get(`/v1/queues?limit=3&after=${first.body.next}`)
    expect([names(second.body), second.body.next]).toEqual([['shop/c'], undefined])
    expect(names((await api.get('/v1/queues?app=bank')).body)).toEqual(['bank/z'])
    expect((await api.get('/v1/queues?after=nonsense')).status).toBe(400)
  })
})

describe('an app whose name is that of a domain', () => {
  it('is the same in paths, in work-item IDs, in lists and for the access lists', async () => {
    const api = await startApi()
    await configure(api, queueConfig('example.com:shop', 'mail', { users: ['user@shop.example'], writers: ['writer@shop.example'] }))
    const as = (email: string) => ({ headers: { 'Stint-As': email } })
    const made = await api.post('/v1/queues/example.com:shop/mail/tasks', { id: 'a', payload: 1 }, as('writer@shop.example'))
    expect([made.status, made.headers.get('location'), made.body.workItem]).toEqual([201, '/v1/queues/example.com%3Ashop/mail/tasks/a', 'task/example.com%3Ashop/mail/a'])
    for (const path of [made.headers.get('location') ?? '', `/v1/work-items/${encodeURIComponent(made.body.workItem)}`])
      expect((await api.get(path, as('user@shop.example'))).body).toMatchObject({ id: 'a', app: 'example.com:shop' })
    await settle()
    expect((await api.get('/v1/queues/example.com%3Ashop/mail/tasks', as('user@shop.example'))).body.items).toMatchObject([{ id: 'a' }])
    expect((await api.get('/v1/queues/example.com:shop/mail')).body).toMatchObject({ waiting: 1, statistics: { states: { waiting: 1 } } })
    expect((await api.post('/v1/queues/example.com:shop/mail/tasks/lease', {}, as('user@shop.example'))).body.items).toMatchObject([{ id: 'a' }])
  })
})

describe('a queue that is paused over HTTP', () => {
  it('says by whom and why, gives nothing, and goes on when it is resumed', async () => {
    const api = await startApi()
    await put(api, 'a')
    const paused = await api.post(`${QUEUE}/pause`, { reason: 'stock-taking' })
    expect(paused.body).toMatchObject({ state: 'paused', paused: { by: 'local', reason: 'stock-taking' }, waiting: 1 })
    expect(await lease(api)).toEqual([])
    expect(await why(api, 'a')).toMatchObject({ state: 'waiting', gate: 'queue-paused' })
    const waiting = api.post(`${TASKS}/lease`, {}, { headers: { Prefer: 'wait=20' } })
    await api.world.until((pending) => pending.includes(20_000))
    expect((await api.post(`${QUEUE}/resume`, {})).body.state).toBe('open')
    expect((await waiting).body.items).toMatchObject([{ id: 'a' }])
  })
})

describe('a bulk', () => {
  it('is begun with 202, told where, and followed to its end', async () => {
    const api = await startApi()
    for (const id of ['a', 'b', 'c']) await put(api, id, { tag: id === 'c' ? 'keep' : 'drop' })
    const begun = await api.post(`${QUEUE}/purge`, { tag: 'drop' }, { headers: { 'Idempotency-Key': '"once"' } })
    expect([begun.status, begun.body]).toMatchObject([202, { what: 'purge', filter: { tag: 'drop' }, by: 'local' }])
    expect(begun.headers.get('location')).toBe(`${QUEUE}/bulk/${begun.body.id}`)
    expect(await bulkDone(api, begun.headers.get('location'))).toMatchObject({ state: 'finished', done: 2, skipped: 0 })
    const again = await api.post(`${QUEUE}/purge`, { tag: 'drop' }, { headers: { 'Idempotency-Key': '"once"' } })
    expect([again.status, again.body.id, again.body.state]).toEqual([202, begun.body.id, 'finished'])
    const other = await api.post(`${QUEUE}/purge`, {}, { headers: { 'Idempotency-Key': '"once"' } })
    expect([other.status, other.body.code]).toEqual([409, 'exists-with-other-content'])
    expect((await lease(api, { max: 5 })).map((task: { id: string }) => task.id)).toEqual(['c'])
    expect((await api.get(`${TASKS}/a`)).body).toMatchObject({ state: 'cancelled' })
    expect((await api.get(QUEUE)).body.bulks).toMatchObject([{ id: begun.body.id }])
    expect((await api.get(`${QUEUE}/bulk/none`)).status).toBe(404)
  })

  it('redrives the dead letters of a code', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { retryLimit: 1 }))
    for (const [id, code] of [
      ['a', 'smtp'],
      ['b', 'dns'],
    ]) {
      await put(api, id ?? '')
      const [task] = await lease(api)
      await api.post(`${TASKS}/fail`, { id, lease: task.lease, failed: { code, message: 'x' } })
    }
    await settle()
    const begun = await api.post(`${QUEUE}/redrive`, { code: 'dns' })
    expect(await bulkDone(api, begun.headers.get('location'))).toMatchObject({ what: 'redrive', done: 1 })
    expect(await lease(api, { max: 5 })).toMatchObject([{ id: 'b' }])
  })

  it('cannot be about a time that there is not', async () => {
    const api = await startApi()
    const answer = await api.post(`${QUEUE}/purge`, { insertedBefore: '2026-13-40T00:00:00.000Z' })
    expect([answer.status, answer.body.errors]).toEqual([400, [expect.objectContaining({ path: '/insertedBefore' })]])
  })
})

describe('why a task does not run', () => {
  it('names its key, the rate, the queue and the workers', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail'))
    for (const id of ['k1', 'k2']) await put(api, id, { key: 'k' })
    expect(await why(api, 'k1')).toMatchObject({ gate: 'no-worker', detail: expect.stringContaining('no worker') })
    await lease(api)
    expect(await why(api, 'k1')).toMatchObject({ gate: 'running' })
    expect(await why(api, 'k2')).toMatchObject({ state: 'waiting', gate: 'key' })
    await put(api, 'later', { delaySeconds: 5 })
    expect(await why(api, 'later')).toMatchObject({ gate: 'delay', until: new Date(api.world.now() + 5_000).toISOString() })
    await configure(api, queueConfig('shop', 'mail', { stint: { rate: { perSecond: 0.5, burst: 1 } } }))
    for (const id of ['a', 'b']) await put(api, id)
    await lease(api)
    expect(await why(api, 'b')).toMatchObject({ gate: 'rate', until: new Date(api.world.now() + 2_000).toISOString() })
    await unconfigure(api, 'shop/mail')
    expect(await why(api, 'b')).toMatchObject({ gate: 'queue-removed' })
    await configure(api, queueConfig('shop', 'mail', { mode: 'push' }))
    expect(await why(api, 'b')).toMatchObject({ gate: 'not-served' })
  })
})
