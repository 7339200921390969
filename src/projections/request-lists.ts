// Questions to the table of kept requests: lists by contract and caller, what each caller has, and what has expired.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { requestId } from '../domain/ids.ts'
import type { SurfaceState } from '../domain/work-item/state.ts'
import { askDue } from './due.ts'
import type { CallerUsage, Due, DueFilter, RequestFilter, UsageFilter } from './tables.ts'
import type { Walk } from './work-item-lists.ts'

/** States that few requests are in at a time, so that the index by state finds them soonest. */
const FEW: ReadonlySet<SurfaceState> = new Set<SurfaceState>(['waiting', 'held', 'running', 'paused', 'aborting', 'lost'])

type Condition = readonly [sql: string, ...args: readonly SQLInputValue[]]

const walkOf = (from: string, fromArgs: readonly SQLInputValue[], conditions: readonly (Condition | undefined)[]): Walk => {
  const asked = conditions.filter((condition) => condition !== undefined)
  return { from, fromArgs, rest: asked.map(([sql]) => sql).join(' AND '), restArgs: asked.flatMap(([, ...args]) => args) }
}

/** The unreleased requests of one caller lie together; every other list walks the contract's work items. */
export const requestWalkOf = ({ contract, caller, state, released, settledBefore }: RequestFilter): Walk => {
  const inState: Condition | undefined = state === undefined ? undefined : ['state = ?', state]
  if (caller !== undefined && released === false)
    return walkOf(
      'requests INDEXED BY requests_by_caller WHERE contract = ? AND caller = ?',
      [contract, caller],
      [inState, settledBefore === undefined ? undefined : ['settled_at < ?', settledBefore]],
    )
  const few = state !== undefined && FEW.has(state)
  const prefix = caller === undefined ? undefined : requestId(contract, caller, '')
  const own = 'EXISTS (SELECT 1 FROM requests r WHERE r.created = work_items.created)'
  const conditions: readonly (Condition | undefined)[] = [
    few ? undefined : inState,
    // A work-item ID begins with contract and caller, and '0' is what comes after '/'.
    prefix === undefined ? undefined : ['work_item > ? AND work_item < ?', prefix, `${prefix.slice(0, -1)}0`],
    released === undefined ? undefined : [released ? `NOT ${own}` : own],
    settledBefore === undefined ? undefined : ["(SELECT item ->> '$.settledAt' FROM work_item_states s WHERE s.created = work_items.created) < ?", settledBefore],
  ]
  return few
    ? walkOf("work_items INDEXED BY requests_by_state WHERE kind = 'request' AND scope = ? AND state = ?", [contract, state], conditions)
    : walkOf("work_items INDEXED BY work_items_by_scope WHERE kind = 'request' AND scope = ?", [contract], conditions)
}

const CURSOR = 'u'

/** Where a page of callers ended; opaque to who asked. */
const cursorAfterCaller = (caller: string): string => Buffer.from(CURSOR + caller).toString('base64url')

const readCallerCursor = (cursor: string): string | undefined => {
  const text = Buffer.from(cursor, 'base64url').toString()
  return text.startsWith(CURSOR) && cursorAfterCaller(text.slice(1)) === cursor ? text.slice(1) : undefined
}

export interface RequestQuestions {
  readonly usage: (filter: UsageFilter) => { readonly items: readonly CallerUsage[]; readonly next?: string } | { readonly invalid: 'cursor' }
  readonly expiring: (filter: DueFilter) => readonly Due[]
}

type UsageRow = readonly [caller: string, pending: number, unreleased: number, bytes: number]

export const askRequests = (db: DatabaseSync): RequestQuestions => {
  const callers = db.prepare('SELECT caller, pending, unreleased, bytes FROM request_usage WHERE contract = ? AND caller > ? ORDER BY caller LIMIT ?')
  const one = db.prepare('SELECT caller, pending, unreleased, bytes FROM request_usage WHERE contract = ? AND caller = ?')
  const oldest = db.prepare(
    'SELECT work_item, settled_at FROM requests INDEXED BY requests_by_caller WHERE contract = ? AND caller = ? AND settled_at IS NOT NULL ORDER BY created LIMIT 1',
  )
  const newest = db.prepare('SELECT work_item FROM requests INDEXED BY requests_by_caller WHERE contract = ? AND caller = ? ORDER BY created DESC LIMIT 1')
  for (const statement of [callers, one, oldest, newest]) statement.setReturnArrays(true)
  const expiring = askDue(db, 'requests INDEXED BY requests_by_expiry', 'expires_at', 'created', 'expires_at IS NOT NULL')

  const shown = (contract: string, [caller, pending, unreleased, bytes]: UsageRow): CallerUsage => {
    const first = oldest.get(contract, caller) as unknown as readonly [string, number] | undefined
    const last = newest.get(contract, caller) as unknown as readonly [string] | undefined
    return {
      caller,
      pending,
      unreleased,
      bytes,
      ...(first === undefined ? {} : { oldestUnreleased: { workItem: first[0], settledAt: first[1] } }),
      ...(last === undefined ? {} : { newest: last[0] }),
    }
  }

  return {
    usage: ({ contract, caller, limit, after }) => {
      const from = after === undefined ? '' : readCallerCursor(after)
      if (from === undefined) return { invalid: 'cursor' }
      const rows = (caller === undefined ? callers.all(contract, from, limit + 1) : one.all(contract, caller)) as unknown as readonly UsageRow[]
      const page = rows.slice(0, limit)
      const last = page[page.length - 1]
      const items = page.map((row) => shown(contract, row))
      return rows.length > page.length && last !== undefined ? { items, next: cursorAfterCaller(last[0]) } : { items }
    },
    expiring: (filter) => expiring(filter),
  }
}
