// What has ever happened to the tasks of each queue: one row of counts for a queue, which only grow. They outlive the tasks, so what was erased stays counted.
import type { DatabaseSync } from 'node:sqlite'
import type { WorkItemEventType } from '../domain/work-item/events.ts'

/** What is counted, as its column is named, and the event that counts. */
const COUNTED = {
  inserted: 'TaskInserted',
  leased: 'Leased',
  completed: 'Completed',
  failed: 'Failed',
  retried: 'RetryScheduled',
  released: 'LeaseReleased',
  expired: 'LeaseExpired',
  deadLettered: 'DeadLettered',
  redriven: 'Redriven',
  cancelled: 'Cancelled',
  aborted: 'Aborted',
} as const satisfies Readonly<Record<string, WorkItemEventType>>

export type TotalName = keyof typeof COUNTED
/** Since the first event of the queue. */
export type Totals = Readonly<Record<TotalName, number>>

export const TOTALS = Object.keys(COUNTED) as readonly TotalName[]

export const NO_TOTALS = Object.fromEntries(TOTALS.map((name) => [name, 0])) as Totals

const BY_EVENT: ReadonlyMap<string, TotalName> = new Map(TOTALS.map((name) => [COUNTED[name], name]))

export const totalsSchema = `
  CREATE TABLE statistics_totals (scope TEXT NOT NULL PRIMARY KEY, ${TOTALS.map((name) => `${name} INTEGER NOT NULL`).join(', ')}) STRICT, WITHOUT ROWID;
`

export const openTotals = (db: DatabaseSync) => {
  const add = db.prepare(
    `INSERT INTO statistics_totals (scope, ${TOTALS.join(', ')}) VALUES (?, ${TOTALS.map(() => '?').join(', ')})
     ON CONFLICT DO UPDATE SET ${TOTALS.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')}`,
  )
  return {
    /** Sums of one batch for a queue, written once. */
    batch: (scope: string) => {
      const sum: Record<TotalName, number> = { ...NO_TOTALS }
      let isNothing = true
      return {
        add: (type: WorkItemEventType): void => {
          const name = BY_EVENT.get(type)
          if (name === undefined) return
          sum[name] += 1
          isNothing = false
        },
        write: (): void => {
          if (!isNothing) add.run(scope, ...TOTALS.map((name) => sum[name]))
        },
      }
    },
  }
}

/** Totals by queue: of one, or of all. */
export const askTotals = (db: DatabaseSync): ((scope: string | undefined) => ReadonlyMap<string, Totals>) => {
  const columns = `scope, ${TOTALS.join(', ')}`
  const all = db.prepare(`SELECT ${columns} FROM statistics_totals ORDER BY scope`)
  const one = db.prepare(`SELECT ${columns} FROM statistics_totals WHERE scope = ?`)
  return (scope) => {
    const rows = (scope === undefined ? all.all() : one.all(scope)) as unknown as readonly ({ readonly scope: string } & Totals)[]
    return new Map(rows.map(({ scope: queue, ...totals }) => [queue, totals]))
  }
}
