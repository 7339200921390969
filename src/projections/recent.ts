// What happened to the tasks of each queue in the last hour, in slots of ten seconds. A ring of slots for each queue, so that nothing has to be swept out and a clock
// that once ran ahead spoils one slot alone; a slot gives way to a later one in its place, so the rows are the same whatever the batches were.
import type { DatabaseSync } from 'node:sqlite'
import type { Recent } from './tables.ts'

const SLOT_MS = 10_000
/** Places in the ring: 85 minutes. */
const RING = 512
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

export interface RecentCounts {
  inserted: number
  leased: number
  completed: number
}

export const recentSchema = `
  CREATE TABLE statistics_recent (
    scope TEXT NOT NULL, ring INTEGER NOT NULL, slot INTEGER NOT NULL, inserted INTEGER NOT NULL, leased INTEGER NOT NULL, completed INTEGER NOT NULL,
    PRIMARY KEY (scope, ring)
  ) STRICT, WITHOUT ROWID;
`

const slotOf = (time: number): number => Math.floor(time / SLOT_MS)
const newer = (column: string): string =>
  `${column} = CASE WHEN excluded.slot = slot THEN ${column} + excluded.${column} WHEN excluded.slot > slot THEN excluded.${column} ELSE ${column} END`

export const openRecent = (db: DatabaseSync) => {
  const add = db.prepare(
    `INSERT INTO statistics_recent (scope, ring, slot, inserted, leased, completed) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET ${newer('inserted')}, ${newer('leased')}, ${newer('completed')}, slot = max(slot, excluded.slot)`,
  )
  return {
    /** Sums of one batch for a queue, written once. */
    batch: (scope: string) => {
      const sums = new Map<number, RecentCounts>()
      return {
        add: (time: number, what: keyof RecentCounts): void => {
          const slot = slotOf(time)
          let sum = sums.get(slot)
          if (sum === undefined) sums.set(slot, (sum = { inserted: 0, leased: 0, completed: 0 }))
          sum[what] += 1
        },
        write: (): void => {
          for (const [slot, { inserted, leased, completed }] of sums) add.run(scope, slot % RING, slot, inserted, leased, completed)
        },
      }
    },
  }
}

/** Of one queue, as of `now`. */
export const askRecent = (db: DatabaseSync): ((scope: string, now: number) => Recent) => {
  const rows = db.prepare(
    'SELECT coalesce(sum(inserted), 0) AS inserted, coalesce(sum(leased), 0) AS leased, coalesce(sum(completed), 0) AS completed FROM statistics_recent WHERE scope = ? AND slot BETWEEN ? AND ?',
  )
  const since = (scope: string, now: number, ms: number): RecentCounts => rows.get(scope, slotOf(now - ms), slotOf(now)) as unknown as RecentCounts
  return (scope, now) => {
    const minute = since(scope, now, MINUTE_MS)
    const hour = since(scope, now, HOUR_MS)
    return {
      insertedLastMinute: minute.inserted,
      insertedLastHour: hour.inserted,
      leasedLastMinute: minute.leased,
      leasedLastHour: hour.leased,
      completedLastMinute: minute.completed,
      completedLastHour: hour.completed,
    }
  }
}
