// Reads of a log file, in the calling thread, by a connection that cannot write. Each read is one short statement, so that no reader holds up a checkpoint.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { DatabaseSync } from 'node:sqlite'
import { genesis, type ChainReader, type Digest } from '../chain.ts'
import type { EventStore, StoreFault } from '../port.ts'
import { positionAt, sequenceOf } from '../position.ts'
import { unavailable } from './batch.ts'
import { assertSqliteVersion } from './checks.ts'
import { describeError, isNotADatabase, readFault } from './errors.ts'
import { StoreOpenError } from './open-error.ts'
import { EVENT_COLUMNS, LINK_COLUMNS, eventOfRow, eventRows, gapOfRow, gapRows, linkOfRow, linkRows, type EventRow } from './rows.ts'
import { assertReadable, readIdentity, type Identity } from './schema.ts'
import { OF_STREAM, streamIndexOf, type StreamIndex } from './stream-index.ts'

/** Reads a log that another thread or process may be writing, or nobody. Takes no engine's lock. */
export interface SqliteReader extends ChainReader, Pick<EventStore, 'readFirst'> {
  /** Reads asked later are `unavailable`. Calling it again does nothing. */
  readonly close: () => void
}

const DEFAULT_MAX = 1_000

/** How long the write lock of a checkpoint at the very end of the log is waited for. */
const BUSY_TIMEOUT_MS = 5_000

/** A connection to an existing log of this release that cannot write, and the log's names. Throws StoreOpenError. */
export const openReadOnly = (file: string): { readonly db: DatabaseSync; readonly identity: Identity } => {
  assertSqliteVersion(process.versions['sqlite'])
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
    db.exec('PRAGMA cache_size = -2048')
    assertReadable(db, file)
    return { db, identity: readIdentity(db, file) }
  } catch (cause) {
    db?.close()
    if (cause instanceof StoreOpenError) throw cause
    if (isNotADatabase(cause)) throw new StoreOpenError('not-a-store', `${file} is not a database. Restore it from a backup.`, { cause })
    throw new StoreOpenError('io', `${file} cannot be read: ${describeError(cause)}`, { cause })
  }
}

const statementsOf = (db: DatabaseSync) => {
  const prepare = (sql: string) => db.prepare(sql, { returnArrays: true })
  const columns = EVENT_COLUMNS.replaceAll(/\w+/g, 'event.$&')
  return {
    stream: prepare(`SELECT ${columns} ${OF_STREAM} AND place.revision >= ? ORDER BY place.revision LIMIT ?`),
    // The first event is the one of revision 0, unless that was pruned.
    first: prepare(`SELECT ${columns} ${OF_STREAM} ORDER BY place.revision LIMIT 1`),
    one: prepare(`SELECT ${EVENT_COLUMNS} FROM events WHERE position = ?`),
    all: prepare(`SELECT ${EVENT_COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`),
    chain: prepare(`SELECT ${LINK_COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`),
    gaps: prepare(
      'SELECT first, last, lower(hex(chain)) FROM gaps WHERE first >= ifnull((SELECT max(first) FROM gaps WHERE first <= ?1), 0) AND first <= ?2 AND last > ?1 ORDER BY first',
    ),
    last: prepare('SELECT position, lower(hex(digest)) FROM events WHERE position <= ? ORDER BY position DESC LIMIT 1'),
  }
}

/** Reads streams: what the index has reached by it, the rest from memory. Both within one transaction. */
const streamsOf = (index: StreamIndex, statements: ReturnType<typeof statementsOf>, shownTo: () => number) => {
  const indexedTo = (): number => Math.min(index.reached(), shownTo())
  /** Rows of a stream that the index has not reached; those that were pruned since are passed over. */
  const rest = (stream: string, from: number, max: number): EventRow[] => {
    const rows: EventRow[] = []
    const places = index.tail.of(stream)
    for (let at = 0; at < places.length && rows.length < max; at += 2) {
      const [revision, position] = [places[at] as number, places[at + 1] as number]
      if (revision < from || position > shownTo()) continue
      const row = statements.one.get(position)
      if (row !== undefined) rows.push(row as unknown as EventRow)
    }
    return rows
  }
  return {
    rows: (stream: string, from: number, max: number): readonly EventRow[] => {
      const found = eventRows(statements.stream.all(index.keyOf(stream), stream, indexedTo(), from, max))
      return found.length === max ? found : [...found, ...rest(stream, from, max - found.length)]
    },
    first: (stream: string): EventRow | undefined => (statements.first.get(index.keyOf(stream), stream, indexedTo()) as unknown as EventRow | undefined) ?? rest(stream, 0, 1)[0],
  }
}

