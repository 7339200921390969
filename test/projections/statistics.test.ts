// Counts and run times, kept up batch by batch, against what one finds by going through everything.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { streamOf } from '../../src/domain/ids.ts'
import { encodeEvent } from '../../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { absent, isHeld, surfaceState, type Existing, type WorkItem } from '../../src/domain/work-item/state.ts'
import { evolve } from '../../src/domain/work-item/evolve.ts'
import { bucketOf, BUCKETS, quantile } from '../../src/projections/histogram.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import type { ScopeStatistics } from '../../src/projections/tables.ts'
import { NO_TOTALS, type TotalName } from '../../src/projections/totals.ts'
import { isErased, scopeOf } from '../../src/projections/work-items.ts'
import { appendLog, draws, randomLog, type Said } from '../support/random-log.ts'
import { right } from '../support/engine.ts'
import { BIRTH, completed, jobLeased, sampleEvents, TASK, taskLeased } from '../support/samples.ts'
import { append, caughtUp, freshStore, job, openFile, openFor, rowsIn, task, temporary } from '../support/tables.ts'

/** When a waiting task is due, and how long each lease was waited for, event by event. */
const waited = (before: WorkItem, event: WorkItemEvent, time: number): number | undefined =>
  event.type === 'Leased' && before.status !== 'absent' && before.task !== undefined ? Math.max(0, time - before.task.dueAt) : undefined

const COUNTED: Readonly<Record<string, TotalName | undefined>> = {
  TaskInserted: 'inserted',
  Leased: 'leased',
  Completed: 'completed',
  Failed: 'failed',
  RetryScheduled: 'retried',
  LeaseReleased: 'released',
  LeaseExpired: 'expired',
  DeadLettered: 'deadLettered',
  Redriven: 'redriven',
  Cancelled: 'cancelled',
  Aborted: 'aborted',
}

const quantiles = (durations: readonly number[]) => {
  const sorted = durations.toSorted((a, b) => a - b)
  const at = (share: number): number => {
    const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0
    return sorted.findLast((ms) => bucketOf(ms) === bucketOf(exact)) ?? 0
  }
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1) ?? 0 }
}

/** The same, the long way. */
const byHand = (log: readonly Said[]): readonly ScopeStatistics[] => {
  const items = new Map<string, WorkItem>()
  const runs = new Map<string, number[]>()
  const waits = new Map<string, number[]>()
  const totals = new Map<string, Record<TotalName, number>>()
  const note = (times: Map<string, number[]>, key: string, ms: number): void => void times.set(key, [...(times.get(key) ?? []), ms])
  for (const { workItem, time, events } of log) {
    for (const event of events) {
      const before = items.get(workItem) ?? absent
      const after = evolve(before, event, { time, revision: before.revision + 1 })
      items.set(workItem, after)
      const key = before.status === 'absent' ? '' : `${before.kind} ${scopeOf(before)}`
      const wait = waited(before, event, time)
      if (wait !== undefined) note(waits, key, wait)
      const counted = COUNTED[event.type]
      if (after.status !== 'absent' && after.kind === 'task' && counted !== undefined) {
        const queue = `task ${scopeOf(after)}`
        const sum = totals.get(queue) ?? { ...NO_TOTALS }
        sum[counted] += 1
        totals.set(queue, sum)
      }
      if (event.type === 'Completed' && isHeld(before)) note(runs, key, time - before.lease.since)
    }
  }
  const all = [...items.values()].filter((item): item is Existing => item.status !== 'absent' && !isErased(item))
  const scopes = [...new Set([...all.map((item) => `${item.kind} ${scopeOf(item)}`), ...totals.keys()])].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return scopes.map((key) => {
    const of = all.filter((item) => `${item.kind} ${scopeOf(item)}` === key)
    const states: Record<string, number> = {}
    for (const item of of) states[surfaceState(item)] = (states[surfaceState(item)] ?? 0) + 1
    const due = of.flatMap((item) => (item.status === 'waiting' && item.task !== undefined ? [Math.floor(item.task.dueAt / 1_000) * 1_000] : []))
    const [kind, ...scope] = key.split(' ')
    const [ran, waitedFor] = [runs.get(key), waits.get(key)]
    return {
      kind: kind as 'job',
      scope: scope.join(' '),
      states,
      deadLetters: of.filter(({ status }) => status === 'deadLetter').length,
      ...(ran === undefined ? {} : { runMs: quantiles(ran) }),
      ...(waitedFor === undefined ? {} : { waitMs: quantiles(waitedFor) }),
      ...(due.length === 0 ? {} : { oldestDueAt: Math.min(...due) }),
      ...(kind === 'task' ? { totals: totals.get(key) } : {}),
    }
  })
}

const leasedAgain = taskLeased({ lease: 2, token: '2.tokenabcd' })

