// A file of tables that is opened again: it goes on where it was, or is made anew when it cannot be trusted.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { tablesInProcess } from '../../src/projections/open.ts'
import type { TablesReader } from '../../src/projections/projection.ts'
import { realWorld } from '../../src/world.ts'
import { right } from '../support/engine.ts'
import { appendLog } from '../support/random-log.ts'
import { everyAnswer, rebuiltTables } from '../support/replay.ts'
import { completed, jobLeased, sampleEvents } from '../support/samples.ts'
import { append, caughtUp, fixedLog, freshStore, idsOf, job, openFile, openFor, pageOf, rowsIn, temporary } from '../support/tables.ts'
import { virtualWorld } from '../support/virtual-world.ts'

describe('when a file of tables is opened again', () => {
  it('goes on where it was', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const log = fixedLog(400)
    const first = await openFile(file, store)
    await appendLog(store, log.slice(0, 150))
    const position = await caughtUp(first.tables, store)
    await first.tables.close()
    await appendLog(store, log.slice(150), 'later')
    const second = await openFile(file, store)
    expect(second.tables.status()).toEqual({ position, stopped: {} })
    expect((await second.tables.liveItems()).position).toBe(position)
    await caughtUp(second.tables, store)
    expect(await everyAnswer(second.tables)).toEqual(await everyAnswer(await rebuiltTables(store)))
    expect([...first.said, ...second.said]).toEqual([])
  })

  it('takes an item up from what it kept, settled or not, without a look at what happened to it', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const first = await openFile(file, store)
    for (const id of ['a', 'b', 'c']) await append(store, ...job(id))
    for (const id of ['b', 'c']) await append(store, `job/${id}`, jobLeased())
    await append(store, 'job/c', completed)
    await caughtUp(first.tables, store)
    await first.tables.close()
    await append(store, 'job/a', jobLeased())
    await append(store, 'job/b', completed)
    await append(store, 'job/c', sampleEvents.LateResultRecorded)
    const read: unknown[] = []
    const second = await openFile(file, { ...store, readStream: (stream, options) => (read.push([stream, options]), store.readStream(stream, options)) })
    read.length = 0
    await caughtUp(second.tables, store)
    expect(read).toEqual([])
    expect(await everyAnswer(second.tables)).toEqual(await everyAnswer(await rebuiltTables(store)))
  })

  it('is made anew over another log', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    await append(store, ...job('a'))
    const first = await openFile(file, store)
    await caughtUp(first.tables, store)
    await first.tables.close()
    const other = freshStore()
    await append(other, ...job('b'))
    const second = await openFile(file, other)
    expect(second.said).toEqual(['The tables are made anew: it follows another log'])
    expect((await second.tables.liveItems()).position).toBeUndefined()
    await caughtUp(second.tables, other)
    expect(idsOf(await pageOf(second.tables, {}))).toEqual(['job/b'])
  })

  /** The same log as far as `length` events: its identity, and what it answers. */
  const shortened = (reader: TablesReader, length: number): TablesReader => ({
    ...reader,
    readAll: (options) => async () => {
      const read = await reader.readAll(options)()
      return E.isLeft(read) ? read : E.right(read.right.filter((event) => Number(event.position.slice(-16)) <= length))
    },
    head: () => async () => {
      const head = right(await reader.head()())
      return E.right({ ...head, position: `${head.incarnation}.${String(length).padStart(16, '0')}` })
    },
  })

  it('is made anew when it is ahead of the log', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    for (const id of ['a', 'b', 'c']) await append(store, ...job(id))
    const first = await openFile(file, store)
    await caughtUp(first.tables, store)
    await first.tables.close()
    const second = await openFile(file, shortened(store, 2))
    expect(second.said).toEqual([expect.stringMatching(/^The tables are made anew: .* is ahead of the log$/)])
    await caughtUp(second.tables, shortened(store, 2))
    expect(idsOf(await pageOf(second.tables, {}))).toEqual(['job/b', 'job/a'])
  })

  it('is made anew when the log has another event where it stood', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    await append(store, ...job('a'))
    const first = await openFile(file, store)
    const position = await caughtUp(first.tables, store)
    await first.tables.close()
    await append(store, ...job('b'))
    const rewritten: TablesReader = {
      ...store,
      readStream:
        (...asked) =>
        async () =>
          E.right(right(await store.readStream(...asked)()).map((event) => ({ ...event, id: 'another' }))),
    }
    const second = await openFile(file, rewritten)
    expect(second.said).toEqual([expect.stringContaining(`The tables are made anew: the log has another event at ${position} than`)])
  })

  it('is made anew when the file is damaged', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    await append(store, ...job('a'))
    writeFileSync(file, 'x'.repeat(8_192))
    const { tables, said } = await openFile(file, store)
    expect(said).toEqual(['The tables are made anew: the file is damaged'])
    await caughtUp(tables, store)
    expect(idsOf(await pageOf(tables, {}))).toEqual(['job/a'])
  })

  it('is made anew when the damage shows only later', async () => {
    const [store, file, world] = [freshStore(), join(temporary(), 'tables.db'), virtualWorld()]
    const log = fixedLog(2_000)
    await appendLog(store, log)
    const first = await openFile(file, store)
    await caughtUp(first.tables, store)
    await first.tables.close()
    const pages = readFileSync(file)
    writeFileSync(file, pages.fill('x', 131_072))
    const said: string[] = []
    const tables = await openFor({ file, reader: store, world, onLog: (text) => said.push(text) })
    expect(said).toEqual([])
    await appendLog(store, log, 'later')
    const { position } = right(await store.head()())
    const reached = tables.reached(position, 600_000)
    tables.follow(position)
    await world.until((pending) => pending.some((left) => left <= 1_000))
    world.advance(1_000)
    expect(await reached).toBe(true)
    expect(said).toEqual([expect.stringContaining('will try again'), 'The tables are made anew: the file is damaged'])
    expect(await everyAnswer(tables)).toEqual(await everyAnswer(await rebuiltTables(store)))
  })

  it('is left alone when somebody else made it', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'precious.db')]
    const db = new DatabaseSync(file)
    db.exec('CREATE TABLE precious (text TEXT)')
    db.close()
    await expect(tablesInProcess({ file, reader: store, world: realWorld })).rejects.toThrow('not one that Stint made')
    expect(rowsIn(file, 'SELECT name FROM sqlite_schema')).toEqual([{ name: 'precious' }])
    expect(existsSync(file)).toBe(true)
  })
})
