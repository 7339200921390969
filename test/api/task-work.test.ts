// How workers work over HTTP: completions that carry the next lease, answers that get lost, repeats, give-backs, payloads and deletions.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { settle, startEngine } from '../support/engine.ts'
import { gatedStore } from '../support/gated-store.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(closeAll)

const QUEUE = '/v1/queues/shop/mail'
const TASKS = `${QUEUE}/tasks`
const put = (api: TestApi, id: string, body: object = {}) => api.post(TASKS, { id, payload: id, ...body })
const lease = async (api: TestApi, body: object = {}) => (await api.post(`${TASKS}/lease`, body)).body.items
const events = async (api: TestApi, id: string): Promise<string[]> => (await api.get(`${TASKS}/${id}/history`)).body.items.map((event: { type: string }) => event.type)

describe('a completion that carries the next lease', () => {
  it('is answered with both, each item and each task by itself', async () => {
    const api = await startApi()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await put(api, id)
    const [a, b] = await lease(api, { max: 2, worker: 'w1' })
    const answer = await api.post(`${TASKS}/complete`, {
      items: [
        { id: 'a', lease: a.lease, result: 1 },
        { id: 'b', lease: 'stale' },
      ],
      lease: { max: 2, worker: 'w1', leaseSeconds: 5 },
    })
    expect(answer.body.items).toMatchObject([
      { id: 'a', status: 200, state: 'completed' },
      { id: 'b', status: 409, code: 'stale-lease' },
    ])
    expect(answer.body.leased.items).toMatchObject([
      { id: 'c', payload: 'c', attempt: 1, holder: { name: 'w1' } },
      { id: 'd', payload: 'd' },
    ])
    const next = await api.post(`${TASKS}/complete`, {
      items: [{ id: 'b', lease: b.lease }, ...answer.body.leased.items.map((task: { id: string; lease: string }) => ({ id: task.id, lease: task.lease }))],
      lease: {},
    })
    expect(next.body.items.map((item: { status: number }) => item.status)).toEqual([200, 200, 200])
    expect(next.body.leased).toMatchObject({ items: [{ id: 'e' }] })
  })

  it('takes what the completion itself has freed', async () => {
    const api = await startApi()
    for (const id of ['k1', 'k2']) await put(api, id, { key: 'k' })
    const [first] = await lease(api, { max: 2 })
    const answer = await api.post(`${TASKS}/complete`, { items: [{ id: 'k1', lease: first.lease }], lease: { max: 2 } })
    expect(answer.body.leased.items).toMatchObject([{ id: 'k2' }])
  })

  it('is one commit: the next lease is sent before the completion is answered', async () => {
    const world = virtualWorld()
    const store = gatedStore(world)
    const api = await startApi({ engine: await startEngine({ store, world }) })
    for (const id of ['a', 'b', 'c']) await put(api, id)
    const [a] = await lease(api)
    store.sent.length = 0
    store.shut()
    const answer = api.post(`${TASKS}/complete`, { items: [{ id: 'a', lease: a.lease }], lease: { max: 2 } })
    for (let turn = 0; turn < 100 && store.sent.length < 3; turn += 1) await settle()
    expect(store.sent).toEqual(['Completed', 'Leased', 'Leased'])
    store.release()
    expect((await answer).body).toMatchObject({ items: [{ state: 'completed' }], leased: { items: [{ id: 'b' }, { id: 'c' }] } })
  })

  it('does not wait for work, and brings nothing when nothing was asked', async () => {
    const api = await startApi()
    await put(api, 'a')
    const [a] = await lease(api)
    const answer = await api.post(`${TASKS}/complete`, { items: [{ id: 'a', lease: a.lease }], lease: { max: 5 } }, { headers: { Prefer: 'wait=30' } })
    expect(answer.body.leased).toEqual({ items: [] })
    expect((await api.post(`${TASKS}/complete`, { items: [{ id: 'a', lease: a.lease }] })).body).not.toHaveProperty('leased')
    expect((await api.post(`${TASKS}/complete`, { items: [], lease: { max: 1 } })).body).toEqual({ items: [], leased: { items: [] } })
  })

  it('is refused as a whole when the envelope is wrong, and in its lease alone when that cannot be', async () => {
    const api = await startApi()
    const bad = await api.post(`${TASKS}/complete`, { items: [], lease: { max: 0 }, more: 1 })
    expect([bad.status, bad.body.errors.map((error: { path: string; code: string }) => `${error.path} ${error.code}`)]).toEqual([400, ['/lease/max range', '/more unknown']])
    const both = await api.post(`${TASKS}/complete`, { items: [], lease: { tag: 'a', sameTag: true } })
    expect(both.body.leased).toMatchObject({ items: [], problem: { code: 'invalid', status: 400 } })
    for (const route of ['fail', 'release', 'extend']) expect((await api.post(`${TASKS}/${route}`, { items: [], lease: {} })).status).toBe(400)
  })
})

