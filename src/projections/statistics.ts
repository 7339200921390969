// Counts of work items by kind, scope and state, and how long completed ones ran from lease to end. Kept up batch by batch, so a question costs as much as its answer is long.
import type { DatabaseSync } from 'node:sqlite'
import type { Kind } from '../domain/ids.ts'
import { isHeld, surfaceState, type SurfaceState } from '../domain/work-item/state.ts'
import { bucketOf, quantile, type Bucket } from './histogram.ts'
import type { ItemChange, OpenedProjection, Projection } from './projection.ts'
import type { ScopeStatistics } from './tables.ts'
import { scopeOf } from './work-items.ts'

const schema = `
  CREATE TABLE statistics_states (kind TEXT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (kind, scope, state)) STRICT, WITHOUT ROWID;
  CREATE TABLE statistics_runs (
    kind TEXT NOT NULL, scope TEXT NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL, longest INTEGER NOT NULL, PRIMARY KEY (kind, scope, bucket)
  ) STRICT, WITHOUT ROWID;
`

/** How long a completed item ran under its last lease, in milliseconds; undefined when the batch did not complete it. */
const runMsOf = ({ before, after, facts }: ItemChange): number | undefined => {
  if (after.status !== 'settled' || after.end !== 'completed' || before.status === 'settled') return undefined
  const leased = facts.findLast(({ event }) => event.type === 'Leased')
  const since = leased?.time ?? (isHeld(before) ? before.lease.since : undefined)
  return since === undefined ? undefined : Math.max(0, Math.floor(after.settledAt - since))
}

interface Counted {
  readonly kind: Kind
  readonly scope: string
  readonly of: string | number
  count: number
  longest: number
}

/** Sums by kind, scope and what is counted, so that a batch touches each row once. */
const tally = () => {
  const sums = new Map<string, Counted>()
  return {
    add: (kind: Kind, scope: string, of: string | number, count: number, longest = 0): void => {
      const key = `${kind} ${of} ${scope}`
      const sum = sums.get(key)
      if (sum === undefined) sums.set(key, { kind, scope, of, count, longest })
      else {
        sum.count += count
        sum.longest = Math.max(sum.longest, longest)
      }
    },
    sums: () => sums.values(),
  }
}

const open = (db: DatabaseSync): OpenedProjection => {
  const count = db.prepare('INSERT INTO statistics_states (kind, scope, state, count) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING count')
  const drop = db.prepare('DELETE FROM statistics_states WHERE kind = ? AND scope = ? AND state = ?')
  const run = db.prepare(
    'INSERT INTO statistics_runs (kind, scope, bucket, count, longest) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count, longest = max(longest, excluded.longest)',
  )
  return {
    apply: ({ changes }) => {
      const states = tally()
      const runs = tally()
      for (const change of changes) {
        const { before, after } = change
        const { kind } = after
        const scope = scopeOf(after)
        const state = surfaceState(after)
        const was = before.status === 'absent' ? undefined : surfaceState(before)
        if (was !== state) {
          states.add(kind, scope, state, 1)
          if (was !== undefined) states.add(kind, scope, was, -1)
        }
        const ms = runMsOf(change)
        if (ms !== undefined) runs.add(kind, scope, bucketOf(ms), 1, ms)
      }
      for (const sum of states.sums()) {
        // A row of nothing is no row: else the tables would remember in which batches they were made.
        if (sum.count !== 0 && count.get(sum.kind, sum.scope, sum.of, sum.count)?.['count'] === 0) drop.run(sum.kind, sum.scope, sum.of)
      }
      for (const sum of runs.sums()) run.run(sum.kind, sum.scope, sum.of, sum.count, sum.longest)
    },
  }
}

export const statistics: Projection = {
  name: 'statistics',
  version: 1,
  schema,
  tables: [
    { name: 'statistics_states', key: ['kind', 'scope', 'state'] },
    { name: 'statistics_runs', key: ['kind', 'scope', 'bucket'] },
  ],
  open,
}

type Runs = NonNullable<ScopeStatistics['runMs']>

const runsOf = (buckets: readonly Bucket[]): Runs => ({
  count: buckets.reduce((sum, bucket) => sum + bucket.count, 0),
  p50: quantile(buckets, 0.5),
  p90: quantile(buckets, 0.9),
  p99: quantile(buckets, 0.99),
  max: buckets[buckets.length - 1]?.longest ?? 0,
})

/** The question to these tables: by kind and scope, in the order of their names. */
export const askStatistics = (db: DatabaseSync): ((kind?: Kind) => readonly ScopeStatistics[]) => {
  const states = db.prepare('SELECT kind, scope, state, count FROM statistics_states WHERE ?1 IS NULL OR kind = ?1 ORDER BY kind, scope, state')
  const runs = db.prepare('SELECT kind, scope, count, longest FROM statistics_runs WHERE ?1 IS NULL OR kind = ?1 ORDER BY kind, scope, bucket')
  for (const statement of [states, runs]) statement.setReturnArrays(true)
  return (kind) => {
    const scopes = new Map<string, { kind: Kind; scope: string; states: Partial<Record<SurfaceState, number>>; buckets: Bucket[] }>()
    for (const [of, scope, state, count] of states.all(kind ?? null) as unknown as readonly [Kind, string, SurfaceState, number][]) {
      const entry = scopes.get(`${of} ${scope}`) ?? { kind: of, scope, states: {}, buckets: [] }
      entry.states[state] = count
      scopes.set(`${of} ${scope}`, entry)
    }
    for (const [of, scope, count, longest] of runs.all(kind ?? null) as unknown as readonly [Kind, string, number, number][])
      scopes.get(`${of} ${scope}`)?.buckets.push({ count, longest })
    return [...scopes.values()].map(({ buckets, ...entry }) => (buckets.length === 0 ? entry : { ...entry, runMs: runsOf(buckets) }))
  }
}
