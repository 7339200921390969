// Lease calls that wait: births that go straight to them, who is next, repeats by name, queues that are paused, removed or full, and that nothing is left over.
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/store/memory.ts'
import { StoreFault, type AppendFailure, type EventStore } from '../../src/store/port.ts'
import { left, right, settle, startEngine, type TestEngine } from '../support/engine.ts'
import { configure, queueConfig, unconfigure } from '../support/queues.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { finish, giveBack, leaseOf, namesOf, put, restingFigures, take, tryPut, tryTake } from '../support/tasks.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const MAIL = { app: 'shop', queue: 'mail' }
const opened: TestEngine[] = []
const start = async (given: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const one = await startEngine(given)
  opened.push(one)
  return one
}
afterEach(async () => {
  for (const { engine, store, world } of opened.splice(0)) {
    await settle()
    await expectReplayEqual(engine, store)
    // Nobody waits, nothing is claimed, and no timer of a queue is left: only those of leases, and of the tables at rest.
    for (const { figures } of engine.queues.list()) expect(figures).toMatchObject(restingFigures)
    await engine.close()
    expect(world.pending()).toEqual([])
  }
})

/** A store whose appends are counted, and can be made to fail. */
const countedStore = (world = virtualWorld()) => {
  const store = memoryStore({ world })
  const appends: string[][] = []
  let failure: AppendFailure | undefined
  const counted: EventStore = {
    ...store,
    append: (stream, expected, events) => {
      const append = store.append(stream, expected, events)
      return async () => {
        if (failure !== undefined) return E.left(failure)
        if (stream.startsWith('workItem-')) appends.push(events.map(({ type }) => type))
        return append()
      }
    },
  }
  return {
    world,
    store: counted,
    appends,
    failWith: (next: AppendFailure | undefined) => {
      failure = next
    },
  }
}

describe('a task that meets a waiting worker', () => {
  it('is inserted and leased in one append, and handed over without another look', async () => {
    const { store, world, appends } = countedStore()
    const test = await start({ store, world })
    const waiting = tryTake(test, { waitMs: 30_000, requestId: 'r1' })
    await settle()
    const done = await put(test, 'a', { bytes: 3 })
    const [leased] = right(await waiting)
    expect(appends).toEqual([['TaskInserted', 'Leased']])
    expect([done.item.status, leased?.item.lease.token, leased?.payload?.byteLength]).toEqual(['running', leaseOf(test, 'a'), 3])
    expect(leased?.item.lease).toMatchObject({ number: 1, requestId: 'r1', holder: { name: 'w1' } })
  })

  it('goes to the first in line, and each next one to the next', async () => {
    const test = await start()
    const waiting = ['w1', 'w2', 'w3'].map((worker) => take(test, { worker, waitMs: 30_000 }))
    await settle()
    for (const id of ['a', 'b', 'c']) await put(test, id)
    expect(await Promise.all(waiting)).toEqual([['a'], ['b'], ['c']])
  })

  it('waits like any other when it is delayed, or when its key is in use', async () => {
    const { store, world, appends } = countedStore()
    const test = await start({ store, world })
    await put(test, 'k1', { key: 'k' })
    await take(test)
    const waiting = take(test, { waitMs: 60_000, worker: 'w2' })
    await settle()
    await put(test, 'k2', { key: 'k' })
    await put(test, 'later', { dueInMs: 1_000 })
    await settle()
    expect(appends).toEqual([['TaskInserted'], ['Leased'], ['TaskInserted'], ['TaskInserted']])
    world.advance(1_000)
    expect(await waiting).toEqual(['later'])
  })

  it('is not handed over when the append fails, and the worker keeps its place in line', async () => {
    const { store, world, appends, failWith } = countedStore()
    const test = await start({ store, world })
    const first = take(test, { worker: 'w1', waitMs: 30_000 })
    const second = take(test, { worker: 'w2', waitMs: 30_000 })
    await settle()
    for (const failure of [new StoreFault('overloaded', 'full'), { kind: 'tooLarge', limitBytes: 1 } as const]) {
      failWith(failure)
      expect(E.isLeft(await tryPut(test, 'a', { key: 'k' }))).toBe(true)
    }
    failWith(undefined)
    await put(test, 'a', { key: 'k' })
    await put(test, 'b')
    expect([await first, await second]).toEqual([['a'], ['b']])
    expect(appends).toEqual([
      ['TaskInserted', 'Leased'],
      ['TaskInserted', 'Leased'],
    ])
  })

  it('is not handed over twice when it is inserted again', async () => {
    const test = await start()
    await put(test, 'a')
    await take(test)
    const waiting = take(test, { worker: 'w2', waitMs: 10_000 })
    await settle()
    expect((await put(test, 'a')).events).toEqual([])
    expect(left(await tryPut(test, 'a', { bytes: 11 }))).toMatchObject({ type: 'exists-with-other-content' })
    await finish(test, 'a')
    expect((await put(test, 'a')).events).toEqual([])
    test.world.advance(10_000)
    expect(await waiting).toEqual([])
  })

  it('goes to somebody else when the first in line has gone, before the append or during it', async () => {
    const { store, world, failWith } = countedStore()
    const test = await start({ store, world })
    const gone = new AbortController()
    const first = tryTake(test, { worker: 'w1', waitMs: 30_000, signal: gone.signal })
    const second = take(test, { worker: 'w2', waitMs: 30_000 })
    await settle()
    gone.abort()
    expect(right(await first)).toEqual([])
    await put(test, 'a')
    expect(await second).toEqual(['a'])
    // Gone while the append that would have given it something fails: it leaves the line all the same.
    const during = new AbortController()
    const third = tryTake(test, { worker: 'w3', waitMs: 30_000, signal: during.signal })
    await settle()
    failWith(new StoreFault('overloaded', 'full'))
    const putting = tryPut(test, 'b')
    during.abort()
    expect(E.isLeft(await putting)).toBe(true)
    expect(right(await third)).toEqual([])
    failWith(undefined)
    // Gone while the append is on its way: it has the task, and whoever asked on its behalf has to give it back.
    const late = new AbortController()
    const fourth = tryTake(test, { worker: 'w4', waitMs: 30_000, signal: late.signal })
    await settle()
    const handed = tryPut(test, 'c')
    late.abort()
    right(await handed)
    expect(namesOf(right(await fourth))).toEqual(['c'])
  })
})

