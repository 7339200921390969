// Job proxies over HTTP, from registration to settlement.
import { afterEach, describe, expect, it } from 'vitest'
import { settle } from '../support/engine.ts'
import { closeAll, startApi, type Ask, type TestApi } from '../support/api.ts'

afterEach(closeAll)

const register = async (api: TestApi, more: object = {}, ask: Ask = {}) => (await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1', ...more }, ask)).body

describe('when a job server registers a job', () => {
  it('creates the proxy and says where it is', async () => {
    const api = await startApi()
    const made = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1', label: 'books', attributes: { size: 3 }, expectedSeconds: 60 })
    expect(made.status).toBe(201)
    expect(made.headers.get('location')).toBe('/v1/jobs/j1')
    expect(made.body).toMatchObject({ id: 'j1', workItem: 'job/j1', kind: 'job', state: 'running', attempt: 1, directive: 'normal', attributes: { size: 3 }, silenceSeconds: 15 })
    expect(made.body.lease).toMatch(/^1\./)
    expect(made.body.leaseUntil).toMatch(/Z$/)
  })

  it('never shows the lease to a reader, neither in the proxy nor in its history', async () => {
    const api = await startApi()
    const { lease } = await register(api, { attributes: { size: 3 } })
    const shown = await api.get('/v1/jobs/j1')
    expect(shown.body).toMatchObject({ id: 'j1', attributes: { size: 3 }, holder: { name: 's1' } })
    for (const path of ['/v1/jobs/j1', '/v1/jobs', '/v1/jobs/j1/history', '/v1/work-items/job%2Fj1', '/v1/work-items/job%2Fj1/history']) {
      await settle()
      const answer = await api.get(path)
      expect(answer.status).toBe(200)
      expect(answer.text).toContain('job/j1')
      expect(answer.text).not.toContain(lease)
    }
  })

  it('answers the same again with 200 and the same lease', async () => {
    const api = await startApi()
    const body = { id: 'j1', service: 'index', server: 's1', instance: 'i1' }
    const first = await api.post('/v1/jobs', body)
    const again = await api.post('/v1/jobs', body)
    expect([again.status, again.body.lease]).toEqual([200, first.body.lease])
    expect(again.body.position).toBe(first.body.position)
  })

  it('fences a killed server when its new instance takes the job over', async () => {
    const api = await startApi()
    const first = await register(api, { instance: 'i1' })
    const taken = await register(api, { instance: 'i2' })
    expect(taken.lease).toMatch(/^2\./)
    const stale = await api.post('/v1/jobs/j1/reports', { lease: first.lease, phase: 'merge' })
    expect([stale.status, stale.body.code, stale.body.state]).toEqual([409, 'stale-lease', 'running'])
  })

  it('lets a new instance take over by sending what the proxy shows', async () => {
    const api = await startApi()
    await register(api, { instance: 'i1', label: 'books', attributes: { size: 3 } })
    const { service, server, label, attributes, reportEverySeconds, silenceSeconds, lostAfterSeconds } = (await api.get('/v1/jobs/j1')).body
    const taken = await api.post('/v1/jobs', { id: 'j1', instance: 'i2', service, server, label, attributes, reportEverySeconds, silenceSeconds, lostAfterSeconds })
    expect([taken.status, taken.body.attempt]).toEqual([200, 2])
  })

  it('keeps results whatever their fields are called, and refuses those over 1 MiB, alone and in a batch', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    const tooLarge = { completed: { result: 'x'.repeat(1024 * 1024) } }
    const batch = await api.post('/v1/jobs/reports', { items: [{ id: 'j1', lease, outcome: tooLarge }] })
    expect(batch.body.items[0]).toMatchObject({ id: 'j1', status: 400, errors: [{ path: '/outcome/completed/result', code: 'length' }] })
    const words = { constructor: 3, toString: 1 }
    const done = await api.post('/v1/jobs/j1/reports', { lease, outcome: { completed: { result: words } } })
    expect(done.status).toBe(200)
    expect((await api.get('/v1/jobs/j1')).body.outcome).toEqual({ completed: { result: words } })
  })

  it('refuses other content under the same id, and the same id of another principal', async () => {
    const api = await startApi()
    await register(api)
    const other = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1', label: 'films' })
    expect([other.status, other.body.code]).toEqual([409, 'exists-with-other-content'])
    const stranger = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' }, { headers: { 'Stint-As': 'eve@example.com' } })
    expect([stranger.status, stranger.body.code]).toEqual([409, 'id-in-use'])
  })

  it('shows how it ended when it is registered again after settlement', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    await api.post('/v1/jobs/j1/reports', { lease, outcome: { completed: { result: 7 } } })
    const again = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' })
    expect([again.status, again.body.state, again.body.outcome, again.body.lease]).toEqual([200, 'completed', { completed: { result: 7 } }, undefined])
  })

  it('takes its id from the Idempotency-Key, quoted or bare, when it has none', async () => {
    const api = await startApi()
    const body = { service: 'index', server: 's1' }
    const first = await api.post('/v1/jobs', body, { headers: { 'Idempotency-Key': '"order 7"' } })
    const again = await api.post('/v1/jobs', body, { headers: { 'Idempotency-Key': 'order 7' } })
    const other = await api.post('/v1/jobs', body, { headers: { 'Idempotency-Key': 'order 8' } })
    expect([first.status, again.status, other.status]).toEqual([201, 200, 201])
    expect(again.body.id).toBe(first.body.id)
    expect(first.body.id).toMatch(/^[0-9a-f-]{14}5/)
    expect(other.body.id).not.toBe(first.body.id)
  })

  it('makes an id that sorts by time when there is no key either', async () => {
    const api = await startApi()
    const first = await api.post('/v1/jobs', { service: 'index', server: 's1' })
    api.world.advance(10)
    const second = await api.post('/v1/jobs', { service: 'index', server: 's1' })
    expect(first.body.id).toMatch(/^[0-9a-f-]{14}7/)
    expect(first.body.id < second.body.id).toBe(true)
  })

  it('takes many at once and answers each in its place', async () => {
    const api = await startApi()
    const item = (id: string, server = 's1') => ({ id, service: 'index', server })
    await api.post('/v1/jobs', item('b'))
    const many = await api.post(
      '/v1/jobs',
      { items: [item('a'), item('b'), item('b', 's2'), { id: 'c' }, { service: 'index', server: 's1' }] },
      { headers: { 'Idempotency-Key': 'batch' } },
    )
    expect(many.status).toBe(200)
    expect(many.body.items.map((one: { status: number; code?: string }) => [one.status, one.code])).toEqual([
      [201, undefined],
      [200, undefined],
      [409, 'exists-with-other-content'],
      [400, 'invalid'],
      [201, undefined],
    ])
    expect(many.body.items.map((one: { id: string }) => one.id).slice(0, 4)).toEqual(['a', 'b', 'b', 'c'])
    expect(many.body.items[0].lease).toMatch(/^1\./)
    const again = await api.post(
      '/v1/jobs',
      { items: [item('x'), item('b'), item('b', 's2'), { id: 'c' }, { service: 'index', server: 's1' }] },
      { headers: { 'Idempotency-Key': 'batch' } },
    )
    expect([again.body.items[4].status, again.body.items[4].id]).toEqual([200, many.body.items[4].id])
  })
})

