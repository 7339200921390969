// The one writer of a log file: decides each append of a batch, writes those that are accepted in one transaction and answers after COMMIT returned.
// It runs in the writer's thread, but knows nothing of threads.
import { DatabaseSync } from 'node:sqlite'
import { dataDigestOf, genesis, linkDigest, type Digest } from '../chain.ts'
import { EXPECT_ANY, PRUNE, conflictResult, type Batch, type Outcome } from './batch.ts'
import { assertSqliteVersion, makeDurable } from './checks.ts'
import { eraserOf, prunerOf } from './erasure.ts'
import { describeError, isBusy, isFull, isNotADatabase } from './errors.ts'
import { headsOf } from './heads.ts'
import { insertsInto } from './inserts.ts'
import { StoreOpenError } from './open-error.ts'
import { assertKnown, beginNewLife, migrate, readIdentity, type Identity, type NewIdentity } from './schema.ts'

export interface LogWriterSettings {
  readonly file: string
  readonly identity: NewIdentity
  /** Pages in the write-ahead log from which on it is copied into the file. */
  readonly checkpointPages: number
  /** Bytes to which the file may grow; beyond, appends are refused. */
  readonly maxFileBytes?: number
}

export interface LogWriter {
  readonly identity: Identity
  /** Throws on any error whose outcome is not certain; the writer must then not be used again. */
  readonly commit: (batch: Batch) => Outcome
  /** Copies the write-ahead log into the file if it has grown enough; call it when nobody waits. Throws as `commit`. */
  readonly checkpoint: () => void
  readonly close: () => void
}

/** 16 MiB: what does not fit comes from the pages of the kernel, which costs a copy. */
const CACHE = 'PRAGMA cache_size = -16384; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864'

/** How long an offline tool that holds the write lock is waited for. */
const BUSY_TIMEOUT_MS = 1_000

