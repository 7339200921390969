// A copy of a log that may be written meanwhile: complete up to a moment after the call, on the disk, and never in the place of another file.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { existsSync } from 'node:fs'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync, backup } from 'node:sqlite'
import { StoreFault, type Head, type Position } from '../port.ts'
import { positionAt, sequenceOf } from '../position.ts'
import type { World } from '../../world.ts'
import { unavailable } from './batch.ts'
import { describeError } from './errors.ts'
import { openReadOnly, openSqliteReader, type SqliteReader } from './log-reader.ts'
import { markCopy } from './schema.ts'

/** Makes sure that a file, or the names in a directory, outlive the machine. Not for a log that is open in this process. */
export const syncToDisk = async (path: string): Promise<void> => {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const reading = async <A>(file: string, read: (reader: SqliteReader) => Promise<A>): Promise<A> => {
  const reader = openSqliteReader(file)
  try {
    return await read(reader)
  } finally {
    reader.close()
  }
}

const headOf = (file: string): Promise<E.Either<StoreFault, Head>> => reading(file, (reader) => reader.head()())

/** What was the last event may be erased and pruned while a copy is made; then the copy goes further and knows the gap. */
const isPruned = async (reader: SqliteReader, range: { readonly after: Position; readonly upTo: Position }): Promise<boolean> => {
  const gaps = await reader.readGaps(range)()
  return E.isRight(gaps) && gaps.right.length > 0
}

/** The head of a copy, once it is shown to hold what the log held at `head`. */
const headOfCopy = (copy: string, { position, incarnation, digest }: Head): Promise<E.Either<StoreFault, Head>> =>
  reading(copy, async (reader) => {
    const sequence = sequenceOf(position, incarnation)
    if (E.isLeft(sequence)) return sequence
    if (sequence.right > 0) {
      const after = positionAt(incarnation, sequence.right - 1)
      const last = await reader.readChain({ after, max: 1 })()
      if (E.isLeft(last)) return last
      if (last.right[0]?.digest !== digest && !(await isPruned(reader, { after, upTo: position })))
        return E.left(new StoreFault('damaged', `The copy does not hold the log at ${position}`))
    }
    return reader.head()()
  })

/** Gives the finished copy its name. Where the file system has no hard links (sticks, shares), a file that appears in this very moment would be replaced. */
const nameCopy = async (partial: string, target: string): Promise<void> => {
  try {
    await link(partial, target)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw error
    if (existsSync(target)) throw error
    await rename(partial, target)
  }
}

/** Pages of one step, at most. */
const ALL_PAGES = 2 ** 31 - 1

/** All pages in one step, in a thread of its own connection: it sees one state of the log, and commits go on beside it. */
const copyPages = async (source: string, target: string, world: World): Promise<void> => {
  const { db: from } = openReadOnly(source)
  try {
    await backup(from, target, { rate: ALL_PAGES })
  } finally {
    from.close()
  }
  const copy = new DatabaseSync(target)
  try {
    markCopy(copy, world.now())
    copy.exec('PRAGMA journal_mode = delete')
  } finally {
    copy.close()
  }
}

/** What is left of an unfinished copy; that it cannot be removed must not hide why the copy was not finished. */
const discard = async (partial: string): Promise<void> => {
  for (const name of [partial, `${partial}-wal`, `${partial}-shm`, `${partial}-journal`]) await rm(name, { force: true }).catch(() => undefined)
}

/**
 * Copies the log `source` to the new file `target` and answers where the copy ends. The copy gets a new incarnation when a store is first opened on it.
 * Left `unavailable` if `target` exists or cannot be written; then nothing is left behind.
 */
export const backupLog =
  (source: string, target: string, world: World): TE.TaskEither<StoreFault, Head> =>
  async () => {
    const partial = `${target}.partial`
    try {
      if (existsSync(target)) return E.left(unavailable(`${target} exists and is not overwritten`))
      const before = await headOf(source)
      if (E.isLeft(before)) return before
      await discard(partial)
      await copyPages(source, partial, world)
      const copied = await headOfCopy(partial, before.right)
      if (E.isLeft(copied)) return copied
      await syncToDisk(partial)
      await nameCopy(partial, target)
      await syncToDisk(dirname(target))
      return copied
    } catch (error) {
      return E.left(unavailable(`The backup failed: ${describeError(error)}`, error))
    } finally {
      await discard(partial)
    }
  }