describe('when the holder reports', () => {
  it('learns the directive, and whether all it said is recorded', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    const first = await api.post('/v1/jobs/j1/reports', { lease, phase: 'scan', progress: { fraction: 0.1 } })
    expect(first.body).toEqual({ id: 'j1', directive: 'normal', state: 'running', recorded: true, leaseUntil: expect.any(String) })
    const noted = await api.post('/v1/jobs/j1/reports', { lease, progress: { fraction: 0.4 } })
    expect(noted.body.recorded).toBe(false)
    await api.post('/v1/jobs/j1/directives', { directive: 'abort', reason: 'wrong input' })
    const told = await api.post('/v1/jobs/j1/reports', { lease, phase: 'merge' })
    expect(told.body).toMatchObject({
      directive: 'abort',
      state: 'aborting',
      receipt: { number: 1, directive: 'abort', by: 'local', reason: 'wrong input', seenAt: expect.any(String) },
    })
  })

  it('shows progress that is only noted, and an ETag that does not change for it', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    await api.post('/v1/jobs/j1/reports', { lease, progress: { fraction: 0.1 } })
    const before = await api.get('/v1/jobs/j1')
    await api.post('/v1/jobs/j1/reports', { lease, progress: { fraction: 0.4 } })
    const after = await api.get('/v1/jobs/j1')
    expect(after.body.progress).toEqual({ fraction: 0.4 })
    expect(after.headers.get('etag')).toBe(before.headers.get('etag'))
  })

  it('settles the job, answers the same report again alike, and keeps one other outcome', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    const outcome = { completed: { result: { files: 3 }, partial: false } }
    const done = await api.post('/v1/jobs/j1/reports', { lease, outcome })
    expect(done.body).toMatchObject({ state: 'completed', recorded: true })
    expect((await api.post('/v1/jobs/j1/reports', { lease, outcome })).body).toEqual(done.body)
    const late = { aborted: { reason: 'too late', partial: 1 } }
    expect((await api.post('/v1/jobs/j1/reports', { lease, outcome: late })).body).toMatchObject({ state: 'completed', recorded: true, late: true })
    const third = await api.post('/v1/jobs/j1/reports', { lease, outcome: { failed: { code: 'x', message: 'y' } } })
    expect([third.status, third.body.code, third.body.state]).toEqual([409, 'settled', 'completed'])
    expect((await api.get('/v1/jobs/j1')).body).toMatchObject({ state: 'completed', outcome, lateOutcome: late, settledAt: expect.any(String) })
  })

  it('can report on many jobs in one exchange', async () => {
    const api = await startApi()
    const a = await register(api, { id: 'a' })
    const b = await register(api, { id: 'b' })
    const items = [
      { id: 'a', lease: a.lease, phase: 'p' },
      { id: 'b', lease: a.lease, phase: 'p' },
      { id: 'none', lease: 'x' },
      { id: 'b', lease: b.lease, outcome: { failed: { code: 'disk', message: 'full' } } },
    ]
    const many = await api.post('/v1/jobs/reports', { items })
    expect(many.body.items.map((one: { id: string; status: number; code?: string; state?: string }) => [one.id, one.status, one.code, one.state])).toEqual([
      ['a', 200, undefined, 'running'],
      ['b', 409, 'stale-lease', 'running'],
      ['none', 404, 'not-found', undefined],
      ['b', 200, undefined, 'failed'],
    ])
  })

  it('refuses a directive, which then counts no more', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    await api.post('/v1/jobs/j1/directives', { directive: 'pause' })
    const refused = await api.post('/v1/jobs/j1/reports', { lease, refuse: { directive: 1, reason: 'nearly done' } })
    expect(refused.body).toMatchObject({ directive: 'normal', receipt: { resolution: 'refused', resolutionReason: 'nearly done' } })
  })
})

