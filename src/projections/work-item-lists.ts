// Questions to the table of work items: filtered lists by cursor, and all live items at once.
// A list looks at rows in slices and lets others have their turn between them, so that one that finds little in much holds nobody up.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { SurfaceState } from '../domain/work-item/state.ts'
import { cursorAfter, readCursor, type Order, type Place } from './cursor.ts'
import { positionAt } from './sequence.ts'
import type { ItemFilter } from './tables.ts'

/** Characters of a page, beyond which it ends early: results are of any size, and a thousand of them fit into no answer (rules 13). The first item always fits. */
const PAGE_CHARACTERS_MAX = 16 * 1024 * 1024

/** Rows looked at in one go, at most, when not every row will do: about 5 ms. */
const ROWS_A_SLICE = 5_000

/** In the order of a life, so that what goes on while a list is made is met again rather than missed. */
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

/** One way through the rows, in the order of the list. */
export interface Walk {
  /** The index walked, with the columns it fixes. */
  readonly from: string
  readonly fromArgs: readonly SQLInputValue[]
  /** What else must hold, as SQL; empty when every row walked is in the list. */
  readonly rest: string
  readonly restArgs: readonly SQLInputValue[]
}

type Asked = readonly (readonly [column: string, value: string | undefined])[]

const walkOf = (from: string, fromArgs: readonly SQLInputValue[], { live, deadLetter, ...filter }: ItemFilter, others: Asked = []): Walk => {
  const own: Asked = [
    ['server', filter.server],
    ['label', filter.label],
    ['tag', filter.tag],
    ['task_key', filter.key],
    ['operation', filter.operation],
    ['made_by', filter.by],
  ]
  const asked = [...others, ...own].filter((column) => column[1] !== undefined)
  const liveness = [...(live === undefined ? [] : ['live = 1']), ...(deadLetter === undefined ? [] : [deadLetter ? 'live = 2' : 'live <> 2'])]
  return { from, fromArgs, rest: [...asked.map(([name]) => `${name} = ?`), ...liveness].join(' AND '), restArgs: asked.map((column) => column[1] as string) }
}

/** A state is the narrowest filter where it matters (few items live, few fail), then the scope; all states of a kind are walked one by one and merged. */
export const walksOf = (filter: ItemFilter): readonly Walk[] => {
  const { kind, scope, deadLetter, live, order } = filter
  // Dead letters show as failed.
  const state = filter.state ?? (deadLetter === true ? 'failed' : undefined)
  const states = state === undefined ? Object.keys(STATES) : [state]
  if (order === 'queue') return states.map((each) => walkOf("work_items INDEXED BY tasks_by_state WHERE kind = 'task' AND scope = ? AND state = ?", [scope ?? '', each], filter))
  if (kind === 'task') {
    if (live === undefined || scope === undefined)
      return [
        walkOf('work_items NOT INDEXED WHERE true', [], filter, [
          ['kind', kind],
          ['scope', scope],
          ['state', state],
        ]),
      ]
    return [walkOf("work_items INDEXED BY work_items_live WHERE kind = 'task' AND live = 1 AND scope = ?", [scope], { ...filter, live: undefined }, [['state', state]])]
  }
  if (kind === 'request') {
    if (scope === undefined)
      return [
        walkOf('work_items NOT INDEXED WHERE true', [], filter, [
          ['kind', kind],
          ['state', state],
        ]),
      ]
    if (state !== undefined) return [walkOf("work_items INDEXED BY requests_by_state WHERE kind = 'request' AND scope = ? AND state = ?", [scope, state], filter)]
    return [walkOf("work_items INDEXED BY work_items_by_scope WHERE kind = 'request' AND scope = ?", [scope], filter)]
  }
  if (kind === 'long-task') {
    const inState = (each: string): Walk => walkOf("work_items INDEXED BY long_tasks_by_state WHERE kind = 'long-task' AND state = ?", [each], filter, [['scope', scope]])
    if (state !== undefined) return [inState(state)]
    if (scope !== undefined) return [walkOf("work_items INDEXED BY work_items_by_scope WHERE kind = 'long-task' AND scope = ?", [scope], filter)]
    // Whatever else is asked: among all work items they are few.
    return states.map(inState)
  }
  const byState = (each: string): Walk => walkOf("work_items INDEXED BY jobs_by_state WHERE kind = 'job' AND state = ?", [each], filter, [['scope', scope]])
  if (state !== undefined) return [byState(state)]
  if (scope !== undefined) return [walkOf("work_items INDEXED BY work_items_by_scope WHERE kind = 'job' AND scope = ?", [scope], filter)]
  const all = states.map(byState)
  return all.every(({ rest }) => rest === '') ? all : [walkOf('work_items NOT INDEXED WHERE true', [], filter, [['kind', kind]])]
}

