// The part of the event store's contract that is about truncation: nobody who reads a stream is shown what is before its tombstone, and what is owed is known to whoever asks next.
import { expect, it } from 'vitest'
import type { Position } from '../../src/store/port.ts'
import { TOMBSTONE } from './integrity.ts'
import { left, put, right, sample, samples, type ContractStore } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

const headOf = async (store: ContractStore): Promise<Position> => right(await store.head()()).position

const truncate = async (store: ContractStore, options: { readonly before?: Position; readonly after?: Position; readonly max?: number } = {}) =>
  right(await store.truncateErased({ tombstone: TOMBSTONE.type, before: await headOf(store), ...options })())

const revisions = async (store: ContractStore, stream: string): Promise<readonly number[]> => right(await store.readStream(stream)()).map(({ revision }) => revision)

/** The events of a stream and its tombstone; answers the position of that. */
const erased = async (store: ContractStore, stream: string, count: number): Promise<Position> => {
  await put(store, stream, samples(count))
  return right(await store.append(stream, count - 1, [TOMBSTONE])()).position
}

export const truncates = (make: MakeStore): void => {
  const store = withStore(make)

  it('leaves the tombstone of a stream, and what has none, if it can at all', async () => {
    if (!store().capabilities.truncate) {
      expect(left(await store().truncateErased({ tombstone: TOMBSTONE.type, before: await headOf(store()) })())).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
      return
    }
    await erased(store(), 'a', 3)
    await put(store(), 'b', samples(2))
    expect(await truncate(store())).toEqual({ truncated: 3 })
    expect([await revisions(store(), 'a'), await revisions(store(), 'b')]).toEqual([[3], [0, 1]])
    expect(right(await store().readFirst(['a'])())).toMatchObject([{ revision: 3, type: TOMBSTONE.type }])
    expect(left(await store().append('a', 'noStream', [sample(9)])())).toEqual({ kind: 'conflict', actual: 3 })
    expect(right(await store().append('a', 3, [sample(9)])()).revision).toBe(4)
    expect(await truncate(store())).toEqual({ truncated: 0 })
  })

  it('leaves what has its tombstone after `before`', async () => {
    if (!store().capabilities.truncate) return
    const first = await erased(store(), 'a', 2)
    await erased(store(), 'b', 2)
    expect(await truncate(store(), { before: first })).toEqual({ truncated: 2 })
    expect([await revisions(store(), 'a'), await revisions(store(), 'b')]).toEqual([[2], [0, 1, 2]])
    expect(await truncate(store())).toEqual({ truncated: 2 })
    expect(await revisions(store(), 'b')).toEqual([2])
  })

  it('goes on where it left off, some at a time', async () => {
    if (!store().capabilities.truncate) return
    for (let index = 0; index < 5; index += 1) await erased(store(), `s${index}`, 2)
    const counts: number[] = []
    for (let after: Position | undefined; ;) {
      const { truncated, next } = await truncate(store(), { max: 2, ...(after === undefined ? {} : { after }) })
      counts.push(truncated)
      if (next === undefined) break
      after = next
    }
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(10)
    expect(Math.max(...counts)).toBe(4)
  })

  it('takes the bounds of this log only', async () => {
    if (!store().capabilities.truncate) return
    expect(left(await store().truncateErased({ tombstone: TOMBSTONE.type, before: 'elsewhere.0000000000000001' })())).toMatchObject({ kind: 'foreign-position' })
    await expect(async () => store().truncateErased({ tombstone: TOMBSTONE.type, before: await headOf(store()), max: 0 })()).rejects.toThrow(RangeError)
  })
}
