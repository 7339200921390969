// Long tasks over HTTP, with a fake node on real sockets: given out, shown, listed, directed, reported on one by one and many at once, each by those who may.
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import type { Role } from '../../src/wire/route.ts'
import { closeAll, startApi, type Answer, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { until } from '../support/eventually.ts'
import { closeNodes, startNode, type FakeNode } from '../support/fake-node.ts'
import { expectReplayEqual } from '../support/replay.ts'

const started: TestApi[] = []

afterEach(async () => {
  for (const api of started.splice(0)) {
    await settle()
    await expectReplayEqual(api.engine, api.store)
    expect(api.errors).toEqual([])
  }
  await closeAll()
  await closeNodes()
})

const start = async (auth = false): Promise<TestApi> => {
  const engine = await startEngine({ settings: { allowUrls: LOOPBACK_PATTERNS } })
  const api = await startApi({ engine, settings: { auth: { tokens: auth } } })
  started.push(api)
  return api
}

const OPERATIONS = [
  { operation: 'CopyImage', long: true, timeoutSeconds: 900, progressEverySeconds: 5, stalledAfterSeconds: 60 },
  { operation: 'Ping', long: false },
]

const register = (api: TestApi, node: FakeNode, token?: string): Promise<Answer> =>
  api.post('/v1/nodes', { id: node.name, url: node.url(), instance: 'i1', operations: OPERATIONS }, { token })

/** A server, and a node that is registered and up. */
const withNode = async (): Promise<{ readonly api: TestApi; readonly node: FakeNode }> => {
  const api = await start()
  const node = await startNode()
  await register(api, node)
  await until(() => api.engine.longTasks.node('n1')?.health.state === 'up')
  return { api, node }
}

const leaseOf = (api: TestApi, id: string): string => api.engine.live(`long-task/${id}`)?.operation?.lease ?? '1.none'

const untilStatus = (api: TestApi, id: string, status: string): Promise<void> => until(() => api.engine.live(`long-task/${id}`)?.status === status)

/** Gives it out and waits until its node has it. */
const running = async (api: TestApi, id: string, more: object = {}): Promise<void> => {
  await api.post('/v1/long-tasks', { id, operation: 'CopyImage', node: 'n1', ...more })
  await untilStatus(api, id, 'running')
}

const dispatch = (api: TestApi, body: object, token?: string): Promise<Answer> => api.post('/v1/long-tasks', { operation: 'CopyImage', node: 'n1', ...body }, { token })

describe('giving out an operation', () => {
  it('records it and answers before it is sent; the same again is answered the same, other content is not', async () => {
    const api = await start()
    const first = await dispatch(api, { id: 'a', args: { from: 'disk-1' } })
    expect([first.status, first.headers.get('location')]).toEqual([201, '/v1/long-tasks/a'])
    expect(first.body).toMatchObject({
      ...{ id: 'a', workItem: 'long-task/a', kind: 'long-task', state: 'waiting', operation: 'CopyImage', node: 'n1', attempt: 0, directive: 'normal' },
      ...{ timeoutSeconds: 3_600, timeoutAt: new Date(api.world.now() + 3_600_000).toISOString(), progressEverySeconds: 2, sending: { attempts: 0 } },
    })
    expect(first.body).not.toHaveProperty('args')
    expect((await dispatch(api, { id: 'a', args: { from: 'disk-1' } })).status).toBe(200)
    for (const other of [{ args: { from: 'disk-2' } }, { args: { from: 'disk-1' }, timeoutSeconds: 3_600 }, { args: { from: 'disk-1' }, operation: 'Ping' }])
      expect((await dispatch(api, { id: 'a', ...other })).body).toMatchObject({ status: 409, code: 'exists-with-other-content' })
  })

  it('takes its times from the call, else from what its node says of it, else from the defaults', async () => {
    const { api } = await withNode()
    const times = async (body: object) => {
      const { timeoutSeconds, progressEverySeconds, stalledAfterSeconds } = (await dispatch(api, body)).body
      return [timeoutSeconds, progressEverySeconds, stalledAfterSeconds]
    }
    expect(await times({})).toEqual([900, 5, 60])
    expect(await times({ timeoutSeconds: 10, progressEverySeconds: 0.5, stalledAfterSeconds: 3 })).toEqual([10, 0.5, 3])
    expect(await times({ operation: 'Ping' })).toEqual([3_600, 2, undefined])
    expect(await times({ node: 'unknown' })).toEqual([3_600, 2, undefined])
  })

  it('of an operation that its node does not know is refused with those it knows; unless it was given out before', async () => {
    const { api, node } = await withNode()
    await running(api, 'a')
    const refused = await dispatch(api, { operation: 'MoveMachine' })
    expect(refused.body).toMatchObject({ status: 422, code: 'unknown-operation', detail: 'The node n1 does not know MoveMachine. It knows CopyImage, Ping.' })
    await api.post('/v1/nodes', { id: 'n1', url: node.url(), operations: [] })
    expect((await dispatch(api, { id: 'a' })).status).toBe(200)
    expect((await dispatch(api, { id: 'b' })).body.detail).toBe('The node n1 does not know CopyImage. It knows none.')
    const many = Array.from({ length: 150 }, (_, index) => ({ operation: `op-${index}`, long: true }))
    await api.post('/v1/nodes', { id: 'n1', url: node.url(), operations: many })
    expect((await dispatch(api, { id: 'b' })).body.detail).toMatch(/op-99 and 50 more\.$/)
  })

  it('to a node that nobody knows is taken, waits, and says why', async () => {
    const api = await start()
    await dispatch(api, { id: 'a', node: 'nowhere', timeoutSeconds: 60 })
    expect((await api.get('/v1/long-tasks/a/why')).body).toEqual({
      ...{ state: 'waiting', gate: 'node-unknown', since: new Date(api.world.now()).toISOString(), until: new Date(api.world.now() + 60_000).toISOString() },
      detail: 'No node nowhere is registered; it is sent as soon as one is. It times out in 60 s.',
    })
    api.world.advance(60_000)
    await untilStatus(api, 'a', 'settled')
    expect((await api.get('/v1/long-tasks/a')).body).toMatchObject({ state: 'timedOut', outcome: { timedOut: { cause: 'total' } } })
    expect((await dispatch(api, { id: 'a', node: 'nowhere', timeoutSeconds: 60 })).body).toMatchObject({ state: 'timedOut', outcome: { timedOut: { cause: 'total' } } })
  })

  it('names every field that is wrong, of one and of each of many', async () => {
    const api = await start()
    const one = await dispatch(api, { id: 'a b', operation: '', node: '..', timeoutSeconds: 0, stalledAfterSeconds: 'x', colour: 'red' })
    expect([one.status, one.body.errors.map(({ path, code }: { path: string; code: string }) => `${path} ${code}`).toSorted()]).toEqual([
      400,
      ['/colour unknown', '/id pattern', '/node pattern', '/operation length', '/stalledAfterSeconds type', '/timeoutSeconds range'],
    ])
    const large = await dispatch(api, { args: 'x'.repeat(1024 * 1024) })
    expect([large.status, large.body.errors[0]]).toEqual([400, { path: '/args', code: 'length', detail: 'Expected at most 1048576 bytes of JSON, but there are 1048578.' }])
    const many = await api.post('/v1/long-tasks', {
      items: [{ id: 'a', operation: 'CopyImage', node: 'n1' }, { operation: 'CopyImage' }, { id: 'a', operation: 'Ping', node: 'n1' }],
    })
    expect(many.body.items.map(({ status, code }: { status: number; code?: string }) => [status, code])).toEqual([
      [201, undefined],
      [400, 'invalid'],
      [409, 'exists-with-other-content'],
    ])
  })

  it('without an id makes one, the same for the same key', async () => {
    const api = await start()
    const once = await api.post('/v1/long-tasks', { operation: 'CopyImage', node: 'n1' }, { headers: { 'Idempotency-Key': 'k1' } })
    const again = await api.post('/v1/long-tasks', { operation: 'CopyImage', node: 'n1' }, { headers: { 'Idempotency-Key': 'k1' } })
    const other = await dispatch(api, {})
    expect([once.status, again.status, again.body.id === once.body.id, other.body.id === once.body.id]).toEqual([201, 200, true, false])
  })

  it('takes arguments of any JSON, and gives them on as they are', async () => {
    const { api, node } = await withNode()
    const all = [null, 0, '', false, [], {}, { deep: [{ ü: '🦆\u0000' }] }, 'x'.repeat(1024 * 1024 - 2)]
    for (const [index, args] of all.entries()) await running(api, `op-${index}`, { args })
    expect(node.given.map(({ args }) => args)).toEqual(all)
    expect((await api.get('/v1/long-tasks/op-6')).body.args).toEqual(all[6])
  })
})

describe('a long task', () => {
  it('is shown with its progress of now, whether that is recorded or not', async () => {
    const { api } = await withNode()
    await running(api, 'a')
    const lease = leaseOf(api, 'a')
    const said = async (progress: object) => (await api.post('/v1/long-tasks/a/reports', { lease, progress })).body.recorded
    expect([await said({ done: 1, total: 100 }), await said({ done: 2, total: 100 })]).toEqual([true, false])
    const { body } = await api.get('/v1/long-tasks/a')
    expect(body).toMatchObject({ state: 'running', progress: { done: 2, total: 100 }, holder: { name: 'n1', lastSeenAt: new Date(api.world.now()).toISOString() } })
    expect(body).not.toHaveProperty('sending')
    expect((await api.get('/v1/long-tasks?node=n1')).body.items[0]).toMatchObject({ progress: { done: 2 } })
  })

  it('shows how far sending it has got while its node has not taken it', async () => {
    const { api, node } = await withNode()
    node.take({ status: 503, body: { code: 'overloaded', detail: 'Later.' } })
    await dispatch(api, { id: 'a' })
    await until(() => api.engine.longTasks.figures().failedAttempts === 1)
    const { body } = await api.get('/v1/long-tasks/a')
    expect(body.sending).toEqual({
      attempts: 1,
      lastFailedAt: new Date(api.world.now()).toISOString(),
      lastFailure: 'It answered 503: Later.',
      nextAt: expect.any(String) as unknown,
    })
    expect((await api.get('/v1/work-items/long-task%2Fa')).body.sending.attempts).toBe(1)
    expect((await api.get('/v1/long-tasks/a/why')).body).toMatchObject({
      gate: 'sending',
      detail: expect.stringContaining('in 1 attempt. It answered 503: Later. It times out in') as unknown,
    })
  })

  it('can be waited for', async () => {
    const { api } = await withNode()
    await running(api, 'a')
    const { headers } = await api.get('/v1/long-tasks/a')
    const waiting = api.get('/v1/long-tasks/a', { headers: { 'If-None-Match': headers.get('etag') ?? '', Prefer: 'wait=30' } })
    await settle()
    await api.post('/v1/long-tasks/a/reports', { lease: leaseOf(api, 'a'), outcome: { completed: { result: { bytes: 7 } } } })
    expect((await waiting).body).toMatchObject({ state: 'completed', outcome: { completed: { result: { bytes: 7 } } } })
  })

  it('is listed by node, operation and state', async () => {
    const { api, node } = await withNode()
    await running(api, 'a')
    await running(api, 'b')
    node.take({ status: 200, body: { id: 'p', outcome: { completed: {} } } })
    await dispatch(api, { id: 'p', operation: 'Ping' })
    await untilStatus(api, 'p', 'settled')
    await dispatch(api, { id: 'c', node: 'n2' })
    await settle()
    const listed = async (query: string) => (await api.get(`/v1/long-tasks?${query}`)).body.items.map(({ id }: { id: string }) => id)
    expect(await Promise.all(['', 'node=n1', 'node=n2', 'operation=Ping', 'state=running', 'node=n1&operation=CopyImage&state=running', 'state=timedOut'].map(listed))).toEqual([
      ['c', 'p', 'b', 'a'],
      ['p', 'b', 'a'],
      ['c'],
      ['p'],
      ['b', 'a'],
      ['b', 'a'],
      [],
    ])
    const first = await api.get('/v1/long-tasks?limit=3')
    expect((await api.get(`/v1/long-tasks?limit=3&after=${first.body.next}`)).body.items).toMatchObject([{ id: 'a' }])
  })

  it('has a history that does not tell its lease', async () => {
    const { api } = await withNode()
    await running(api, 'a')
    const lease = leaseOf(api, 'a')
    const texts = await Promise.all(
      ['/v1/long-tasks/a/history', '/v1/work-items/long-task%2Fa/history', '/v1/long-tasks/a', '/v1/long-tasks'].map(async (path) => (await api.get(path)).text),
    )
    for (const text of texts) expect(text).not.toContain(lease)
    expect((await api.get('/v1/long-tasks/a/history')).body.items.map(({ type }: { type: string }) => type)).toEqual(['OperationDispatched', 'Leased'])
  })

  it('tells the node that holds it what is wanted, and knows that it has heard', async () => {
    const { api } = await withNode()
    await running(api, 'a')
    await api.post('/v1/long-tasks/a/directives', { directive: 'pause', reason: 'lunch' })
    const asked = await api.get('/v1/long-tasks/a/directive', { headers: { 'Stint-Lease': leaseOf(api, 'a') } })
    expect(asked.body).toMatchObject({ directive: 'pause', receipt: { number: 1, reason: 'lunch', seenAt: expect.any(String) as unknown } })
    expect((await api.get('/v1/long-tasks/a/directive', { headers: { 'Stint-Lease': '1.wrong000' } })).body.code).toBe('stale-lease')
  })

  it('is there for the routes of all work items', async () => {
    const { api } = await withNode()
    await running(api, 'a')
    expect((await api.get('/v1/work-items/long-task%2Fa')).body).toMatchObject({ operation: 'CopyImage', state: 'running' })
    expect((await api.post('/v1/work-items/long-task%2Fa/reports', { lease: leaseOf(api, 'a'), phase: 'copy' })).body).toMatchObject({ id: 'a', recorded: true })
    expect((await api.post('/v1/work-items/long-task%2Fa/directives', { directive: 'abort' })).body).toMatchObject({ state: 'aborting' })
    expect((await api.get('/v1/work-items/long-task%2Fa/why')).body).toMatchObject({ gate: 'aborting' })
    expect((await api.post('/v1/work-items/long-task%2Fa/erase', {})).body.code).toBe('not-possible')
    await api.post('/v1/long-tasks/a/reports', { lease: leaseOf(api, 'a'), outcome: { aborted: { reason: 'told to' } } })
    expect((await api.post('/v1/work-items/long-task%2Fa/erase', {})).body.erased).toBe(true)
    expect((await api.get('/v1/long-tasks/a')).status).toBe(410)
    expect((await api.post('/v1/long-tasks/a/reports', { lease: '1.x' })).body.code).toBe('erased')
  })

  it('is counted', async () => {
    const { api } = await withNode()
    await running(api, 'a')
    await dispatch(api, { id: 'b', node: 'n2' })
    await running(api, 'c')
    await api.post('/v1/long-tasks/c/reports', { lease: leaseOf(api, 'c'), outcome: { failed: { code: 'no-disk', message: 'There is none.' } } })
    const { text } = await api.get('/metrics')
    for (const line of [
      'stint_long_tasks{state="waiting"} 1',
      'stint_long_tasks{state="running"} 1',
      'stint_long_tasks{state="lost"} 0',
      'stint_long_tasks_settled_total{end="failed"} 1',
      'stint_long_tasks_settled_total{end="timedOut"} 0',
      'stint_nodes{health="up"} 1',
      'stint_nodes{health="down"} 0',
      'stint_dispatch_attempts_failed_total 0',
    ])
      expect(text).toContain(`${line}\n`)
  })
})

describe('reports', () => {
  const reportAll = (api: TestApi, items: readonly object[], token?: string): Promise<Answer> => api.post('/v1/nodes/n1/reports', { items }, { token })

  it('of many operations come in one message; each is answered with what is wanted and what it is', async () => {
    const { api, node } = await withNode()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await running(api, id)
    const lease = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((id) => [id, leaseOf(api, id)]))
    await api.post('/v1/long-tasks/b/directives', { directive: 'abort' })
    node.take({ status: 503 })
    await dispatch(api, { id: 'other', node: 'n2' })
    const { body } = await reportAll(api, [
      { id: 'a', lease: lease['a'], phase: 'copy', progress: { fraction: 0.5 } },
      { id: 'b', lease: lease['b'] },
      { id: 'c', lease: lease['c'], outcome: { completed: { result: 1 } } },
      { id: 'd', lease: '1.wrong000' },
      { id: 'none', lease: '1.x' },
      { id: 'other', lease: leaseOf(api, 'other') },
      { id: 'e', lease: lease['e'], progress: { fraction: 7 } },
    ])
    expect(body.items).toMatchObject([
      { status: 200, id: 'a', directive: 'normal', state: 'running', recorded: true },
      { status: 200, id: 'b', directive: 'abort', state: 'aborting', receipt: { number: 1, directive: 'abort' } },
      { status: 200, id: 'c', state: 'completed', recorded: true },
      { status: 409, id: 'd', code: 'stale-lease' },
      { status: 404, id: 'none', code: 'not-found' },
      { status: 404, id: 'other', code: 'not-found', detail: 'No long task other was given to the node n1.' },
      { status: 400, id: 'e', errors: [{ path: '/progress/fraction', code: 'range' }] },
    ])
  })

  it('on what is settled say so, and a late outcome is kept once', async () => {
    const { api } = await withNode()
    await running(api, 'a', { timeoutSeconds: 1 })
    const lease = leaseOf(api, 'a')
    api.world.advance(1_000)
    await untilStatus(api, 'a', 'settled')
    const { body } = await reportAll(api, [
      { id: 'a', lease, progress: { fraction: 0.9 } },
      { id: 'a', lease, outcome: { completed: { result: 1 } } },
      { id: 'a', lease, outcome: { completed: { result: 1 } } },
      { id: 'a', lease, outcome: { completed: { result: 2 } } },
    ])
    expect(body.items).toMatchObject([
      { status: 409, code: 'settled', state: 'timedOut' },
      { status: 200, state: 'timedOut', late: true },
      { status: 200, state: 'timedOut', late: true },
      { status: 409, code: 'settled', state: 'timedOut' },
    ])
    expect((await api.get('/v1/long-tasks/a')).body).toMatchObject({ state: 'timedOut', lateOutcome: { completed: { result: 1 } } })
  })

  it('of a thousand operations are taken in one go, and add one event each at most', async () => {
    const { api, node } = await withNode()
    const ids = Array.from({ length: 1_000 }, (_, index) => `op-${index}`)
    await api.post('/v1/long-tasks', { items: ids.map((id) => ({ id, operation: 'CopyImage', node: 'n1' })) })
    await until(() => node.given.length === ids.length && api.engine.longTasks.figures().states.running === ids.length)
    const items = (fraction: number) => ids.map((id) => ({ id, lease: leaseOf(api, id), progress: { fraction } }))
    const before = api.engine.status().position
    const first = await reportAll(api, items(0.1))
    const again = await reportAll(api, items(0.1))
    expect([first, again].map(({ body }) => body.items.filter(({ status }: { status: number }) => status === 200).length)).toEqual([1_000, 1_000])
    const events = E.getOrElse(() => [] as readonly { readonly type: string }[])(await api.store.readAll({ after: before, max: 10_000 })())
    expect(events.map(({ type }) => type)).toEqual(ids.map(() => 'ProgressReported'))
  })
})

