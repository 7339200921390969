// When the write-ahead log of a SQLite log is copied into the file: the writer counts what it writes, roughly, asks SQLite now and then, and has a thread do it.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { EventToAppend } from '../../src/store/port.ts'
import type { Operation } from '../../src/store/sqlite/batch.ts'
import { checkpointThread } from '../../src/store/sqlite/checkpoint-thread.ts'
import { openLogWriter, type LogWriter } from '../../src/store/sqlite/log-writer.ts'
import { directories } from './directories.ts'
import { sample, samples } from './samples.ts'

const directory = directories()

const IDENTITY = { storeId: 'store', incarnation: 'aaaaaaaa', createdAt: 1 }

const append = (stream: string, ...events: EventToAppend[]): Operation => ({ kind: 'append', stream, expected: 'any', events })

describe('the write-ahead log of a writer', () => {
  const PAGES = 200
  /** Asked for eight times on the way. */
  const BETWEEN_LOOKS = PAGES / 8

  const opened = (): { writer: LogWriter; uncopied: () => number; bytes: () => number; close: () => Promise<void> } => {
    const file = join(directory(), 'stint.db')
    const checkpoints = checkpointThread(file)
    const writer = openLogWriter({ file, identity: IDENTITY, checkpointPages: PAGES, checkpoints })
    const observer = new DatabaseSync(file)
    const size = observer.prepare('PRAGMA wal_checkpoint(NOOP)')
    const uncopied = (): number => {
      const { log, checkpointed } = size.get() as Record<'log' | 'checkpointed', number>
      return log - checkpointed
    }
    const close = async (): Promise<void> => {
      observer.close()
      await checkpoints.close()
      writer.close()
    }
    return { writer, uncopied, bytes: () => statSync(`${file}-wal`).size, close }
  }

  const committed = async (writer: LogWriter, ...operations: readonly Operation[]): Promise<void> => {
    expect(writer.write(operations).kind).toBe('written')
    await writer.tidy((run) => run())
  }

  it.each([
    ['lone events', (turn: number) => [append(`stream-${turn}`, sample(turn))]],
    ['many streams at a time', (turn: number) => samples(40).map((event, index) => append(`${(turn * 40 + index) * 7_919 * 65_537}`, event))],
    ['long texts', (turn: number) => [append('a', sample(turn, { data: JSON.stringify({ text: 'é'.repeat(20_000) }) }))]],
    ['payloads', (turn: number) => [append('a', sample(turn, { payload: Buffer.alloc(50_000) }))]],
  ])('is copied once it has the pages that it may have, and reaches that: %s', async (_, operationsOf) => {
    const { writer, uncopied, bytes, close } = opened()
    const seen = [0]
    for (let turn = 0; turn < 400; turn += 1) {
      await committed(writer, ...operationsOf(turn))
      seen.push(uncopied())
    }
    expect(Math.max(...seen)).toBeLessThan(PAGES + 2 * BETWEEN_LOOKS)
    expect(Math.max(...seen)).toBeGreaterThan(PAGES - 2 * BETWEEN_LOOKS)
    // It begins anew where it was.
    expect(bytes()).toBeLessThan(3 * PAGES * 4_120)
    expect(seen.filter((pages, index) => pages < (seen[index - 1] ?? 0)).length).toBeGreaterThan(0)
    await close()
  })

  it('is copied after an erasure and a pruning that change more than they say', async () => {
    const { writer, uncopied, close } = opened()
    const large = (number: number): EventToAppend => sample(number, { data: JSON.stringify({ text: 'x'.repeat(3_000) }) })
    for (const stream of ['a', 'b']) await committed(writer, append(stream, ...Array.from({ length: 300 }, (_, index) => large(index))))
    expect(uncopied()).toBe(0)
    await committed(writer, { kind: 'erase', stream: 'a', expected: 299, events: [sample(900)] })
    expect(uncopied()).toBe(0)
    await committed(writer, { kind: 'prune', before: 700, after: 0, max: 500 })
    expect(uncopied()).toBeLessThan(PAGES)
    await close()
  })
})
