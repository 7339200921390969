// How a store file is brought from an older schema to a newer one, and how the writer remembers where streams end.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { headsOf } from '../../src/store/sqlite/heads.ts'
import { MIGRATIONS, assertKnown, migrate, type Migration, type NewIdentity } from '../../src/store/sqlite/schema.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { pragma } from '../../src/store/sqlite/checks.ts'
import { directories } from './directories.ts'
import { put, right, samples } from './samples.ts'

const directory = directories()
const identity: NewIdentity = { storeId: 'the-store', incarnation: 'abcdefgh', createdAt: 1_900_000_000_000 }

const addColumn: Migration = (db) => db.exec('ALTER TABLE events ADD COLUMN note TEXT')
const addTable: Migration = (db, { storeId }) => {
  db.exec('CREATE TABLE extra (key TEXT) STRICT')
  db.prepare('INSERT INTO extra VALUES (?)').run(storeId)
}
const breaks: Migration = (db) => db.exec('ALTER TABLE nowhere ADD COLUMN note TEXT')

describe('when a file has an older schema', () => {
  it('takes the steps that it lacks, in order, and keeps the log', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(5))
    const { storeId, incarnation } = right(await store.head()())
    await store.close()
    const db = new DatabaseSync(store.file)
    migrate(db, store.file, identity, [...MIGRATIONS, addColumn, addTable])
    expect(pragma(db, 'user_version')).toBe(MIGRATIONS.length + 2)
    expect(db.prepare('SELECT count(*) AS events, count(note) AS notes FROM events').get()).toEqual({ events: 5, notes: 0 })
    expect(db.prepare('SELECT key FROM extra').get()).toEqual({ key: 'the-store' })
    migrate(db, store.file, identity, [...MIGRATIONS, addColumn, addTable])
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
    db.close()
    const reader = openSqliteReader(store.file)
    expect(right(await verifyChain(reader)())).toMatchObject({ events: 5, head: { storeId, incarnation } })
    reader.close()
  })

  it('can be read before it takes the step to the index of what is erased', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(5))
    await store.close()
    const db = new DatabaseSync(store.file)
    db.exec('DROP INDEX events_erased; PRAGMA user_version = 1')
    db.close()
    const reader = openSqliteReader(store.file)
    expect(right(await verifyChain(reader)())).toMatchObject({ events: 5 })
    reader.close()
    const opened = await openSqliteStore({ file: store.file })
    const { position } = right(await opened.erase('a', 4, samples(1, 6))())
    await put(opened, 'b', samples(1, 7))
    expect(right(await opened.prune({ before: right(await opened.head()()).position })())).toEqual({ pruned: 5 })
    expect(right(await verifyChain(opened)())).toMatchObject({ events: 2, pruned: 5 })
    expect(right(await opened.readAll()())[0]?.position).toBe(position)
    await opened.close()
  })

  it('takes all of them or none', () => {
    const file = join(directory(), 'x.db')
    const db = new DatabaseSync(file)
    migrate(db, file, identity)
    expect(() => migrate(db, file, identity, [...MIGRATIONS, addTable, breaks])).toThrow(
      expect.objectContaining({ problem: 'io', message: expect.stringContaining(`from schema ${MIGRATIONS.length} to ${MIGRATIONS.length + 2}; it is unchanged`) }),
    )
    expect(pragma(db, 'user_version')).toBe(MIGRATIONS.length)
    expect(db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'extra'").get()).toBeUndefined()
    db.close()
  })

  it('refuses one that is newer than the steps it knows', () => {
    const file = join(directory(), 'x.db')
    const db = new DatabaseSync(file)
    migrate(db, file, identity, [...MIGRATIONS, addTable])
    expect(() => migrate(db, file, identity)).toThrow(expect.objectContaining({ problem: 'schema-too-new' }))
    expect(() => assertKnown(db, file, MIGRATIONS.length + 1)).not.toThrow()
    db.close()
  })
})

describe('when the writer remembers where streams end', () => {
  const heads = (max: number) => {
    const file = join(directory(), 'x.db')
    const db = new DatabaseSync(file)
    migrate(db, file, identity)
    db.exec("INSERT INTO events VALUES (1, 'stored', 0, 'i', 'T', 1, 0, '{}', '{}', NULL, x'00', NULL), (2, 'stored', 1, 'i', 'T', 1, 0, '{}', '{}', NULL, x'00', NULL)")
    return { db, heads: headsOf(db, max) }
  }

  it('asks the index for what it does not remember', () => {
    const { db, heads: known } = heads(10)
    expect([known.of('stored'), known.of('unknown')]).toEqual([1, -1])
    known.moved('stored', 2)
    expect(known.of('stored')).toBe(2)
    known.forget()
    expect(known.of('stored')).toBe(1)
    db.close()
  })

  it('remembers what moved, however often and however long before the last', () => {
    const { db, heads: known } = heads(4)
    known.moved('stored', 7)
    known.moved('stored', 8)
    known.moved('b', 5)
    known.trim()
    expect(['stored', 'b', 'c'].map(known.of)).toEqual([8, 5, -1])
    known.moved('b', 6)
    expect(['stored', 'b'].map(known.of)).toEqual([8, 6])
    db.close()
  })

  it('forgets those that were written longest ago, but only when it is told', () => {
    const { db, heads: known } = heads(4)
    for (const stream of ['stored', 'b', 'c', 'd', 'e', 'f']) known.moved(stream, 7)
    expect(['stored', 'b', 'f'].map(known.of)).toEqual([7, 7, 7])
    known.trim()
    known.moved('b', 8)
    known.moved('g', 9)
    known.trim()
    expect(['stored', 'b', 'c', 'g'].map(known.of)).toEqual([1, 8, -1, 9])
    known.forget()
    expect(['stored', 'b', 'g'].map(known.of)).toEqual([1, -1, -1])
    db.close()
  })
})