describe('whoever may', () => {
  const PEOPLE = {
    mark: ['management'],
    mia: ['management'],
    nora: ['node'],
    ned: ['node'],
    vera: ['viewer'],
    adam: ['admin'],
    paul: ['producer', 'worker', 'jobServer', 'requester'],
  } as const

  const withPeople = async () => {
    const api = await start(true)
    const node = await startNode()
    const token = Object.fromEntries(
      await Promise.all(Object.entries(PEOPLE).map(async ([name, own]) => [name, await api.tokenFor(`${name}@example.com`, ...(own as readonly Role[]))])),
    )
    await register(api, node, token['nora'])
    await dispatch(api, { id: 'a', args: { secret: 1 } }, token['mark'])
    await untilStatus(api, 'a', 'running')
    return { api, node, token, lease: leaseOf(api, 'a') }
  }

  const who = async (ask: (token: string | undefined) => Promise<Answer>, token: Readonly<Record<string, string>>) => {
    const may: string[] = []
    for (const name of Object.keys(PEOPLE)) if ((await ask(token[name])).status < 300) may.push(name)
    return may
  }

  it('gives out: management nodes and administrators', async () => {
    const { api, token } = await withPeople()
    expect(await who((one) => dispatch(api, {}, one), token)).toEqual(['mark', 'mia', 'adam'])
    expect((await dispatch(api, { id: 'a', args: { secret: 1 } }, token['mia'])).body.code).toBe('id-in-use')
  })

  it('sees and asks: whoever gave it out, viewers and administrators; its node asks what is wanted', async () => {
    const { api, token } = await withPeople()
    for (const path of ['', '/history', '/why']) expect(await who((one) => api.get(`/v1/long-tasks/a${path}`, { token: one }), token)).toEqual(['mark', 'vera', 'adam'])
    expect(await who((one) => api.get('/v1/long-tasks/a/directive', { token: one }), token)).toEqual(['mark', 'nora', 'vera', 'adam'])
    expect((await api.get('/v1/long-tasks/none/directive', { token: token['ned'] })).status).toBe(404)
  })

  it('sees the arguments: whoever gave them', async () => {
    const { api, token } = await withPeople()
    const args = async (name: string) => (await api.get('/v1/long-tasks/a', { token: token[name] })).body.args
    expect(await Promise.all(['mark', 'vera', 'adam'].map(args))).toEqual([{ secret: 1 }, undefined, undefined])
  })

  it('directs: whoever gave it out and administrators', async () => {
    const { api, token } = await withPeople()
    expect(await who((one) => api.post('/v1/long-tasks/a/directives', { directive: 'pause' }, { token: one }), token)).toEqual(['mark', 'adam'])
    expect((await api.post('/v1/long-tasks/none/directives', { directive: 'pause' }, { token: token['mia'] })).status).toBe(404)
  })

  it('reports: the principal that registered the node, even among those who know the lease', async () => {
    const { api, token, lease } = await withPeople()
    const report = { lease, phase: 'copy' }
    expect(await who((one) => api.post('/v1/long-tasks/a/reports', report, { token: one }), token)).toEqual(['nora'])
    expect(await who((one) => api.post('/v1/nodes/n1/reports', { id: 'a', ...report }, { token: one }), token)).toEqual(['nora'])
    expect(await who((one) => api.post('/v1/work-items/long-task%2Fa/reports', report, { token: one }), token)).toEqual(['nora'])
    const many = await api.post(
      '/v1/nodes/n1/reports',
      {
        items: [
          { id: 'a', ...report },
          { id: 'none', lease },
        ],
      },
      { token: token['ned'] },
    )
    expect(many.body.items.map(({ status }: { status: number }) => status)).toEqual([403, 403])
    expect((await api.post('/v1/nodes/none/reports', { id: 'a', ...report }, { token: token['nora'] })).status).toBe(404)
  })

  it('refused others are on record', async () => {
    const { api, token, lease } = await withPeople()
    await api.post('/v1/nodes/n1/reports', { items: [{ id: 'a', lease }] }, { token: token['ned'] })
    await api.post('/v1/long-tasks/a/directives', { directive: 'abort' }, { token: token['mia'] })
    await dispatch(api, {}, token['paul'])
    await settle()
    const day = new Date(api.world.now()).toISOString().slice(0, 10)
    const { body } = await api.get(`/v1/audit?day=${day}`, { token: token['adam'] })
    expect(body.items.map(({ subject, route, code }: { subject: string; route: string; code: string }) => [subject, route, code]).toSorted()).toEqual([
      ['mia@example.com', 'directLongTask', 'forbidden'],
      ['ned@example.com', 'reportLongTasks', 'forbidden'],
      ['paul@example.com', 'dispatchOperation', 'forbidden'],
    ])
  })
})
