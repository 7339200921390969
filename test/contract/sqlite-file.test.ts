// What the SQLite store promises about its file: it outlives the process, it is not opened where it cannot be kept safe, and one engine has it at a time.
import { readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { assertLocalFileSystem, assertSqliteVersion, isAtLeast, makeDurable, pragma, remoteFileSystem } from '../../src/store/sqlite/checks.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { directories } from './directories.ts'
import { start } from './processes.ts'
import { everything, left, put, right, sample, samples } from './samples.ts'

const directory = directories()

const changed = (file: string, sql: string): void => {
  const db = new DatabaseSync(file)
  db.exec(sql)
  db.close()
}

describe('when a store is opened again', () => {
  it('has everything, and goes on where it was', async () => {
    const data = directory()
    const first = await openSqliteStore({ directory: data })
    await put(first, 'a', [sample(1, { payload: Buffer.from('kept') }), sample(2)])
    await put(first, 'b', [sample(3)])
    const before = { head: right(await first.head()()), all: await everything(first) }
    await first.close()
    const second = await openSqliteStore({ directory: data })
    expect({ head: right(await second.head()()), all: await everything(second) }).toEqual(before)
    expect(left(await second.append('a', 'noStream', [sample(4)])())).toEqual({ kind: 'conflict', actual: 1 })
    expect(right(await second.append('a', 1, [sample(4)])())).toEqual({ revision: 2, position: right(await second.head()()).position })
    expect(right(await verifyChain(second)()).events).toBe(4)
    await second.close()
  })

  it('is one file, closed clean', async () => {
    const data = join(directory(), 'not', 'there', 'yet')
    const store = await openSqliteStore({ directory: data })
    await put(store, 'a', [sample(1)])
    expect(store.file).toBe(join(data, 'stint.db'))
    await store.close()
    expect(readdirSync(data).toSorted()).toEqual(['stint.db', 'stint.lock'])
  })

  it('takes a file of any name', async () => {
    const file = join(directory(), 'orders.db')
    const store = await openSqliteStore({ file })
    expect(store.file).toBe(file)
    await store.close()
    await expect(openSqliteStore({})).rejects.toThrow(RangeError)
  })

  it('lies where a link leads, with all that belongs to it', async () => {
    const [there, here] = [directory(), directory()]
    const first = await openSqliteStore({ directory: there })
    await put(first, 'a', [sample(1)])
    await first.close()
    symlinkSync(join(there, 'stint.db'), join(here, 'stint.db'))
    const store = await openSqliteStore({ directory: here })
    await put(store, 'a', [sample(2)])
    expect(readdirSync(there)).toContain('stint.db-wal')
    expect(readdirSync(here)).toEqual(['stint.db'])
    await store.close()
    const again = await openSqliteStore({ file: join(here, 'stint.db') })
    expect(again.file).toBe(join(there, 'stint.db'))
    await again.close()
  })

  it('names each new log differently', async () => {
    const [one, two] = await Promise.all([openSqliteStore({ directory: directory() }), openSqliteStore({ directory: directory() })])
    const [first, second] = [right(await one.head()()), right(await two.head()())]
    expect(first.storeId).not.toBe(second.storeId)
    expect(first.incarnation).not.toBe(second.incarnation)
    await one.close()
    await two.close()
  })
})

describe('when the machine is checked', () => {
  it('demands a SQLite without the WAL-reset bug', () => {
    expect(() => assertSqliteVersion('3.51.2')).toThrow(expect.objectContaining({ problem: 'sqlite-too-old', message: expect.stringContaining('3.51.3') }))
    expect(() => assertSqliteVersion(undefined)).toThrow(/SQLite none/)
    expect(() => assertSqliteVersion(process.versions['sqlite'])).not.toThrow()
    expect([isAtLeast('3.51.3', '3.51.3'), isAtLeast('3.52.0', '3.51.3'), isAtLeast('4.0', '3.51.3'), isAtLeast('3.51', '3.51.3'), isAtLeast('3.9.9', '3.51.3')]).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
  })

  it('sets up the write connection and reads it back', () => {
    const db = new DatabaseSync(join(directory(), 'x.db'))
    makeDurable(db)
    expect([pragma(db, 'journal_mode'), pragma(db, 'synchronous'), pragma(db, 'secure_delete')]).toEqual(['wal', 2, 1])
    db.close()
  })

  it('refuses a connection that cannot be made durable', () => {
    const db = new DatabaseSync(':memory:')
    expect(() => makeDurable(db)).toThrow(expect.objectContaining({ name: 'StoreOpenError', problem: 'settings', message: expect.stringContaining('journal_mode = memory') }))
    db.close()
  })

  it('knows the file systems that are not on this machine', async () => {
    const types = [0x6969, 0xff534d42, -0x00acb2be, 0xfe534d42, 0x01021997, 0x65735546, 0xef53, 0x01021994, 0x794c7630]
    expect(types.map(remoteFileSystem)).toEqual(['nfs', 'cifs', 'cifs', 'smb2', '9p', 'fuse', undefined, undefined, undefined])
    await expect(assertLocalFileSystem(directory())).resolves.toBeUndefined()
  })
})

describe('when the file is not one of ours', () => {
  it('refuses a schema of a later release, and leaves it alone', async () => {
    const data = directory()
    const store = await openSqliteStore({ directory: data })
    await store.close()
    changed(store.file, 'PRAGMA user_version = 99')
    const before = readFileSync(store.file)
    await expect(openSqliteStore({ directory: data })).rejects.toMatchObject({ problem: 'schema-too-new', message: expect.stringContaining('schema 99') })
    expect(() => openSqliteReader(store.file)).toThrow(expect.objectContaining({ problem: 'schema-too-new' }))
    expect(readFileSync(store.file).equals(before)).toBe(true)
  })

  it('refuses to read a schema of an earlier release', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await store.close()
    changed(store.file, 'PRAGMA user_version = 0')
    expect(() => openSqliteReader(store.file)).toThrow(expect.objectContaining({ problem: 'schema-too-old' }))
  })

  it('refuses the database of another program, and leaves it alone', async () => {
    const file = join(directory(), 'stint.db')
    changed(file, 'CREATE TABLE theirs (x)')
    const before = readFileSync(file)
    await expect(openSqliteStore({ file })).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'not-a-store' })
    expect(() => openSqliteReader(file)).toThrow(expect.objectContaining({ problem: 'not-a-store' }))
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it('refuses what is no database', async () => {
    const file = join(directory(), 'stint.db')
    writeFileSync(file, 'not a database, only text that is long enough to have a header and more than that'.repeat(20))
    await expect(openSqliteStore({ file })).rejects.toMatchObject({ problem: 'not-a-store' })
    expect(() => openSqliteReader(file)).toThrow(expect.objectContaining({ problem: 'not-a-store' }))
  })

  it('refuses to read what does not exist', () => {
    expect(() => openSqliteReader(join(directory(), 'stint.db'))).toThrow(expect.objectContaining({ problem: 'io' }))
  })

  it('lets go of the file when it refuses', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await store.close()
    changed(store.file, 'DELETE FROM indexed')
    const open = (): number => readdirSync('/proc/self/fd').length
    await expect(openSqliteStore({ file: store.file })).rejects.toThrow('how far its index of streams reaches')
    const before = open()
    for (let times = 0; times < 5; times += 1) await expect(openSqliteStore({ file: store.file })).rejects.toMatchObject({ problem: 'io' })
    expect(open()).toBe(before)
  })

  it('lets go of the lock when it refuses', async () => {
    const data = directory()
    writeFileSync(join(data, 'stint.db'), 'x'.repeat(1_000))
    await expect(openSqliteStore({ directory: data })).rejects.toMatchObject({ problem: 'not-a-store' })
    writeFileSync(join(data, 'stint.db'), '')
    const store = await openSqliteStore({ directory: data })
    await store.close()
  })
})

