// Proves that the kept tables are what the log says: folds them again beside the kept ones, up to where those have come, and compares every row (design 17).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isDeepStrictEqual } from 'node:util'
import * as E from 'fp-ts/lib/Either.js'
import type { EventReader, Position } from '../store/port.ts'
import { realWorld, type World } from '../world.ts'
import { countingErased, erasedAfter } from './erasures.ts'
import { projections as allProjections } from './index.ts'
import type { Projection, TableOfProjection, TablesReader } from './projection.ts'
import { openCore } from './runner.ts'
import { turn } from './session.ts'
import { followedTo, mismatch, versionOf } from './tables-file.ts'

/** A row that is not the same; one that is missing on a side is undefined there. */
export interface Difference {
  readonly table: string
  readonly key: string
  readonly kept: unknown
  readonly rebuilt: unknown
}

export interface Comparison {
  readonly equal: boolean
  /** How far the kept tables have come: the furthest of them. */
  readonly position: Position
  /** Events folded for the rebuild. */
  readonly events: number
  /** The first 20. */
  readonly differences: readonly Difference[]
  /** Projections that a log with erased events cannot make again, by name, with the reason; there when something was erased. */
  readonly notCompared?: Readonly<Record<string, string>>
}

export interface CompareOptions {
  readonly reader: TablesReader
  /** Tables file; opened for reading only, from one moment. A server may be using it. */
  readonly keptFile: string
  readonly onProgress?: ((progress: { readonly position: Position; readonly events: number }) => void) | undefined
  readonly projections?: readonly Projection[] | undefined
  readonly world?: World | undefined
  /** Events known to be erased or pruned; those that are met erased are counted here anyway. */
  readonly erased?: number | undefined
}

const DIFFERENCES_MAX = 20
const ROWS_A_TURN = 20_000

type Row = Readonly<Record<string, unknown>>

/** JSON texts are the same when they say the same, whatever the order of their fields: a state that was loaded lists them in another order than one that never left memory. */
const sameValue = (kept: unknown, rebuilt: unknown): boolean => {
  if (kept === rebuilt) return true
  if (typeof kept !== 'string' || typeof rebuilt !== 'string' || !kept.startsWith('{') || !rebuilt.startsWith('{')) return false
  try {
    return isDeepStrictEqual(JSON.parse(kept), JSON.parse(rebuilt))
  } catch {
    return false
  }
}

const sameRow = (kept: Row, rebuilt: Row): boolean => Object.keys(kept).every((column) => sameValue(kept[column], rebuilt[column]))

/** In the order of SQLite: numbers by size, text by its bytes in UTF-8. */
const compareKeys = (a: Row, b: Row, key: readonly string[]): number => {
  for (const column of key) {
    const [left, right] = [a[column], b[column]]
    if (left === right) continue
    return typeof left === 'number' && typeof right === 'number' ? left - right : Buffer.compare(Buffer.from(String(left)), Buffer.from(String(right)))
  }
  return 0
}

/** Walks both tables in the order of their keys, as a merge does. Rows under `created` in `passedOver` are not looked at. */
const compareTable = async (kept: DatabaseSync, rebuilt: DatabaseSync, { name, key }: TableOfProjection, passedOver: ReadonlySet<unknown>, found: Difference[]): Promise<void> => {
  const rows = (db: DatabaseSync): Iterator<Row> => db.prepare(`SELECT * FROM "${name}" ORDER BY ${key.join(', ')}`).iterate() as Iterator<Row>
  const [left, right] = [rows(kept), rows(rebuilt)]
  const next = (side: Iterator<Row>): Row | undefined => {
    for (;;) {
      const step = side.next()
      if (step.done === true) return undefined
      if (!passedOver.has(step.value['created'])) return step.value
    }
  }
  let [a, b] = [next(left), next(right)]
  for (let count = 1; found.length < DIFFERENCES_MAX; count += 1) {
    const row = a ?? b
    if (row === undefined) return
    const order = a === undefined ? 1 : b === undefined ? -1 : compareKeys(a, b, key)
    const first = order > 0 ? b : a
    if (order !== 0 || !sameRow(a as Row, b as Row)) {
      const keyText = key.map((column) => String((first ?? row)[column])).join(' ')
      found.push({ table: name, key: keyText, kept: order > 0 ? undefined : a, rebuilt: order < 0 ? undefined : b })
    }
    if (order <= 0) a = next(left)
    if (order >= 0) b = next(right)
    if (count % ROWS_A_TURN === 0) await turn()
  }
}

