// What becomes of a worker's leases: kept while a handler takes long, given back while it is busy, lost when it is cut off, and told of once although answers are lost.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AbortRequested, connect, isOverloaded, LeaseLost, type HistoryEvent, type Load } from '../../src/client/index.ts'
import type { Seen } from '../support/gateway.ts'
import { aborted, closeAll, steered } from '../support/job-functions.ts'
import { MAIL, startWorkerStage, type WorkerStage } from '../support/worker-stage.ts'
import { virtualWorld } from '../support/virtual-world.ts'

let stage: WorkerStage
let { stint, gateway, client, admin, problems, options } = {} as WorkerStage

beforeEach(async () => {
  stage = await startWorkerStage()
  ;({ stint, gateway, client, admin, problems, options } = stage)
})

afterEach(() => stage.close())

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
const put = (...ids: readonly string[]) => admin.producer(MAIL).putMany(ids.map((id) => ({ id })))
const show = (id: string) => admin.tasks.show({ ...MAIL, id })
const history = async (id: string): Promise<readonly HistoryEvent[]> => (await admin.tasks.history({ ...MAIL, id }, { limit: 1_000 })).items
const typesOf = async (id: string): Promise<readonly string[]> => (await history(id)).map(({ type }) => type)

/** Resolves with the first `count` events of a task, past or to come, that are of this type. */
const happened = async (id: string, type: string, count = 1): Promise<readonly HistoryEvent[]> => {
  const events: HistoryEvent[] = []
  const follower = connect({ url: stint.url })
  for await (const event of follower.events({ workItem: `task/shop/mail/${id}`, after: 'start', types: [type] })) if (events.push(event) === count) break
  await follower.close()
  return events
}

const isLease = ({ path }: Seen): boolean => path === '/v1/queues/shop/mail/tasks/lease'
const isCompletion = ({ path }: Seen): boolean => path === '/v1/queues/shop/mail/tasks/complete'
const bodyOf = ({ body }: Seen) => body as { readonly requestId?: string; readonly items?: readonly { readonly id: string }[]; readonly lease?: { readonly requestId: string } }

/** Resolves when so many lease calls wait for work. */
const waitingWorkers = async (count: number): Promise<void> => {
  while ((await admin.queues.show(MAIL)).waitingWorkers < count) await new Promise((resolve) => setImmediate(resolve))
}

/** Decides the fate of the first `count` requests that fit. */
const first = (count: number, fits: (request: Seen) => boolean, fate: 'cut' | 'lose-answer' | 503): void => {
  let left = count
  gateway.treat((request) => {
    if (left === 0 || !fits(request)) return 'pass'
    left -= 1
    return fate
  })
}

describe('when answers are lost', () => {
  it('is given the same tasks again, and begins each once', async () => {
    await put('a', 'b', 'c')
    first(2, isLease, 'lose-answer')
    const begun: string[] = []
    client.worker(options({ concurrency: 2 }), ({ id }) => void begun.push(id))
    await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'Completed')))
    expect(begun).toEqual(['a', 'b', 'c'])
    expect((await typesOf('a')).filter((type) => type === 'Leased')).toHaveLength(1)
    const asked = gateway.seen.filter(isLease).map((request) => bodyOf(request).requestId)
    expect(new Set(asked.slice(0, 3)).size).toBe(1)
  })

  it('completes once, and is given the tasks that were leased along with it', async () => {
    await put('a', 'b', 'c')
    first(2, isCompletion, 'lose-answer')
    const begun: string[] = []
    client.worker(options(), ({ id }) => void begun.push(id))
    await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'Completed')))
    expect(begun).toEqual(['a', 'b', 'c'])
    for (const id of begun) expect((await typesOf(id)).filter((type) => type !== 'LeaseExtended')).toEqual(['TaskInserted', 'Leased', 'Completed'])
    expect(new Set(problems.map(([name]) => name))).toEqual(new Set(['Unreachable']))
  })

  it('fails and gives back once', async () => {
    await put('a', 'b')
    first(2, ({ path }) => /\/(?:fail|release)$/.test(path), 'lose-answer')
    client.worker(options({ concurrency: 2, isBusy: ({ running }) => running === 1 }), () => Promise.reject(new Error('no')))
    await Promise.all([happened('a', 'RetryScheduled'), happened('b', 'LeaseReleased')])
    await gateway.until(({ path }) => path.endsWith('/fail') && gateway.seen.filter((seen) => seen.path.endsWith('/fail')).length > 1)
    expect((await typesOf('a')).filter((type) => type === 'RetryScheduled')).toHaveLength(1)
  })
})

