// Tasks over HTTP: inserted, leased, extended, given back, failed and completed.
import { afterEach, describe, expect, it } from 'vitest'
import { settle } from '../support/engine.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'

afterEach(closeAll)

const TASKS = '/v1/queues/shop/mail/tasks'
const insert = async (api: TestApi, body: object = {}) => (await api.post(TASKS, { payload: { to: 'a' }, ...body })).body
const lease = async (api: TestApi, body: object = {}) => (await api.post(`${TASKS}/lease`, body)).body.items

describe('when a producer inserts', () => {
  it('is told where the task is, and a repeat is known as one', async () => {
    const api = await startApi()
    const first = await api.post(TASKS, { id: 't1', payload: { to: 'a' }, tag: 'x', priority: 2, key: 'k' })
    expect([first.status, first.headers.get('location')]).toEqual([201, `${TASKS}/t1`])
    expect(first.body).toMatchObject({ id: 't1', workItem: 'task/shop/mail/t1', state: 'waiting', attempt: 0, app: 'shop', queue: 'mail', tag: 'x', priority: 2, key: 'k' })
    expect((await api.post(TASKS, { id: 't1', payload: { to: 'a' }, tag: 'x', priority: 2, key: 'k' })).status).toBe(200)
    const other = await api.post(TASKS, { id: 't1', payload: { to: 'b' } })
    expect([other.status, other.body.code]).toEqual([409, 'exists-with-other-content'])
  })

  it('gets back the payload as it was sent, but only with the lease', async () => {
    const api = await startApi()
    const bytes = Buffer.from([0, 255, 13, 10]).toString('base64')
    await insert(api, { id: 'json', payload: { to: ['ä', null, 1.5] }, mediaType: 'application/problem+json' })
    await api.post(TASKS, { id: 'bytes', payloadBase64: bytes, mediaType: 'image/png' })
    await api.post(TASKS, { id: 'none' })
    expect((await api.get(`${TASKS}/json`)).body.payload).toBeUndefined()
    const leased = await lease(api, { max: 3 })
    expect(leased).toHaveLength(3)
    expect(leased[0]).toMatchObject({ id: 'json', payload: { to: ['ä', null, 1.5] }, mediaType: 'application/problem+json', state: 'running', attempt: 1 })
    expect(leased[1]).toMatchObject({ id: 'bytes', payloadBase64: bytes, mediaType: 'image/png' })
    expect(leased[2].payload).toBeUndefined()
  })

  it.each([
    ['both forms', { payload: 1, payloadBase64: 'AA==' }, '/payloadBase64', 'choice'],
    ['base64 without padding', { payloadBase64: 'AAA' }, '/payloadBase64', 'pattern'],
    ['JSON as base64', { payloadBase64: 'MQ==', mediaType: 'application/json' }, '/payloadBase64', 'choice'],
    ['JSON under another media type', { payload: 1, mediaType: 'text/plain' }, '/mediaType', 'choice'],
    ['too much', { payload: 'x'.repeat(1024 * 1024) }, '/payload', 'length'],
  ])('may not send %s', async (_what, body, path, code) => {
    const api = await startApi()
    const answer = await api.post(TASKS, body)
    expect([answer.status, answer.body.errors]).toEqual([400, [expect.objectContaining({ path, code })]])
  })

  it('can insert many, and list them in queue order', async () => {
    const api = await startApi()
    const many = await api.post(TASKS, { items: Array.from({ length: 50 }, (_, index) => ({ id: `t${index}`, payload: index })) })
    expect(new Set(many.body.items.map((item: { status: number }) => item.status))).toEqual(new Set([201]))
    const listed = await api.get(`${TASKS}?limit=3`, { headers: { 'Stint-Position': many.headers.get('stint-position') ?? '' } })
    expect(listed.body.items.map((item: { id: string }) => item.id)).toEqual(['t0', 't1', 't2'])
    expect((await api.get('/v1/queues/shop/other/tasks')).body).toEqual({ items: [] })
  })
})