describe('a worker that gives a task back with no time left on it', () => {
  it('hands it to another that waits in the same moment', async () => {
    const test = await start()
    await put(test, 'a')
    await take(test, { worker: 'busy' })
    const waiting = take(test, { worker: 'idle', waitMs: 60_000 })
    await settle()
    await giveBack(test, 'a')
    expect(await waiting).toEqual(['a'])
    expect(test.engine.live('task/shop/mail/a')).toMatchObject({ attempt: 1, lease: { number: 2 } })
  })
})

describe('two hundred that wait', () => {
  it('are served in the order in which they came, and again when they come back', async () => {
    const test = await start()
    const order: string[] = []
    const wait = async (worker: string) => {
      await take(test, { worker, waitMs: 60_000 })
      order.push(worker)
    }
    const workers = Array.from({ length: 200 }, (_, index) => `w${index}`)
    for (let round = 0; round < 2; round += 1) {
      const waiting = workers.map(wait)
      await settle()
      for (let from = 0; from < 200; from += 50) await Promise.all(Array.from({ length: 50 }, (_, index) => put(test, `t${round}-${from + index}`)))
      await Promise.all(waiting)
    }
    expect(order).toEqual([...workers, ...workers])
  })

  it('share what is released at once, each one', async () => {
    const test = await start()
    for (let index = 0; index < 200; index += 1) await put(test, `t${index}`, { dueInMs: 5_000 })
    const waiting = Array.from({ length: 200 }, (_, index) => take(test, { worker: `w${index}`, waitMs: 60_000 }))
    await settle()
    test.world.advance(5_000)
    const given = await Promise.all(waiting)
    expect(new Set(given.flat()).size).toBe(200)
    expect(given.every((one) => one.length === 1)).toBe(true)
  })
})

