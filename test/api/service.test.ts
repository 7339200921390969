// What the server says about itself: health, readiness, figures, statistics and the meaning of its refusals.
import { execFile } from 'node:child_process'
import { afterEach, describe, expect, it } from 'vitest'
import { QUEUES_MEASURED_MAX } from '../../src/api/queue-metrics.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { problems } from '../../src/wire/problems.ts'
import { directories } from '../contract/directories.ts'
import { root } from '../support/documents.ts'
import { settle, startEngine } from '../support/engine.ts'
import { closeAll, startApi } from '../support/api.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(closeAll)

describe('health and readiness', () => {
  it('tell that the process lives, which version it is, and that it takes commands', async () => {
    const api = await startApi()
    api.world.advance(2_000)
    expect((await api.get('/healthz')).body).toEqual({ status: 'ok', version: '0.0.0-test', uptimeSeconds: 2 })
    expect((await api.get('/readyz')).body).toMatchObject({ status: 'ready', checks: expect.arrayContaining([{ name: 'store', ok: true }]) })
  })

  it('part when the engine has stopped: alive, but not ready', async () => {
    const api = await startApi()
    api.engine.stop()
    const ready = await api.get('/readyz')
    expect([ready.status, ready.body.status, ready.headers.get('retry-after')]).toEqual([503, 'not-ready', '1'])
    expect((await api.get('/healthz')).status).toBe(200)
  })
})

describe('a server whose disk is full', () => {
  const directory = directories()

  it('is not ready and says why to everybody, and is ready again once there is room', async () => {
    const world = virtualWorld()
    const store = await openSqliteStore({ directory: directory(), maxFileBytes: 1_000_000, world })
    const engine = await startEngine({ store, world })
    const api = await startApi({ engine })
    const insert = (text: string) => api.post('/v1/queues/shop/mail/tasks', { payload: text })
    const refused = await insert('x'.repeat(990_000))
    expect([refused.status, refused.body.code, refused.body.detail]).toEqual([503, 'store-unavailable', 'The disk of the log is full; nothing of this was stored.'])
    const ready = await api.get('/readyz')
    expect([ready.status, ready.body.status]).toEqual([503, 'not-ready'])
    expect(ready.body.checks).toContainEqual({ name: 'store', ok: false, detail: expect.stringContaining('The disk is full') })
    expect(api.troubles).toEqual([expect.stringContaining('The log cannot be used')])
    expect((await api.get('/metrics')).text).toMatch(/^stint_ready 0$/m)
    world.advance(1_000)
    expect((await api.get('/readyz')).body.status).toBe('ready')
    expect((await insert('x')).status).toBe(201)
    await api.close()
    await store.close()
  })
})

/** What a process of its own says that has made figures over an engine in which nothing happens. */
const toldByProgram = (program: string): Promise<string> => {
  const before = `
    import { createMetrics } from './src/api/metrics.ts'
    const sweeper = { released: 0, erased: 0, pruned: 0 }
    const deliveries = { figures: () => ({ acknowledged: 0, givenUp: 0, failedAttempts: 0, underWay: 0 }) }
    const queues = { list: () => [] }
    const appends = () => ({ stored: 0, conflicts: 0, failed: 0 })
    const longTasks = { figures: () => ({ states: {}, settled: {}, nodes: {}, failedAttempts: 0 }) }
    const status = () => ({ status: 'ready', liveItems: 0, heldItems: 0, pendingRequests: 0, waitingPolls: 0, tablesBehindMs: 0, sweeper })
    const engine = { status, appends, deliveries, queues, longTasks }
    const metrics = createMetrics(engine)
  `
  return new Promise((resolve, reject) =>
    execFile(process.execPath, ['--input-type=module-typescript', '--eval', before + program], { cwd: root }, (error, out) =>
      error === null ? resolve(out) : reject(new Error('The program failed', { cause: error })),
    ),
  )
}

