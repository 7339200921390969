// The tables of a store file and the way from each older layout to the newest. A file says by its application id that it is one, by user_version how far it is.
import type { DatabaseSync } from 'node:sqlite'
import { pragma } from './checks.ts'
import { describeError } from './errors.ts'
import { StoreOpenError } from './open-error.ts'
import { streamKey } from './stream-key.ts'

/** 'Stnt', in the header of every store file. */
const APPLICATION_ID = 0x53746e74

/** What a new store is called; an existing one keeps its own. */
export interface NewIdentity {
  readonly storeId: string
  readonly incarnation: string
  /** Milliseconds since 1970 UTC. */
  readonly createdAt: number
}

export interface Identity {
  readonly storeId: string
  readonly incarnation: string
}

export type Migration = (db: DatabaseSync, identity: NewIdentity) => void

/** Position is given by the writer, one by one. data is null once erased; then data_digest holds its digest. gaps: runs of pruned rows with the digest after them. */
const FIRST_TABLES = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE events (
    position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, v INTEGER NOT NULL,
    time INTEGER NOT NULL, data TEXT, meta TEXT NOT NULL, payload BLOB, digest BLOB NOT NULL, data_digest BLOB, UNIQUE (stream, revision)
  ) STRICT;
  CREATE TABLE gaps (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;
`

const metaValue = (db: DatabaseSync, key: string): string | undefined => {
  const value = db.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value']
  return typeof value === 'string' ? value : undefined
}

const createTables: Migration = (db, identity) => {
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; ${FIRST_TABLES}`)
  const put = db.prepare('INSERT INTO meta (key, value) VALUES (?, ?)')
  for (const [key, value] of Object.entries(identity)) put.run(key, String(value))
}

/** Finds what can be pruned without a walk over the whole log. Costs nothing until an event is erased. */
const indexErased: Migration = (db) => db.exec('CREATE INDEX events_erased ON events (position) WHERE data IS NULL')

/** Rows deleted at a time. */
const ROWS_A_SLICE = 20_000

/** A table that is dropped whole is held in memory whole, as it has to be overwritten. */
const emptied = (db: DatabaseSync): void => {
  const remove = db.prepare('DELETE FROM events WHERE position <= (SELECT max(position) FROM (SELECT position FROM events ORDER BY position LIMIT ?))')
  while (remove.run(ROWS_A_SLICE).changes > 0);
}

/**
 * Where the events of each stream are: `stream_places` by a number for the stream's name (`streamKey`), complete up to the position in `indexed`; what comes
 * after it is found by reading on. The index that SQLite kept by names before cost each event of a commit a page of its own.
 */
const indexApart: Migration = (db, identity) => {
  db.exec(`
    CREATE TABLE log (
      position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, v INTEGER NOT NULL,
      time INTEGER NOT NULL, data TEXT, meta TEXT NOT NULL, payload BLOB, digest BLOB NOT NULL, data_digest BLOB
    ) STRICT;
    INSERT INTO log SELECT * FROM events ORDER BY position;
  `)
  emptied(db)
  db.exec(`
    DROP TABLE events;
    ALTER TABLE log RENAME TO events;
    CREATE INDEX events_erased ON events (position) WHERE data IS NULL;
    CREATE TABLE stream_places (key INTEGER NOT NULL, revision INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (key, revision, position)) STRICT, WITHOUT ROWID;
    CREATE TABLE indexed (position INTEGER NOT NULL) STRICT;
  `)
  const basis = streamKey(metaValue(db, 'storeId') ?? identity.storeId)
  db.function('stream_key', { deterministic: true }, (stream) => streamKey(String(stream), basis))
  db.exec(`
    INSERT INTO stream_places SELECT stream_key(stream), revision, position FROM events ORDER BY 1, 2;
    INSERT INTO indexed SELECT ifnull(max(position), 0) FROM events;
  `)
}

/** Step n leads from user_version n to n + 1. Steps are added at the end and never changed once released. */
export const MIGRATIONS: readonly Migration[] = [createTables, indexErased, indexApart]

/** The oldest layout that holds the same for who only reads, so that backups of an older release can be proved and restored: since then indexes came and went. */
const OLDEST_READABLE = 1

/** From here on the log has its own index of streams. */
const INDEX_APART = 3

/** Set in the copy that a backup makes: whoever opens it as a store continues another life of the log. */
export const COPIED_AT = 'copiedAt'

const version = (db: DatabaseSync): number => Number(pragma(db, 'user_version'))

const isEmpty = (db: DatabaseSync): boolean => db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined

/** Refuses what is no store file, or one of a newer release. */
export const assertKnown = (db: DatabaseSync, file: string, newest = MIGRATIONS.length): void => {
  if (pragma(db, 'application_id') !== APPLICATION_ID) throw new StoreOpenError('not-a-store', `${file} is a database, but not one that Stint made. Choose another directory.`)
  const found = version(db)
  if (found <= newest) return
  throw new StoreOpenError('schema-too-new', `${file} has schema ${found}, this release knows up to ${newest}. Use the release that wrote it, or a later one.`)
}

/** Refuses a file that must be migrated before it can be read, which only the engine does. */
export const assertReadable = (db: DatabaseSync, file: string): void => {
  assertKnown(db, file)
  if (version(db) < OLDEST_READABLE)
    throw new StoreOpenError('schema-too-old', `${file} has schema ${version(db)} of ${MIGRATIONS.length}. Start the engine on it once; it brings the file up to date.`)
}

/** Whether SQLite keeps the index of streams itself, as in layouts of older releases. */
export const isIndexedBySqlite = (db: DatabaseSync): boolean => version(db) < INDEX_APART

/** Brings a file to the newest schema in one transaction: all of it or nothing. A new file becomes a store of the given identity. */
export const migrate = (db: DatabaseSync, file: string, identity: NewIdentity, migrations: readonly Migration[] = MIGRATIONS): void => {
  if (!isEmpty(db)) assertKnown(db, file, migrations.length)
  const from = version(db)
  if (from === migrations.length) return
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const step of migrations.slice(from)) step(db, identity)
    db.exec(`PRAGMA user_version = ${migrations.length}; COMMIT`)
  } catch (cause) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw new StoreOpenError('io', `${file} could not be brought from schema ${from} to ${migrations.length}; it is unchanged. ${describeError(cause)}`, { cause })
  }
  // All of the log was written once more, and would stay beside it.
  if (from > 0) db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
}

/** The names in the file. */
export const readIdentity = (db: DatabaseSync, file: string): Identity => {
  const storeId = metaValue(db, 'storeId')
  const incarnation = metaValue(db, 'incarnation')
  if (storeId === undefined || incarnation === undefined) throw new StoreOpenError('not-a-store', `${file} does not say which log it holds. Restore it from a backup.`)
  return { storeId, incarnation }
}

/** Gives a restored copy its own incarnation, so that positions of the log it was taken from are refused; leaves any other file alone. */
export const beginNewLife = (db: DatabaseSync, identity: NewIdentity): void => {
  if (metaValue(db, COPIED_AT) === undefined) return
  db.exec('BEGIN IMMEDIATE')
  db.prepare("UPDATE meta SET value = ? WHERE key = 'incarnation'").run(identity.incarnation)
  db.prepare('DELETE FROM meta WHERE key = ?').run(COPIED_AT)
  db.exec('COMMIT')
}

/** Marks a copy; see `beginNewLife`. */
export const markCopy = (db: DatabaseSync, copiedAt: number): void => {
  db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(COPIED_AT, String(copiedAt))
}
