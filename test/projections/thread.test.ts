// The tables in a thread of their own: the same answers as in this thread, questions answered while they catch up, and nothing lost when the process is killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openTables, type ThreadOptions } from '../../src/projections/open.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import type { Tables } from '../../src/projections/tables.ts'
import { openSqliteStore, type SqliteStore } from '../../src/store/sqlite/store.ts'
import { right } from '../support/engine.ts'
import { appendLog } from '../support/random-log.ts'
import { everyAnswer, rebuiltTables } from '../support/replay.ts'
import { completed, jobLeased, phase } from '../support/samples.ts'
import { append, caughtUp, fixedLog, job, pageOf, temporary } from '../support/tables.ts'

const openStore = async (directory: string): Promise<SqliteStore> => {
  const store = await openSqliteStore({ directory, allowAnyFileSystem: true })
  onTestFinished(() => store.close())
  return store
}

const openThread = async (directory: string, store: SqliteStore, given: Partial<ThreadOptions> = {}): Promise<Tables> => {
  const tables = await openTables({ file: join(directory, 'tables.db'), storeFile: store.file, ...given })
  onTestFinished(() => tables.close())
  return tables
}

const log = fixedLog(3_000)

const appendJob = async (store: SqliteStore, number: number): Promise<void> => {
  const [workItem, birth] = job(`j${String(number).padStart(6, '0')}`)
  await append(store, workItem, birth, jobLeased())
  await append(store, workItem, phase, ...(number % 10 === 0 ? [] : [completed]))
}

/** As many appends as a store takes at once, by half. */
const SIDE_BY_SIDE = 5_000

/** Jobs in a log, four events each, appended side by side. */
const appendJobs = async (store: SqliteStore, count: number): Promise<void> => {
  for (let from = 0; from < count; from += SIDE_BY_SIDE)
    await Promise.all(Array.from({ length: Math.min(SIDE_BY_SIDE, count - from) }, (_, index) => appendJob(store, from + index)))
}

describe('tables in a thread of their own', () => {
  it('answer as tables in this thread do', async () => {
    const directory = temporary()
    const store = await openStore(directory)
    const tables = await openThread(directory, store)
    expect(tables.status().stopped).toEqual({})
    expect((await tables.liveItems()).position).toBeUndefined()
    await appendLog(store, log)
    const position = await caughtUp(tables, store)
    expect(tables.status()).toEqual({ position, stopped: {} })
    const here = await rebuiltTables(store)
    expect(await everyAnswer(tables)).toEqual(await everyAnswer(here))
    expect(await tables.list({ kind: 'job', order: 'newest', limit: 1, after: 'bad' })).toEqual({ invalid: 'cursor' })
    await here.close()
  })

  it('hand over live items and their position as of one moment, while they follow', async () => {
    const directory = temporary()
    const store = await openStore(directory)
    const tables = await openThread(directory, store)
    await appendJobs(store, 1_000)
    tables.follow(right(await store.head()()).position)
    const seen = new Map<string, number>()
    for (let position: string | undefined; position !== right(await store.head()()).position;) {
      const live = await tables.liveItems()
      position = live.position
      if (position !== undefined) seen.set(position, live.items.length)
      for (const { position: last } of live.items) expect(last <= (position ?? '')).toBe(true)
    }
    expect([...seen.values()].at(-1)).toBe(100)
  })

  it('answer questions while they catch up, when that takes longer than one waits, and say how far they are', async () => {
    const directory = temporary()
    const store = await openStore(directory)
    await appendJobs(store, 20_000)
    const { position } = right(await store.head()())
    let events = 0
    const tables = await openThread(directory, store, { onProgress: (progress) => (events += progress.events) })
    tables.follow(position)
    const [page, { position: answeredAt }] = await Promise.all([pageOf(tables, { limit: 10 }), tables.statistics({})])
    expect([page.position < position, answeredAt < position]).toEqual([true, true])
    expect(await tables.reached(position, 600_000)).toBe(true)
    expect((await pageOf(tables, { limit: 10 })).position).toBe(position)
    expect(events).toBe(Number(position.slice(-16)))
  })

  it('cannot be opened over a log that is not there, and say why', async () => {
    const directory = temporary()
    await expect(openTables({ file: join(directory, 'tables.db'), storeFile: join(directory, 'none.db') })).rejects.toThrow(/none\.db/)
  })

  it('answer nothing once they are closed, and leave a file that is equal to its replay', async () => {
    const directory = temporary()
    const store = await openStore(directory)
    const tables = await openThread(directory, store)
    await appendLog(store, log)
    await caughtUp(tables, store)
    const closing = tables.close()
    await expect(tables.statistics({})).rejects.toMatchObject({ kind: 'unavailable' })
    await closing
    expect(await compareWithRebuilt({ reader: store, keptFile: join(directory, 'tables.db') })).toMatchObject({
      equal: true,
      differences: [],
      position: right(await store.head()()).position,
    })
  })
})

describe('a process killed in the middle of a batch', () => {
  it.each([1, 2, 4])('leaves tables that are as of the batch before, and go on from there (batch %i)', async (batches) => {
    const directory = temporary()
    const store = await openStore(directory)
    await appendJobs(store, 1_500)
    const file = join(directory, 'tables.db')
    const child = spawn(process.execPath, [join(import.meta.dirname, '../support/interrupted-tables.ts'), file, store.file, String(batches)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    expect(said.toString()).toBe('in the middle\n')
    child.kill('SIGKILL')
    await once(child, 'exit')

    const kept = await compareWithRebuilt({ reader: store, keptFile: file })
    expect(kept).toMatchObject({ equal: true, events: Number(kept.position.slice(-16)) })
    expect(kept.events > 0).toBe(batches > 1)
    const logged: string[] = []
    const tables = await openThread(directory, store, { onLog: (text) => logged.push(text) })
    await caughtUp(tables, store)
    const rebuilt = await rebuiltTables(store)
    expect(await everyAnswer(tables)).toEqual(await everyAnswer(rebuilt))
    expect(logged).toEqual(['The tables of waiting are dropped: there is no such projection any more'])
    await rebuilt.close()
    await tables.close()
    expect(await compareWithRebuilt({ reader: store, keptFile: file })).toMatchObject({ equal: true })
  })
})
