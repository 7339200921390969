// Conditional reads, long polls and positions: who waits, what wakes them, and what a stop makes of them.
import { afterEach, describe, expect, it } from 'vitest'
import { settle, startEngine } from '../support/engine.ts'
import { closeAll, startApi, type Answer, type TestApi } from '../support/api.ts'

afterEach(closeAll)

const register = async (api: TestApi, more: object = {}) => (await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1', ...more })).body
const DIRECTIVE = '/v1/jobs/j1/directive'

/** Begins a long poll and resolves when it waits. */
const startPoll = async (api: TestApi, path: string, headers: Record<string, string>, waitMs: number, signal?: AbortSignal): Promise<{ readonly answer: Promise<Answer> }> => {
  const answer = api.get(path, { headers, ...(signal === undefined ? {} : { signal }) })
  // Whoever awaits it later must not find it unhandled before.
  answer.catch(() => undefined)
  await api.world.until((pending) => pending.includes(waitMs))
  return { answer }
}

const etagOf = async (api: TestApi, path = DIRECTIVE): Promise<string> => (await api.get(path)).headers.get('etag') ?? ''

describe('when a token is revoked under a poll', () => {
  it('is refused when the answer is there', async () => {
    const api = await startApi({ settings: { auth: { tokens: true } } })
    const server = await api.tokenFor('server@example.com', 'jobServer')
    const admin = await api.tokenFor('admin@example.com', 'admin')
    const viewer = await api.tokenFor('viewer@example.com', 'viewer')
    await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' }, { token: server })
    const answer = api.get(DIRECTIVE, { token: viewer, headers: { 'If-None-Match': '"0"', Prefer: 'wait=30' } })
    await api.world.until((pending) => pending.includes(30_000))
    const { body } = await api.get('/v1/tokens', { token: admin })
    const { id } = body.items.find((entry: { email: string }) => entry.email === 'viewer@example.com')
    await api.ask('DELETE', `/v1/tokens/${id}`, { token: admin })
    await api.post('/v1/jobs/j1/directives', { directive: 'abort', reason: 'secret' }, { token: admin })
    expect(await answer).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
    expect((await answer).text).not.toContain('secret')
  })
})

describe('when the tables are behind', () => {
  it('answers for one item at once, and lets lists wait for the position that they name', async () => {
    const test = await startEngine()
    const engine = {
      ...test.engine,
      tables: test.engine.tables,
      reached: (position: string, ms: number, by: 'live' | 'tables') => (by === 'live' ? test.engine.reached(position, ms, by) : Promise.resolve('behind' as const)),
    }
    const api = await startApi({ engine: { ...test, engine } })
    const { position } = await register(api)
    const headers = { 'Stint-Position': position }
    for (const path of [DIRECTIVE, '/v1/jobs/j1', '/v1/jobs/j1/history', '/v1/jobs/j1/why']) expect([path, (await api.get(path, { headers })).status]).toEqual([path, 200])
    for (const path of ['/v1/jobs', '/v1/statistics']) expect(await api.get(path, { headers })).toMatchObject({ status: 503, body: { code: 'behind' } })
  })
})

describe('when nothing has changed', () => {
  it('answers 304 at once to whoever does not wait', async () => {
    const api = await startApi()
    await register(api)
    for (const path of [DIRECTIVE, '/v1/jobs/j1', '/v1/work-items/job%2Fj1', '/v1/work-items/job%2Fj1/directive']) {
      const etag = await etagOf(api, path)
      const answer = await api.get(path, { headers: { 'If-None-Match': etag } })
      expect([path, answer.status, answer.text, answer.headers.get('etag')]).toEqual([path, 304, '', etag])
      expect((await api.get(path, { headers: { 'If-None-Match': `"x", ${etag}` } })).status).toBe(304)
      expect((await api.get(path, { headers: { 'If-None-Match': '"x"' } })).status).toBe(200)
    }
  })

  it('answers 304 when the wait is over, and says how long it was', async () => {
    const api = await startApi()
    await register(api)
    const { answer } = await startPoll(api, DIRECTIVE, { 'If-None-Match': await etagOf(api), Prefer: 'respond-async, wait=7' }, 7_000)
    api.world.advance(7_000)
    const { status, headers } = await answer
    expect([status, headers.get('preference-applied'), headers.get('retry-after')]).toEqual([304, 'wait=7', null])
  })

  it('waits no longer than a minute', async () => {
    const api = await startApi()
    await register(api)
    const { answer } = await startPoll(api, DIRECTIVE, { 'If-None-Match': await etagOf(api), Prefer: 'wait=100000' }, 60_000)
    api.world.advance(60_000)
    expect((await answer).headers.get('preference-applied')).toBe('wait=60')
  })

  it('holds a wait for a settled item like any other, so that nobody asks again and again', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    await api.post('/v1/jobs/j1/reports', { lease, outcome: { completed: {} } })
    for (const path of ['/v1/jobs/j1', DIRECTIVE, '/v1/work-items/job%2Fj1/directive']) {
      const etag = await etagOf(api, path)
      expect((await api.get(path, { headers: { 'If-None-Match': etag } })).status).toBe(304)
      const { answer } = await startPoll(api, path, { 'If-None-Match': etag, Prefer: 'wait=30' }, 30_000)
      api.world.advance(30_000)
      expect((await answer).status).toBe(304)
    }
  })
})

