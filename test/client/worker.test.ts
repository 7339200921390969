// The worker of the SDK against a whole Stint: what an inside application writes, what its handlers are given, and what is told of how they ended.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AbortRequested, Closed, GiveBack, PermanentFailure, StintError, type HistoryEvent, type WorkerTask } from '../../src/client/index.ts'
import { until } from '../support/eventually.ts'
import type { Seen } from '../support/gateway.ts'
import { aborted, steered } from '../support/job-functions.ts'
import { MAIL, startWorkerStage, type WorkerStage } from '../support/worker-stage.ts'

let stage: WorkerStage
let { gateway, client, admin, problems, options } = {} as WorkerStage

beforeEach(async () => {
  stage = await startWorkerStage()
  ;({ gateway, client, admin, problems, options } = stage)
})

afterEach(() => stage.close())

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
const put = (...ids: readonly string[]) => admin.producer(MAIL).putMany(ids.map((id) => ({ id, payload: { id } })))
const show = (id: string) => admin.tasks.show({ ...MAIL, id })
const history = async (id: string): Promise<readonly HistoryEvent[]> => (await admin.tasks.history({ ...MAIL, id }, { limit: 1_000 })).items
const typesOf = async (id: string): Promise<readonly string[]> => (await history(id)).map(({ type }) => type)

/** Resolves with the first event of a task, past or to come, that is of this type. */
const happened = async (id: string, type: string): Promise<HistoryEvent> => {
  for await (const event of admin.events({ workItem: `task/shop/mail/${id}`, after: 'start', types: [type] })) return event
  throw new Error(`Expected ${type} of ${id}`)
}

const isLease = ({ path }: Seen): boolean => path === '/v1/queues/shop/mail/tasks/lease'
const isCompletion = ({ path }: Seen): boolean => path === '/v1/queues/shop/mail/tasks/complete'
const bodyOf = ({ body }: Seen) =>
  body as { readonly max?: number; readonly requestId?: string; readonly items?: readonly { readonly id: string }[]; readonly lease?: { readonly max: number } }

