// The index of streams that a SQLite log keeps for itself: it follows behind, and nobody can tell what it has reached and what it has not.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EventStore } from '../../src/store/port.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Operation } from '../../src/store/sqlite/batch.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { openLogWriter, type LogWriter } from '../../src/store/sqlite/log-writer.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { streamKey } from '../../src/store/sqlite/stream-key.ts'
import { createTail } from '../../src/store/sqlite/stream-index.ts'
import { directories } from './directories.ts'
import { left, put, right, sample, samples } from './samples.ts'

const directory = directories()

const IDENTITY = { storeId: 'the-store', incarnation: 'abcdefgh', createdAt: 1 }

const opened = (file: string, indexEvery: number): LogWriter =>
  openLogWriter({ file, identity: IDENTITY, checkpointPages: 4_096, checkpoints: { copy: () => Promise.resolve() }, indexEvery })

const hold = (run: () => Promise<void>): Promise<void> => run()

const append = (stream: string, number: number): Operation => ({ kind: 'append', stream, expected: 'any', events: [sample(number)] })

const placesIn = (file: string): { readonly reached: unknown; readonly places: unknown } => {
  const db = new DatabaseSync(file, { readOnly: true })
  const { position } = db.prepare('SELECT position FROM indexed').get() as { position: number }
  const { places } = db.prepare('SELECT count(*) AS places FROM stream_places').get() as { places: number }
  db.close()
  return { reached: position, places }
}

const idsOf = async (reader: Pick<EventStore, 'readStream'>, stream: string): Promise<readonly string[]> => right(await reader.readStream(stream)()).map(({ id }) => id)