describe('when the item is settled', () => {
  it('tells the final state once to whoever waits for a directive', async () => {
    const api = await startApi()
    const { lease } = await register(api, { reportEverySeconds: 60 })
    const { answer } = await startPoll(api, DIRECTIVE, { 'If-None-Match': await etagOf(api), Prefer: 'wait=30' }, 30_000)
    await api.post('/v1/jobs/j1/reports', { lease, outcome: { failed: { code: 'disk', message: 'full' } } })
    const told = await answer
    expect([told.status, told.body]).toEqual([200, { directive: 'normal', state: 'failed' }])
    const headers = { 'If-None-Match': told.headers.get('etag') ?? '' }
    expect((await api.get(DIRECTIVE, { headers })).status).toBe(304)
    // The holder's own question is refused at once, as a report would be.
    expect(await api.get(DIRECTIVE, { headers: { ...headers, 'Stint-Lease': lease, Prefer: 'wait=30' } })).toMatchObject({
      status: 409,
      body: { code: 'settled', state: 'failed' },
    })
  })

  it('wakes whoever waits for the proxy when a late result is recorded', async () => {
    const api = await startApi()
    const { lease } = await register(api, { reportEverySeconds: 60 })
    await api.post('/v1/jobs/j1/reports', { lease, outcome: { completed: {} } })
    const { answer } = await startPoll(api, '/v1/jobs/j1', { 'If-None-Match': await etagOf(api, '/v1/jobs/j1'), Prefer: 'wait=30' }, 30_000)
    await api.post('/v1/jobs/j1/reports', { lease, outcome: { completed: { result: 'late' } } })
    expect(await answer).toMatchObject({ status: 200, body: { state: 'completed', lateOutcome: { completed: { result: 'late' } } } })
  })
})

describe('when the directive changes', () => {
  it('wakes whoever waits, and the next poll with the new ETag waits again', async () => {
    const api = await startApi()
    const { lease } = await register(api, { reportEverySeconds: 60 })
    const headers = { Prefer: 'wait=30', 'Stint-Lease': lease }
    const { answer } = await startPoll(api, DIRECTIVE, { ...headers, 'If-None-Match': await etagOf(api) }, 30_000)
    await api.post('/v1/jobs/j1/directives', { directive: 'abort', reason: 'enough' })
    const woken = await answer
    expect(woken.status).toBe(200)
    expect(woken.body).toMatchObject({ directive: 'abort', receipt: { number: 1, reason: 'enough', seenAt: expect.any(String) } })
    const again = await startPoll(api, DIRECTIVE, { ...headers, 'If-None-Match': woken.headers.get('etag') ?? '' }, 30_000)
    api.world.advance(30_000)
    expect((await again.answer).status).toBe(304)
  })

  it('wakes a reader once more when the holder has seen it, and when it has obeyed', async () => {
    const api = await startApi()
    const { lease } = await register(api, { reportEverySeconds: 60 })
    await api.post('/v1/jobs/j1/directives', { directive: 'pause' })
    const seen = await startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': await etagOf(api) }, 30_000)
    await api.get(DIRECTIVE, { headers: { 'Stint-Lease': lease } })
    expect((await seen.answer).body.receipt.seenAt).toBeDefined()
    const obeyed = await startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': (await seen.answer).headers.get('etag') ?? '' }, 30_000)
    await api.post('/v1/jobs/j1/reports', { lease, state: 'paused' })
    expect((await obeyed.answer).body.receipt.resolution).toBe('obeyed')
  })

  it('does not wake whoever waits for it when only something else changes', async () => {
    const api = await startApi()
    const { lease } = await register(api, { reportEverySeconds: 60 })
    const { answer } = await startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': await etagOf(api), 'Stint-Lease': lease }, 30_000)
    await api.post('/v1/jobs/j1/reports', { lease, phase: 'merge' })
    await settle()
    expect(api.engine.status().waitingPolls).toBe(1)
    api.world.advance(30_000)
    expect((await answer).status).toBe(304)
  })
})