describe('when a worker leases', () => {
  it('waits for work when it asks to, and gets it as it comes', async () => {
    const api = await startApi()
    const waiting = api.post(`${TASKS}/lease`, { worker: 'w1' }, { headers: { Prefer: 'wait=20' } })
    await api.world.until((pending) => pending.includes(20_000))
    await insert(api, { id: 't1' })
    const leased = await waiting
    expect(leased.headers.get('preference-applied')).toBe('wait=20')
    expect(leased.body.items).toMatchObject([{ id: 't1', holder: { name: 'w1' } }])
  })

  it('gets nothing when the wait is over, or when it does not wait', async () => {
    const api = await startApi()
    expect(await lease(api)).toEqual([])
    const waiting = api.post(`${TASKS}/lease`, {}, { headers: { Prefer: 'wait=5' } })
    await api.world.until((pending) => pending.includes(5_000))
    api.world.advance(5_000)
    expect((await waiting).body).toEqual({ items: [] })
  })

  it('leaves the task to others when it has gone away while it waited', async () => {
    const api = await startApi()
    const gone = new AbortController()
    const waiting = api.post(`${TASKS}/lease`, {}, { headers: { Prefer: 'wait=20' }, signal: gone.signal })
    await api.world.until((pending) => pending.includes(20_000))
    gone.abort()
    await expect(waiting).rejects.toThrow()
    await api.world.until((pending) => !pending.includes(20_000))
    await insert(api, { id: 't1' })
    expect(await lease(api)).toMatchObject([{ id: 't1', attempt: 1 }])
  })

  it('gets no more than an answer can carry, and the rest stays with the queue', async () => {
    const api = await startApi()
    const payloadBase64 = Buffer.alloc(1024 * 1024).toString('base64')
    for (let from = 0; from < 34; from += 17) await api.post(TASKS, { items: Array.from({ length: 17 }, (_, index) => ({ id: `t${from + index}`, payloadBase64 })) })
    const first = await api.post(`${TASKS}/lease`, { max: 100 })
    expect([first.body.items.length, first.body.more]).toEqual([23, true])
    const rest = await api.post(`${TASKS}/lease`, { max: 100 })
    expect([rest.body.items.map((task: { id: string }) => task.id), rest.body.more]).toEqual([Array.from({ length: 11 }, (_, index) => `t${index + 23}`), undefined])
    const history = await api.get(`${TASKS}/t33/history`)
    expect(history.body.items.map((event: { type: string }) => event.type)).toEqual(['TaskInserted', 'Leased'])
  })

  it('completes many at once, each under its own lease', async () => {
    const api = await startApi()
    for (const id of ['a', 'b']) await insert(api, { id })
    const [a, b] = await lease(api, { max: 2 })
    const items = [
      { id: 'a', lease: a.lease, result: { sent: true } },
      { id: 'b', lease: a.lease },
      { id: 'c', lease: 'x' },
    ]
    const done = await api.post(`${TASKS}/complete`, { items })
    expect(done.body.items.map((item: { id: string; status: number; state?: string; code?: string }) => [item.id, item.status, item.code ?? item.state])).toEqual([
      ['a', 200, 'completed'],
      ['b', 409, 'stale-lease'],
      ['c', 404, 'not-found'],
    ])
    expect((await api.post(`${TASKS}/complete`, items[0])).body).toMatchObject({ id: 'a', state: 'completed', recorded: true })
    expect((await api.post(`${TASKS}/complete`, { id: 'a', lease: a.lease, result: 'other' })).body).toMatchObject({ state: 'completed', late: true })
    expect((await api.get(`${TASKS}/a`)).body).toMatchObject({ state: 'completed', outcome: { completed: { result: { sent: true } } } })
    expect(b.lease).not.toBe(a.lease)
  })

  it('extends, gives back and fails', async () => {
    const api = await startApi()
    await insert(api, { id: 't1' })
    const [first] = await lease(api, { leaseSeconds: 10 })
    api.world.advance(5_000)
    const extended = await api.post(`${TASKS}/extend`, { id: 't1', lease: first.lease, leaseSeconds: 30 })
    expect(Date.parse(extended.body.leaseUntil) - api.world.now()).toBe(30_000)
    expect((await api.post(`${TASKS}/release`, { id: 't1', lease: first.lease, busy: true, reason: 'busy' })).body).toMatchObject({ state: 'waiting' })
    const [second] = await lease(api)
    expect([second.attempt, second.lease]).toEqual([1, expect.stringMatching(/^2\./)])
    expect((await api.post(`${TASKS}/extend`, { id: 't1', lease: second.lease, leaseSeconds: 0 })).body).toMatchObject({ state: 'waiting' })
    const [third] = await lease(api)
    const failed = await api.post(`${TASKS}/fail`, { id: 't1', lease: third.lease, failed: { code: 'smtp', message: 'no route' } })
    expect(failed.body).toMatchObject({ state: 'waiting', recorded: true })
    expect(await lease(api)).toEqual([])
    expect((await api.get(`${TASKS}/t1/why`)).body).toMatchObject({ gate: 'delay', failure: { code: 'smtp' } })
    // A second, drawn out by a fifth at most.
    api.world.advance(1_200)
    const [fourth] = await lease(api)
    expect(fourth).toMatchObject({ attempt: 2 })
    const final = await api.post(`${TASKS}/fail`, { id: 't1', lease: fourth.lease, failed: { code: 'smtp', message: 'gone', retry: false } })
    expect(final.body).toMatchObject({ state: 'failed' })
  })

  it('reports progress and is told the directive', async () => {
    const api = await startApi()
    await insert(api, { id: 't1' })
    const [task] = await lease(api)
    await api.post(`${TASKS}/t1/directives`, { directive: 'abort', reason: 'recalled' })
    const told = await api.post(`${TASKS}/t1/reports`, { lease: task.lease, progress: { done: 1, total: 2 } })
    expect(told.body).toMatchObject({ directive: 'abort', state: 'aborting', recorded: true })
    const polled = await api.get(`${TASKS}/t1/directive`, { headers: { 'Stint-Lease': task.lease } })
    expect(polled.body).toMatchObject({ directive: 'abort', receipt: { reason: 'recalled', seenAt: expect.any(String) } })
    expect((await api.get(`${TASKS}/t1/history`)).body.items.map((event: { type: string }) => event.type)).toContain('DirectiveSeen')
    expect((await api.get('/v1/work-items/task%2Fshop%2Fmail%2Ft1')).body).toMatchObject({ state: 'aborting', progress: { done: 1, total: 2 } })
  })
})