describe('when an administrator directs a job', () => {
  it('gets the receipt, and the same again for a repeat', async () => {
    const api = await startApi()
    await register(api)
    const headers = { 'Idempotency-Key': 'k1' }
    const first = await api.post('/v1/jobs/j1/directives', { directive: 'pause', reason: 'lunch' }, { headers })
    const again = await api.post('/v1/jobs/j1/directives', { directive: 'pause', reason: 'lunch' }, { headers })
    expect(first.body).toMatchObject({ directive: 'pause', state: 'running', receipt: { number: 1, directive: 'pause', by: 'local', reason: 'lunch' } })
    expect(again.body).toEqual(first.body)
    await api.post('/v1/jobs/j1/directives', { directive: 'abort' })
    const resumed = await api.post('/v1/jobs/j1/directives', { directive: 'resume' })
    expect([resumed.status, resumed.body.code, resumed.body.state]).toEqual([409, 'aborting', 'aborting'])
  })

  it('is told that a settled job cannot be directed and an unknown one not found', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    await api.post('/v1/jobs/j1/reports', { lease, outcome: { completed: {} } })
    const settled = await api.post('/v1/jobs/j1/directives', { directive: 'abort' })
    expect([settled.status, settled.body.code, settled.body.state]).toEqual([409, 'settled', 'completed'])
    expect((await api.post('/v1/jobs/none/directives', { directive: 'abort' })).status).toBe(404)
  })
})

