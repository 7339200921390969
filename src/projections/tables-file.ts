// The SQLite file of the tables: opened against the log that it follows, made anew when it is of another log, ahead of this one, or damaged (rules 12).
// It is a copy of what the log says, so throwing it away loses nothing but the time to fold it again.
import { existsSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import * as E from 'fp-ts/lib/Either.js'
import type { EventReader, Head, Position, RecordedEvent } from '../store/port.ts'
import { FOLD_VERSION } from './fold.ts'
import type { OpenedProjection, Projection } from './projection.ts'
import { positionAt } from './sequence.ts'

/** 'StTb', in the header of every tables file. */
const APPLICATION_ID = 0x53745462

/** Layout of the tables below; another one is made anew. */
const LAYOUT = 1

/** One row of `followed_log`; one row of `followed_to` for each projection. `witness` tells the event at its position from any other: see `witnessOf`. */
const SCHEMA = `
  CREATE TABLE followed_log (store_id TEXT NOT NULL, incarnation TEXT NOT NULL) STRICT;
  CREATE TABLE followed_to (
    projection TEXT PRIMARY KEY, version TEXT NOT NULL, tables TEXT NOT NULL, position TEXT NOT NULL, witness TEXT, stopped TEXT
  ) STRICT, WITHOUT ROWID;
`

/** `synchronous=NORMAL`: a power failure may take the newest batches, never the consistency. 16 MB of WAL before its pages go home, 8 MB of cache. */
const SETTINGS = 'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;'

const BUSY_MS = 1_000

/** Primary result codes of SQLite that speak of the file or the machine, not of what a projection did. */
const STORAGE_ERRORS: ReadonlySet<number> = new Set([5, 6, 7, 8, 10, 11, 13, 14, 23, 26])
const DAMAGE: ReadonlySet<number> = new Set([11, 26])

const primaryCode = (cause: unknown): number => (cause instanceof Error && 'errcode' in cause && typeof cause.errcode === 'number' ? cause.errcode & 0xff : 0)

/** The file or the machine failed: nobody's fault but theirs. */
export const isStorageError = (cause: unknown): boolean => STORAGE_ERRORS.has(primaryCode(cause))
/** The file cannot be what was written. */
export const isDamage = (cause: unknown): boolean => DAMAGE.has(primaryCode(cause))

/** What stands for a stretch of log: the last event's place, id and time. Ids are made of command ids, so another history has another witness. */
export const witnessOf = ({ stream, revision, id, time }: RecordedEvent): string => JSON.stringify([stream, revision, id, time])

export const versionOf = ({ version }: Projection): string => `${version}/${FOLD_VERSION}`

export interface Member {
  readonly projection: Projection
  readonly opened: OpenedProjection
  readonly position: Position
}

export interface TablesFile {
  readonly db: DatabaseSync
  readonly incarnation: string
  readonly members: readonly Member[]
  /** Notes how far a projection has come; in the transaction of its batch. */
  readonly reachedBy: (projection: string, position: Position, witness: string) => void
  /** Notes why a projection stopped. */
  readonly stoppedBy: (projection: string, why: string) => void
  readonly close: () => void
}

export interface TablesFileOptions {
  /** Path, or `:memory:`. */
  readonly file: string
  readonly reader: EventReader
  readonly projections: readonly Projection[]
  readonly onLog: (text: string) => void
  /** The file has shown to be damaged: it is not looked at again. */
  readonly isDamaged?: boolean
}

const IN_MEMORY = ':memory:'

const remove = (file: string): void => {
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
}

const isOurs = (db: DatabaseSync, file: string): boolean => {
  const id = db.prepare('PRAGMA application_id').get()?.['application_id']
  const isEmpty = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
  if (id === APPLICATION_ID) return !isEmpty
  if (isEmpty) return false
  throw new Error(`${file} is a database, but not one that Stint made for its tables. Choose another file.`)
}

interface FollowedTo {
  readonly projection: string
  readonly version: string
  /** JSON array of the names of its tables. */
  readonly tables: string
  readonly position: Position
  readonly witness: string | null
  readonly stopped: string | null
}

export const followedTo = (db: DatabaseSync): readonly FollowedTo[] => db.prepare('SELECT * FROM followed_to').all() as unknown as readonly FollowedTo[]

/** Whether the log has, at the position that a projection reached, the event that it saw there. */
const isWitnessed = async (reader: EventReader, { position, witness }: FollowedTo): Promise<boolean> => {
  if (witness === null) return true
  const [stream, revision] = JSON.parse(witness) as [string, number]
  const found = await reader.readStream(stream, { from: revision, max: 1 })()
  if (E.isLeft(found)) throw found.left
  const event = found.right[0]
  if (event === undefined) return false
  // Only pruning takes an event from before another of its stream; what is left of the stream must lie beyond.
  if (event.revision > revision) return event.position > position
  return event.position === position && witnessOf(event) === witness
}

/** Why what the file holds cannot be used with this log; undefined when it can. */
export const mismatch = async (db: DatabaseSync, reader: EventReader, head: Head): Promise<string | undefined> => {
  const layout = db.prepare('PRAGMA user_version').get()?.['user_version']
  if (layout !== LAYOUT) return `it has layout ${String(layout)}, not ${LAYOUT}`
  const log = db.prepare('SELECT store_id, incarnation FROM followed_log').get()
  if (log?.['store_id'] !== head.storeId) return 'it follows another log'
  if (log['incarnation'] !== head.incarnation) return 'it follows another life of this log'
  for (const row of followedTo(db)) {
    if (row.position > head.position) return `${row.projection} is ahead of the log`
    if (!(await isWitnessed(reader, row))) return `the log has another event at ${row.position} than ${row.projection} saw there`
  }
  return undefined
}

const connect = (file: string): DatabaseSync => new DatabaseSync(file, { timeout: BUSY_MS })

const create = (file: string, head: Head): DatabaseSync => {
  const db = connect(file)
  db.exec(`${SETTINGS} BEGIN IMMEDIATE; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${LAYOUT}; ${SCHEMA}`)
  db.prepare('INSERT INTO followed_log (store_id, incarnation) VALUES (?, ?)').run(head.storeId, head.incarnation)
  db.exec('COMMIT')
  return db
}

const DAMAGED = 'the file is damaged'

/** The kept file if it fits the log; why not if it does not; undefined when there is none. */
const openKept = async ({ file, reader, isDamaged }: TablesFileOptions, head: Head): Promise<E.Either<string | undefined, DatabaseSync>> => {
  if (file === IN_MEMORY || !existsSync(file)) return E.left(undefined)
  if (isDamaged === true) return E.left(DAMAGED)
  const db = connect(file)
  try {
    if (!isOurs(db, file)) {
      db.close()
      return E.left(undefined)
    }
    db.exec(SETTINGS)
    const why = await mismatch(db, reader, head)
    if (why === undefined) return E.right(db)
    db.close()
    return E.left(why)
  } catch (cause) {
    db.close()
    if (isDamage(cause)) return E.left(DAMAGED)
    throw cause
  }
}

/** Brings the file to the projections of this version: what has another version, or is gone, is dropped; what is missing begins before the first event. */
const settle = (db: DatabaseSync, head: Head, { projections, onLog }: TablesFileOptions): void => {
  const wanted = new Map(projections.map((projection) => [projection.name, projection]))
  const start = positionAt(head.incarnation, 0)
  db.exec('BEGIN IMMEDIATE')
  for (const { projection: name, version, tables } of followedTo(db)) {
    const projection = wanted.get(name)
    if (projection !== undefined && versionOf(projection) === version) {
      wanted.delete(name)
      continue
    }
    onLog(
      projection === undefined
        ? `The tables of ${name} are dropped: there is no such projection any more`
        : `The tables of ${name} are folded anew: version ${version} became ${versionOf(projection)}`,
    )
    for (const table of JSON.parse(tables) as string[]) db.exec(`DROP TABLE IF EXISTS "${table}"`)
    db.prepare('DELETE FROM followed_to WHERE projection = ?').run(name)
  }
  const add = db.prepare('INSERT INTO followed_to (projection, version, tables, position) VALUES (?, ?, ?, ?)')
  for (const projection of wanted.values()) {
    db.exec(projection.schema)
    add.run(projection.name, versionOf(projection), JSON.stringify(projection.tables.map((table) => table.name)), start)
  }
  // Whoever stopped before tries again where it stopped: its tables are whole up to there.
  db.exec('UPDATE followed_to SET stopped = NULL; COMMIT')
}

/** Opens the file, or makes it anew, for a log. Throws StoreFault when the log cannot be read, Error when the file is somebody else's or cannot be made. */
export const openTablesFile = async (options: TablesFileOptions): Promise<TablesFile> => {
  const { file, reader, projections, onLog } = options
  const found = await reader.head()()
  if (E.isLeft(found)) throw found.left
  const head = found.right
  const kept = await openKept(options, head)
  if (E.isLeft(kept)) {
    if (kept.left !== undefined) onLog(`The tables are made anew: ${kept.left}`)
    if (file !== IN_MEMORY) remove(file)
  }
  const db = E.isRight(kept) ? kept.right : create(file, head)
  try {
    settle(db, head, options)
  } catch (cause) {
    db.close()
    throw cause
  }
  const reached = db.prepare('UPDATE followed_to SET position = ?, witness = ? WHERE projection = ?')
  const stopped = db.prepare('UPDATE followed_to SET stopped = ? WHERE projection = ?')
  const positions = new Map(followedTo(db).map((row) => [row.projection, row.position]))
  return {
    db,
    incarnation: head.incarnation,
    members: projections.map((projection) => ({ projection, opened: projection.open(db), position: positions.get(projection.name) ?? positionAt(head.incarnation, 0) })),
    reachedBy: (projection, position, witness) => void reached.run(position, witness, projection),
    stoppedBy: (projection, why) => void stopped.run(why, projection),
    close: () => db.close(),
  }
}