/** Sends a lease call over a socket of its own, so that the test can break it off. */
const rawLease = (api: TestApi, body: object, headers = ''): Socket => {
  const text = JSON.stringify(body)
  const socket = connect(api.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`POST ${TASKS}/lease HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n${headers}\r\n${text}`)
  return socket
}

const untilLeased = async (api: TestApi, id: string): Promise<void> => {
  for (let turn = 0; turn < 200 && api.engine.live(`task/shop/mail/${id}`)?.status !== 'running'; turn += 1) await settle()
}
const untilWaiting = async (api: TestApi, id: string): Promise<void> => {
  for (let turn = 0; turn < 200 && api.engine.live(`task/shop/mail/${id}`)?.status !== 'waiting'; turn += 1) await settle()
}

describe('an answer to a lease that does not get there', () => {
  /** Breaks the connection off in the moment in which the lease is recorded. */
  const loseAnswer = async (body: object) => {
    const api = await startApi()
    const socket = rawLease(api, body, 'Prefer: wait=30\r\n')
    await api.world.until((pending) => pending.includes(30_000))
    // The task is handed over in the same append in which it is born, and the worker is gone by then.
    const inserting = put(api, 'a')
    socket.destroy()
    await inserting
    return api
  }

  it('gives the task back at once and burns no attempt', async () => {
    const api = await startApi()
    // Nobody reads: what does not fit into the buffers of the socket cannot be written.
    const payloadBase64 = Buffer.alloc(1024 * 1024, 7).toString('base64')
    for (let from = 0; from < 20; from += 10) await api.post(TASKS, { items: Array.from({ length: 10 }, (_, index) => ({ id: `t${from + index}`, payloadBase64 })) })
    const socket = rawLease(api, { max: 20, worker: 'w1' })
    socket.pause()
    await untilLeased(api, 't19')
    socket.destroy()
    await untilWaiting(api, 't19')
    expect((await events(api, 't0')).slice(1)).toEqual(['Leased', 'LeaseReleased'])
    // Neither has it had an attempt, nor is the worker passed over for it.
    expect(await lease(api, { worker: 'w1' })).toMatchObject([{ id: 't0', attempt: 1 }])
  })

  it('keeps the tasks of a call with a name for its repeat, and gives them back when none comes in ten seconds', async () => {
    const api = await startApi()
    const payloadBase64 = Buffer.alloc(1024 * 1024, 7).toString('base64')
    await api.post(TASKS, { items: Array.from({ length: 20 }, (_, index) => ({ id: `t${index}`, payloadBase64 })) })
    for (const isRepeated of [true, false]) {
      const socket = rawLease(api, { max: 20, worker: 'w1', requestId: 'r1' })
      socket.pause()
      await untilLeased(api, 't19')
      socket.destroy()
      await api.world.until((pending) => pending.includes(10_000))
      api.world.advance(5_000)
      if (isRepeated) {
        const repeated = await lease(api, { max: 20, worker: 'w1', requestId: 'r1' })
        expect([repeated.length, repeated[0].lease]).toEqual([20, expect.stringMatching(/^1\./)])
        api.world.advance(5_000)
        await settle()
        expect(api.engine.live('task/shop/mail/t0')?.status).toBe('running')
        await api.post(`${TASKS}/release`, { items: repeated.map((task: { id: string; lease: string }) => ({ id: task.id, lease: task.lease })) })
        api.world.advance(60_000)
      } else {
        expect(api.engine.live('task/shop/mail/t0')?.status).toBe('running')
        api.world.advance(5_000)
        await untilWaiting(api, 't0')
        expect(api.engine.live('task/shop/mail/t0')).toMatchObject({ status: 'waiting', attempt: 0 })
      }
    }
  })

  it('gives nothing back when the repeat was answered before the first connection dies', async () => {
    const api = await startApi()
    const payloadBase64 = Buffer.alloc(1024 * 1024, 7).toString('base64')
    await api.post(TASKS, { items: Array.from({ length: 20 }, (_, index) => ({ id: `t${index}`, payloadBase64 })) })
    const call = { max: 20, worker: 'w1', requestId: 'r1', leaseSeconds: 3_600 }
    const socket = rawLease(api, call)
    socket.pause()
    await untilLeased(api, 't19')
    const repeated = await lease(api, call)
    expect(repeated).toHaveLength(20)
    const gone = once(socket, 'close')
    socket.destroy()
    await gone
    // The server has heard of it when it has answered somebody who came later.
    await api.get('/v1/queues/shop/mail')
    await settle()
    expect(api.world.pending()).not.toContain(10_000)
    api.world.advance(60_000)
    await settle()
    expect((await api.post(`${TASKS}/complete`, { id: 't0', lease: repeated[0].lease })).status).toBe(200)
  })

  it('gives back what was handed over while the worker went away', async () => {
    const api = await loseAnswer({ worker: 'w1' })
    await untilWaiting(api, 'a')
    expect(await lease(api, { worker: 'w2' })).toMatchObject([{ id: 'a', attempt: 1 }])
  })

  it('gives back what is kept for a repeat when the server stops', async () => {
    const api = await startApi()
    const payloadBase64 = Buffer.alloc(1024 * 1024, 7).toString('base64')
    await api.post(TASKS, { items: Array.from({ length: 20 }, (_, index) => ({ id: `t${index}`, payloadBase64 })) })
    const socket = rawLease(api, { max: 20, requestId: 'r1' })
    socket.pause()
    await untilLeased(api, 't19')
    socket.destroy()
    await api.world.until((pending) => pending.includes(10_000))
    await api.server.close({ graceMs: 1_000 })
    expect(api.engine.live('task/shop/mail/t0')).toMatchObject({ status: 'waiting', attempt: 0 })
    expect(api.world.pending()).not.toContain(10_000)
  })
})