describe('when jobs are looked at', () => {
  it('lists them newest first, page by page and by filter', async () => {
    const api = await startApi()
    for (const [id, server, label] of [
      ['a', 's1', 'x'],
      ['b', 's2', 'y'],
      ['c', 's1', 'y'],
    ] as const) {
      await register(api, { id, server, label })
      api.world.advance(5)
    }
    const position = (await api.get('/v1/me')).headers.get('stint-position') ?? ''
    const ids = async (query: string) => (await api.get(`/v1/jobs?${query}`, { headers: { 'Stint-Position': position } })).body.items.map((item: { id: string }) => item.id)
    expect(await ids('')).toEqual(['c', 'b', 'a'])
    expect(await ids('server=s1')).toEqual(['c', 'a'])
    expect(await ids('label=y&server=s2')).toEqual(['b'])
    expect(await ids('service=other')).toEqual([])
    const page = await api.get('/v1/jobs?limit=2')
    expect((await api.get(`/v1/jobs?limit=2&after=${encodeURIComponent(page.body.next)}`)).body.items.map((item: { id: string }) => item.id)).toEqual(['a'])
    const bad = await api.get('/v1/jobs?after=nonsense')
    expect([bad.status, bad.body.errors[0].path]).toEqual([400, '/query/after'])
  })

  it('pages through the history in order', async () => {
    const api = await startApi()
    const { lease } = await register(api)
    for (const phase of ['a', 'b', 'c']) await api.post('/v1/jobs/j1/reports', { lease, phase })
    const first = await api.get('/v1/jobs/j1/history?limit=3')
    expect(first.body.items.map((event: { type: string }) => event.type)).toEqual(['JobRegistered', 'Leased', 'PhaseEntered'])
    const rest = await api.get(`/v1/jobs/j1/history?limit=3&after=${first.body.next}`)
    expect(rest.body.items.map((event: { revision: number }) => event.revision)).toEqual([3, 4])
    expect(rest.body.next).toBeUndefined()
    expect(rest.body.items[0]).toMatchObject({ v: 1, workItem: 'job/j1', actor: 'local', data: { phase: 'b' } })
  })

  it('says why a job is in the state it is in', async () => {
    const api = await startApi()
    await register(api)
    expect((await api.get('/v1/jobs/j1/why')).body).toMatchObject({ state: 'running', gate: 'running', holder: 's1' })
    api.world.advance(15_000)
    await settle()
    expect((await api.get('/v1/work-items/job%2Fj1/why')).body).toMatchObject({ state: 'lost', gate: 'lost', until: expect.any(String) })
  })

  it('does not find what is not there', async () => {
    const api = await startApi()
    for (const path of ['/v1/jobs/none', '/v1/jobs/none/history', '/v1/jobs/none/why', '/v1/jobs/none/directive', '/v1/work-items/task%2Fa%2Fb%2Fc']) {
      const answer = await api.get(path)
      expect([answer.status, answer.body.code, answer.body.instance]).toEqual([404, 'not-found', path])
    }
  })
})
