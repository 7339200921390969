// Counts of work items by kind, scope and state, how long they waited and ran, and what happened to tasks, lately and ever. Kept up batch by batch, so a question costs as much as
// its answer is long; and whatever the batches were, the same log makes the same rows.
import type { DatabaseSync } from 'node:sqlite'
import type { Kind } from '../domain/ids.ts'
import { evolve } from '../domain/work-item/evolve.ts'
import { absent, isHeld, surfaceState, type SurfaceState, type WorkItem } from '../domain/work-item/state.ts'
import { bucketOf, quantile, type Bucket } from './histogram.ts'
import type { ItemChange, OpenedProjection, Projection } from './projection.ts'
import { askRecent, openRecent, recentSchema, type RecentCounts } from './recent.ts'
import type { Quantiles, ScopeStatistics, StatisticsFilter } from './tables.ts'
import { askTotals, NO_TOTALS, openTotals, totalsSchema } from './totals.ts'
import { isErased, scopeOf } from './work-items.ts'

/** `statistics_times` has what `run` and `wait` took; `statistics_due` when waiting tasks are due, to the second. */
const schema = `
  CREATE TABLE statistics_states (kind TEXT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (kind, scope, state)) STRICT, WITHOUT ROWID;
  CREATE TABLE statistics_times (
    kind TEXT NOT NULL, scope TEXT NOT NULL, what TEXT NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL, longest INTEGER NOT NULL,
    PRIMARY KEY (kind, scope, what, bucket)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE statistics_due (scope TEXT NOT NULL, second INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (scope, second)) STRICT, WITHOUT ROWID;
  ${recentSchema}
  ${totalsSchema}
`

/** Beside the states of the surface: dead letters, which also count as failed. */
const DEAD_LETTER = 'deadLetter'

const TIMES = ['run', 'wait'] as const
type Times = (typeof TIMES)[number]

/** How long a completed item ran under its last lease, in milliseconds; undefined when the batch did not complete it. It may be erased in the same batch. */
const runMsOf = ({ before, facts }: ItemChange): number | undefined => {
  const completed = facts.find(({ event }) => event.type === 'Completed')
  if (completed === undefined) return undefined
  const leased = facts.findLast(({ event }) => event.type === 'Leased')
  const since = leased?.time ?? (isHeld(before) ? before.lease.since : undefined)
  return since === undefined ? undefined : Math.max(0, Math.floor(completed.time - since))
}

/** How long a task had been due each time it was leased, in milliseconds. */
const waitMsOf = ({ before, facts }: ItemChange): readonly number[] => {
  const waits: number[] = []
  let dueAt = before.status === 'absent' ? undefined : before.task?.dueAt
  for (const { event, time } of facts) {
    if (event.type === 'Leased') {
      if (dueAt !== undefined) waits.push(Math.max(0, Math.floor(time - dueAt)))
    } else if (event.type === 'LeaseExpired') dueAt = time
    else if (event.type === 'TaskInserted' || event.type === 'LeaseReleased' || event.type === 'RetryScheduled' || event.type === 'Redriven') dueAt = event.dueAt
  }
  return waits
}

const recentOf = ({ facts }: ItemChange, add: (time: number, what: keyof RecentCounts) => void): void => {
  for (const { event, time } of facts) {
    if (event.type === 'TaskInserted') add(time, 'inserted')
    else if (event.type === 'Leased') add(time, 'leased')
    else if (event.type === 'Completed') add(time, 'completed')
  }
}

const dueSecond = (item: WorkItem): number | undefined => (item.status === 'waiting' && item.task !== undefined ? Math.floor(item.task.dueAt / 1_000) : undefined)

/** Scope of the item; of one that was erased, as it was before, since a tombstone says nothing of it. Undefined when nobody knows any more. */
const scopeOfChange = ({ before, after, facts }: ItemChange): string | undefined => {
  if (!isErased(after)) return scopeOf(after)
  if (before.status !== 'absent') return scopeOf(before)
  const [birth] = facts
  const born = birth === undefined ? absent : evolve(absent, birth.event, { time: birth.time, revision: 0 })
  return born.status === 'absent' || isErased(born) ? undefined : scopeOf(born)
}