describe('when a handler does a task', () => {
  it('is given all that was put', async () => {
    const bytes = Uint8Array.from([0, 255, 7])
    await admin
      .producer(MAIL)
      .putMany([{ id: 'json', payload: { to: 'ann' }, tag: 'post', key: 'ann', priority: 5 }, { id: 'bytes', payload: bytes, mediaType: 'image/png' }, { id: 'nothing' }])
    const seen: Record<string, unknown> = {}
    client.worker(options({ concurrency: 3 }), ({ id, attempt, payload, mediaType, tag, key, priority, directive }) => {
      seen[id] = { attempt, payload, mediaType, tag, key, priority, directive }
    })
    await Promise.all(['json', 'bytes', 'nothing'].map((id) => happened(id, 'Completed')))
    expect(seen).toEqual({
      json: { attempt: 1, payload: { to: 'ann' }, mediaType: 'application/json', tag: 'post', key: 'ann', priority: 5, directive: 'normal' },
      bytes: { attempt: 1, payload: bytes, mediaType: 'image/png', tag: undefined, key: undefined, priority: undefined, directive: 'normal' },
      nothing: { attempt: 1, payload: undefined, mediaType: 'application/json', tag: undefined, key: undefined, priority: undefined, directive: 'normal' },
    })
  })

  it('completes it with what it returns', async () => {
    await put('a')
    const worker = client.worker(options(), () => ({ words: 12 }))
    await happened('a', 'Completed')
    expect(await show('a')).toMatchObject({ state: 'completed', outcome: { completed: { result: { words: 12 } } } })
    await worker.close()
    expect(worker.figures()).toEqual({ leased: 1, completed: 1, failed: 0, aborted: 0, givenBack: 0, refused: 0 })
  })

  it('fails it with what it throws, and it is tried again', async () => {
    await put('a')
    const attempts: number[] = []
    client.worker(options(), ({ attempt }) => {
      attempts.push(attempt)
      if (attempt < 2) throw Object.assign(new Error('no such box'), { code: 'ENOBOX' })
    })
    expect(await happened('a', 'RetryScheduled')).toMatchObject({ data: { code: 'ENOBOX', message: 'no such box' } })
    await happened('a', 'Completed')
    expect(attempts).toEqual([1, 2])
  })

  it('fails it for good with a PermanentFailure', async () => {
    await put('a')
    client.worker(options(), () => {
      throw new PermanentFailure('no such address', { code: 'bounced', detail: { smtp: 550 } })
    })
    expect(await happened('a', 'Failed')).toMatchObject({ data: { code: 'bounced', message: 'no such address', detail: { smtp: 550 } } })
  })

  it('puts it back with a GiveBack, which burns no attempt', async () => {
    await put('a')
    client.worker(options(), () => {
      throw new GiveBack('the printer is out of paper', { delaySeconds: 3_600 })
    })
    const { data, time } = await happened('a', 'LeaseReleased')
    expect(data).toMatchObject({ counted: false, reason: 'the printer is out of paper', busy: false })
    const { state, attempt, dueAt } = await show('a')
    expect({ state, attempt }).toEqual({ state: 'waiting', attempt: 0 })
    expect(Date.parse(dueAt ?? '') - Date.parse(time)).toBe(3_600_000)
  })

  it('tells its phases and progress before its end', async () => {
    await put('a')
    client.worker(options(), (task) => {
      task.phase('read')
      task.progress(0.5)
      task.phase('write')
      return 'done'
    })
    await happened('a', 'Completed')
    expect(await typesOf('a')).toEqual(['TaskInserted', 'Leased', 'PhaseEntered', 'ProgressReported', 'PhaseEntered', 'Completed'])
    expect(gateway.seen.filter(({ path }) => path.endsWith('/reports'))).toHaveLength(2)
  })

  it('completes although its value cannot be said in JSON, or is too large for the way', async () => {
    await put('a', 'b')
    gateway.treat((request) => (isCompletion(request) && JSON.stringify(request.body).length > 10_000 ? 413 : 'pass'))
    client.worker(options({ concurrency: 2 }), ({ id }) => (id === 'a' ? 12n : 'x'.repeat(20_000)))
    await Promise.all(['a', 'b'].map((id) => happened(id, 'Completed')))
    expect([(await show('a')).outcome, (await show('b')).outcome]).toEqual([{ completed: {} }, { completed: {} }])
    expect(problems).toContainEqual(['UnexpectedAnswer', 'b'])
  })

  it('goes on although it says what Stint would not take', async () => {
    await put('a')
    client.worker(options(), (task) => {
      task.progress(1.5)
      task.phase('')
    })
    await happened('a', 'Completed')
    expect(problems).toEqual([
      ['invalid', 'a'],
      ['invalid', 'a'],
    ])
  })

  it('is not begun with settings that Stint would not take', () => {
    expect(() => client.worker(options({ leaseSeconds: 0 }), () => 1)).toThrow(StintError)
    expect(() => client.worker(options({ concurrency: 0 }), () => 1)).toThrow(RangeError)
  })
})