describe('when a holder polls', () => {
  it('gives a sign of life with each poll, but not by an open connection', async () => {
    const api = await startApi()
    const { lease } = await register(api, { reportEverySeconds: 5 })
    const etag = await etagOf(api)
    // The wait is cut to half of the promised silence, so that a holder that lives comes back in time.
    const { answer } = await startPoll(api, DIRECTIVE, { Prefer: 'wait=60', 'If-None-Match': etag, 'Stint-Lease': lease }, 7_500)
    expect((await api.get('/v1/jobs/j1')).body.holder.lastSeenAt).toBeDefined()
    api.world.advance(7_500)
    expect([(await answer).status, (await answer).headers.get('preference-applied')]).toEqual([304, 'wait=8'])
    api.world.advance(8_000)
    await settle()
    expect((await api.get('/v1/jobs/j1')).body.state).toBe('lost')
    await api.get(DIRECTIVE, { headers: { 'Stint-Lease': lease } })
    expect((await api.get('/v1/jobs/j1')).body.state).toBe('running')
  })

  it('is told at once when its lease is no longer the current one, or the job is settled', async () => {
    const api = await startApi()
    const { lease } = await register(api, { instance: 'i1', reportEverySeconds: 60 })
    const { answer } = await startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': await etagOf(api), 'Stint-Lease': lease }, 30_000)
    const taken = await register(api, { instance: 'i2', reportEverySeconds: 60 })
    expect([(await answer).status, (await answer).body.code]).toEqual([409, 'stale-lease'])
    const second = await startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': await etagOf(api), 'Stint-Lease': taken.lease }, 30_000)
    await api.post('/v1/jobs/j1/reports', { lease: taken.lease, outcome: { completed: {} } })
    expect([(await second.answer).status, (await second.answer).body.code, (await second.answer).body.state]).toEqual([409, 'settled', 'completed'])
  })

  it('appends nothing while nothing changes', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    const before = api.engine.position()
    const etag = await etagOf(api)
    for (let poll = 0; poll < 20; poll++) expect((await api.get(DIRECTIVE, { headers: { 'If-None-Match': etag, 'Stint-Lease': lease } })).status).toBe(304)
    expect(api.engine.position()).toBe(before)
  })
})

describe('when a proxy is watched', () => {
  it('wakes with every recorded change', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    const { answer } = await startPoll(api, '/v1/jobs/j1', { Prefer: 'wait=9', 'If-None-Match': await etagOf(api, '/v1/jobs/j1') }, 9_000)
    await api.post('/v1/jobs/j1/reports', { lease, phase: 'merge' })
    expect((await answer).body.phase).toBe('merge')
  })
})

