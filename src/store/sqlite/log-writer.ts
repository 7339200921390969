// The one writer of a log file: decides each append of a batch and writes those that are accepted in one transaction. What is written is durable after the
// next sync, which is not done here: SQLite is told to leave it (synchronous = NORMAL), so that it can be waited for elsewhere.
import { DatabaseSync } from 'node:sqlite'
import { dataDigestOf, genesis, linkDigest, type Digest } from '../chain.ts'
import type { EventToAppend, ExpectedRevision } from '../port.ts'
import { conflictResult, type Operation, type Outcome } from './batch.ts'
import { checkpointerOf, type Hold } from './checkpoint.ts'
import type { CheckpointThread } from './checkpoint-thread.ts'
import { assertSqliteVersion, leaveSyncing, makeDurable, syncCommits } from './checks.ts'
import { eraserOf, prunerOf } from './erasure.ts'
import { describeError, isBusy, isFull, isNotADatabase } from './errors.ts'
import { headsOf } from './heads.ts'
import { indexFillerOf } from './index-filler.ts'
import { insertsInto, type Row } from './inserts.ts'
import { StoreOpenError } from './open-error.ts'
import { assertKnown, beginNewLife, migrate, readIdentity, type Identity, type NewIdentity } from './schema.ts'
import { walSpaceOf } from './wal-space.ts'
import { OF_STREAM, streamIndexOf, type StreamIndex } from './stream-index.ts'

export interface LogWriterSettings {
  readonly file: string
  readonly identity: NewIdentity
  /** Pages in the write-ahead log from which on it is copied into the file. */
  readonly checkpointPages: number
  /** Bytes to which the file may grow; beyond, appends are refused. */
  readonly maxFileBytes?: number
  readonly checkpoints: Pick<CheckpointThread, 'copy'>
  /** See `SqliteOptions`. */
  readonly indexEvery?: number
}

export interface LogWriter {
  readonly identity: Identity
  /** Throws on any error whose outcome is not certain; the writer must then not be used again. */
  readonly write: (operations: readonly Operation[]) => Outcome
  /** Whether there is room for more in the file, as far as its own bound goes; writes nothing. */
  readonly fits: () => boolean
  /** Number of the last event written. */
  readonly last: () => number
  /** Up to date between two calls. */
  readonly index: StreamIndex
  /**
   * What can wait until everyone has their answer: takes the index of streams on, and has the write-ahead log copied into the file if it has grown enough. Throws, or
   * rejects, as `write` throws.
   */
  readonly tidy: (hold: Hold) => Promise<void> | undefined
  /** Leaves one file behind, where the disk allows it. `isSound` false: a write or a sync failed, and nothing is tidied up. */
  readonly close: (isSound?: boolean) => void
}

/**
 * Enough that the pages that commits change again and again stay in memory: 16 MiB. Pages beyond come from the system's own cache for less than SQLite
 * takes to walk over all of a larger one, which it does in each commit that moves pages about.
 */
const CACHE = 'PRAGMA cache_size = -16384; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864'

/** How long an offline tool that holds the write lock is waited for when the file is opened; afterwards not at all, as everything else would wait too. */
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
    leaveSyncing(db)
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
  try {
    return writerOf(db, settings)
  } catch (cause) {
    db.close()
    throw cause
  }
}

