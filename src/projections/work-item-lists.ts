// Questions to the table of work items: filtered lists by cursor, and all live items at once.
// A list looks at rows in slices and lets others have their turn between them, so that one that finds little in much holds nobody up.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { SurfaceState } from '../domain/work-item/state.ts'
import { cursorAfter, readCursor, type Order } from './cursor.ts'
import { positionAt } from './sequence.ts'
import type { ItemFilter } from './tables.ts'

/** Characters of a page, beyond which it ends early: results are of any size, and a thousand of them fit into no answer (rules 13). The first item always fits. */
const PAGE_CHARACTERS_MAX = 16 * 1024 * 1024

/** Rows looked at in one go when not every row will do: about 5 ms. */
const ROWS_A_SLICE = 10_000

const STATES: Readonly<Record<SurfaceState, true>> = {
  waiting: true,
  held: true,
  running: true,
  paused: true,
  aborting: true,
  lost: true,
  completed: true,
  failed: true,
  aborted: true,
  cancelled: true,
  timedOut: true,
}

/** How the rows of a list are found. */
export interface Plan {
  /** The index walked, with the columns it fixes; the rows come in the order of their birth. */
  readonly walk: string
  readonly walkArgs: readonly SQLInputValue[]
  /** What else must hold, as `AND …`; empty when every row walked is in the list. */
  readonly rest: string
  readonly restArgs: readonly SQLInputValue[]
}

/** A state is the narrowest filter where it matters (few items live, few fail), then the scope; without either the rows are walked as they lie. */
export const planOf = (filter: Pick<ItemFilter, 'kind' | 'scope' | 'server' | 'label' | 'state' | 'deadLetter' | 'by'>): Plan => {
  const { kind, scope, deadLetter } = filter
  // Dead letters show as failed.
  const state = filter.state ?? (deadLetter === true ? 'failed' : undefined)
  const rest: [string, string | undefined][] = [
    ['server', filter.server],
    ['label', filter.label],
    ['made_by', filter.by],
  ]
  const plan = (walk: string, walkArgs: readonly SQLInputValue[], columns: readonly [string, string | undefined][]): Plan => {
    const asked = columns.filter((column): column is [string, string] => column[1] !== undefined)
    const letters = deadLetter === undefined ? '' : deadLetter ? ' AND live = 2' : ' AND live <> 2'
    return { walk, walkArgs, rest: asked.map(([name]) => ` AND ${name} = ?`).join('') + letters, restArgs: asked.map(([, value]) => value) }
  }
  if (state !== undefined) return plan('work_items INDEXED BY work_items_by_state WHERE kind = ? AND state = ?', [kind, state], [['scope', scope], ...rest])
  if (scope !== undefined) return plan('work_items INDEXED BY work_items_by_scope WHERE kind = ? AND scope = ?', [kind, scope], rest)
  return plan('work_items NOT INDEXED WHERE true', [], [['kind', kind], ...rest])
}

interface Direction {
  readonly sort: 'DESC' | 'ASC'
  /** Before which, in this direction, no row lies. */
  readonly start: number
  readonly end: number
  /** Compares with the cursor, and with the end of a slice. */
  readonly beyond: '<' | '>'
  readonly within: '>=' | '<='
}

const DIRECTIONS: Readonly<Record<Order, Direction>> = {
  newest: { sort: 'DESC', start: Number.MAX_SAFE_INTEGER, end: -1, beyond: '<', within: '>=' },
  oldest: { sort: 'ASC', start: -1, end: Number.MAX_SAFE_INTEGER, beyond: '>', within: '<=' },
}

/** All of a kind: the rows of each of its states, merged. Spares an index that every insert would pay for. */
const mergedStates = ({ beyond, sort }: Direction): string => {
  const each = Object.keys(STATES).map(
    (state) =>
      `SELECT created FROM (SELECT created FROM work_items INDEXED BY work_items_by_state WHERE kind = ?1 AND state = '${state}' AND created ${beyond} ?2 ORDER BY created ${sort} LIMIT ?3)`,
  )
  return `${each.join(' UNION ALL ')} ORDER BY created ${sort} LIMIT ?3`
}

interface ListSql {
  readonly rows: string
  readonly sliceEnd?: string
}

/** SQL of one way: the rows of a slice, and where a slice ends. */
export const sqlOfPlan = ({ walk, rest }: Plan, order: Order): ListSql => {
  const { beyond, within, sort } = DIRECTIONS[order]
  const rows = `SELECT created FROM ${walk} AND created ${beyond} ? AND created ${within} ?${rest} ORDER BY created ${sort} LIMIT ?`
  return rest === '' ? { rows } : { rows, sliceEnd: `SELECT created FROM ${walk} AND created ${beyond} ? ORDER BY created ${sort} LIMIT 1 OFFSET ${ROWS_A_SLICE - 1}` }
}

/** SQL of one list. Exported so that a test can ask SQLite how it would go about it. */
export const sqlOf = (filter: ItemFilter): ListSql => (isWholeKind(filter) ? { rows: mergedStates(DIRECTIONS[filter.order]) } : sqlOfPlan(planOf(filter), filter.order))

const isWholeKind = ({ scope, server, label, state, deadLetter, by }: ItemFilter): boolean =>
  scope === undefined && server === undefined && label === undefined && state === undefined && deadLetter === undefined && by === undefined

/** An item as JSON text of an `ItemRow`, so that a thread can hand it on as it is. */
type ItemText = string