describe('when a client goes away', () => {
  it('stops waiting for it, and keeps nothing of it', async () => {
    const api = await startApi()
    await register(api)
    const etag = await etagOf(api)
    const timers = api.world.pending().length
    const gone = new AbortController()
    const polls = await Promise.all(Array.from({ length: 50 }, () => startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': etag }, 30_000, gone.signal)))
    await api.world.until((pending) => pending.length === timers + 50)
    expect(api.engine.status().waitingPolls).toBe(50)
    gone.abort()
    await Promise.allSettled(polls.map(({ answer }) => answer))
    await api.world.until((pending) => pending.length === timers)
    expect(api.engine.status().waitingPolls).toBe(0)
  })
})

describe('when the server stops', () => {
  it('answers every poll at once and says when to come again', async () => {
    const api = await startApi()
    await register(api)
    const poll = await startPoll(api, DIRECTIVE, { Prefer: 'wait=30', 'If-None-Match': await etagOf(api) }, 30_000)
    const leasing = api.post('/v1/queues/shop/mail/tasks/lease', {}, { headers: { Prefer: 'wait=25' } })
    await api.world.until((pending) => pending.includes(25_000))
    await api.server.close({ graceMs: 5_000 })
    const { status, headers } = await poll.answer
    expect([status, headers.get('retry-after'), headers.get('connection')]).toEqual([304, '1', 'close'])
    const leased = await leasing
    expect([leased.status, leased.body, leased.headers.get('retry-after')]).toEqual([200, { items: [] }, '1'])
    await expect(api.get('/healthz')).rejects.toThrow()
  })

  it('finishes what it took', async () => {
    const api = await startApi()
    const reports = Array.from({ length: 100 }, (_, index) => api.post('/v1/jobs', { id: `j${index}`, service: 'index', server: 's1' }))
    await Promise.race(reports)
    const [answers] = await Promise.all([Promise.allSettled(reports), api.server.close({ graceMs: 5_000 })])
    // What was not taken found no server; nothing was taken and then left without an answer that says what became of it.
    const made = answers.filter((answer) => answer.status === 'fulfilled' && answer.value.status === 201).length
    const refused = answers.filter((answer) => answer.status === 'fulfilled' && answer.value.body.code === 'stopping').length
    expect(made).toBeGreaterThan(0)
    expect(api.engine.status().liveItems).toBe(made)
    expect(made + refused + answers.filter((answer) => answer.status === 'rejected').length).toBe(100)
  })

  it('cuts what does not come to an end within the grace', async () => {
    const api = await startApi()
    const raw = api.raw('POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{')
    await settle()
    const closed = api.server.close({ graceMs: 3_000 })
    await api.world.until((pending) => pending.includes(3_000))
    api.world.advance(3_000)
    await closed
    expect(await raw).toBe('')
  })
})

describe('positions', () => {
  it('are waited for by queries', async () => {
    const api = await startApi()
    const made = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' })
    const position = made.headers.get('stint-position') ?? ''
    const listed = await api.get('/v1/jobs', { headers: { 'Stint-Position': position } })
    expect(listed.body.items).toHaveLength(1)
    expect((listed.headers.get('stint-position') ?? '') >= position).toBe(true)
  })

  it('that are not reached in five seconds are behind, and those of another log are refused', async () => {
    const api = await startApi()
    const ahead = `${api.engine.position().slice(0, -16)}0000000000009999`
    const waiting = api.get('/v1/jobs', { headers: { 'Stint-Position': ahead } })
    await api.world.until((pending) => pending.includes(5_000))
    api.world.advance(5_000)
    const late = await waiting
    expect([late.status, late.body.code, late.headers.get('retry-after')]).toEqual([503, 'behind', '1'])
    for (const foreign of ['abcdefgh.0000000000000001', 'nonsense', '0']) {
      const refused = await api.get('/v1/jobs', { headers: { 'Stint-Position': foreign } })
      expect([foreign, refused.status, refused.body.code]).toEqual([foreign, 412, 'other-log'])
    }
  })
})

describe('request ids', () => {
  it('are taken from the caller if they are harmless, and made otherwise', async () => {
    const api = await startApi()
    const idOf = async (id: string) => (await api.get('/healthz', { headers: { 'Stint-Request-Id': id } })).headers.get('stint-request-id')
    expect(await idOf('trace-7.a')).toBe('trace-7.a')
    expect(await idOf('a b<script>')).toMatch(/^[0-9a-f-]{36}$/)
    expect(await idOf('x'.repeat(101))).toMatch(/^[0-9a-f-]{36}$/)
  })
})