describe('when a lease ends by time', () => {
  it('leaves the task to the next worker, and the late completion is refused', async () => {
    const api = await startApi()
    await insert(api, { id: 't1' })
    const [first] = await lease(api, { leaseSeconds: 10 })
    api.world.advance(10_000)
    await settle()
    const [second] = await lease(api)
    expect(second).toMatchObject({ id: 't1', attempt: 2 })
    const late = await api.post(`${TASKS}/complete`, { id: 't1', lease: first.lease })
    expect([late.status, late.body.code]).toEqual([409, 'stale-lease'])
  })
})

describe('the list of a queue', () => {
  it('is in queue order, page by page, and filtered by state, tag, key and dead letters', async () => {
    const api = await startApi()
    await insert(api, { id: 'last', priority: -5, tag: 'a' })
    await insert(api, { id: 'delayed', delaySeconds: 60, tag: 'a', key: 'k' })
    await insert(api, { id: 'first', priority: 9, key: 'k' })
    await insert(api, { id: 'second', tag: 'b' })
    const listed = async (query: string): Promise<string> => {
      const ids: string[] = []
      for (let next = ''; ;) {
        const page = await api.get(`${TASKS}?${query}${next}`, { headers: { 'Stint-Position': api.engine.position() } })
        ids.push(...page.body.items.map((task: { id: string }) => task.id))
        if (page.body.next === undefined) return ids.join(' ')
        next = `&after=${page.body.next}`
      }
    }
    for (const limit of [1, 3, 100]) expect(await listed(`limit=${limit}`)).toBe('first second delayed last')
    expect((await lease(api))[0]).toMatchObject({ id: 'first' })
    expect(await listed('state=waiting')).toBe('second delayed last')
    expect(await listed('state=running')).toBe('first')
    expect([await listed('tag=a'), await listed('key=k'), await listed('tag=a&key=k'), await listed('key=k&state=running')]).toEqual([
      'delayed last',
      'first delayed',
      'delayed',
      'first',
    ])
    expect([await listed('deadLetter=true'), await listed('deadLetter=false&tag=b')]).toEqual(['', 'second'])
    expect((await api.get(`${TASKS}?after=nonsense`)).body.errors).toMatchObject([{ path: '/query/after' }])
    expect((await api.get(`${TASKS}?priority=1`)).status).toBe(400)
  })
})

describe('when there is nothing to redrive', () => {
  it('says what the task is doing', async () => {
    const api = await startApi()
    await insert(api, { id: 't1' })
    expect((await api.post(`${TASKS}/redrive`, { items: [{ id: 't1' }, { id: 'none' }] })).body.items).toMatchObject([
      { id: 't1', status: 409, code: 'not-possible', state: 'waiting' },
      { id: 'none', status: 404 },
    ])
  })
})
