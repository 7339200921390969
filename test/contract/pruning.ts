// The part of the event store's contract that is about pruning: rows of erased events go, their tombstones stay, and nothing else changes its place.
import { expect, it } from 'vitest'
import type { EventStore, Position } from '../../src/store/port.ts'
import { positionAt } from '../../src/store/position.ts'
import { TOMBSTONE, verified } from './integrity.ts'
import { brief, everything, left, put, right, sample, samples, take } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

const headOf = async (store: EventStore): Promise<Position> => right(await store.head()()).position

/** Prunes until nothing is left to prune; answers how many rows each call deleted. */
export const pruneAll = async (store: EventStore, before: Position, max?: number): Promise<readonly number[]> => {
  const counts: number[] = []
  for (let after: Position | undefined; ;) {
    const { pruned, next } = right(await store.prune({ before, ...(after === undefined ? {} : { after }), ...(max === undefined ? {} : { max }) })())
    counts.push(pruned)
    if (next === undefined) return counts
    after = next
  }
}

const erase = async (store: EventStore, stream: string): Promise<Position> => right(await store.erase(stream, 'any', [TOMBSTONE])()).position

/** Everything before its end. */
const ALL = '9'.repeat(15)
const farOff = async (store: EventStore): Promise<Position> => `${right(await store.head()()).incarnation}.0${ALL}`

const prunesRows = (make: MakeStore): void => {
  const store = withStore(make)

  it('deletes the rows of what was erased and leaves the rest, if it can at all', async () => {
    await put(store(), 'a', samples(3))
    await put(store(), 'b', samples(2, 4))
    if (!store().capabilities.prune) {
      expect(left(await store().prune({ before: await headOf(store()) })())).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
      return
    }
    await erase(store(), 'a')
    const before = await everything(store())
    expect(right(await store().prune({ before: await farOff(store()) })())).toEqual({ pruned: 3 })
    const after = await everything(store())
    expect(after).toEqual(before.slice(3))
    expect(right(await store().readStream('a')())).toEqual(after.filter(({ stream }) => stream === 'a'))
    expect(right(await store().prune({ before: await farOff(store()) })())).toEqual({ pruned: 0 })
  })

  it('leaves what has its tombstone at or after `before`', async () => {
    if (!store().capabilities.prune) return
    await put(store(), 'a', samples(2))
    await put(store(), 'b', samples(2))
    await erase(store(), 'a')
    const second = await erase(store(), 'b')
    expect(await pruneAll(store(), second)).toEqual([2])
    expect((await everything(store())).map(({ stream, revision }) => `${stream}${revision}`)).toEqual(['b0', 'b1', 'a2', 'b2'])
    await put(store(), 'c', [sample(9)])
    expect(await pruneAll(store(), await headOf(store()))).toEqual([2])
    expect((await everything(store())).map(({ stream, revision }) => `${stream}${revision}`)).toEqual(['a2', 'b2', 'c0'])
  })

  it('goes on where it left off, some at a time', async () => {
    if (!store().capabilities.prune) return
    for (let number = 0; number < 10; number += 1) await put(store(), `s${number % 3}`, [sample(number)])
    await erase(store(), 's0')
    await erase(store(), 's1')
    expect(await pruneAll(store(), await farOff(store()), 3)).toEqual([3, 3, 1])
    expect((await everything(store())).map(({ stream, revision }) => `${stream}${revision}`)).toEqual(['s20', 's21', 's22', 's04', 's13'])
  })

  it('looks at no more than it is told, though nothing of it may go yet', async () => {
    if (!store().capabilities.prune) return
    await put(store(), 'late', samples(3))
    await put(store(), 'early', samples(2))
    const tombstone = await erase(store(), 'early')
    await put(store(), 'between', [sample(9)])
    await erase(store(), 'late')
    const { incarnation, position } = right(await store().head()())
    const before = positionAt(incarnation, Number(position.slice(-16)) - 1)
    const first = right(await store().prune({ before, max: 3 })())
    expect(first).toEqual({ pruned: 0, next: (await everything(store()))[2]?.position })
    expect(right(await store().prune({ before, after: first.next ?? '', max: 3 })())).toEqual({ pruned: 2 })
    expect(tombstone < before).toBe(true)
  })

  it('refuses positions of another log and a maximum of nothing', async () => {
    if (!store().capabilities.prune) return
    const before = await headOf(store())
    expect(left(await store().prune({ before: 'zzzzzzzz.0000000000000001' })())).toMatchObject({ kind: 'foreign-position' })
    expect(left(await store().prune({ before, after: 'nowhere' })())).toMatchObject({ kind: 'foreign-position' })
    for (const max of [0, -1, 0.5]) expect(() => store().prune({ before, max })).toThrow(RangeError)
  })
}