describe('statistics', () => {
  it('count states by kind and scope, and time completed runs from lease to end', async () => {
    const store = freshStore()
    const tables = await openFor({ reader: store })
    await append(store, ...job('a'))
    await append(store, 'job/a', jobLeased())
    await append(store, ...job('b'))
    await append(store, ...task('orders', 't'))
    await append(store, 'job/a', completed)
    const position = await caughtUp(tables, store)
    const dueAt = Math.floor(TASK.dueAt / 1_000) * 1_000
    expect(await tables.statistics({})).toEqual({
      position,
      items: [
        { kind: 'job', scope: 'search', states: { completed: 1, waiting: 1 }, deadLetters: 0, runMs: { count: 1, p50: 3_000, p90: 3_000, p99: 3_000, max: 3_000 } },
        { kind: 'task', scope: 'shop/orders', states: { waiting: 1 }, deadLetters: 0, oldestDueAt: dueAt, totals: { ...NO_TOTALS, inserted: 1 } },
      ],
    })
    expect((await tables.statistics({ kind: 'task' })).items).toMatchObject([{ kind: 'task' }])
    expect((await tables.statistics({ kind: 'task', scope: 'shop/orders' })).items).toMatchObject([{ scope: 'shop/orders' }])
    expect((await tables.statistics({ kind: 'task', scope: 'shop/none' })).items).toEqual([])
  })

  it('count a dead letter as failed, until it is redriven', async () => {
    const store = freshStore()
    const tables = await openFor({ reader: store })
    const [workItem, birth] = task('orders', 't')
    await append(store, workItem, birth, taskLeased(), sampleEvents.DeadLettered)
    await caughtUp(tables, store)
    expect((await tables.statistics({})).items).toMatchObject([{ states: { failed: 1 }, deadLetters: 1 }])
    await append(store, workItem, sampleEvents.Redriven)
    await caughtUp(tables, store)
    expect((await tables.statistics({})).items).toMatchObject([{ kind: 'task', scope: 'shop/orders', states: { waiting: 1 }, deadLetters: 0 }])
  })

  it('tell how long tasks were due before they were leased, each time anew', async () => {
    const store = freshStore()
    const tables = await openFor({ reader: store })
    const [workItem, birth] = task('orders', 't')
    await append(store, workItem, birth)
    const { time: bornAt } = right(await store.readAll()()).at(-1) as { time: number }
    const retried: WorkItemEvent = { type: 'RetryScheduled', lease: 1, dueAt: bornAt + 1_000 + 60_000, code: 'x', message: 'y' }
    await append(store, workItem, taskLeased(), retried)
    await append(store, workItem, leasedAgain)
    await caughtUp(tables, store)
    const [found] = (await tables.statistics({ kind: 'task' })).items
    // The second lease came before its time was up, as a clock that went back makes it.
    expect(found?.waitMs).toMatchObject({ count: 2, p50: 0, max: Math.max(0, bornAt + 1_000 - TASK.dueAt) })
    expect(found?.oldestDueAt).toBeUndefined()
  })

  it('count what has ever happened to the tasks of a queue, and go on counting those that are erased', async () => {
    const file = join(temporary(), 'tables.db')
    const store = freshStore()
    const { tables } = await openFile(file, store)
    const [workItem, birth] = task('orders', 't')
    const deadLettered: WorkItemEvent = { type: 'DeadLettered', code: 'x', message: 'y', lease: 2 }
    await append(store, workItem, birth, taskLeased(), sampleEvents.LeaseReleased)
    await append(store, workItem, leasedAgain, deadLettered, sampleEvents.Redriven)
    await append(store, workItem, taskLeased({ lease: 3, token: '3.tokenabcd' }), completed)
    await append(store, ...task('orders', 'other'))
    await append(store, ...task('mails', 'elsewhere'))
    await caughtUp(tables, store)
    const totals = { ...NO_TOTALS, inserted: 2, leased: 3, released: 1, deadLettered: 1, redriven: 1, completed: 1 }
    const of = async (scope: string) => (await tables.statistics({ kind: 'task', scope })).items[0]?.totals
    expect([await of('shop/orders'), await of('shop/mails')]).toEqual([totals, { ...NO_TOTALS, inserted: 1 }])
    expect((await compareWithRebuilt({ reader: store, keptFile: file })).differences).toEqual([])
    await append(store, workItem, { ...sampleEvents.Erased, kind: 'task' })
    await append(store, 'task/shop/mails/elsewhere', { type: 'Cancelled', by: 'admin' })
    await append(store, 'task/shop/mails/elsewhere', { ...sampleEvents.Erased, kind: 'task', end: 'cancelled' })
    await caughtUp(tables, store)
    expect(await of('shop/orders')).toEqual(totals)
    // Nothing is left there, and yet it was.
    expect((await tables.statistics({ kind: 'task', scope: 'shop/mails' })).items).toMatchObject([{ states: {}, totals: { inserted: 1, cancelled: 1 } }])
  })

  it('tell what happened in the last minute and hour, to ten seconds', async () => {
    const store = freshStore()
    const tables = await openFor({ reader: store })
    for (let index = 0; index < 90; index += 1) await append(store, ...task('orders', `t${index}`))
    await append(store, 'task/shop/orders/t0', taskLeased())
    await append(store, 'task/shop/orders/t0', completed)
    await caughtUp(tables, store)
    const { time: last } = right(await store.readAll({ max: 1_000 })()).at(-1) as { time: number }
    const at = async (now: number) => (await tables.statistics({ kind: 'task', scope: 'shop/orders', now })).items[0]?.recent
    const soon = await at(last + 1_000)
    expect(soon).toMatchObject({ leasedLastMinute: 1, leasedLastHour: 1, completedLastMinute: 1, insertedLastHour: 90 })
    expect(soon?.insertedLastMinute).toBeGreaterThanOrEqual(58)
    expect(soon?.insertedLastMinute).toBeLessThanOrEqual(70)
    expect(await at(last + 80_000)).toMatchObject({ leasedLastMinute: 0, leasedLastHour: 1 })
    expect(await at(last + 3_700_000)).toMatchObject({ insertedLastHour: 0, leasedLastHour: 0, completedLastHour: 0 })
    expect((await tables.statistics({})).items[0]).not.toHaveProperty('recent')
  })

  it('forget what is an hour and a half old, and are not confused by a clock that ran ahead', async () => {
    const file = join(temporary(), 'tables.db')
    const store = freshStore()
    const { tables } = await openFile(file, store)
    const [, birth] = task('orders', 't')
    const HOUR = 3_600_000
    const times = [0, 10 * HOUR, 10_000, 20_000, 2 * HOUR, 10 * HOUR + 1, 10 * HOUR + 10_000]
    for (const [index, ms] of times.entries()) {
      const event = { id: `born-${index}`, ...encodeEvent(birth), time: BIRTH + ms, meta: '{}' }
      right(await store.append(streamOf(`task/shop/orders/t${index}`), 'noStream', [event])())
    }
    await caughtUp(tables, store)
    const hour = async (ms: number) => (await tables.statistics({ kind: 'task', scope: 'shop/orders', now: BIRTH + ms })).items[0]?.recent?.insertedLastHour
    expect([await hour(30_000), await hour(2 * HOUR), await hour(10 * HOUR + 15_000)]).toEqual([3, 1, 3])
    expect((await compareWithRebuilt({ reader: store, keptFile: file })).differences).toEqual([])
    expect(rowsIn(file, 'SELECT count(*) AS rows FROM statistics_recent')).toEqual([{ rows: 6 }])
  })

  it('equal the long way, for any log, wherever the batches end', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(draws(400), fc.integer({ min: 1, max: 10 }), async (drawn, parts) => {
        const store = freshStore()
        const tables = await openFor({ reader: store })
        const log = randomLog(drawn)
        const size = Math.ceil(log.length / parts)
        for (let part = 0; part < parts; part += 1) {
          await appendLog(store, log.slice(part * size, (part + 1) * size), `part-${part}`)
          await caughtUp(tables, store)
        }
        const { items } = await tables.statistics({})
        expect(items).toEqual(byHand(log))
        for (const { states } of items) for (const state of Object.keys(states)) seen.add(state)
        await tables.close()
      }),
      { numRuns: 60 },
    )
    expect([...seen].toSorted()).toEqual(['aborted', 'aborting', 'cancelled', 'completed', 'failed', 'lost', 'paused', 'running', 'timedOut', 'waiting'])
  })
})

