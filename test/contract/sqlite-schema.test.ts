// How a store file is brought from an older schema to a newer one, and how the writer remembers where streams end.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { dataDigestOf, genesis, linkDigest } from '../../src/store/chain.ts'
import type { EventStore } from '../../src/store/port.ts'
import { headsOf } from '../../src/store/sqlite/heads.ts'
import { MIGRATIONS, assertKnown, migrate, type Migration, type NewIdentity } from '../../src/store/sqlite/schema.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { pragma } from '../../src/store/sqlite/checks.ts'
import { directories } from './directories.ts'
import { left, put, right, samples } from './samples.ts'

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

describe.each([1, 2])('when a file is of a release that left the index of streams to SQLite, schema %i', (steps) => {
  const older = (file: string): void => {
    const db = new DatabaseSync(file)
    migrate(db, file, identity, MIGRATIONS.slice(0, steps))
    const insert = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?, 'T', 1, 0, '{}', '{}', NULL, unhex(?), NULL)")
    let digest = genesis(identity.storeId)
    for (const [index, [stream, revision]] of PLACES.entries()) {
      const event = { stream, revision, id: `i${index}`, type: 'T', v: 1, time: 0, meta: '{}' }
      digest = linkDigest(digest, index + 1, event, dataDigestOf({ data: '{}' }))
      insert.run(index + 1, stream, revision, event.id, digest)
    }
    db.close()
  }
  const PLACES = [
    ['a', 0],
    ['b', 0],
    ['a', 1],
    ['b', 1],
    ['a', 2],
  ] as const

  const asked = async (reader: Pick<EventStore, 'readStream' | 'readFirst'>) => ({
    a: right(await reader.readStream('a', { from: 1 })()).map(({ id }) => id),
    b: right(await reader.readStream('b', { max: 1 })()).map(({ id }) => id),
    none: right(await reader.readStream('c')()),
    first: right(await reader.readFirst(['b', 'c', 'a'])()).map((event) => event?.id),
  })
  const ANSWERS = { a: ['i2', 'i4'], b: ['i1'], none: [], first: ['i1', undefined, 'i0'] }

  it('is read as it is', async () => {
    const file = join(directory(), 'stint.db')
    older(file)
    const reader = openSqliteReader(file)
    expect(await asked(reader)).toEqual(ANSWERS)
    expect(right(await verifyChain(reader)()).events).toBe(5)
    reader.close()
  })

  it('gets an index of its own, and goes on', async () => {
    const file = join(directory(), 'stint.db')
    older(file)
    const store = await openSqliteStore({ file })
    expect(await asked(store)).toEqual(ANSWERS)
    expect(left(await store.append('b', 'noStream', samples(1))())).toEqual({ kind: 'conflict', actual: 1 })
    expect((await put(store, 'b', samples(1))).revision).toBe(2)
    expect(right(await verifyChain(store)()).events).toBe(6)
    expect(right(await store.erase('a', 2, samples(1, 8))()).erased).toBe(3)
    await put(store, 'b', samples(1, 9))
    expect(right(await store.prune({ before: right(await store.head()()).position })())).toEqual({ pruned: 3 })
    expect(right(await verifyChain(store)())).toMatchObject({ events: 5, pruned: 3 })
    await store.close()
    const db = new DatabaseSync(file)
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE type = 'index'").all()).toEqual([{ name: 'events_erased' }])
    db.close()
  })
})

describe('when the writer remembers where streams end', () => {
  const heads = (max: number) => headsOf((stream) => (stream === 'stored' ? 1 : -1), max)

  it('asks for what it does not remember', () => {
    const known = heads(10)
    expect([known.of('stored'), known.of('unknown')]).toEqual([1, -1])
    known.moved('stored', 2)
    expect(known.of('stored')).toBe(2)
    known.forget()
    expect(known.of('stored')).toBe(1)
  })

  it('remembers what moved, however often and however long before the last', () => {
    const known = heads(4)
    known.moved('stored', 7)
    known.moved('stored', 8)
    known.moved('b', 5)
    known.trim()
    expect(['stored', 'b', 'c'].map(known.of)).toEqual([8, 5, -1])
    known.moved('b', 6)
    expect(['stored', 'b'].map(known.of)).toEqual([8, 6])
  })

  it('forgets those that were written longest ago, but only when it is told', () => {
    const known = heads(4)
    for (const stream of ['stored', 'b', 'c', 'd', 'e', 'f']) known.moved(stream, 7)
    expect(['stored', 'b', 'f'].map(known.of)).toEqual([7, 7, 7])
    known.trim()
    known.moved('b', 8)
    known.moved('g', 9)
    known.trim()
    expect(['stored', 'b', 'c', 'g'].map(known.of)).toEqual([1, 8, -1, 9])
    known.forget()
    expect(['stored', 'b', 'g'].map(known.of)).toEqual([1, -1, -1])
  })
})
