// Following the log: what stops one projection, what goes on regardless, and what is tried again.
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { projections } from '../../src/projections/index.ts'
import type { Projection, TablesReader } from '../../src/projections/projection.ts'
import { isErased } from '../../src/projections/work-items.ts'
import { openCore } from '../../src/projections/runner.ts'
import { StoreFault } from '../../src/store/port.ts'
import { realWorld } from '../../src/world.ts'
import { right } from '../support/engine.ts'
import { appendLog } from '../support/random-log.ts'
import { everyAnswer, everyRow, rebuiltTables } from '../support/replay.ts'
import { BIRTH, completed, jobLeased } from '../support/samples.ts'
import { append, caughtUp, fixedLog, freshStore, job, openFile, openFor, pageOf, rowsIn, temporary } from '../support/tables.ts'
import { virtualWorld } from '../support/virtual-world.ts'

/** A projection that counts changes of what is not erased, and may be told to fail. */
const counting = (version = 1, fail: (count: number) => boolean = () => false): Projection => ({
  name: 'counting',
  version,
  schema: `CREATE TABLE counting_v${version} (created INTEGER PRIMARY KEY, changes INTEGER NOT NULL) STRICT`,
  tables: [{ name: `counting_v${version}`, key: ['created'] }],
  outlivesErasure: true,
  open: (db) => {
    const count = db.prepare(`INSERT INTO counting_v${version} (created, changes) VALUES (?, 1) ON CONFLICT DO UPDATE SET changes = changes + 1 RETURNING changes`)
    const drop = db.prepare(`DELETE FROM counting_v${version} WHERE created = ?`)
    return {
      apply: ({ changes }) => {
        for (const { created, replaces, after } of changes)
          if (isErased(after)) drop.run(replaces ?? created)
          else if (fail(Number(count.get(created)?.['changes']))) throw new Error('It is too much')
      },
    }
  },
})

describe('when the version of a projection rises', () => {
  it('is folded anew from the first event, while the others stand where they stood', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const log = fixedLog(600)
    await appendLog(store, log.slice(0, 300))
    const first = await openFile(file, store, [...projections, counting(1)])
    const position = await caughtUp(first.tables, store)
    await first.tables.close()

    const said: string[] = []
    const second = await openCore({ file, reader: store, projections: [...projections, counting(2)], world: realWorld, onLog: (text) => said.push(text) })
    expect(said).toEqual([expect.stringMatching(/^The tables of counting are folded anew: version 1\/\d+ became 2\/\d+$/)])
    expect(second.status().position).toBe(position)
    second.follow(await appendLog(store, log.slice(300), 'later'))
    await second.idle()
    await second.close()
    expect(rowsIn(file, "SELECT name FROM sqlite_schema WHERE name LIKE 'counting%'")).toEqual([{ name: 'counting_v2' }])
    expect(rowsIn(file, 'SELECT DISTINCT position FROM followed_to')).toHaveLength(1)
    expect(rowsIn(file, 'SELECT created FROM counting_v2 EXCEPT SELECT created FROM work_items')).toEqual([])
    expect(rowsIn(file, 'SELECT created FROM work_items EXCEPT SELECT created FROM counting_v2')).toEqual([])
  })

  it('has its states folded anew when it is the table of work items itself, and statistics do not notice', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const log = fixedLog(600)
    await appendLog(store, log.slice(0, 300))
    const first = await openFile(file, store)
    await caughtUp(first.tables, store)
    await first.tables.close()
    await appendLog(store, log.slice(300), 'later')
    const second = await openFile(
      file,
      store,
      projections.map((projection) => (projection.name === 'work-items' ? { ...projection, version: 99 } : projection)),
    )
    expect((await second.tables.liveItems()).position).toBeUndefined()
    await caughtUp(second.tables, store)
    expect(await everyAnswer(second.tables)).toEqual(await everyAnswer(await rebuiltTables(store)))
  })
})

describe('when a projection throws', () => {
  it('stops alone, with what it says, and what it wrote of the batch is taken back', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const failing = counting(1, (count) => count > 1)
    const { tables, said } = await openFile(file, store, [failing, ...projections])
    await append(store, ...job('a'))
    const before = await caughtUp(tables, store)
    await append(store, ...job('b'))
    await append(store, 'job/a', jobLeased())
    const position = await caughtUp(tables, store)
    expect(tables.status()).toEqual({ position, stopped: { counting: expect.stringContaining('It is too much') } })
    expect(said).toEqual([expect.stringMatching(/^The tables of counting have stopped\. .*It is too much$/)])
    await append(store, 'job/a', completed)
    await caughtUp(tables, store)
    expect((await tables.statistics({})).items).toMatchObject([{ states: { completed: 1, waiting: 1 } }])
    await tables.close()
    expect(rowsIn(file, 'SELECT count(*) AS rows FROM counting_v1')).toEqual([{ rows: 1 }])
    expect(rowsIn(file, "SELECT position, stopped FROM followed_to WHERE projection = 'counting'")).toEqual([{ position: before, stopped: 'It is too much' }])
  })

  it('tries again from there at the next start', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const first = await openFile(file, store, [...projections, counting(1, (count) => count > 1)])
    await append(store, ...job('a'))
    await caughtUp(first.tables, store)
    await append(store, 'job/a', jobLeased())
    await caughtUp(first.tables, store)
    await append(store, 'job/a', completed)
    await caughtUp(first.tables, store)
    await first.tables.close()
    const second = await openCore({ file, reader: store, projections: [...projections, counting(1)], world: realWorld })
    await append(store, ...job('b'))
    second.follow(right(await store.head()()).position)
    await second.idle()
    expect(second.status().stopped).toEqual({})
    await second.close()
    expect(rowsIn(file, 'SELECT DISTINCT position FROM followed_to')).toHaveLength(1)
    expect(rowsIn(file, 'SELECT created FROM counting_v1')).toHaveLength(2)
  })

  it('leaves statistics right when it is the table of work items', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const workItems = projections.map((projection): Projection => {
      if (projection.name !== 'work-items') return projection
      let batches = 0
      return {
        ...projection,
        open: (db) => {
          const opened = projection.open(db)
          return { ...opened, apply: (batch) => ((batches += 1) >= 2 ? fail() : opened.apply(batch)) }
        },
      }
    })
    const { tables } = await openFile(file, store, workItems)
    const log = fixedLog(400)
    expect(log.length).toBeGreaterThan(250)
    for (let part = 0; part < 4; part += 1) {
      await appendLog(store, log.slice(part * 70, part * 70 + 70), `part-${part}`)
      await caughtUp(tables, store)
    }
    expect(Object.keys(tables.status().stopped)).toEqual(['work-items'])
    const rebuilt = await rebuiltTables(store)
    expect((await tables.statistics({})).items).toEqual((await rebuilt.statistics({})).items)
    expect((await pageOf(tables, {})).position < tables.status().position).toBe(true)
    await rebuilt.close()
  })

  const fail = (): never => {
    throw new Error('No more')
  }
})