type ShownRow = readonly [workItem: string, position: number, item: string, birth: string, ending: string | null, late: string | null]

const textOf = ([workItem, position, item, birth, ending, late]: ShownRow, incarnation: string): ItemText =>
  `{"workItem":${JSON.stringify(workItem)},"position":"${positionAt(incarnation, position)}","item":${item},"birth":${birth}` +
  `${ending === null ? '' : `,"ending":${ending}`}${late === null ? '' : `,"late":${late}`}}`

/** A page: a JSON array of `ItemRow`s. */
export interface PageText {
  readonly items: string
  readonly next?: string
}

type Paging = Pick<ItemFilter, 'order' | 'limit' | 'after'>

export interface WorkItemQuestions {
  readonly list: (filter: ItemFilter) => Promise<PageText | { readonly invalid: 'cursor' }>
  /** A page of the items that a way finds. */
  readonly page: (paging: Paging, plan: Plan) => Promise<PageText | { readonly invalid: 'cursor' }>
  /** All live items in the order of their birth, as JSON arrays of `{ workItem, item, position }`; one read, one moment. */
  readonly liveItems: () => readonly string[]
  /** Streams of all queues that the log has. */
  readonly bookStreams: () => readonly string[]
}

const ITEMS_A_CHUNK = 1_000

/** `turn` resolves after others had theirs. */
export const askWorkItems = (db: DatabaseSync, incarnation: string, turn: () => Promise<void>): WorkItemQuestions => {
  const show = db.prepare(
    'SELECT w.work_item, s.position, s.item, f.birth, f.ending, f.late FROM work_items w JOIN work_item_states s ON s.created = w.created JOIN work_item_facts f ON f.created = w.created WHERE w.created = ?',
  )
  const live = db.prepare(
    'SELECT w.work_item, s.position, s.item FROM work_items w INDEXED BY work_items_live JOIN work_item_states s ON s.created = w.created WHERE w.live = 1 ORDER BY w.created',
  )
  for (const statement of [show, live]) statement.setReturnArrays(true)

  const created = (sql: string, args: readonly SQLInputValue[]): readonly number[] => {
    const statement = db.prepare(sql)
    statement.setReturnArrays(true)
    return (statement.all(...args) as unknown as readonly [number][]).map((row) => row[0])
  }

  /** @param walk finds the rows of a page behind a place, as many as are wanted; it is told of each few and stops when it hears that they are enough */
  const pageOf = async (
    { order, limit, after: cursor }: Paging,
    walk: (after: number, wanted: number, collect: (keys: readonly number[]) => number) => Promise<void> | void,
  ): Promise<PageText | { readonly invalid: 'cursor' }> => {
    const after = cursor === undefined ? DIRECTIONS[order].start : readCursor(cursor, order, incarnation)
    if (after === undefined) return { invalid: 'cursor' }
    const wanted = limit + 1
    const found: { readonly at: number; readonly text: ItemText }[] = []
    let characters = 0
    let isFull = false
    /** Answers how many more are wanted. */
    const collect = (keys: readonly number[]): number => {
      for (const at of keys) {
        const row = show.get(at) as unknown as ShownRow | undefined
        // Another projection that has not come as far may still know what is gone here.
        if (row === undefined) continue
        const text = textOf(row, incarnation)
        isFull = found.length > 0 && characters + text.length > PAGE_CHARACTERS_MAX
        if (isFull) return 0
        characters += text.length
        found.push({ at, text })
      }
      return wanted - found.length
    }
    await walk(after, wanted, collect)
    const page = found.slice(0, limit)
    const last = page[page.length - 1]
    const items = `[${page.map(({ text }) => text).join(',')}]`
    return (isFull || found.length > page.length) && last !== undefined ? { items, next: cursorAfter(order, incarnation, last.at) } : { items }
  }

  const page: WorkItemQuestions['page'] = (paging, plan) => {
    const { rows, sliceEnd } = sqlOfPlan(plan, paging.order)
    const { walkArgs, restArgs } = plan
    const { end } = DIRECTIONS[paging.order]
    return pageOf(paging, async (after, wanted, collect) => {
      for (let from = after, missing = wanted; from !== end && missing > 0;) {
        const to = sliceEnd === undefined ? end : (created(sliceEnd, [...walkArgs, from])[0] ?? end)
        missing = collect(created(rows, [...walkArgs, from, to, ...restArgs, missing]))
        from = to
        if (from !== end && missing > 0) await turn()
      }
    })
  }

  const list: WorkItemQuestions['list'] = (filter) => {
    if (!isWholeKind(filter)) return page(filter, planOf(filter))
    return pageOf(filter, (after, wanted, collect) => void collect(created(sqlOf(filter).rows, [filter.kind, after, wanted])))
  }

  const liveItems = (): readonly string[] => {
    const chunks: string[] = []
    let texts: string[] = []
    for (const [workItem, position, item] of live.iterate() as unknown as Iterable<readonly [string, number, string]>) {
      texts.push(`{"workItem":${JSON.stringify(workItem)},"position":"${positionAt(incarnation, position)}","item":${item}}`)
      if (texts.length < ITEMS_A_CHUNK) continue
      chunks.push(`[${texts.join(',')}]`)
      texts = []
    }
    return texts.length === 0 ? chunks : [...chunks, `[${texts.join(',')}]`]
  }

  const queues = db.prepare('SELECT stream FROM book_streams ORDER BY stream')

  return { list, page, liveItems, bookStreams: () => queues.all().map((row) => String(row['stream'])) }
}