describe('the index of streams', () => {
  it('is taken on in steps once enough events wait for it, and reaches what it says only with the last', () => {
    const file = join(directory(), 'stint.db')
    const writer = opened(file, 1_000)
    const seen = [placesIn(file)]
    writer.write(Array.from({ length: 999 }, (_, index) => append(`s${index % 300}`, index)))
    void writer.tidy(hold)
    seen.push(placesIn(file))
    writer.write([append('another', 1)])
    for (let step = 0; step < 3; step += 1) {
      void writer.tidy(hold)
      seen.push(placesIn(file))
      writer.write(Array.from({ length: 200 }, (_, index) => append('more', 10_000 + 200 * step + index)))
    }
    expect(seen).toEqual([
      { reached: 0, places: 0 },
      { reached: 0, places: 0 },
      // Twice as many as were written since the last step, and 256 at least.
      { reached: 0, places: 256 },
      { reached: 0, places: 656 },
      { reached: 1_000, places: 1_000 },
    ])
    writer.close()
  })

  it('comes to its end however much is written at a time, and never waits for more than three times what it waits for', () => {
    const file = join(directory(), 'stint.db')
    const writer = opened(file, 1_000)
    const waiting: number[] = []
    for (let turn = 0; turn < 40; turn += 1) {
      writer.write(Array.from({ length: 1_500 }, (_, index) => append(`s${turn}-${index}`, index)))
      void writer.tidy(hold)
      waiting.push(writer.index.tail.size())
    }
    expect(Math.max(...waiting)).toBeLessThanOrEqual(3_000)
    writer.close()
  })

  it('keeps nothing of what was pruned before it came to it', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(5))
    right(await store.erase('a', 'any', [sample(9)])())
    await put(store, 'b', samples(1, 20))
    expect(right(await store.prune({ before: right(await store.head()()).position })())).toEqual({ pruned: 5 })
    await store.close()
    expect(placesIn(store.file)).toEqual({ reached: 7, places: 2 })
  })

  it('is whole once the log is closed', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(3))
    await put(store, 'b', samples(2))
    await store.close()
    expect(placesIn(store.file)).toEqual({ reached: 5, places: 5 })
  })

  it('may be left half taken on: whoever opens the log next finds every stream, and finishes it', async () => {
    const file = join(directory(), 'stint.db')
    const first = opened(file, 1_000)
    const events = Array.from({ length: 1_100 }, (_, index) => append(`s${index % 300}`, index))
    for (const some of [events.slice(0, 900), events.slice(900)]) {
      first.write(some)
      void first.tidy(hold)
    }
    expect(placesIn(file)).toEqual({ reached: 0, places: 400 })
    const reader = openSqliteReader(file)
    const ids = await Promise.all(Array.from({ length: 300 }, (_, index) => idsOf(reader, `s${index}`)))
    expect(ids.flat().toSorted()).toEqual(Array.from({ length: 1_100 }, (_, index) => sample(index).id).toSorted())

    // The first never closes: it was killed.
    const second = opened(file, 1_000)
    expect(second.write([{ ...append('s7', 1), expected: 'noStream' } as Operation, append('s7', 2_000)])).toEqual({
      kind: 'written',
      isDurable: false,
      first: 1_101,
      results: [-5, 4],
    })
    for (let step = 0; step < 5; step += 1) void second.tidy(hold)
    expect(placesIn(file)).toEqual({ reached: 1_000, places: 1_000 })
    expect(await idsOf(reader, 's7')).toEqual([...(ids[7] ?? []), sample(2_000).id])
    expect(right(await reader.readStream('s7', { from: 1, max: 2 })()).map(({ revision }) => revision)).toEqual([1, 2])
    reader.close()
    second.close()
  })

  it('is shown to a reader as of one moment, whenever it moves', async () => {
    const store = await openSqliteStore({ directory: directory(), indexEvery: 4 })
    const reader = openSqliteReader(store.file)
    for (let number = 0; number < 40; number += 1) {
      await put(store, `s${number % 3}`, [sample(number)])
      if (number % 5 !== 0) continue
      for (const from of [store, reader])
        expect((await Promise.all([0, 1, 2].map((index) => idsOf(from, `s${index}`)))).map((ids) => ids.length)).toEqual(
          [0, 1, 2].map((index) => Math.floor((number + 3 - index) / 3)),
        )
    }
    reader.close()
    await store.close()
  })

  it('tells two streams with the same number apart', async () => {
    const store = await openSqliteStore({ directory: directory(), indexEvery: 1 })
    const basis = streamKey(right(await store.head()()).storeId)
    const names = new Map<number, string>()
    let pair: readonly [string, string] | undefined
    for (let tried = 0; pair === undefined; tried += 1) {
      const name = `workItem-${tried}`
      const other = names.get(streamKey(name, basis))
      if (other !== undefined) pair = [other, name]
      names.set(streamKey(name, basis), name)
    }
    const [one, other] = pair
    await put(store, one, samples(3))
    expect(right(await store.readStream(other)())).toEqual([])
    expect(right(await store.readFirst([other, one])())[0]).toBeUndefined()
    await put(store, 'between', samples(1, 9))
    expect(right(await store.append(other, 'noStream', [sample(20)])()).revision).toBe(0)
    await put(store, 'after', samples(1, 10))
    expect((await idsOf(store, one)).length).toBe(3)
    expect(await idsOf(store, other)).toEqual([sample(20).id])
    expect(left(await store.append(other, 2, [sample(21)])())).toEqual({ kind: 'conflict', actual: 0 })
    expect(right(await store.erase(other, 0, [sample(22)])()).erased).toBe(1)
    expect((await idsOf(store, one)).length).toBe(3)
    await store.close()
  })

  it('answers as a store without one, whatever is written, erased, pruned and opened again', async () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), stream: fc.nat(5), events: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('erase' as const), stream: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), fc.integer({ min: 1, max: 12 }), async (steps, indexEvery) => {
        const data = directory()
        let store = await openSqliteStore({ directory: data, indexEvery })
        const model = memoryStore()
        let number = 0
        for (const taken of steps) {
          const both = async <A>(run: (of: EventStore) => Promise<A>): Promise<readonly [A, A]> => [await run(store), await run(model)]
          const isSame = ([mine, theirs]: readonly [unknown, unknown]): void => expect(withoutPositions(mine)).toEqual(withoutPositions(theirs))
          switch (taken.do) {
            case 'append': {
              const events = samples(taken.events, (number += 10))
              isSame(await both((of) => of.append(`s${taken.stream}`, 'any', events)()))
              break
            }
            case 'erase': {
              const tombstone = samples(1, (number += 10))
              isSame(await both((of) => of.erase(`s${taken.stream}`, 'any', tombstone)()))
              break
            }
            case 'prune':
              isSame(await both(async (of) => of.prune({ before: right(await of.head()()).position })()))
              break
            case 'reopen':
              await store.close()
              store = await openSqliteStore({ directory: data, indexEvery })
              break
          }
        }
        for (let stream = 0; stream <= 5; stream += 1) {
          const [mine, theirs] = [await store.readStream(`s${stream}`)(), await model.readStream(`s${stream}`)()]
          expect(withoutPositions(mine)).toEqual(withoutPositions(theirs))
        }
        await store.close()
      }),
      { numRuns: 40 },
    )
  })
})

/** Incarnations differ. */
const withoutPositions = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, field: unknown) => (typeof field === 'string' ? field.replace(/^[a-z0-9]+\.(?=\d{16}$)/, '') : field)))

describe('what the index has not reached', () => {
  it('is let go of as the index reaches it, stream by stream', () => {
    const tail = createTail()
    for (const [position, stream] of ['a', 'b', 'a', 'c', 'a'].entries()) tail.add(stream, position, position + 1)
    tail.indexedTo(3)
    expect([tail.of('a'), tail.of('b'), tail.of('c'), tail.size()]).toEqual([[4, 5], [], [3, 4], 2])
    tail.indexedTo(5)
    expect([...tail.streams()]).toEqual([])
    expect(tail.size()).toBe(0)
  })
})