describe('a worker over HTTP', () => {
  it('learns the directive with the extension, as with a report of nothing but the lease', async () => {
    const api = await startApi()
    for (const id of ['a', 'b']) await put(api, id)
    const [a, b] = await lease(api, { max: 2 })
    const extend = (task: { id: string; lease: string }, leaseSeconds = 30) => api.post(`${TASKS}/extend`, { id: task.id, lease: task.lease, leaseSeconds })
    expect((await extend(a)).body).toEqual({ id: 'a', state: 'running', recorded: true, directive: 'normal', leaseUntil: expect.any(String) })
    for (const id of ['a', 'b']) await api.post(`${TASKS}/${id}/directives`, { directive: 'abort', reason: 'recalled' })
    const told = { state: 'aborting', directive: 'abort', receipt: { number: 1, directive: 'abort', reason: 'recalled', seenAt: expect.any(String) } }
    expect((await extend(a)).body).toMatchObject(told)
    expect((await api.post(`${TASKS}/b/reports`, { lease: b.lease })).body).toMatchObject(told)
    expect(await events(api, 'a')).toContain('DirectiveSeen')
    expect((await api.post(`${TASKS}/extend`, { items: [{ id: 'a', lease: a.lease, leaseSeconds: 60 }] })).body.items).toMatchObject([{ status: 200, ...told }])
    expect((await extend(a, 0)).body).toMatchObject({ state: 'aborted', directive: 'abort' })
  })

  it('gives a task back by extending it to nothing, and another that waits has it at once', async () => {
    const api = await startApi()
    await put(api, 'a')
    const [task] = await lease(api, { worker: 'busy' })
    const waiting = api.post(`${TASKS}/lease`, { worker: 'idle' }, { headers: { Prefer: 'wait=20' } })
    await api.world.until((pending) => pending.includes(20_000))
    expect((await api.post(`${TASKS}/extend`, { id: 'a', lease: task.lease, leaseSeconds: 0 })).body).toMatchObject({ state: 'waiting' })
    expect((await waiting).body.items).toMatchObject([{ id: 'a', attempt: 1, holder: { name: 'idle' } }])
    expect((await events(api, 'a')).slice(1)).toEqual(['Leased', 'LeaseReleased', 'Leased'])
  })

  it('gives a task back for later with its reason, and nobody has it before', async () => {
    const api = await startApi()
    await put(api, 'a')
    const [task] = await lease(api)
    expect((await api.post(`${TASKS}/release`, { id: 'a', lease: task.lease, reason: 'no paper', delaySeconds: 30 })).body).toMatchObject({ state: 'waiting' })
    api.world.advance(29_999)
    expect(await lease(api, { worker: 'other' })).toEqual([])
    api.world.advance(1)
    expect(await lease(api, { worker: 'other' })).toMatchObject([{ id: 'a', attempt: 1 }])
    const released = (await api.get(`${TASKS}/a/history`)).body.items.find((event: { type: string }) => event.type === 'LeaseReleased')
    expect(released.data).toMatchObject({ reason: 'no paper', counted: false, busy: false })
  })

  it('leases by tag, by the tag of the oldest, and not by both', async () => {
    const api = await startApi()
    for (const [id, tag] of [
      ['a', 'x'],
      ['b', 'y'],
      ['c', 'x'],
    ])
      await put(api, id ?? '', { tag })
    expect((await lease(api, { max: 5, tag: 'y' })).map((task: { id: string }) => task.id)).toEqual(['b'])
    expect((await lease(api, { max: 5, sameTag: true })).map((task: { id: string }) => task.id)).toEqual(['a', 'c'])
    const both = await api.post(`${TASKS}/lease`, { tag: 'x', sameTag: true })
    expect([both.status, both.body.errors[0].path]).toEqual([400, '/sameTag'])
  })

  it('is answered for a call that was superseded', async () => {
    const api = await startApi()
    const call = () => api.post(`${TASKS}/lease`, { requestId: 'r1' }, { headers: { Prefer: 'wait=20' } })
    const first = call()
    await api.world.until((pending) => pending.includes(20_000))
    const second = call()
    expect([(await first).status, (await first).body.code]).toEqual([409, 'superseded'])
    await put(api, 'a')
    expect((await second).body.items).toMatchObject([{ id: 'a' }])
  })

  it('shows the payload when it is asked for', async () => {
    const api = await startApi()
    const bytes = Buffer.from([1, 2, 255]).toString('base64')
    await put(api, 'json', { payload: { deep: [1] } })
    await api.post(TASKS, { id: 'bytes', payloadBase64: bytes, mediaType: 'image/png' })
    await api.post(TASKS, { id: 'none' })
    expect((await api.get(`${TASKS}/json?payload=true`)).body).toMatchObject({ payload: { deep: [1] }, mediaType: 'application/json', bytes: 12 })
    expect((await api.get(`${TASKS}/bytes?payload=true`)).body).toMatchObject({ payloadBase64: bytes, mediaType: 'image/png', bytes: 3 })
    expect((await api.get(`${TASKS}/none?payload=true`)).body).not.toHaveProperty('payload')
    expect((await api.get(`${TASKS}/json`)).body).not.toHaveProperty('payload')
    expect((await api.get(`${TASKS}/gone?payload=true`)).status).toBe(404)
  })

  it('deletes: completed under its lease, cancelled otherwise, and again is the same', async () => {
    const api = await startApi()
    for (const id of ['held', 'other', 'waiting']) await put(api, id)
    const [held] = await lease(api, { max: 2 })
    const remove = (id: string, headers: Record<string, string> = {}) => api.ask('DELETE', `${TASKS}/${id}`, { headers })
    expect((await remove('held', { 'Stint-Lease': held.lease })).body).toMatchObject({ id: 'held', state: 'completed' })
    expect((await remove('other', { 'Stint-Lease': 'stale' })).body).toMatchObject({ state: 'cancelled' })
    expect((await remove('waiting')).body).toMatchObject({ state: 'cancelled' })
    expect((await remove('waiting')).body).toMatchObject({ state: 'cancelled' })
    expect((await remove('none')).status).toBe(404)
    expect(await lease(api, { max: 5 })).toEqual([])
    // Its name stays taken, for a week and longer.
    expect((await put(api, 'waiting')).status).toBe(200)
    api.world.advance(7 * 86_400_000 + 1)
    expect((await put(api, 'waiting')).body).toMatchObject({ state: 'cancelled' })
    expect((await put(api, 'waiting', { payload: 'other' })).body).toMatchObject({ status: 409, code: 'exists-with-other-content' })
  })
})