interface Direction {
  /** The columns of a place. */
  readonly columns: string
  readonly sort: string
  /** Before which, in this direction, no row lies. */
  readonly start: Place
  /** What lies behind a place, piece by piece: SQLite seeks by birth, which is the row itself, only where everything before it is fixed. */
  readonly behind: readonly { readonly sql: string; readonly args: (place: Place) => readonly number[] }[]
  readonly compare: (a: Place, b: Place) => number
}

const FIRST = Number.MIN_SAFE_INTEGER

const ascending = (a: Place, b: Place): number => {
  const at = a.findIndex((number, index) => number !== b[index])
  return at === -1 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

const DIRECTIONS: Readonly<Record<Order, Direction>> = {
  newest: {
    columns: 'created',
    sort: 'created DESC',
    start: [Number.MAX_SAFE_INTEGER],
    behind: [{ sql: 'created < ?', args: (place) => place }],
    compare: (a, b) => ascending(b, a),
  },
  oldest: { columns: 'created', sort: 'created', start: [-1], behind: [{ sql: 'created > ?', args: (place) => place }], compare: ascending },
  queue: {
    columns: 'rank, due, created',
    sort: 'rank, due, created',
    start: [FIRST, FIRST, FIRST],
    behind: [
      { sql: 'rank = ? AND due = ? AND created > ?', args: (place) => place },
      { sql: '(rank, due) > (?, ?)', args: (place) => place.slice(0, 2) },
    ],
    compare: ascending,
  },
}

/** SQL of one walk, a statement for each piece behind a place: places, and whether the row is in the list. Exported so that a test can ask SQLite how it would go about it. */
export const sqlOf = (order: Order, { from, rest }: Walk): readonly string[] => {
  const { columns, sort, behind } = DIRECTIONS[order]
  return behind.map(({ sql }) => `SELECT ${columns}, ${rest === '' ? '1' : rest} FROM ${from} AND ${sql} ORDER BY ${sort} LIMIT ?`)
}

/** An item as JSON text of a `StoredRow`, so that a thread can hand it on as it is. */
type ItemText = string

type StateRow = readonly [workItem: string, created: number, at: number, birth: string, position: number | null, item: string | null]
type ShownRow = readonly [...StateRow, ending: string | null, late: string | null]

/** Without the closing brace. Of an item without a state of its own, its birth and when that was. */
const openTextOf = ([workItem, created, at, birth, position, item]: StateRow | ShownRow, incarnation: string, isBirthShown: boolean): string =>
  `{"workItem":${JSON.stringify(workItem)},"position":"${positionAt(incarnation, position ?? created)}"` +
  `${item === null ? `,"at":${at}` : `,"item":${item}`}${item === null || isBirthShown ? `,"birth":${birth}` : ''}`

const textOf = (row: ShownRow, incarnation: string): ItemText =>
  `${openTextOf(row, incarnation, true)}${row[6] === null ? '' : `,"ending":${row[6]}`}${row[7] === null ? '' : `,"late":${row[7]}`}}`

/** A page: a JSON array of `StoredRow`s. */
export interface PageText {
  readonly items: string
  readonly next?: string
}

type Paging = Pick<ItemFilter, 'order' | 'limit' | 'after'>

export interface WorkItemQuestions {
  readonly list: (filter: ItemFilter) => Promise<PageText | { readonly invalid: 'cursor' }>
  /** A page of the items that these ways find. */
  readonly page: (paging: Paging, walks: readonly Walk[]) => Promise<PageText | { readonly invalid: 'cursor' }>
  /** All live items in the order of their birth, as JSON arrays of `StoredRow`s with nothing to show; one read, one moment. */
  readonly liveItems: () => readonly string[]
  /** Streams of all queues, contracts and nodes that the log has. */
  readonly bookStreams: () => readonly string[]
}

const ITEMS_A_CHUNK = 1_000

/** `turn` resolves after others had theirs. */
export const askWorkItems = (db: DatabaseSync, incarnation: string, turn: () => Promise<void>): WorkItemQuestions => {
  const kept = (from: string): string => `FROM ${from} JOIN work_item_births b ON b.created = w.created LEFT JOIN work_item_states s ON s.created = w.created`
  const show = db.prepare(`SELECT w.work_item, w.created, b.at, b.birth, s.position, s.item, s.ending, s.late ${kept('work_items w')} WHERE w.created = ?`)
  const live = db.prepare(`SELECT w.work_item, w.created, b.at, b.birth, s.position, s.item ${kept('work_items w INDEXED BY work_items_live')} WHERE w.live = 1 ORDER BY w.created`)
  for (const statement of [show, live]) statement.setReturnArrays(true)

  /** The next rows of a walk behind a place: all that were looked at, and the places of those that are in the list. */
  const look = (order: Order, walk: Walk, place: Place, max: number): { readonly looked: number; readonly last: Place; readonly found: readonly Place[] } => {
    const found: Place[] = []
    let looked = 0
    let last = place
    for (const [piece, sql] of sqlOf(order, walk).entries()) {
      if (looked === max) break
      const statement = db.prepare(sql)
      statement.setReturnArrays(true)
      const args = DIRECTIONS[order].behind[piece]?.args(place) ?? []
      for (const row of statement.all(...walk.restArgs, ...walk.fromArgs, ...args, max - looked) as unknown as readonly (readonly number[])[]) {
        looked += 1
        last = row.slice(0, -1)
        if (row[row.length - 1] === 1) found.push(last)
      }
    }
    return { looked, last, found }
  }

  /** The first places of each walk that are in the list. Where the first look is enough, as it mostly is, all walks are of one moment; further slices grow. */
  const placesOf = async (order: Order, walks: readonly Walk[], after: Place, wanted: number): Promise<readonly Place[]> => {
    const places: Place[] = []
    const looks = walks.map((walk) => ({ walk, first: look(order, walk, after, wanted) }))
    for (const { walk, first } of looks) {
      const found = [...first.found]
      let { looked, last } = first
      for (let slice = wanted; looked === slice && found.length < wanted;) {
        await turn()
        slice = Math.min(2 * slice, ROWS_A_SLICE)
        const next = look(order, walk, last, slice)
        found.push(...next.found)
        ;({ looked, last } = next)
      }
      places.push(...found)
    }
    return places.toSorted(DIRECTIONS[order].compare)
  }

  const page: WorkItemQuestions['page'] = async ({ order, limit, after: cursor }, walks) => {
    const { start, compare } = DIRECTIONS[order]
    const after = cursor === undefined ? start : readCursor(cursor, order, incarnation)
    if (after === undefined) return { invalid: 'cursor' }
    const places = await placesOf(order, walks, after, limit + 1)
    const shown: ItemText[] = []
    let characters = 0
    let last: Place | undefined
    for (const place of places) {
      const isFull = shown.length === limit
      // Met twice: it has changed its state meanwhile.
      if (last !== undefined && compare(last, place) === 0) continue
      const text = isFull ? '' : textOf(show.get(place[place.length - 1] ?? 0) as unknown as ShownRow, incarnation)
      if (isFull || (shown.length > 0 && characters + text.length > PAGE_CHARACTERS_MAX))
        return { items: `[${shown.join(',')}]`, next: cursorAfter(order, incarnation, last ?? after) }
      characters += text.length
      shown.push(text)
      last = place
    }
    return { items: `[${shown.join(',')}]` }
  }

  const liveItems = (): readonly string[] => {
    const chunks: string[] = []
    let texts: string[] = []
    for (const row of live.iterate() as unknown as Iterable<StateRow>) {
      texts.push(`${openTextOf(row, incarnation, false)}}`)
      if (texts.length < ITEMS_A_CHUNK) continue
      chunks.push(`[${texts.join(',')}]`)
      texts = []
    }
    return texts.length === 0 ? chunks : [...chunks, `[${texts.join(',')}]`]
  }

  const queues = db.prepare('SELECT stream FROM book_streams ORDER BY stream')

  return { list: (filter) => page(filter, walksOf(filter)), page, liveItems, bookStreams: () => queues.all().map((row) => String(row['stream'])) }
}