describe('when Stint is killed and comes back', () => {
  it('lets handlers run on, tells how they ended, and goes on with the rest', async () => {
    await put(...range(6).map((n) => `t${n}`))
    const functions = range(2).map(() => steered<string>())
    const begun: string[] = []
    client.worker(options({ concurrency: 2 }), (task) => {
      begun.push(task.id)
      return functions[begun.length - 1]?.run(task) ?? 'at once'
    })
    await Promise.all(functions.map((each) => each.begun))
    await gateway.down()
    await stint.stop()
    functions[0]?.finish('while it was away')
    await stint.start()
    functions[1]?.finish('when it was back')
    await gateway.up()
    await Promise.all(range(6).map((n) => happened(`t${n}`, 'Completed')))
    expect(begun).toEqual(range(6).map((n) => `t${n}`))
    expect((await show('t0')).outcome).toEqual({ completed: { result: 'while it was away' } })
    for (const id of begun) expect((await typesOf(id)).filter((type) => type === 'Leased')).toHaveLength(1)
  })
})

describe('when a handler takes long', () => {
  it('keeps its lease, for all that take long in one exchange', async () => {
    await put('a', 'b', 'c')
    const functions = range(3).map(() => steered())
    let begun = 0
    client.worker(options({ concurrency: 3, leaseSeconds: 0.4 }), (task) => functions[begun++]?.run(task))
    await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'LeaseExtended', 3)))
    for (const { finish } of functions) finish()
    await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'Completed')))
    expect(await show('a')).toMatchObject({ state: 'completed', attempt: 1 })
    expect((await typesOf('a')).filter((type) => type === 'LeaseExpired')).toEqual([])
    const extensions = gateway.seen.filter(({ path }) => path.endsWith('/extend'))
    expect(extensions.some((request) => bodyOf(request).items?.length === 3)).toBe(true)
    expect(problems).toEqual([])
  })

  it('learns with the extension what the administrator wants, though nothing else gets through', async () => {
    await put('abort', 'pause')
    // Questions for the directive never come back.
    gateway.treat(({ path }) => (path.endsWith('/directive') ? 'hang' : 'pass'))
    const aborting = steered()
    client.worker(options({ concurrency: 2, leaseSeconds: 0.4 }), async (task) => {
      if (task.id === 'abort') return aborting.run(task)
      for (const { signal } = task; !signal.aborted && task.directive === 'normal';) await new Promise((resolve) => setImmediate(resolve))
      await task.checkpoint()
      return 'went on'
    })
    const { signal } = await aborting.begun
    await happened('pause', 'Leased')
    await admin.tasks.abort({ ...MAIL, id: 'abort' }, 'recalled')
    await admin.tasks.pause({ ...MAIL, id: 'pause' })
    await aborted(signal)
    expect(signal.reason).toBeInstanceOf(AbortRequested)
    await happened('pause', 'Paused')
    await admin.tasks.resume({ ...MAIL, id: 'pause' })
    await happened('pause', 'Completed')
    expect((await show('pause')).outcome).toEqual({ completed: { result: 'went on' } })
    expect((await history('abort')).find(({ type }) => type === 'DirectiveSeen')).toBeDefined()
  })

  it('may say itself how long it will take', async () => {
    await put('a')
    client.worker(options({ leaseSeconds: 30 }), async (task) => {
      await task.extend(3_600)
      return (await show('a')).leaseUntil
    })
    const [extended] = await happened('a', 'LeaseExtended')
    await happened('a', 'Completed')
    if (extended === undefined) throw new Error('The lease was not extended')
    const { until } = extended.data as { readonly until: number }
    expect(until - Date.parse(extended.time)).toBe(3_600_000)
  })

  it('does not set a timer for each task', async () => {
    const world = virtualWorld()
    const still = connect({ url: gateway.url, world })
    await put(...range(50).map((n) => `t${n}`))
    const held = steered()
    let begun = 0
    still.worker(options({ concurrency: 50 }), (task) => ((begun += 1) === 50 ? held.run(task) : undefined))
    await held.begun
    await Promise.all(range(49).map((n) => happened(`t${n}`, 'Completed')))
    // The long poll's own, and the one look after all leases.
    expect(world.pending().length).toBeLessThanOrEqual(2)
    await closeAll(still, world)
    expect(world.pending()).toEqual([])
  })
})

describe('when its questions for work are not held back', () => {
  it('does not ask again and again', async () => {
    const world = virtualWorld()
    const still = connect({ url: gateway.url, world })
    still.worker(options({ waitSeconds: 0 }), ({ id }) => id)
    await world.until((pending) => pending.includes(1_000))
    expect(gateway.seen.filter(isLease)).toHaveLength(1)
    await put('a')
    world.advance(1_000)
    expect(await happened('a', 'Completed')).toMatchObject([{ data: { result: 'a' } }])
    await closeAll(still, world)
    expect(world.pending()).toEqual([])
  })
})