/** Sums of one batch by something, so that it touches each row once. */
const tally = <Key>() => {
  const sums = new Map<Key, number>()
  return { add: (key: Key, count: number): void => void sums.set(key, (sums.get(key) ?? 0) + count), sums }
}

/** How often something took so long, by buckets. */
const timing = () => {
  const sums = new Map<number, { count: number; longest: number }>()
  return {
    add: (ms: number): void => {
      const bucket = bucketOf(ms)
      const sum = sums.get(bucket)
      if (sum === undefined) sums.set(bucket, { count: 1, longest: ms })
      else {
        sum.count += 1
        sum.longest = Math.max(sum.longest, ms)
      }
    },
    sums,
  }
}

const countStates = (states: ReturnType<typeof tally<string>>, item: WorkItem, count: number): void => {
  if (item.status === 'absent' || isErased(item)) return
  states.add(surfaceState(item), count)
  if (item.status === 'deadLetter') states.add(DEAD_LETTER, count)
}

/** A row of nothing is no row: else the tables would remember in which batches they were made. */
const counting = (db: DatabaseSync, table: string, columns: readonly string[]) => {
  const marks = columns.map(() => '?').join(', ')
  const add = db.prepare(`INSERT INTO ${table} (${columns.join(', ')}, count) VALUES (${marks}, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING count`)
  const drop = db.prepare(`DELETE FROM ${table} WHERE ${columns.map((column) => `${column} = ?`).join(' AND ')}`)
  return (key: readonly (string | number)[], count: number): void => {
    if (count !== 0 && add.get(...key, count)?.['count'] === 0) drop.run(...key)
  }
}

const open = (db: DatabaseSync): OpenedProjection => {
  const countState = counting(db, 'statistics_states', ['kind', 'scope', 'state'])
  const countDue = counting(db, 'statistics_due', ['scope', 'second'])
  const took = db.prepare(
    'INSERT INTO statistics_times (kind, scope, what, bucket, count, longest) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count, longest = max(longest, excluded.longest)',
  )
  const recent = openRecent(db)
  const totals = openTotals(db)

  /** Sums of one batch for one kind and scope. */
  const sumsOf = (kind: Kind, scope: string) => {
    const states = tally<string>()
    const due = tally<number>()
    const times = { run: timing(), wait: timing() }
    const lately = recent.batch(scope)
    const ever = totals.batch(scope)
    const addTask = (change: ItemChange): void => {
      for (const ms of waitMsOf(change)) times.wait.add(ms)
      recentOf(change, lately.add)
      for (const { event } of change.facts) ever.add(event.type)
    }
    return {
      add: (change: ItemChange): void => {
        const { before, after } = change
        countStates(states, before, -1)
        countStates(states, after, 1)
        const ran = runMsOf(change)
        if (ran !== undefined) times.run.add(ran)
        const [dueBefore, dueAfter] = [dueSecond(before), dueSecond(after)]
        if (dueBefore !== undefined) due.add(dueBefore, -1)
        if (dueAfter !== undefined) due.add(dueAfter, 1)
        if (kind === 'task') addTask(change)
      },
      write: (): void => {
        for (const [state, count] of states.sums) countState([kind, scope, state], count)
        for (const [second, count] of due.sums) countDue([scope, second], count)
        for (const what of TIMES) for (const [bucket, { count, longest }] of times[what].sums) took.run(kind, scope, what, bucket, count, longest)
        lately.write()
        ever.write()
      },
    }
  }

  return {
    apply: ({ changes }) => {
      const sums = new Map<string, ReturnType<typeof sumsOf>>()
      for (const change of changes) {
        const { kind } = change.after
        const scope = scopeOfChange(change)
        if (scope === undefined) continue
        const key = `${kind} ${scope}`
        let sum = sums.get(key)
        if (sum === undefined) sums.set(key, (sum = sumsOf(kind, scope)))
        sum.add(change)
      }
      for (const sum of sums.values()) sum.write()
    },
  }
}

export const statistics: Projection = {
  name: 'statistics',
  version: 4,
  schema,
  tables: [
    { name: 'statistics_states', key: ['kind', 'scope', 'state'] },
    { name: 'statistics_times', key: ['kind', 'scope', 'what', 'bucket'] },
    { name: 'statistics_due', key: ['scope', 'second'] },
    { name: 'statistics_recent', key: ['scope', 'ring'] },
    { name: 'statistics_totals', key: ['scope'] },
  ],
  outlivesErasure: false,
  open,
}