describe('a lease call with a name', () => {
  it('is given again what it was given, as long as that is under its lease', async () => {
    const test = await start()
    for (const id of ['a', 'b', 'c']) await put(test, id)
    const first = right(await tryTake(test, { max: 2, requestId: 'r1' }))
    const again = right(await tryTake(test, { max: 2, requestId: 'r1' }))
    expect(again.map(({ item, payload }) => [item.lease.token, payload?.byteLength])).toEqual(first.map(({ item }) => [item.lease.token, 10]))
    await finish(test, 'a')
    expect(namesOf(right(await tryTake(test, { max: 2, requestId: 'r1' })))).toEqual(['b'])
    await finish(test, 'b')
    expect(await take(test, { max: 2, requestId: 'r1' })).toEqual(['c'])
  })

  it('is no repeat for another principal or in another queue', async () => {
    const test = await start()
    await put(test, 'a')
    await put(test, 'b')
    await put(test, 'a', { queue: 'orders' })
    expect(await take(test, { requestId: 'r1' })).toEqual(['a'])
    expect(await take(test, { requestId: 'r1', subject: 'others' })).toEqual(['b'])
    expect(await take(test, { requestId: 'r1', queue: 'orders' })).toEqual(['a'])
  })

  it('takes the place of one that still waits', async () => {
    const test = await start()
    const first = tryTake(test, { requestId: 'r1', waitMs: 30_000 })
    await settle()
    const second = tryTake(test, { requestId: 'r1', waitMs: 30_000 })
    const third = tryTake(test, { requestId: 'r1', waitMs: 30_000 })
    expect([left(await first), left(await second)]).toEqual([{ type: 'superseded' }, { type: 'superseded' }])
    await settle()
    await put(test, 'a')
    expect(namesOf(right(await third))).toEqual(['a'])
  })

  it('gets what the one before was just being given', async () => {
    const test = await start()
    const first = tryTake(test, { requestId: 'r1', waitMs: 30_000 })
    await settle()
    const putting = tryPut(test, 'a')
    const second = tryTake(test, { requestId: 'r1', waitMs: 30_000 })
    right(await putting)
    expect(left(await first)).toEqual({ type: 'superseded' })
    expect(namesOf(right(await second))).toEqual(['a'])
    expect(test.engine.live('task/shop/mail/a')).toMatchObject({ lease: { number: 1 } })
  })

  it('is known after a restart', async () => {
    const before = await start()
    await put(before, 'a')
    const first = right(await tryTake(before, { requestId: 'r1' }))
    const after = await start({ store: before.store, world: before.world })
    opened.shift()
    expect(right(await tryTake(after, { requestId: 'r1' })).map(({ item }) => item.lease.token)).toEqual(first.map(({ item }) => item.lease.token))
    before.engine.stop()
  })
})

describe('a queue that is paused', () => {
  it('takes inserts and gives nothing, also to those who wait; resumed it gives', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail'))
    const context = () => ({ subject: 'admin', actor: 'admin', commandId: test.world.uuid() })
    const waiting = take(test, { waitMs: 30_000 })
    await settle()
    right(await test.engine.queues.pause(MAIL, 'stock-taking', context()))
    await put(test, 'a')
    expect(await take(test, { worker: 'w2' })).toEqual([])
    expect(test.engine.gateOf(test.engine.live('task/shop/mail/a') as never, 'task/shop/mail/a')).toEqual({ gate: 'queue-paused' })
    await settle()
    right(await test.engine.queues.resume(MAIL, context()))
    expect(await waiting).toEqual(['a'])
    await finish(test, 'a')
  })

  it('is paused still after a restart, though it holds no task and no file names it', async () => {
    const before = await start()
    right(await before.engine.queues.pause(MAIL, undefined, { subject: 'admin', actor: 'admin', commandId: before.world.uuid() }))
    const after = await start({ store: before.store, world: before.world })
    opened.shift()
    expect(after.engine.queues.get(MAIL)).toMatchObject({ status: 'open', isConfigured: true, paused: { by: 'admin' } })
    await put(after, 'a')
    expect(await take(after)).toEqual([])
    before.engine.stop()
  })
})