const writerOf = (db: DatabaseSync, settings: LogWriterSettings): LogWriter => {
  const identity = readIdentity(db, settings.file)
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const room = db.prepare("INSERT INTO meta (key, value) VALUES ('room', hex(zeroblob(65536)))")
  const lastRow = db.prepare('SELECT position, lower(hex(digest)) FROM events ORDER BY position DESC LIMIT 1', { returnArrays: true })
  const readTail = (): Tail => {
    const row = lastRow.get() as unknown as readonly [number, Digest] | undefined
    return { sequence: row?.[0] ?? 0, digest: row?.[1] ?? genesis(identity.storeId) }
  }
  const index = streamIndexOf(db, identity.storeId)
  index.reload()
  const heads = headsOf(endsOf(db, index))
  const filler = indexFillerOf(db, index, settings.indexEvery)
  const inserts = insertsInto(db)
  const erase = eraserOf(db, index)
  const prune = prunerOf(db, index)
  const checkpointer = checkpointerOf(db, settings.checkpointPages, settings.checkpoints)
  const space = walSpaceOf(`${settings.file}-wal`, settings.checkpointPages)
  let tail = readTail()
  /** Events since the last step of the index. */
  let written = 0

  const append = (stream: string, events: readonly EventToAppend[], last: number, next: Tail): void => {
    let revision = last
    for (const event of events) {
      revision += 1
      inserts.add(rowOf(stream, revision, event, next))
      index.tail.add(stream, revision, next.sequence)
    }
    heads.moved(stream, revision)
  }

  const writeAll = (operations: readonly Operation[]): readonly number[] => {
    const results: number[] = []
    let gone = 0
    const next: Tail = { ...tail }
    for (const operation of operations) {
      if (operation.kind === 'prune') {
        inserts.flush()
        const [pruned, more] = prune(operation.before, operation.after, operation.max)
        if (pruned > 0) filler.drop()
        gone += pruned
        results.push(pruned, more)
        continue
      }
      const { kind, stream, expected, events } = operation
      const last = heads.of(stream)
      if (!isExpected(expected, last)) {
        results.push(conflictResult(last))
        continue
      }
      results.push(last + events.length)
      if (kind === 'erase') {
        inserts.flush()
        const erased = erase(stream)
        gone += erased
        results.push(erased)
      }
      append(stream, events, last, next)
    }
    inserts.flush()
    space.ahead()
    commit.run()
    written += next.sequence - tail.sequence
    tail = next
    heads.trim()
    checkpointer.grown(operations, gone)
    return results
  }

  /**
   * A full disk is the one failure after which the log is certain: SQLite reports it while it writes, before the commit frame that would make it count, and takes the
   * transaction back. That it did is checked.
   */
  const takeBack = (cause: unknown): void => {
    inserts.drop()
    heads.forget()
    filler.drop()
    if (db.isTransaction) db.exec('ROLLBACK')
    index.reload()
    const found = readTail()
    if (found.sequence !== tail.sequence || found.digest !== tail.digest) throw new Error(`After a rollback the log ends at ${found.sequence}, not at ${tail.sequence}`, { cause })
  }

  const decide = (operations: readonly Operation[], isDurable: boolean): Outcome => {
    try {
      begin.run()
    } catch (cause) {
      if (!isBusy(cause)) throw cause
      return { kind: 'busy' }
    }
    const first = tail.sequence + 1
    try {
      const results = writeAll(operations)
      // Of conflicts alone nothing is to be synced: what they met is durable.
      return { kind: 'written', isDurable: isDurable || tail.sequence < first, first, results }
    } catch (cause) {
      if (!isFull(cause)) throw cause
      takeBack(cause)
      return { kind: 'refused', message: `The disk is full: ${describeError(cause)}` }
    }
  }

  return {
    identity,
    fits: () => {
      try {
        begin.run()
        room.run()
        return true
      } catch (cause) {
        return !isFull(cause)
      } finally {
        if (db.isTransaction) db.exec('ROLLBACK')
      }
    },
    last: () => tail.sequence,
    index,
    write: (operations) => {
      // What is erased or pruned is gone for every reader at once, whether or not that is durable: so SQLite syncs before it shows it.
      const isTaking = operations.some(({ kind }) => kind !== 'append')
      if (isTaking) syncCommits(db)
      try {
        return decide(operations, isTaking)
      } finally {
        if (isTaking) leaveSyncing(db)
      }
    },
    tidy: (hold) => {
      filler.step(written)
      written = 0
      return checkpointer.run(hold)
    },
    close: (isSound = true) => {
      try {
        if (isSound) {
          filler.finish()
          db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
        }
      } catch {
        // Nothing is lost: the write-ahead log stays, and whoever opens the log next goes on from it.
      }
      space.close()
      db.close()
    },
  }
}

const isExpected = (expected: ExpectedRevision, last: number): boolean => expected === 'any' || (expected === 'noStream' ? -1 : expected) === last

/** Finds where a stream ends, -1 for one without events. */
const endsOf = (db: DatabaseSync, index: StreamIndex): ((stream: string) => number) => {
  // Asked first, as it is answered twice as fast: most streams that are looked for are new.
  const isKnown = db.prepare('SELECT 1 FROM stream_places WHERE key = ?', { returnArrays: true })
  const indexed = db.prepare(`SELECT event.revision ${OF_STREAM} ORDER BY place.revision DESC LIMIT 1`, { returnArrays: true })
  return (stream) => {
    const places = index.tail.of(stream)
    const last = places[places.length - 2]
    if (last !== undefined) return last
    const key = index.keyOf(stream)
    if (isKnown.get(key) === undefined) return -1
    const found = indexed.get(key, stream, index.reached()) as unknown as readonly [number] | undefined
    return found?.[0] ?? -1
  }
}

/** The event as a row at the place after the tail; moves the tail on to it. */
const rowOf = (stream: string, revision: number, event: EventToAppend, tail: Tail): Row => {
  const { id, type, v, time, data, meta, payload } = event
  tail.sequence += 1
  tail.digest = linkDigest(tail.digest, tail.sequence, { stream, revision, id, type, v, time, meta }, dataDigestOf(event))
  return [tail.sequence, stream, revision, id, type, v, time, data, meta, payload ?? null, tail.digest]
}