const openFile = (settings: LogWriterSettings): DatabaseSync => {
  assertSqliteVersion(process.versions['sqlite'])
  const { file } = settings
  const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS })
  try {
    if (db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined) assertKnown(db, file)
    makeDurable(db)
    db.exec(CACHE)
    migrate(db, file, settings.identity)
    beginNewLife(db, settings.identity)
    if (settings.maxFileBytes !== undefined) db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(settings.maxFileBytes / 4_096))}`)
    return db
  } catch (cause) {
    db.close()
    if (isNotADatabase(cause)) throw new StoreOpenError('not-a-store', `${file} is not a database. Choose another directory, or restore it from a backup.`, { cause })
    throw cause
  }
}

interface Tail {
  sequence: number
  digest: Digest
}

/** Opens the file for writing, creates or migrates it, and proves its settings. Throws StoreOpenError or what SQLite says. */
export const openLogWriter = (settings: LogWriterSettings): LogWriter => {
  const db = openFile(settings)
  const identity = readIdentity(db, settings.file)
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const lastRow = db.prepare('SELECT position, lower(hex(digest)) FROM events ORDER BY position DESC LIMIT 1', { returnArrays: true })
  const readTail = (): Tail => {
    const row = lastRow.get() as unknown as readonly [number, Digest] | undefined
    return { sequence: row?.[0] ?? 0, digest: row?.[1] ?? genesis(identity.storeId) }
  }
  const heads = headsOf(db)
  const inserts = insertsInto(db)
  const erase = eraserOf(db)
  const prune = prunerOf(db)
  let tail = readTail()

  const write = (batch: Batch): readonly number[] => {
    const results: number[] = []
    const next: Tail = { ...tail }
    const cursor = { text: 0, number: 0, payload: 0 }
    for (let operation = 0; operation < batch.operations; operation += 1) {
      const stream = batch.texts[cursor.text++] as string
      const expected = batch.numbers[cursor.number++] as number
      const count = batch.numbers[cursor.number++] as number
      if (count === PRUNE) {
        inserts.flush()
        results.push(...prune(batch.numbers[cursor.number++] as number, batch.numbers[cursor.number++] as number, batch.numbers[cursor.number++] as number))
        continue
      }
      const events = Math.abs(count)
      const last = heads.of(stream)
      if (expected !== EXPECT_ANY && expected !== last) {
        skip(batch, cursor, events)
        results.push(conflictResult(last))
        continue
      }
      results.push(last + events)
      if (count < 0) {
        inserts.flush()
        results.push(erase(stream))
      }
      for (let index = 1; index <= events; index += 1) inserts.add(rowOf(batch, cursor, stream, last + index, next))
      heads.moved(stream, last + events)
    }
    inserts.flush()
    commit.run()
    tail = next
    heads.trim()
    return results
  }

  /**
   * A full disk is the one failure after which the log is certain: SQLite reports it while it writes, before the sync that could make a
   * commit frame count, and takes the transaction back. That it did is checked.
   */
  const takeBack = (cause: unknown): void => {
    inserts.drop()
    heads.forget()
    if (db.isTransaction) db.exec('ROLLBACK')
    const found = readTail()
    if (found.sequence !== tail.sequence || found.digest !== tail.digest) throw new Error(`After a rollback the log ends at ${found.sequence}, not at ${tail.sequence}`, { cause })
  }

  return {
    identity,
    commit: (batch) => {
      try {
        begin.run()
      } catch (cause) {
        if (!isBusy(cause)) throw cause
        return { kind: 'refused', message: 'Another process holds the write lock of the log' }
      }
      const first = tail.sequence + 1
      try {
        return { kind: 'committed', first, results: write(batch) }
      } catch (cause) {
        if (!isFull(cause)) throw cause
        takeBack(cause)
        return { kind: 'refused', message: `The disk is full: ${describeError(cause)}` }
      }
    },
    checkpoint: checkpointerOf(db, settings.checkpointPages),
    close: () => {
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      db.close()
    },
  }
}

interface Cursor {
  text: number
  number: number
  payload: number
}

const skip = (batch: Batch, cursor: Cursor, count: number): void => {
  cursor.text += count * 4
  for (let index = 0; index < count; index += 1) {
    cursor.payload += Math.max(0, batch.numbers[cursor.number + 2] as number)
    cursor.number += 3
  }
}

/** The next event of the batch as a row; moves the tail on to it. */
const rowOf = (batch: Batch, cursor: Cursor, stream: string, revision: number, tail: Tail): Parameters<ReturnType<typeof insertsInto>['add']>[0] => {
  const { texts, numbers } = batch
  const id = texts[cursor.text++] as string
  const type = texts[cursor.text++] as string
  const data = texts[cursor.text++] as string
  const meta = texts[cursor.text++] as string
  const v = numbers[cursor.number++] as number
  const time = numbers[cursor.number++] as number
  const bytes = numbers[cursor.number++] as number
  const payload = bytes < 0 ? undefined : batch.payloads.subarray(cursor.payload, (cursor.payload += bytes))
  tail.sequence += 1
  tail.digest = linkDigest(tail.digest, tail.sequence, { stream, revision, id, type, v, time, meta }, dataDigestOf(payload === undefined ? { data } : { data, payload }))
  return [tail.sequence, stream, revision, id, type, v, time, data, meta, payload ?? null, tail.digest]
}

/** A checkpoint beside the commits rather than in them: nobody waits for it unless an append arrives meanwhile. */
const checkpointerOf = (db: DatabaseSync, pages: number): (() => void) => {
  const size = db.prepare('PRAGMA wal_checkpoint(NOOP)', { returnArrays: true })
  const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  return () => {
    const [, written, copied] = size.get() as unknown as readonly [number, number, number]
    if (written - copied < pages) return
    try {
      copy.get()
    } catch (cause) {
      if (!isFull(cause)) throw cause
    }
  }
}
