// What the log says of tasks: who held which when, and whether each came to its end exactly once, by the holder of its current lease.
import type { HistoryEvent, Stint, TaskName } from '../../client/index.ts'

type Data = Readonly<Record<string, unknown>>

const PAGE_MAX = 1_000
const AT_ONCE = 16

export const taskHistory = async (stint: Stint, task: TaskName): Promise<readonly HistoryEvent[]> => {
  const events: HistoryEvent[] = []
  let after: string | undefined
  do {
    const page = await stint.tasks.history(task, { limit: PAGE_MAX, after })
    events.push(...page.items)
    after = page.next
  } while (after !== undefined)
  return events
}

/** The histories of many tasks, by their ids. */
export const taskHistories = async (stint: Stint, tasks: readonly TaskName[]): Promise<ReadonlyMap<string, readonly HistoryEvent[]>> => {
  const histories = new Map<string, readonly HistoryEvent[]>()
  const waiting = [...tasks]
  const take = async (): Promise<void> => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) histories.set(task.id, await taskHistory(stint, task))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, take))
  return histories
}

export interface Holding {
  readonly lease: number
  readonly holder: string
  readonly from: string
  /** Undefined while it is held. */
  readonly ended?: { readonly how: string; readonly at: string; readonly isBusy: boolean }
}

/** After one of these nobody holds the task any more. */
const ENDINGS: ReadonlySet<string> = new Set(['LeaseReleased', 'LeaseExpired', 'RetryScheduled', 'DeadLettered', 'Completed', 'Failed', 'Aborted', 'Cancelled'])

/** Who held a task, one after another. */
export const holdingsIn = (history: readonly HistoryEvent[]): readonly Holding[] => {
  const holdings: Holding[] = []
  for (const { type, data, time } of history) {
    const { lease, holder, busy } = (data ?? {}) as Data
    if (type === 'Leased') holdings.push({ lease: Number(lease), holder: String((holder as Data)['name']), from: time })
    const last = holdings.at(-1)
    if (ENDINGS.has(type) && last !== undefined && last.ended === undefined) holdings[holdings.length - 1] = { ...last, ended: { how: type, at: time, isBusy: busy === true } }
  }
  return holdings
}

/** Whether it ended exactly once, as completed, under the lease that was the current one. */
export const isCompletedOnce = (history: readonly HistoryEvent[]): boolean => {
  const settled = history.filter(({ type }) => ['Completed', 'Failed', 'Aborted', 'Cancelled'].includes(type))
  const [end, ...more] = settled
  const last = holdingsIn(history).at(-1)
  return end !== undefined && more.length === 0 && last?.ended?.how === 'Completed' && (end.data as Data)['lease'] === last.lease
}