describe('the buckets of run times', () => {
  it('keep the order of durations, and are few', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 45), fc.nat(2 ** 45), (a, b) => {
        const [small, large] = [Math.min(a, b), Math.max(a, b)]
        expect(bucketOf(small)).toBeLessThanOrEqual(bucketOf(large))
        expect(bucketOf(large)).toBeLessThan(BUCKETS)
      }),
    )
    expect([bucketOf(-5), bucketOf(0), bucketOf(15), bucketOf(16), bucketOf(2 ** 60)]).toEqual([0, 0, 15, 16, BUCKETS - 1])
  })

  it('hold durations that differ by a sixteenth at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 2 ** 45 }), (ms) => {
        expect(bucketOf(Math.ceil(ms * (1 + 1 / 16)))).toBeGreaterThan(bucketOf(ms))
      }),
    )
  })

  it('give quantiles that are never too short', () => {
    expect(
      quantile(
        [
          { count: 9, longest: 10 },
          { count: 1, longest: 500 },
        ],
        0.9,
      ),
    ).toBe(10)
    expect(
      quantile(
        [
          { count: 9, longest: 10 },
          { count: 1, longest: 500 },
        ],
        0.91,
      ),
    ).toBe(500)
    expect(quantile([], 0.5)).toBe(0)
  })
})