describe('when its lease is gone', () => {
  it('stops the handler when the task was taken out of the queue', async () => {
    await put('a')
    const held = steered()
    client.worker(options({ leaseSeconds: 0.4 }), (task) => held.run(task))
    const { signal } = await held.begun
    await admin.tasks.delete({ ...MAIL, id: 'a' })
    await aborted(signal)
    expect(signal.reason).toBeInstanceOf(LeaseLost)
    expect(signal.reason).toMatchObject({ code: 'settled' })
  })

  it('is refused the completion of a task that another has by now, and says so', async () => {
    await put('a')
    const slow = steered<string>()
    const cutOff = client.worker(options({ leaseSeconds: 0.2, worker: 'slow' }), (task) => slow.run(task))
    await slow.begun
    await gateway.down()
    const other = steered<string>()
    const quick = admin.worker(options({ worker: 'quick' }), (task) => other.run(task))
    expect((await other.begun).attempt).toBe(2)
    slow.finish('stale')
    await gateway.up()
    await gateway.until(isCompletion)
    await cutOff.close()
    expect(await show('a')).toMatchObject({ state: 'running', holder: { name: 'quick' } })
    other.finish('current')
    await happened('a', 'Completed')
    await quick.close()
    expect((await show('a')).outcome).toEqual({ completed: { result: 'current' } })
    expect([cutOff.figures().refused, cutOff.figures().completed]).toEqual([1, 0])
    expect(quick.figures().completed).toBe(1)
    expect(problems).toContainEqual(['stale-lease', 'a'])
  })

  it('comes back to the queue when the worker is killed, after its lease', async () => {
    await put('a', 'b')
    const killed = steered()
    client.worker(options({ concurrency: 2, leaseSeconds: 0.2 }), (task) => killed.run(task))
    await killed.begun
    // All that Stint sees of a kill.
    await gateway.down()
    const attempts: Record<string, number> = {}
    admin.worker(options({ concurrency: 2 }), ({ id, attempt }) => void (attempts[id] = attempt))
    await Promise.all(['a', 'b'].map((id) => happened(id, 'Completed')))
    expect(attempts).toEqual({ a: 2, b: 2 })
    expect((await typesOf('a')).filter((type) => /Lease/.test(type))).toEqual(['Leased', 'LeaseExpired', 'Leased'])
  })
})

describe('when it is busy', () => {
  it('gives back what it has leased, and another has it at once', async () => {
    // Free when it asks for work, busy when the work is there.
    let asked = 0
    const busy = client.worker(options({ worker: 'busy', isBusy: () => (asked += 1) > 1 }), () => 'never')
    await waitingWorkers(1)
    admin.worker(options({ worker: 'free' }), () => 'done')
    await waitingWorkers(2)
    await put('a')
    await happened('a', 'Completed')
    expect(await show('a')).toMatchObject({ state: 'completed', attempt: 1, outcome: { completed: { result: 'done' } } })
    const released = (await history('a')).find(({ type }) => type === 'LeaseReleased')
    expect(released).toMatchObject({ data: { busy: true, counted: false, reason: 'The worker is busy.' } })
    await busy.close()
    expect(busy.figures()).toMatchObject({ leased: 1, givenBack: 1, completed: 0 })
  })

  it('asks for nothing, and goes on when it is not busy any more', async () => {
    let isBusy = true
    const loads: Load[] = []
    const over = Promise.withResolvers<void>()
    client.worker(
      options({
        concurrency: 4,
        isBusy: async (load) => {
          loads.push(load)
          if (loads.length === 2) over.resolve()
          return isBusy
        },
      }),
      () => 1,
    )
    await put('a')
    await over.promise
    expect(gateway.seen.filter(isLease)).toEqual([])
    isBusy = false
    await happened('a', 'Completed')
    expect(loads[0]).toMatchObject({ running: 0, concurrency: 4 })
  })

  it('works although the predicate fails, and says so', async () => {
    await put('a')
    client.worker(
      options({
        isBusy: () => {
          throw new RangeError('no such gauge')
        },
      }),
      () => 1,
    )
    await happened('a', 'Completed')
    expect(problems).toContainEqual(['RangeError', undefined])
  })

  it('has defaults for what is too much', () => {
    const calm: Load = { running: 0, concurrency: 2, eventLoopDelayMs: 5, memoryUsed: 0.4 }
    expect(isOverloaded(calm)).toBe(false)
    expect(isOverloaded({ ...calm, running: 2 })).toBe(true)
    expect(isOverloaded({ ...calm, eventLoopDelayMs: 150 })).toBe(true)
    expect(isOverloaded({ ...calm, memoryUsed: 0.95 })).toBe(true)
    expect(isOverloaded({ ...calm, eventLoopDelayMs: undefined, memoryUsed: undefined })).toBe(false)
  })
})
