// How fast a log becomes state again: `node bench/replay.ts`. Folds a log of jobs in memory and into the tabular file, and takes the live items from that file as a start does.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { foldLive } from '../src/projections/fold.ts'
import { openTables } from '../src/projections/open.ts'
import type { Tables } from '../src/projections/tables.ts'
import { TABLES_FILE } from '../src/settings.ts'
import { openSqliteStore, type SqliteStore } from '../src/store/sqlite/store.ts'
import { realWorld as world } from '../src/world.ts'
import { runAlone, say } from './alone.ts'
import { SCRIPT, scriptRow } from './floor.ts'
import { makeLog } from './make-log.ts'
import { rowOf, type Effort, type Row } from './row.ts'
import { temporaryDirectory } from './server-process.ts'

const EVENTS = 1_000_000
const LIVE = 10_000
const QUICK_SHARE = 0.02

const since = (began: number): number => world.monotonic() - began

const inMemory = async (store: SqliteStore): Promise<Row> => {
  const began = world.monotonic()
  const folded = await foldLive(store)
  if (E.isLeft(folded)) throw new Error(JSON.stringify(folded.left))
  const { events, live, settled } = folded.right
  const limit = 'One thread: reading rows, parsing and checking their JSON, folding them.'
  return rowOf('Fold the whole log in memory', (events / since(began)) * 1_000, 'events/s', { limit, against: SCRIPT, more: { events, 'live items': live.size, settled } })
}

const intoTables = async (store: SqliteStore, file: string, made: number): Promise<Row> => {
  const head = await store.head()()
  if (E.isLeft(head)) throw head.left
  const tables = await openTables({ file, storeFile: store.file, world, onLog: console.error })
  const began = world.monotonic()
  tables.follow(head.right.position)
  if (!(await tables.reached(head.right.position, 3_600_000))) throw new Error(JSON.stringify(tables.status()))
  const row = rowOf('Fold the whole log into the tabular file', (made / since(began)) * 1_000, 'events/s', {
    limit: 'One thread: reading and folding as above, and writing each item’s last state with its indexes.',
    against: SCRIPT,
    more: { events: made },
  })
  await tables.close()
  return row
}

const asking = async (tables: Tables): Promise<readonly Row[]> => {
  let began = world.monotonic()
  const { items } = await tables.liveItems()
  const handOver = rowOf('Hand the live items over at a start', since(began), 'ms', { limit: 'Parsing each item’s state.', against: SCRIPT, more: { items: items.length } })
  began = world.monotonic()
  await tables.list({ kind: 'job', scope: 'index', state: 'running', order: 'newest', limit: 100 })
  const list = rowOf('List 100 running jobs of a service', since(began), 'ms', {
    limit: 'Rows that match only one of the two filters and are passed over; the file is cold.',
    against: SCRIPT,
  })
  began = world.monotonic()
  await tables.list({ kind: 'job', label: 'no such label', order: 'newest', limit: 100 })
  const none = rowOf('Find no job by its label', since(began), 'ms', { limit: 'Labels have no index, so that all jobs are looked at.', against: SCRIPT })
  return [handOver, list, none]
}

const measure = async (store: SqliteStore, directory: string, made: number): Promise<readonly Row[]> => {
  say('folding in memory')
  const memory = await inMemory(store)
  const file = join(directory, TABLES_FILE)
  say('folding into the tabular file')
  const tabular = await intoTables(store, file, made)
  const tables = await openTables({ file, storeFile: store.file, world, onLog: console.error })
  const asked = await asking(tables)
  await tables.close()
  return [memory, tabular, ...asked]
}

export const measureReplay = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const share = isQuick ? QUICK_SHARE : 1
  const floor = scriptRow(isQuick ? 0.2 : 1)
  const { directory, remove } = temporaryDirectory()
  try {
    const store = await openSqliteStore({ directory, world })
    say(`making a log of ${EVENTS * share} events`)
    const made = await makeLog(store, EVENTS * share, LIVE * share)
    const rows = await measure(store, directory, made)
    // Closed first, since then nothing of it is in the write-ahead log any more.
    await store.close()
    const sizeOf = (what: string, file: string): Row => rowOf(what, statSync(file).size / made, 'bytes/event')
    return [floor, ...rows, sizeOf('Size of the log', store.file), sizeOf('Size of the tabular file', join(directory, TABLES_FILE))]
  } finally {
    remove()
  }
}

if (import.meta.main) await runAlone(measureReplay)