describe('when the log holds an event that this version does not know', () => {
  const unknown = (type: string, v: number) => [{ id: 'x', type, v, time: BIRTH, data: '{}', meta: '{}' }]

  it('stops before it and names it, and what was before it is in the tables', async () => {
    const store = freshStore()
    const { tables, said } = await openFile(':memory:', store)
    await append(store, ...job('a'))
    const { position } = right(await store.head()())
    right(await store.append('workItem-job/b', 'any', unknown('Teleported', 1))())
    await append(store, ...job('c'))
    tables.follow(right(await store.head()()).position)
    expect(await tables.reached(position, 600_000)).toBe(true)
    while (Object.keys(tables.status().stopped).length < projections.length) await new Promise((resolve) => setImmediate(resolve))
    expect(tables.status()).toEqual({ position, stopped: Object.fromEntries(projections.map(({ name }) => [name, expect.stringContaining('Teleported v1')])) })
    expect((await everyRow(tables)).map(({ workItem }) => workItem)).toEqual(['job/a'])
    expect(said).toHaveLength(projections.length)
  })

  it('does not mind when the stream is no work item', async () => {
    const store = freshStore()
    const { tables } = await openFile(':memory:', store)
    right(await store.append('tokens', 'any', unknown('TokenAdded', 1))())
    right(await store.append('audit-2026-01-01', 'any', unknown('Refused', 7))())
    right(await store.append('queue-shop/mail', 'any', unknown('QueueLed', 3))())
    const position = await caughtUp(tables, store)
    expect(tables.status()).toEqual({ position, stopped: {} })
  })
})

describe('when the log cannot be read', () => {
  it('tries again after a while, and says so once', async () => {
    const [store, world] = [freshStore(), virtualWorld()]
    let isDown = true
    const flaky: TablesReader = { ...store, readAll: (options) => (isDown ? async () => E.left(new StoreFault('unavailable', 'The disk is away')) : store.readAll(options)) }
    const said: string[] = []
    const tables = await openFor({ reader: flaky, world, onLog: (text) => said.push(text) })
    await append(store, ...job('a'))
    const { position } = right(await store.head()())
    tables.follow(position)
    for (let time = 0; time < 3; time += 1) {
      await world.until((pending) => pending.length === 1)
      world.advance(1_000)
    }
    await world.until((pending) => pending.length === 1)
    isDown = false
    const reached = tables.reached(position, 600_000)
    world.advance(1_000)
    expect(await reached).toBe(true)
    expect(said).toEqual(['The tables cannot follow the log and will try again: The disk is away'])
    expect(tables.status().stopped).toEqual({})
  })
})

describe('a wait for a position', () => {
  it('is over at once when it is there, and false when its time has passed', async () => {
    const [store, world] = [freshStore(), virtualWorld()]
    const tables = await openFor({ reader: store, world })
    await append(store, ...job('a'))
    const { position } = right(await store.head()())
    const early = tables.reached(position, 5_000)
    const late = tables.reached(`${position.slice(0, -1)}9`, 5_000)
    tables.follow(position)
    expect(await early).toBe(true)
    expect(await tables.reached(position, 0)).toBe(true)
    world.advance(5_000)
    expect(await late).toBe(false)
    expect(world.pending()).toEqual([])
  })

  it('is over when the tables are closed, which then answer nothing', async () => {
    const store = freshStore()
    const tables = await openFor({ reader: store })
    const waiting = tables.reached('zzz.0000000000000009', 600_000)
    await tables.close()
    expect(await waiting).toBe(false)
    expect(await tables.reached('zzz.0000000000000009', 600_000)).toBe(false)
    await expect(tables.list({ kind: 'job', order: 'newest', limit: 1 })).rejects.toMatchObject({ kind: 'unavailable' })
    await expect(tables.statistics({})).rejects.toMatchObject({ kind: 'unavailable' })
    await expect(tables.liveItems()).rejects.toMatchObject({ kind: 'unavailable' })
  })
})
