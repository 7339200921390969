// What time alone will do to a work item, and when: the timers ask here and set themselves by it.
import { awaitsCall, isHeld, isParked, type Existing, type WorkItem } from '../work-item/state.ts'

/** Whether a time that stands in the log has come: by the wall, or by the timer that was set for it, which runs on the clock that counts (rules 17). */
export const hasCome = (c: { readonly time: number; readonly reached?: number | undefined }, at: number): boolean => c.time >= at || c.reached === at

export type Deadline =
  /** The lease of a task or request ends at a time that stands in the log. */
  | { readonly what: 'lease-ends'; readonly lease: number; readonly at: number; readonly termMs: number }
  /** The holder of a job or a long task is lost after this silence, counted from its last sign of life. */
  | { readonly what: 'silence'; readonly lease: number; readonly silenceMs: number }
  /** A request that broke off or was given back in middleware fails, if nobody asks for it again; `lease` is the one that ended. */
  | { readonly what: 'interrupted'; readonly lease: number; readonly at: number }
  /** A long task that has made no progress for so long times out, counted from the last that is known. */
  | { readonly what: 'stalled'; readonly lease: number; readonly stalledAfterMs: number }
  /** A long task times out at a time that stands in the log. */
  | { readonly what: 'times-out'; readonly at: number }
  /** A lost job settles at a time that stands in the log. */
  | { readonly what: 'given-up'; readonly lease: number; readonly at: number }

/** Its facts where its time is kept: by whoever gave it out, never on the node that runs it. */
const timed = ({ operation }: Existing): Existing['operation'] => (operation?.reportTo === undefined ? operation : undefined)

/** When a long task times out, milliseconds since 1970 UTC, however it is doing; undefined: never. */
export const timesOutAt = (item: Existing): number | undefined => {
  const timeoutMs = timed(item)?.timeoutMs
  return timeoutMs === undefined ? undefined : item.createdAt + timeoutMs
}

/** How long a long task may make no progress now, in milliseconds; undefined: as long as it takes. What nobody has taken, or its holder has parked, makes none, and is not to. */
export const stallsAfterMs = (item: Existing): number | undefined => (isHeld(item) && !isParked(item) ? timed(item)?.stalledAfterMs : undefined)

/** What time may do to a long task, all at once: the first that comes decides. Nothing on the node that runs it. */
export const operationDeadlines = (item: WorkItem): readonly Deadline[] => {
  if (item.status === 'absent' || item.status === 'settled' || timed(item) === undefined) return []
  const at = timesOutAt(item)
  const total: readonly Deadline[] = at === undefined ? [] : [{ what: 'times-out', at }]
  if (!isHeld(item)) return total
  const { number: lease, termMs: silenceMs } = item.lease
  const stalledAfterMs = stallsAfterMs(item)
  const stalled: readonly Deadline[] = stalledAfterMs === undefined ? [] : [{ what: 'stalled', lease, stalledAfterMs }]
  const silence: readonly Deadline[] = item.status === 'lost' ? [] : [{ what: 'silence', lease, silenceMs }]
  return [...total, ...stalled, ...silence]
}

/** The next thing that time does to what is no long task, or undefined when time does nothing. */
export const deadlineOf = (item: WorkItem): Deadline | undefined => {
  if (awaitsCall(item)) return { what: 'interrupted', lease: item.ended?.number ?? 0, at: item.updatedAt + item.request.interruptedAfterMs }
  if (!isHeld(item) || item.kind === 'long-task') return undefined
  const { number: lease, until, termMs } = item.lease
  if (item.status === 'lost') return { what: 'given-up', lease, at: (item.lostAt ?? item.updatedAt) + (item.job?.lostAfterMs ?? 0) }
  return item.kind === 'job' ? { what: 'silence', lease, silenceMs: termMs } : { what: 'lease-ends', lease, at: until, termMs }
}