export interface ReaderOptions {
  /** Number of the last event that may be shown yet; all of them. */
  readonly shownTo?: () => number
  /** What the writer of this thread knows of the index of streams; a reader of its own without. */
  readonly index?: StreamIndex
}

/** Opens a log for reading. Synchronous, also in its reads: meant for the engine's reader, a projection's thread and offline tools. Throws StoreOpenError. */
export const openSqliteReader = (file: string, options: ReaderOptions = {}): SqliteReader => {
  const { db, identity } = openReadOnly(file)
  const { storeId, incarnation } = identity
  const { shownTo = () => Number.MAX_SAFE_INTEGER, index = streamIndexOf(db, storeId) } = options
  const statements = statementsOf(db)
  const streams = streamsOf(index, statements, shownTo)
  const read =
    <A>(run: () => E.Either<StoreFault, A>): TE.TaskEither<StoreFault, A> =>
    async () => {
      if (!db.isOpen) return E.left(unavailable('The store is closed'))
      try {
        return run()
      } catch (error) {
        return E.left(readFault(error))
      }
    }
  /** One transaction: of several statements, and because each read outside of one locks and unlocks the log. */
  const together = <A>(run: () => A): A => {
    db.exec('BEGIN')
    try {
      return run()
    } finally {
      db.exec('COMMIT')
    }
  }
  const fromStreams = <A>(run: () => A): TE.TaskEither<StoreFault, A> =>
    read(() =>
      together(() => {
        if (options.index === undefined) index.refresh()
        return E.right(run())
      }),
    )
  /** Of one stream; who shares what the writer knows is of its thread, so nothing is written between two statements. */
  const fromOne = options.index === undefined ? fromStreams : <A>(run: () => A): TE.TaskEither<StoreFault, A> => read(() => E.right(run()))
  return {
    readStream: (stream, { from = 0, max = DEFAULT_MAX } = {}) => fromOne(() => streams.rows(stream, from, max).map((row) => eventOfRow(row, incarnation))),
    readFirst: (names) =>
      fromStreams(() =>
        names.map((stream) => {
          const row = streams.first(stream)
          return row === undefined ? undefined : eventOfRow(row, incarnation)
        }),
      ),
    readAll: ({ after, max = DEFAULT_MAX } = {}) =>
      read(() => {
        const sequence = sequenceOf(after, incarnation)
        return E.isLeft(sequence) ? sequence : E.right(eventRows(statements.all.all(sequence.right, shownTo(), max)).map((row) => eventOfRow(row, incarnation)))
      }),
    readChain: ({ after, max = DEFAULT_MAX } = {}) =>
      read(() => {
        const sequence = sequenceOf(after, incarnation)
        return E.isLeft(sequence) ? sequence : E.right(linkRows(statements.chain.all(sequence.right, shownTo(), max)).map((row) => linkOfRow(row, incarnation)))
      }),
    readGaps: (range) =>
      read(() => {
        const [after, upTo] = [sequenceOf(range.after, incarnation), sequenceOf(range.upTo, incarnation)]
        if (E.isLeft(after)) return after
        if (E.isLeft(upTo)) return upTo
        return E.right(gapRows(statements.gaps.all(after.right, upTo.right)).map((row) => gapOfRow(row, incarnation)))
      }),
    head: () =>
      read(() => {
        const row = statements.last.get(shownTo()) as unknown as readonly [number, Digest] | undefined
        return E.right({ storeId, incarnation, position: positionAt(incarnation, row?.[0] ?? 0), digest: row?.[1] ?? genesis(storeId) })
      }),
    close: () => {
      if (db.isOpen) db.close()
    },
  }
}