describe('the limits of tasks', () => {
  const long = (length: number) => 'x'.repeat(length)
  const oversized = Buffer.alloc(1024 * 1024 + 1).toString('base64')

  it.each([
    ['a payload of a MiB and a byte', TASKS, { payload: long(1024 * 1024 - 1) }, '/payload', 'length'],
    ['bytes of a MiB and one', TASKS, { payloadBase64: oversized }, '/payloadBase64', 'length'],
    ['a name of 501 characters', TASKS, { id: long(501) }, '/id', 'length'],
    ['a name with a dot', TASKS, { id: 'a.b' }, '/id', 'pattern'],
    ['an empty name', TASKS, { id: '' }, '/id', 'length'],
    ['a tag of 501 characters', TASKS, { tag: long(501) }, '/tag', 'length'],
    ['an empty tag', TASKS, { tag: '' }, '/tag', 'length'],
    ['a key of 201 characters', TASKS, { key: long(201) }, '/key', 'length'],
    ['a delay of more than 30 days', TASKS, { delaySeconds: 2_592_001 }, '/delaySeconds', 'range'],
    ['a delay into the past', TASKS, { delaySeconds: -1 }, '/delaySeconds', 'range'],
    ['a priority beyond a thousand', TASKS, { priority: 1_001 }, '/priority', 'range'],
    ['no task at all', `${TASKS}/lease`, { max: 0 }, '/max', 'range'],
    ['1,001 tasks', `${TASKS}/lease`, { max: 1_001 }, '/max', 'range'],
    ['half a task', `${TASKS}/lease`, { max: 1.5 }, '/max', 'type'],
    ['a lease of more than a week', `${TASKS}/lease`, { leaseSeconds: 604_801 }, '/leaseSeconds', 'range'],
    ['a lease of no time', `${TASKS}/lease`, { leaseSeconds: 0 }, '/leaseSeconds', 'range'],
    ['a worker of 201 characters', `${TASKS}/lease`, { worker: long(201) }, '/worker', 'length'],
    ['a request of 101 characters', `${TASKS}/lease`, { requestId: long(101) }, '/requestId', 'length'],
    ['an extension of more than a week', `${TASKS}/extend`, { id: 'a', lease: 'x', leaseSeconds: 604_801 }, '/leaseSeconds', 'range'],
    ['an extension into the past', `${TASKS}/extend`, { id: 'a', lease: 'x', leaseSeconds: -1 }, '/leaseSeconds', 'range'],
    ['a release for more than 30 days', `${TASKS}/release`, { id: 'a', lease: 'x', delaySeconds: 2_592_001 }, '/delaySeconds', 'range'],
    ['a lease text of 65 characters', `${TASKS}/complete`, { id: 'a', lease: long(65) }, '/lease', 'length'],
    ['a queue name of 101 characters', `/v1/queues/shop/${long(101)}/tasks`, { payload: 1 }, '/params/queue', 'length'],
    ['a queue name with an underscore', '/v1/queues/shop/a_b/tasks', { payload: 1 }, '/params/queue', 'pattern'],
    ['an app in capitals', '/v1/queues/Shop/mail/tasks', { payload: 1 }, '/params/app', 'pattern'],
  ])('refuse %s', async (_what, path, body, at, code) => {
    const api = await startApi()
    const answer = await api.post(path, body)
    expect([answer.status, answer.body.code, answer.body.errors]).toEqual([400, 'invalid', [expect.objectContaining({ path: at, code })]])
  })

  it('take what is just within them', async () => {
    const api = await startApi()
    const body = { id: long(500), payload: long(1024 * 1024 - 2), tag: long(500), key: long(200), delaySeconds: 2_592_000, priority: -1_000 }
    expect((await api.post(TASKS, body)).status).toBe(201)
    const full = Buffer.alloc(1024 * 1024, 1).toString('base64')
    expect((await api.post(TASKS, { id: 'bytes', payloadBase64: full })).body.bytes).toBe(1024 * 1024)
    const [task] = await lease(api, { max: 1_000, leaseSeconds: 604_800, worker: long(200), requestId: long(100) })
    expect(task.payloadBase64).toBe(full)
  })

  it('hold for a thousand at once, and for no more', async () => {
    const api = await startApi()
    const many = (count: number) => ({ items: Array.from({ length: count }, (_, index) => ({ id: `t${index}` })) })
    expect((await api.post(TASKS, many(1_001))).body.errors).toEqual([expect.objectContaining({ path: '/items', code: 'length' })])
    expect((await api.post(TASKS, many(1_000))).body.items.every((item: { status: number }) => item.status === 201)).toBe(true)
    expect(await lease(api, { max: 1_000 })).toHaveLength(1_000)
  })
})