describe('when tasks are leased', () => {
  it('asks for as many as there are free places, and holds no more', async () => {
    await put(...range(10).map((n) => `t${n}`))
    const begun: WorkerTask[] = []
    const functions = range(10).map(() => steered<number>())
    client.worker(options({ concurrency: 3 }), (task) => functions[begun.push(task) - 1]?.run(task))
    await Promise.all(functions.slice(0, 3).map(({ begun: started }) => started))
    expect(begun.map(({ id }) => id)).toEqual(['t0', 't1', 't2'])
    expect(await admin.queues.show(MAIL)).toMatchObject({ leased: 3, waiting: 7 })
    functions[1]?.finish(1)
    await functions[3]?.begun
    expect(begun.map(({ id }) => id)).toEqual(['t0', 't1', 't2', 't3'])
    expect(await admin.queues.show(MAIL)).toMatchObject({ leased: 3, waiting: 6 })
    const asked = gateway.seen.flatMap((request) => (isLease(request) ? [bodyOf(request).max] : isCompletion(request) ? [bodyOf(request).lease?.max] : []))
    expect(asked).toEqual([3, 1])
    for (const { finish } of functions) finish(1)
    await Promise.all(range(10).map((n) => happened(`t${n}`, 'Completed')))
  })

  it('carries the next lease request with the completions: one exchange for each batch', async () => {
    await put(...range(200).map((n) => `t${n}`))
    let done = 0
    client.worker(options({ concurrency: 20 }), () => (done += 1))
    await Promise.all(range(200).map((n) => happened(`t${n}`, 'Completed')))
    const completions = gateway.seen.filter(isCompletion)
    const lastLease = gateway.seen.findIndex((request, index) => index > 0 && isLease(request))
    expect(done).toBe(200)
    expect(completions).toHaveLength(10)
    expect(completions.map((request) => [bodyOf(request).items?.length, bodyOf(request).lease?.max])).toEqual(range(10).map(() => [20, 20]))
    // One question for work at the beginning, and one when there was nothing left.
    expect(lastLease === -1 || lastLease > 10).toBe(true)
  })

  it('has a task that is put while it waits', async () => {
    client.worker(options(), ({ id }) => id)
    await gateway.until(isLease)
    await put('a')
    expect(await happened('a', 'Completed')).toMatchObject({ data: { result: 'a' } })
  })

  it('takes only what has its tag', async () => {
    await admin.producer(MAIL).putMany([
      { id: 'a', tag: 'red' },
      { id: 'b', tag: 'blue' },
      { id: 'c', tag: 'blue' },
    ])
    const seen: string[] = []
    client.worker(options({ tag: 'blue' }), ({ id }) => void seen.push(id))
    await Promise.all(['b', 'c'].map((id) => happened(id, 'Completed')))
    expect(seen).toEqual(['b', 'c'])
    expect(await show('a')).toMatchObject({ state: 'waiting' })
  })

  it('says what keeps it from work, and goes on when that has passed', async () => {
    gateway.treat((request) => (isLease(request) && problems.length === 0 ? 404 : 'pass'))
    client.worker(options(), () => 1)
    await put('a')
    await happened('a', 'Completed')
    expect(problems).toEqual([['UnexpectedAnswer', undefined]])
  })

  it('works through a queue once, whoever shares it', async () => {
    const ids = range(2_000).map((n) => `t${n}`)
    await put(...ids)
    const times = new Map<string, number>()
    const over = Promise.withResolvers<void>()
    const workers = [7, 16, 40].map((concurrency) =>
      client.worker(options({ concurrency }), ({ id }) => {
        times.set(id, (times.get(id) ?? 0) + 1)
        if (times.size === ids.length) over.resolve()
      }),
    )
    await over.promise
    await Promise.all(workers.map((worker) => worker.close({ graceSeconds: 5 })))
    expect([...times.values()].every((count) => count === 1)).toBe(true)
    expect(workers.reduce((sum, worker) => sum + worker.figures().completed, 0)).toBe(2_000)
    expect(workers.every((worker) => worker.figures().completed > 0)).toBe(true)
    expect(await admin.queues.show(MAIL)).toMatchObject({ waiting: 0, leased: 0, statistics: { states: { completed: 2_000 } } })
    expect(problems).toEqual([])
  })
})

