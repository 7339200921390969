// Who gave a task back is passed over for it: for a second at first, twice as long each time, up to a minute (rules 21). Kept in memory alone: a restart forgets it.
import type { WorkItemId } from '../../domain/ids.ts'

const FIRST_MS = 1_000
const LONGEST_MS = 60_000

interface Pair {
  readonly until: number
  readonly spanMs: number
}

export interface PassedOver {
  /** Monotonic time until which this holder is not given the task; 0 when it may have it. */
  readonly until: (workItem: WorkItemId, holder: string) => number
  readonly add: (workItem: WorkItemId, holder: string) => void
  /** The task has left the queue. */
  readonly forget: (workItem: WorkItemId) => void
  readonly size: () => number
}

export const createPassedOver = (monotonic: () => number): PassedOver => {
  const pairs = new Map<WorkItemId, Map<string, Pair>>()
  return {
    until: (workItem, holder) => pairs.get(workItem)?.get(holder)?.until ?? 0,
    add: (workItem, holder) => {
      const now = monotonic()
      const ofTask = pairs.get(workItem) ?? new Map<string, Pair>()
      // Long after it could have had the task again, a holder is as good as new.
      for (const [other, { until }] of ofTask) if (until + LONGEST_MS < now) ofTask.delete(other)
      const spanMs = Math.min(LONGEST_MS, (ofTask.get(holder)?.spanMs ?? FIRST_MS / 2) * 2)
      pairs.set(workItem, ofTask.set(holder, { until: now + spanMs, spanMs }))
    },
    forget: (workItem) => void pairs.delete(workItem),
    size: () => pairs.size,
  }
}