describe('a lease call with an Idempotency-Key', () => {
  it('is known by it where it has no requestId: said again it is given the same lease, and a new one when that is over', async () => {
    const api = await startApi()
    await put(api, 'a')
    const named = { headers: { 'Idempotency-Key': '"one"' } }
    const call = { max: 1, worker: 'w1' }
    const [first] = (await api.post(`${TASKS}/lease`, call, named)).body.items
    const [again] = (await api.post(`${TASKS}/lease`, call, named)).body.items
    expect([again.id, again.lease]).toEqual([first.id, first.lease])
    await api.post(`${TASKS}/release`, { id: first.id, lease: first.lease })
    // Another worker, since whoever gave it back is passed over for it.
    const [next] = (await api.post(`${TASKS}/lease`, { max: 1, worker: 'w2' }, named)).body.items
    expect(next.id).toBe('a')
    expect(next.lease).not.toBe(first.lease)
    const { body } = await api.get(`${TASKS}/a/history`)
    const ids = body.items.map(({ id }: { id: string }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toHaveLength(4)
  })
})

describe('a lease call that waits', () => {
  const listed = (...users: string[]) => queueConfig('shop', 'mail', { users, writers: ['writer@example.com'] })
  const guarded = async () => {
    const api = await startApi({ settings: { auth: { tokens: true } } })
    await configure(api, listed('worker@example.com', 'other@example.com'))
    const token = { worker: await api.tokenFor('worker@example.com', 'worker'), other: await api.tokenFor('other@example.com', 'worker') }
    const writer = await api.tokenFor('writer@example.com', 'producer')
    const waiting = api.post(`${TASKS}/lease`, { worker: 'w1' }, { token: token.worker, headers: { Prefer: 'wait=30' } })
    await api.world.until((pending) => pending.includes(30_000))
    return { api, token, writer, waiting }
  }

  it('is given nothing once its token is revoked: what came goes to the next, and no attempt is burnt', async () => {
    const { api, token, writer, waiting } = await guarded()
    const admin = await api.tokenFor('admin@example.com', 'admin')
    const { body } = await api.get('/v1/tokens', { token: admin })
    const { id } = body.items.find((entry: { email: string }) => entry.email === 'worker@example.com')
    await api.ask('DELETE', `/v1/tokens/${id}`, { token: admin })
    await api.post(TASKS, { id: 'a', payload: 'secret' }, { token: writer })
    const answer = await waiting
    expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated'])
    expect(answer.text).not.toContain('secret')
    expect((await api.post(`${TASKS}/lease`, { worker: 'w2' }, { token: token.other })).body.items).toMatchObject([{ id: 'a', attempt: 1 }])
  })

  it('ends as soon as its queue does not name the caller any more', async () => {
    const { api, waiting } = await guarded()
    await configure(api, listed('other@example.com'))
    expect(await waiting).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(api.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters).toBe(0)
  })

  it('keeps its place when the lists change and name it still', async () => {
    const { api, writer, waiting } = await guarded()
    await configure(api, listed('worker@example.com'))
    await settle()
    await api.post(TASKS, { id: 'a', payload: 1 }, { token: writer })
    expect((await waiting).body.items).toMatchObject([{ id: 'a' }])
  })
})