const quantilesOf = (buckets: readonly Bucket[]): Quantiles => ({
  count: buckets.reduce((sum, bucket) => sum + bucket.count, 0),
  p50: quantile(buckets, 0.5),
  p90: quantile(buckets, 0.9),
  p99: quantile(buckets, 0.99),
  max: buckets[buckets.length - 1]?.longest ?? 0,
})

interface Found {
  readonly kind: Kind
  readonly scope: string
  readonly states: Partial<Record<SurfaceState, number>>
  deadLetters: number
  readonly buckets: Readonly<Record<Times, Bucket[]>>
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byName = (a: Found, b: Found): number => compare(a.kind, b.kind) || compare(a.scope, b.scope)

/** The question to these tables: by kind and scope, in the order of their names. */
export const askStatistics = (db: DatabaseSync): ((filter: StatisticsFilter) => readonly ScopeStatistics[]) => {
  const wanted = 'WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR scope = ?2)'
  // One scope is found by its key; the general question would walk all of them.
  const prepared = (columns: string, table: string, order: string) => {
    const all = db.prepare(`SELECT ${columns} FROM ${table} ${wanted} ORDER BY ${order}`)
    const one = db.prepare(`SELECT ${columns} FROM ${table} WHERE kind = ?1 AND scope = ?2 ORDER BY ${order}`)
    for (const statement of [all, one]) statement.setReturnArrays(true)
    return ({ kind, scope }: StatisticsFilter): unknown => (kind !== undefined && scope !== undefined ? one : all).all(kind ?? null, scope ?? null)
  }
  const states = prepared('kind, scope, state, count', 'statistics_states', 'kind, scope, state')
  const times = prepared('kind, scope, what, count, longest', 'statistics_times', 'kind, scope, what, bucket')
  const oldest = db.prepare('SELECT min(second) AS second FROM statistics_due WHERE scope = ?')
  const recent = askRecent(db)
  const totals = askTotals(db)

  const finished = ({ kind, scope, states: counts, deadLetters, buckets }: Found, ever: ReturnType<typeof totals>, now: number | undefined): ScopeStatistics => {
    const second = kind === 'task' ? oldest.get(scope)?.['second'] : undefined
    return {
      kind,
      scope,
      states: counts,
      deadLetters,
      ...(buckets.run.length === 0 ? {} : { runMs: quantilesOf(buckets.run) }),
      ...(buckets.wait.length === 0 ? {} : { waitMs: quantilesOf(buckets.wait) }),
      ...(typeof second === 'number' ? { oldestDueAt: second * 1_000 } : {}),
      ...(kind === 'task' ? { totals: ever.get(scope) ?? NO_TOTALS } : {}),
      ...(now === undefined || kind !== 'task' ? {} : { recent: recent(scope, now) }),
    }
  }

  return (filter) => {
    const scopes = new Map<string, Found>()
    const found = (kind: Kind, scope: string): Found => {
      const key = `${kind} ${scope}`
      const entry = scopes.get(key) ?? { kind, scope, states: {}, deadLetters: 0, buckets: { run: [], wait: [] } }
      scopes.set(key, entry)
      return entry
    }
    for (const [kind, scope, state, count] of states(filter) as readonly [Kind, string, SurfaceState | typeof DEAD_LETTER, number][]) {
      const entry = found(kind, scope)
      if (state === DEAD_LETTER) entry.deadLetters = count
      else entry.states[state] = count
    }
    const ever = filter.kind === undefined || filter.kind === 'task' ? totals(filter.scope) : new Map<string, never>()
    // A queue of which everything was erased has no states, and counts all the same.
    for (const scope of ever.keys()) found('task', scope)
    for (const [kind, scope, what, count, longest] of times(filter) as readonly [Kind, string, Times, number, number][])
      scopes.get(`${kind} ${scope}`)?.buckets[what].push({ count, longest })
    return [...scopes.values()].toSorted(byName).map((each) => finished(each, ever, filter.now))
  }
}