describe('when a second engine comes', () => {
  it('refuses it in the same process and says who holds the file', async () => {
    const data = directory()
    const store = await openSqliteStore({ directory: data })
    await expect(openSqliteStore({ directory: data })).rejects.toMatchObject({
      problem: 'in-use',
      message: expect.stringMatching(new RegExp(`stint\\.db is in use by process ${process.pid} on ${hostname()} since \\d{4}-.*Z`)),
    })
    expect((await put(store, 'a', [sample(1)])).revision).toBe(0)
    await store.close()
    const next = await openSqliteStore({ directory: data })
    await next.close()
  })

  it('refuses it from another process, and lets it in once that process is killed', async () => {
    const data = directory()
    const holder = start('holder.ts', [data])
    expect((await holder.lines.next()).value).toBe('open')
    await expect(openSqliteStore({ directory: data })).rejects.toMatchObject({ problem: 'in-use', message: expect.stringContaining(`process ${holder.pid} on ${hostname()}`) })
    await holder.kill()
    const store = await openSqliteStore({ directory: data })
    expect((await put(store, 'a', [sample(1)])).revision).toBe(0)
    await store.close()
  })
})

describe('when a reader has the file too', () => {
  it('sees each commit, and reads on after the engine is gone', async () => {
    const store = await openSqliteStore({ directory: directory() })
    const reader = openSqliteReader(store.file)
    expect(right(await reader.readAll()())).toEqual([])
    await put(store, 'a', samples(3))
    expect(right(await reader.readAll()())).toEqual(await everything(store))
    expect(right(await reader.head()())).toEqual(right(await store.head()()))
    await store.close()
    expect(right(await reader.readStream('a', { from: 1 })()).map(({ revision }) => revision)).toEqual([1, 2])
    expect(right(await verifyChain(reader)()).events).toBe(3)
    reader.close()
    reader.close()
    expect(left(await reader.readAll()())).toMatchObject({ kind: 'unavailable' })
  })

  it('reads a file that no engine has', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(3))
    await store.close()
    const reader = openSqliteReader(store.file)
    expect(right(await reader.readAll({ max: 2 })()).map(({ type }) => type)).toEqual(['Sample1', 'Sample2'])
    reader.close()
  })
})