describe('a queue that no file names any more', () => {
  it('refuses inserts and leases, ends the waits, and lets holders finish', async () => {
    const test = await start({ settings: { openQueues: false } })
    await configure(test, queueConfig('shop', 'mail'), queueConfig('shop', 'orders'))
    await put(test, 'a')
    await put(test, 'b')
    await take(test)
    const waiting = tryTake(test, { tag: 'none', waitMs: 30_000 })
    await settle()
    await unconfigure(test, 'shop/mail')
    expect(left(await waiting)).toEqual({ type: 'queue-removed' })
    expect(left(await tryPut(test, 'c'))).toEqual({ type: 'queue-removed' })
    expect(left(await tryTake(test))).toEqual({ type: 'queue-removed' })
    expect(test.engine.gateOf(test.engine.live('task/shop/mail/b') as never, 'task/shop/mail/b')).toEqual({ gate: 'queue-removed' })
    expect((await finish(test, 'a')).item.status).toBe('settled')
    await configure(test, queueConfig('shop', 'mail'))
    expect(await take(test)).toEqual(['b'])
  })

  it('was never there on a server that has files', async () => {
    const test = await start({ settings: { openQueues: false } })
    expect([left(await tryPut(test, 'a')), left(await tryTake(test))]).toEqual([{ type: 'not-found' }, { type: 'not-found' }])
    expect(test.engine.queues.get(MAIL)).toBeUndefined()
    expect(test.engine.queues.list()).toEqual([])
  })

  it('of mode push is listed and not served', async () => {
    const test = await start({ settings: { openQueues: false } })
    await configure(test, queueConfig('shop', 'mail', { mode: 'push' }))
    expect([left(await tryPut(test, 'a')), left(await tryTake(test))]).toEqual([{ type: 'not-served' }, { type: 'not-served' }])
    expect(test.engine.queues.list()).toMatchObject([{ key: 'shop/mail', config: { mode: 'push' } }])
  })
})

describe('the bytes that an app may store', () => {
  it('are those of the live tasks of all its queues, counted from the moment an insert is sent', async () => {
    const test = await start()
    const limits = { storageLimitBytes: 100 }
    await configure(test, queueConfig('shop', 'mail', limits), queueConfig('shop', 'orders', limits))
    await put(test, 'a', { bytes: 40 })
    await put(test, 'b', { bytes: 40, queue: 'orders' })
    expect(left(await tryPut(test, 'c', { bytes: 21 }))).toMatchObject({ type: 'over-quota' })
    expect(test.engine.queues.figuresOf(MAIL).storedBytes).toBe(80)
    const both = await Promise.all([tryPut(test, 'd', { bytes: 15 }), tryPut(test, 'e', { bytes: 15 })])
    expect(both.map((one) => E.isRight(one))).toEqual([true, false])
    // A repeat takes no room.
    expect((await put(test, 'a', { bytes: 40 })).events).toEqual([])
    await take(test, { max: 2 })
    await finish(test, 'a')
    await put(test, 'f', { bytes: 45 })
    expect(test.engine.queues.figuresOf(MAIL).storedBytes).toBe(100)
  })

  it('are the same after a restart, and those of dead letters are not counted', async () => {
    const before = await start()
    await configure(before, queueConfig('shop', 'mail', { retryLimit: 1, storageLimitBytes: 100 }))
    await put(before, 'a', { bytes: 60 })
    await put(before, 'b', { bytes: 30 })
    await take(before, { termMs: 1_000 })
    before.world.advance(1_000)
    await settle()
    expect(before.engine.live('task/shop/mail/a')).toMatchObject({ status: 'deadLetter' })
    expect(before.engine.queues.figuresOf(MAIL).storedBytes).toBe(30)
    const after = await start({ store: before.store, world: before.world })
    opened.shift()
    expect(after.engine.queues.figuresOf(MAIL).storedBytes).toBe(30)
    before.engine.stop()
  })
})

describe('when everybody has gone', () => {
  it('nothing is left: no waiter, no claim, no timer', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail', { stint: { rate: { perSecond: 1, burst: 1 } } }))
    await put(test, 'later', { dueInMs: 3_600_000 })
    const gone = new AbortController()
    const waiting = Array.from({ length: 50 }, (_, index) =>
      tryTake(test, { worker: `w${index}`, waitMs: 60_000, signal: gone.signal, ...(index % 2 === 0 ? { requestId: `r${index}` } : {}) }),
    )
    await settle()
    expect(test.engine.queues.figuresOf(MAIL)).toMatchObject({ waiters: 50, delayed: 1 })
    gone.abort()
    expect((await Promise.all(waiting)).every((one) => right(one).length === 0)).toBe(true)
    await settle()
    expect(test.engine.queues.figuresOf(MAIL)).toMatchObject({ ...restingFigures, delayed: 1 })
    // A timer an hour away would be that of the delayed task, for which nobody waits any more.
    expect(test.world.pending().filter((ms) => ms > 600_000)).toEqual([])
  })

  it('the engine stops with calls waiting, and answers each', async () => {
    const test = await start()
    const waiting = Array.from({ length: 20 }, (_, index) => tryTake(test, { worker: `w${index}`, waitMs: 60_000 }))
    await settle()
    test.engine.stop()
    expect((await Promise.all(waiting)).map((one) => right(one))).toEqual(Array.from({ length: 20 }, () => []))
  })
})