const keepsTheRest = (make: MakeStore): void => {
  const store = withStore(make)

  it('keeps where a stream ends, and goes on from there', async () => {
    if (!store().capabilities.prune) return
    await put(store(), 'a', samples(5))
    await erase(store(), 'a')
    const head = right(await store().head()())
    await pruneAll(store(), await farOff(store()))
    expect(right(await store().head()())).toEqual(head)
    expect(left(await store().append('a', 'noStream', [sample(6)])())).toEqual({ kind: 'conflict', actual: 5 })
    expect(left(await store().append('a', 0, [sample(6)])())).toEqual({ kind: 'conflict', actual: 5 })
    expect(right(await store().append('a', 5, [sample(6)])()).revision).toBe(6)
    expect(right(await store().erase('a', 6, [TOMBSTONE])())).toMatchObject({ revision: 7, erased: 2 })
    expect(await pruneAll(store(), await farOff(store()))).toEqual([2])
    expect(right(await store().readStream('a')()).map(({ revision }) => revision)).toEqual([7])
  })

  it('reads over the holes: streams from a revision, the log page by page, subscriptions', async () => {
    if (!store().capabilities.prune) return
    for (let number = 0; number < 12; number += 1) await put(store(), number % 2 === 0 ? 'a' : 'b', [sample(number)])
    await erase(store(), 'a')
    await put(store(), 'a', [sample(20)])
    await pruneAll(store(), await farOff(store()))
    const revisions = async (options: { from?: number; max?: number }) => right(await store().readStream('a', options)()).map(({ revision }) => revision)
    expect([await revisions({}), await revisions({ from: 3 }), await revisions({ from: 3, max: 1 }), await revisions({ from: 7 })]).toEqual([[6, 7], [6, 7], [6], [7]])
    const left = await everything(store())
    const seen: Position[] = []
    for (let after: Position | undefined; ;) {
      const page = right(await store().readAll({ ...(after === undefined ? {} : { after }), max: 3 })())
      if (page.length === 0) break
      seen.push(...page.map(({ position }) => position))
      after = page.at(-1)?.position
    }
    expect(seen).toEqual(left.map(({ position }) => position))
    const over = new AbortController()
    const heard = await take(store().subscribe({ signal: over.signal })[Symbol.asyncIterator](), left.length + 1)
    over.abort()
    expect(brief(heard)).toEqual([...left.map(({ type }) => type), 'caughtUp'])
  })

  it('is in order with appends and erasures', async () => {
    if (!store().capabilities.prune) return
    const before = await farOff(store())
    const [, , pruned, appended] = await Promise.all([
      store().append('a', 'any', samples(2))(),
      store().erase('a', 1, [TOMBSTONE])(),
      store().prune({ before })(),
      store().append('a', 2, [sample(4)])(),
    ])
    expect(right(pruned)).toEqual({ pruned: 2 })
    expect(right(appended)).toEqual({ revision: 3, position: await headOf(store()) })
    expect((await everything(store())).map(({ revision }) => revision)).toEqual([2, 3])
  })

  it('keeps the chain over the gaps, one for each run however it came about', async () => {
    if (!store().capabilities.prune || !store().capabilities.globalChain) return
    for (let number = 0; number < 30; number += 1) await put(store(), `s${number % 3}`, [sample(number)])
    await erase(store(), 's1')
    await pruneAll(store(), await farOff(store()), 4)
    expect(await verified(store())).toEqual({ events: 21, erased: 0, pruned: 10, gaps: 10, head: right(await store().head()()) })
    await erase(store(), 's0')
    await pruneAll(store(), await farOff(store()), 4)
    expect(await verified(store())).toMatchObject({ events: 12, erased: 0, pruned: 20, gaps: 10 })
    await erase(store(), 's2')
    expect(await verified(store())).toMatchObject({ events: 13, erased: 10, pruned: 20, gaps: 10 })
    await pruneAll(store(), await farOff(store()), 4)
    const head = right(await store().head()())
    expect(await verified(store())).toEqual({ events: 3, erased: 0, pruned: 30, gaps: 1, head })
    const gaps = await store().readGaps?.({ after: positionAt(head.incarnation, 0), upTo: head.position })()
    expect(gaps === undefined ? undefined : right(gaps)).toEqual([
      { first: positionAt(head.incarnation, 1), last: positionAt(head.incarnation, 30), chain: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ])
    await put(store(), 's1', [sample(40)])
    expect(await verified(store())).toMatchObject({ events: 4, gaps: 1 })
  })
}

export const prunes = (make: MakeStore): void => {
  prunesRows(make)
  keepsTheRest(make)
}
