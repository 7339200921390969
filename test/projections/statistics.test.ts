// Counts and run times, kept up batch by batch, against what one finds by going through everything.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { absent, isHeld, surfaceState, type Existing, type WorkItem } from '../../src/domain/work-item/state.ts'
import { evolve } from '../../src/domain/work-item/evolve.ts'
import { bucketOf, BUCKETS, quantile } from '../../src/projections/histogram.ts'
import type { ScopeStatistics } from '../../src/projections/tables.ts'
import { scopeOf } from '../../src/projections/work-items.ts'
import { appendLog, draws, randomLog, type Said } from '../support/random-log.ts'
import { completed, jobLeased, sampleEvents } from '../support/samples.ts'
import { append, caughtUp, freshStore, job, openFor, task } from '../support/tables.ts'

/** The same, the long way. */
const byHand = (log: readonly Said[]): readonly ScopeStatistics[] => {
  const items = new Map<string, WorkItem>()
  const runs = new Map<string, number[]>()
  for (const { workItem, time, events } of log) {
    for (const event of events) {
      const before = items.get(workItem) ?? absent
      const after = evolve(before, event, { time, revision: before.revision + 1 })
      items.set(workItem, after)
      if (event.type !== 'Completed' || !isHeld(before)) continue
      const key = `${before.kind} ${scopeOf(before)}`
      runs.set(key, [...(runs.get(key) ?? []), time - before.lease.since])
    }
  }
  const all = [...items.values()].filter((item): item is Existing => item.status !== 'absent')
  const scopes = [...new Set(all.map((item) => `${item.kind} ${scopeOf(item)}`))].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return scopes.map((key) => {
    const of = all.filter((item) => `${item.kind} ${scopeOf(item)}` === key)
    const states: Record<string, number> = {}
    for (const item of of) states[surfaceState(item)] = (states[surfaceState(item)] ?? 0) + 1
    const sorted = (runs.get(key) ?? []).toSorted((a, b) => a - b)
    const at = (share: number): number => {
      const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0
      return sorted.findLast((ms) => bucketOf(ms) === bucketOf(exact)) ?? 0
    }
    const [kind, ...scope] = key.split(' ')
    const entry = { kind: kind as 'job', scope: scope.join(' '), states }
    return sorted.length === 0 ? entry : { ...entry, runMs: { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1) ?? 0 } }
  })
}

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
    expect(await tables.statistics({})).toEqual({
      position,
      items: [
        { kind: 'job', scope: 'search', states: { completed: 1, waiting: 1 }, runMs: { count: 1, p50: 3_000, p90: 3_000, p99: 3_000, max: 3_000 } },
        { kind: 'task', scope: 'shop/orders', states: { waiting: 1 } },
      ],
    })
    expect((await tables.statistics({ kind: 'task' })).items).toMatchObject([{ kind: 'task' }])
  })

  it('count a dead letter as failed, until it is redriven', async () => {
    const store = freshStore()
    const tables = await openFor({ reader: store })
    const [workItem, birth] = task('orders', 't')
    await append(store, workItem, birth, jobLeased(), sampleEvents.DeadLettered)
    await caughtUp(tables, store)
    expect((await tables.statistics({})).items).toMatchObject([{ states: { failed: 1 } }])
    await append(store, workItem, sampleEvents.Redriven)
    await caughtUp(tables, store)
    expect((await tables.statistics({})).items).toEqual([{ kind: 'task', scope: 'shop/orders', states: { waiting: 1 } }])
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
    expect([...seen].toSorted()).toEqual(['aborted', 'aborting', 'cancelled', 'completed', 'failed', 'lost', 'paused', 'running', 'waiting'])
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
