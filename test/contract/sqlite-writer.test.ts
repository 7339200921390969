// What the SQLite store's writer keeps to itself: where streams end, and when its write-ahead log is copied into the file.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { EventToAppend } from '../../src/store/port.ts'
import { encodeBatch, type Operation } from '../../src/store/sqlite/batch.ts'
import { headsOf } from '../../src/store/sqlite/heads.ts'
import { openLogWriter, type LogWriter } from '../../src/store/sqlite/log-writer.ts'
import { directories } from './directories.ts'
import { sample, samples } from './samples.ts'

const directory = directories()

const IDENTITY = { storeId: 'store', incarnation: 'aaaaaaaa', createdAt: 1 }

const append = (stream: string, ...events: EventToAppend[]): Operation => ({ kind: 'append', stream, expected: 'any', events })

describe('where streams end', () => {
  const filled = (): DatabaseSync => {
    const file = join(directory(), 'stint.db')
    const writer = openLogWriter({ file, identity: IDENTITY, checkpointPages: 100 })
    expect(writer.commit(encodeBatch([append('a', ...samples(3)), append('b', sample(4))]))).toMatchObject({ kind: 'committed', results: [2, 0] })
    writer.close()
    return new DatabaseSync(file)
  }

  it('is read from the index unless it moved, and is what it moved to however many streams move after it', () => {
    const db = filled()
    const heads = headsOf(db, 4)
    expect(['a', 'b', 'c'].map(heads.of)).toEqual([2, 0, -1])
    heads.moved('a', 7)
    heads.moved('a', 8)
    heads.moved('c', 5)
    heads.trim()
    expect(['a', 'b', 'c'].map(heads.of)).toEqual([8, 0, 5])
    heads.moved('c', 6)
    expect(['a', 'c'].map(heads.of)).toEqual([8, 6])
    db.close()
  })

  it('is forgotten of the streams that moved longest ago, but not before the transaction is over, and of all after a rollback', () => {
    const db = filled()
    const heads = headsOf(db, 4)
    heads.moved('a', 7)
    for (const stream of ['c', 'd', 'e', 'f', 'g']) heads.moved(stream, 1)
    expect(heads.of('a')).toBe(7)
    heads.trim()
    heads.moved('b', 9)
    heads.moved('h', 9)
    heads.trim()
    expect(['a', 'c', 'b', 'h'].map(heads.of)).toEqual([2, -1, 9, 9])
    heads.forget()
    expect(['b', 'h'].map(heads.of)).toEqual([0, -1])
    db.close()
  })
})

describe('the write-ahead log of a writer', () => {
  const PAGES = 200
  /** Asked for eight times on the way. */
  const BETWEEN_LOOKS = PAGES / 8

  const opened = (): { writer: LogWriter; uncopied: () => number; close: () => void } => {
    const file = join(directory(), 'stint.db')
    const writer = openLogWriter({ file, identity: IDENTITY, checkpointPages: PAGES })
    const observer = new DatabaseSync(file)
    const size = observer.prepare('PRAGMA wal_checkpoint(NOOP)')
    const uncopied = (): number => {
      const { log, checkpointed } = size.get() as Record<'log' | 'checkpointed', number>
      return log - checkpointed
    }
    const close = (): void => {
      observer.close()
      writer.close()
    }
    return { writer, uncopied, close }
  }

  const committed = (writer: LogWriter, ...operations: readonly Operation[]): void => {
    expect(writer.commit(encodeBatch(operations)).kind).toBe('committed')
    writer.checkpoint()
  }

  it.each([
    ['lone events', (turn: number) => [append(`stream-${turn}`, sample(turn))]],
    ['many streams at a time', (turn: number) => samples(40).map((event, index) => append(`${(turn * 40 + index) * 7_919 * 65_537}`, event))],
    ['long texts', (turn: number) => [append('a', sample(turn, { data: JSON.stringify({ text: 'é'.repeat(20_000) }) }))]],
    ['payloads', (turn: number) => [append('a', sample(turn, { payload: Buffer.alloc(50_000) }))]],
  ])('is copied once it has the pages that it may have, and reaches that: %s', (_, operationsOf) => {
    const { writer, uncopied, close } = opened()
    const seen = [0]
    for (let turn = 0; turn < 400; turn += 1) {
      committed(writer, ...operationsOf(turn))
      seen.push(uncopied())
    }
    expect(Math.max(...seen)).toBeLessThan(PAGES + 2 * BETWEEN_LOOKS)
    expect(Math.max(...seen)).toBeGreaterThan(PAGES - 2 * BETWEEN_LOOKS)
    expect(seen.filter((pages, index) => pages < (seen[index - 1] ?? 0)).length).toBeGreaterThan(1)
    close()
  })

  it('is copied after an erasure and a pruning that change more than they say', () => {
    const { writer, uncopied, close } = opened()
    const large = (number: number): EventToAppend => sample(number, { data: JSON.stringify({ text: 'x'.repeat(3_000) }) })
    for (const stream of ['a', 'b']) committed(writer, append(stream, ...Array.from({ length: 300 }, (_, index) => large(index))))
    expect(uncopied()).toBe(0)
    committed(writer, { kind: 'erase', stream: 'a', expected: 299, events: [sample(900)] })
    expect(uncopied()).toBe(0)
    committed(writer, { kind: 'prune', before: 700, after: 0, max: 500 })
    expect(uncopied()).toBeLessThan(PAGES)
    close()
  })
})
