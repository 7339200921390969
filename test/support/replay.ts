// The last sentence of every scenario: what is in memory and in the tables is what the log says, folded again from its first event.
import { expect } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { foldLive } from '../../src/projections/fold.ts'
import { tablesInProcess } from '../../src/projections/open.ts'
import type { TablesReader } from '../../src/projections/projection.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import type { ItemRow, Tables } from '../../src/projections/tables.ts'
import { realWorld } from '../../src/world.ts'
import { right } from './engine.ts'

/** Longer than any test may take. */
const CAUGHT_UP_MS = 600_000

/** As it is stored: fields that are undefined are no fields. */
const asStored = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))

/** Every row of the tables, through the questions that anybody asks. */
export const everyRow = async (tables: Tables): Promise<readonly ItemRow[]> => {
  const rows: ItemRow[] = []
  for (const kind of ['job', 'task', 'request', 'long-task'] as const) {
    for (let after: string | undefined; ;) {
      const page = await tables.list({ kind, order: 'oldest', limit: 1_000, after })
      if ('invalid' in page) throw new Error('Expected a cursor that was given out to be good')
      rows.push(...page.items)
      after = page.next
      if (after === undefined) break
    }
  }
  return rows
}

const itemsOf = <Item>(page: { readonly items: readonly Item[] } | { readonly invalid: 'cursor' }): readonly Item[] => ('invalid' in page ? [] : page.items)

const LIMIT = 100_000

/** What the tables answer, whoever asks: rows, statistics, live items, kept requests and usage of each contract, what expires and what is retired. */
export const everyAnswer = async (tables: Tables): Promise<unknown> => {
  const rows = await everyRow(tables)
  const contracts = [...new Set(rows.flatMap(({ item }) => item.request?.contract ?? []))]
  const due = { notAfter: Number.MAX_SAFE_INTEGER, limit: LIMIT }
  return {
    rows,
    statistics: (await tables.statistics({})).items,
    live: (await tables.liveItems()).items,
    kept: await Promise.all(
      contracts.map(async (contract) => itemsOf(await tables.requests({ contract, released: false, order: 'oldest', limit: LIMIT })).map(({ workItem }) => workItem)),
    ),
    usage: await Promise.all(contracts.map(async (contract) => itemsOf(await tables.usage({ contract, limit: LIMIT })))),
    expiring: (await tables.expiring(due)).items,
    retired: await Promise.all((['job', 'task', 'request', 'long-task'] as const).map(async (kind) => (await tables.retired({ ...due, kind })).items)),
  }
}

/** Tables folded from the first event on, in memory. */
export const rebuiltTables = async (reader: TablesReader): Promise<Tables> => {
  const tables = await tablesInProcess({ file: ':memory:', reader, world: realWorld })
  const { position } = right(await reader.head()())
  tables.follow(position)
  expect(await tables.reached(position, CAUGHT_UP_MS)).toBe(true)
  return tables
}

/**
 * Expects the engine's live items, and the answers of its tables, to equal a replay of the whole log; the engine must be at rest.
 * With `keptFile`, the file of its tables, every row in it is compared too.
 */
export const expectReplayEqual = async (
  engine: Pick<Engine, 'live' | 'status' | 'tables'>,
  reader: TablesReader,
  { keptFile }: { readonly keptFile?: string } = {},
): Promise<void> => {
  const { position } = right(await reader.head()())
  const folded = right(await foldLive(reader, { upTo: position }))
  for (const [workItem, { item }] of folded.live) expect(asStored(engine.live(workItem))).toEqual(asStored(item))
  expect(engine.status().liveItems).toBe(folded.live.size)

  engine.tables.follow(position)
  expect(await engine.tables.reached(position, CAUGHT_UP_MS)).toBe(true)
  expect(engine.tables.status().stopped).toEqual({})
  const rebuilt = await rebuiltTables(reader)
  expect(await everyAnswer(engine.tables)).toEqual(await everyAnswer(rebuilt))
  await rebuilt.close()
  if (keptFile !== undefined) expect((await compareWithRebuilt({ reader, keptFile })).differences).toEqual([])
}