interface Kept {
  readonly db: DatabaseSync
  /** Projections of this version, by the position to which they are kept. */
  readonly groups: ReadonlyMap<Position, readonly Projection[]>
  readonly differences: readonly Difference[]
}

/** One moment of the kept file: the transaction holds it until the file is closed. */
const openKept = async ({ reader, keptFile, projections = allProjections }: CompareOptions): Promise<Kept> => {
  const head = await reader.head()()
  if (E.isLeft(head)) throw head.left
  const db = new DatabaseSync(keptFile, { readOnly: true })
  try {
    db.exec('BEGIN')
    const why = await mismatch(db, reader, head.right)
    if (why !== undefined) return { db, groups: new Map(), differences: [{ table: 'followed_log', key: keptFile, kept: why, rebuilt: undefined }] }
    const rows = new Map(followedTo(db).map((row) => [row.projection, row]))
    const groups = new Map<Position, Projection[]>()
    const differences: Difference[] = []
    for (const projection of projections) {
      const row = rows.get(projection.name)
      if (row === undefined || row.version !== versionOf(projection))
        differences.push({ table: 'followed_to', key: projection.name, kept: row?.version, rebuilt: versionOf(projection) })
      else groups.set(row.position, [...(groups.get(row.position) ?? []), projection])
    }
    return { db, groups, differences }
  } catch (cause) {
    db.close()
    throw cause
  }
}

/** Rows of items that were erased after the tables had come to `position`: they keep what the log has not any more. */
const erasedLater = async (reader: EventReader, position: Position, dbs: readonly DatabaseSync[], projections: readonly Projection[]): Promise<ReadonlySet<number>> => {
  const workItems = await erasedAfter(reader, position)
  if (workItems.size === 0) return workItems as ReadonlySet<never>
  return new Set(dbs.flatMap((db) => projections.flatMap(({ createdOf }) => [...(createdOf?.(db, workItems) ?? [])])))
}

interface Found {
  readonly differences: Difference[]
  readonly notCompared: Record<string, string>
}

/** Folds these projections again up to a position and compares their tables; answers how many events that took. */
const compareGroup = async (options: CompareOptions, kept: DatabaseSync, position: Position, projections: readonly Projection[], found: Found): Promise<number> => {
  const { world = realWorld, onProgress } = options
  const { reader, erased } = countingErased(options.reader)
  const directory = mkdtempSync(join(tmpdir(), 'stint-rebuilt-'))
  let events = 0
  try {
    const file = join(directory, 'tables.db')
    const onMoved = (status: { readonly position: Position }, moved: number): void => {
      events += moved
      onProgress?.({ position: status.position, events })
    }
    const core = await openCore({ file, reader, projections, world, upTo: position, onMoved })
    core.follow(position)
    await core.idle()
    const { stopped } = core.status()
    await core.close()
    for (const [name, why] of Object.entries(stopped)) found.differences.push({ table: 'followed_to', key: name, kept: position, rebuilt: why })
    const rebuilt = new DatabaseSync(file, { readOnly: true })
    try {
      const gone = Math.max(erased(), options.erased ?? 0)
      // Asked after the fold, so that nothing can have been erased under it unseen.
      const passedOver = await erasedLater(options.reader, position, [kept, rebuilt], projections)
      for (const { name, tables, outlivesErasure } of projections) {
        if (!outlivesErasure && gone + passedOver.size > 0) found.notCompared[name] = `${gone} events erased`
        else for (const table of tables) if (found.differences.length < DIFFERENCES_MAX) await compareTable(kept, rebuilt, table, passedOver, found.differences)
      }
    } finally {
      rebuilt.close()
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  return events
}

/** Rebuilds every projection beside the kept one, up to where that one has come, and compares all rows. Throws StoreFault when the log cannot be read. */
export const compareWithRebuilt = async (options: CompareOptions): Promise<Comparison> => {
  const kept = await openKept(options)
  const found: Found = { differences: [...kept.differences], notCompared: {} }
  const { differences, notCompared } = found
  let events = 0
  let furthest: Position = ''
  try {
    for (const [position, projections] of kept.groups) {
      events += await compareGroup(options, kept.db, position, projections, found)
      if (position > furthest) furthest = position
    }
  } finally {
    kept.db.close()
  }
  return {
    equal: differences.length === 0,
    position: furthest,
    events,
    differences: differences.slice(0, DIFFERENCES_MAX),
    ...(Object.keys(notCompared).length === 0 ? {} : { notCompared }),
  }
}