describe('figures', () => {
  it('count requests by route and status, events, items and polls', async () => {
    const api = await startApi()
    await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' })
    await api.get('/v1/jobs/none')
    const { text, headers } = await api.get('/metrics')
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(text).toMatch(/^stint_http_request_seconds_count\{route="registerJob",status="201"\} 1$/m)
    expect(text).toMatch(/^stint_http_request_seconds_count\{route="showJob",status="404"\} 1$/m)
    expect(text).toMatch(/^stint_events_recorded_total 2$/m)
    expect(text).toMatch(/^stint_live_items 1$/m)
    expect(text).toMatch(/^stint_held_items 1$/m)
    expect(text).toMatch(/^stint_waiting_polls 0$/m)
    expect(text).toMatch(/^stint_nodejs_eventloop_lag_seconds /m)
    expect(text).toMatch(/^stint_process_resident_memory_bytes /m)
  })

  it('tell of each queue how full it is, and of no more queues than there is room for', async () => {
    const api = await startApi()
    const put = (queue: string, body: object) => api.post(`/v1/queues/shop/${queue}/tasks`, body)
    await put('mails', { items: [{ payload: 1 }, { payload: 2 }, { payload: 3, delaySeconds: 60 }] })
    await api.post('/v1/queues/shop/mails/tasks/lease', { worker: 'w' })
    // Whoever asks for the statistics of a queue waits for the tables.
    await api.get('/v1/queues/shop/mails')
    const figures = async () =>
      [...(await api.get('/metrics')).text.matchAll(/^stint_queue_(\w+)\{app="shop",queue="mails"\} (\S+)$/gm)].map(([, name, value]) => [name, Number(value)])
    const never = Object.fromEntries(
      ['completed', 'failed', 'retried', 'released', 'expired', 'dead_lettered', 'redriven', 'cancelled', 'aborted'].map((what) => [`${what}_total`, 0]),
    )
    expect(Object.fromEntries(await figures())).toEqual({
      waiting: 1,
      delayed: 1,
      leased: 1,
      waiting_workers: 0,
      led: 1,
      dead_letters: 0,
      oldest_due_seconds: expect.any(Number),
      ...never,
      inserted_total: 3,
      leased_total: 1,
    })
    for (let number = 0; number < QUEUES_MEASURED_MAX; number += 500)
      await Promise.all(Array.from({ length: 500 }, (_, index) => put(`a${String(number + index).padStart(4, '0')}`, { payload: 1 })))
    const { text } = await api.get('/metrics')
    expect(text).toContain('# TYPE stint_queue_inserted_total counter')
    expect(text.match(/^stint_queue_waiting\{/gm)).toHaveLength(QUEUES_MEASURED_MAX)
    expect(await figures()).toEqual([])
  })

  it('are right from the first scrape on: CPU time from the start, and no delay that was not measured', async () => {
    const text = await toldByProgram(`
      const begun = process.cpuUsage()
      while (process.cpuUsage(begun).user < 100_000);
      console.log(await metrics.text())
    `)
    expect(Number(/^stint_process_cpu_seconds_total (\S+)$/m.exec(text)?.[1])).toBeGreaterThanOrEqual(0.1)
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(samples.length).toBeGreaterThan(20)
    const lags = samples.filter((line) => line.startsWith('stint_nodejs_eventloop_lag'))
    expect(lags.filter((line) => !(Number(line.split(' ')[1]) < 60))).toEqual([])
    expect(samples.filter((line) => /nan$/i.test(line))).toEqual([])
  })

  it('measure the event loop from the first scrape on: the timer for that would be all that an idle server does', async () => {
    const told = await toldByProgram(`
      import hooks from 'node:perf_hooks'
      const measure = hooks.monitorEventLoopDelay
      let measured = 0
      hooks.monitorEventLoopDelay = (options) => {
        measured += 1
        return measure(options)
      }
      const before = measured
      await metrics.text()
      await metrics.text()
      console.log(before, measured)
    `)
    expect(told.trim()).toBe('0 1')
  })
})

describe('statistics', () => {
  it('count items by scope and state, and how long they ran', async () => {
    const api = await startApi()
    const { body } = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1' })
    await api.post('/v1/jobs', { id: 'j2', service: 'index', server: 's1' })
    await api.post('/v1/queues/shop/mail/tasks', { payload: 1 })
    api.world.advance(3_000)
    await api.post('/v1/jobs/j1/reports', { lease: body.lease, outcome: { completed: {} } })
    await settle()
    const all = (await api.get('/v1/statistics')).body.items
    expect(all).toContainEqual(
      expect.objectContaining({ kind: 'job', scope: 'index', states: expect.objectContaining({ running: 1, completed: 1 }), runSeconds: expect.objectContaining({ count: 1 }) }),
    )
    expect(all).toContainEqual(expect.objectContaining({ kind: 'task', scope: 'shop/mail', states: expect.objectContaining({ waiting: 1 }) }))
    expect((await api.get('/v1/statistics?kind=task')).body.items.map((item: { kind: string }) => item.kind)).toEqual(['task'])
  })
})

describe('problems', () => {
  it('are listed, and each says what to do', async () => {
    const api = await startApi()
    const { items } = (await api.get('/problems')).body
    expect(items.map((item: { code: string }) => item.code)).toEqual(Object.keys(problems))
    for (const { type, code, status } of items) {
      const page = await api.get(type)
      expect(page.body).toMatchObject({ code, status, title: expect.any(String), advice: expect.any(String) })
    }
    expect((await api.get('/problems/nonsense')).status).toBe(404)
  })

  it('of too many live items tell when to come again', async () => {
    const api = await startApi({ engine: await startEngine({ settings: { maxLiveItems: 1 } }) })
    await api.post('/v1/jobs', { service: 'index', server: 's1' })
    const refused = await api.post('/v1/jobs', { service: 'index', server: 's1' })
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([429, 'too-many-live', '10'])
  })
})