describe('when the administrator wants something', () => {
  it('aborts a handler that takes long', async () => {
    await put('a')
    const held = steered()
    client.worker(options(), (task) => {
      task.partial({ pages: 3 })
      return held.run(task)
    })
    await held.begun
    await admin.tasks.abort({ ...MAIL, id: 'a' }, 'wrong file')
    expect(await happened('a', 'Aborted')).toMatchObject({ data: { reason: 'wrong file', partial: { pages: 3 } } })
  })

  it('tells it with the answer to a report', async () => {
    await put('a')
    let thrown: unknown
    client.worker(options(), async (task) => {
      task.progress(0.1)
      await happened('a', 'ProgressReported')
      await admin.tasks.abort({ ...MAIL, id: 'a' })
      task.phase('go on')
      await aborted(task.signal)
      await task.checkpoint().catch((reason: unknown) => {
        thrown = reason
        throw reason
      })
    })
    await happened('a', 'Aborted')
    expect(thrown).toBeInstanceOf(AbortRequested)
  })

  it('pauses it at its next checkpoint, until it is resumed', async () => {
    await put('a')
    client.worker(options(), async (task) => {
      task.progress(0.1)
      await happened('a', 'ProgressReported')
      await admin.tasks.pause({ ...MAIL, id: 'a' })
      task.phase('go on')
      while (task.directive !== 'pause') await new Promise((resolve) => setImmediate(resolve))
      await task.checkpoint()
    })
    await happened('a', 'Paused')
    await admin.tasks.resume({ ...MAIL, id: 'a' })
    await happened('a', 'Completed')
    expect(await typesOf('a')).toContain('Resumed')
  })
})

describe('when it is closed', () => {
  it('waits for what runs, and gives back what was not begun', async () => {
    await put('a', 'b', 'c')
    const first = steered<string>()
    const isSecond = Promise.withResolvers<boolean>()
    let asked = 0
    // The first may begin; whether there is too much to do for the second takes the predicate until the worker is being closed.
    const worker = client.worker(options({ concurrency: 3, isBusy: () => ((asked += 1) <= 2 ? false : isSecond.promise) }), (task) => first.run(task))
    await first.begun
    const closed = worker.close({ graceSeconds: 20 })
    isSecond.resolve(false)
    await Promise.all(['b', 'c'].map((id) => happened(id, 'LeaseReleased')))
    expect(await show('a')).toMatchObject({ state: 'running' })
    first.finish('done')
    await closed
    await worker.closed
    expect(await show('a')).toMatchObject({ state: 'completed', outcome: { completed: { result: 'done' } } })
    expect(await show('b')).toMatchObject({ state: 'waiting', attempt: 0 })
    expect(worker.figures()).toMatchObject({ completed: 1, givenBack: 2 })
  })

  it('gives back what runs when the grace is over, and hears nothing more of it', async () => {
    await put('a')
    const held = steered<string>()
    const worker = client.worker(options(), async (task) => {
      await held.run(task).catch(() => undefined)
      return 'too late'
    })
    const { signal } = await held.begun
    await worker.close()
    expect(signal.reason).toBeInstanceOf(Closed)
    expect(await show('a')).toMatchObject({ state: 'waiting', attempt: 0 })
    expect(await typesOf('a')).toEqual(['TaskInserted', 'Leased', 'LeaseReleased'])
    expect(worker.figures()).toMatchObject({ completed: 0, givenBack: 1, refused: 0 })
  })

  it('asks for no more work, and nobody waits for it', async () => {
    const worker = client.worker(options(), () => 1)
    await gateway.until(isLease)
    await worker.close()
    await put('a')
    expect(await show('a')).toMatchObject({ state: 'waiting' })
    expect(await admin.queues.show(MAIL)).toMatchObject({ waitingWorkers: 0, waiting: 1 })
  })

  it('is closed with its client, and by a signal to its process', async () => {
    const listeners = process.listenerCount('SIGUSR2')
    const told = client.worker(options({ closeOn: ['SIGUSR2'] }), () => 1)
    process.emit('SIGUSR2')
    // It comes from the group as well as from the launcher: the same request.
    expect(process.listenerCount('SIGUSR2')).toBe(listeners + 1)
    process.emit('SIGUSR2')
    await told.closed
    await until(() => process.listenerCount('SIGUSR2') === listeners)
    const other = client.worker(options(), () => 1)
    await client.close()
    await other.closed
    expect(() => client.worker(options(), () => 1)).toThrow(Closed)
  })
})
