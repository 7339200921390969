// Tables over the store in memory, for tests that append and look.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { onTestFinished } from 'vitest'
import { jobId, longTaskId, streamOf, taskId, type WorkItemId } from '../../src/domain/ids.ts'
import { encodeEvent } from '../../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import type { OperationFacts } from '../../src/domain/work-item/state.ts'
import { projections } from '../../src/projections/index.ts'
import { tablesInProcess, type InProcessOptions } from '../../src/projections/open.ts'
import type { Projection, TablesReader } from '../../src/projections/projection.ts'
import type { ItemFilter, ItemRow, Page, Tables } from '../../src/projections/tables.ts'
import { memoryStore, type MemoryStore } from '../../src/store/memory.ts'
import type { EventStore, Position } from '../../src/store/port.ts'
import { realWorld } from '../../src/world.ts'
import { right } from './engine.ts'
import { ITEMS, randomLog } from './random-log.ts'
import { BIRTH, dispatched, JOB, registered, TASK } from './samples.ts'

/** Longer than any test may take. */
const CAUGHT_UP_MS = 600_000

/** A directory that is gone when the test is. */
export const temporary = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'stint-tables-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export const openFor = async (options: Partial<InProcessOptions> & Pick<InProcessOptions, 'reader'>): Promise<Tables> => {
  const tables = await tablesInProcess({ file: ':memory:', world: realWorld, ...options })
  onTestFinished(() => tables.close())
  return tables
}

/** Follows a log to its end. */
export const caughtUp = async (tables: Tables, store: Pick<EventStore, 'head'>): Promise<Position> => {
  const { position } = right(await store.head()())
  tables.follow(position)
  if (!(await tables.reached(position, CAUGHT_UP_MS))) throw new Error(`Expected the tables to reach ${position}, but they are ${JSON.stringify(tables.status())}`)
  return position
}

let appended = 0

/** Appends facts to one work item, a second after BIRTH for each that was appended before. */
export const append = async (store: EventStore, workItem: WorkItemId, ...events: readonly WorkItemEvent[]): Promise<void> => {
  appended += 1
  right(
    await store.append(
      streamOf(workItem),
      'any',
      events.map((event, index) => ({ id: `event-${appended}-${index}`, ...encodeEvent(event), time: BIRTH + appended * 1_000, meta: '{}' })),
    )(),
  )
}

export const job = (id: string, facts: Partial<typeof JOB & { readonly by: string }> = {}): readonly [WorkItemId, WorkItemEvent] => [
  jobId(id),
  { ...registered, type: 'JobRegistered', ...JOB, by: 'servers', digest: 'content', ...facts },
]

export const task = (queue: string, id: string, by = 'producer'): readonly [WorkItemId, WorkItemEvent] => [
  taskId('shop', queue, id),
  { type: 'TaskInserted', ...TASK, queue, by, digest: 'content', mediaType: 'application/json' },
]

export const longTask = (id: string, facts: Partial<OperationFacts> = {}): readonly [WorkItemId, WorkItemEvent] => [longTaskId(id), { ...dispatched, ...facts }]

export const freshStore = (): MemoryStore => memoryStore({ world: realWorld })

export const pageOf = async (tables: Tables, filter: Partial<ItemFilter>): Promise<Page<ItemRow>> => {
  const page = await tables.list({ kind: 'job', order: 'newest', limit: 100, ...filter })
  if ('invalid' in page) throw new Error('Expected the cursor to be good')
  return page
}

export const idsOf = (page: Page<ItemRow>): readonly WorkItemId[] => page.items.map(({ workItem }) => workItem)

/** All pages of a list. */
export const allOf = async (tables: Tables, filter: Partial<ItemFilter>): Promise<readonly WorkItemId[]> => {
  const found: WorkItemId[] = []
  for (let after: string | undefined; ;) {
    const page = await pageOf(tables, { ...filter, after })
    found.push(...idsOf(page))
    after = page.next
    if (after === undefined) return found
  }
}

/** A log of so many draws, always the same. */
export const fixedLog = (length: number) => {
  let seed = 7
  const below = (max: number): number => (seed = (seed * 48_271) % 0x7f_ff_ff_ff) % max
  return randomLog(Array.from({ length }, () => [below(ITEMS), below(1_000), below(60_000)] as const))
}

/** Opens a file of tables and hears what it says. */
export const openFile = async (file: string, reader: TablesReader, given: readonly Projection[] = projections): Promise<{ readonly tables: Tables; readonly said: string[] }> => {
  const said: string[] = []
  return { tables: await openFor({ file, reader, projections: given, onLog: (text) => said.push(text) }), said }
}

/** Rows of a file, read by another connection. */
export const rowsIn = (file: string, sql: string): readonly unknown[] => {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    return db
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }))
  } finally {
    db.close()
  }
}
