// What time alone will do to a work item, and when: the timers ask here and set themselves by it.
import { awaitsCall, isHeld, type WorkItem } from '../work-item/state.ts'

export type Deadline =
  /** The lease of a task or request ends at a time that stands in the log. */
  | { readonly what: 'lease-ends'; readonly lease: number; readonly at: number; readonly termMs: number }
  /** A job's holder is lost after this silence, counted from its last sign of life. */
  | { readonly what: 'silence'; readonly lease: number; readonly silenceMs: number }
  /** A request that broke off or was given back in middleware fails, if nobody asks for it again; `lease` is the one that ended. */
  | { readonly what: 'interrupted'; readonly lease: number; readonly at: number }
  /** A lost job settles at a time that stands in the log. */
  | { readonly what: 'given-up'; readonly lease: number; readonly at: number }

/** The next thing that time does to it, or undefined when time does nothing. */
export const deadlineOf = (item: WorkItem): Deadline | undefined => {
  if (awaitsCall(item)) return { what: 'interrupted', lease: item.ended?.number ?? 0, at: item.updatedAt + item.request.interruptedAfterMs }
  if (!isHeld(item)) return undefined
  const { number: lease, until, termMs } = item.lease
  if (item.status === 'lost') return { what: 'given-up', lease, at: (item.lostAt ?? item.updatedAt) + (item.job?.lostAfterMs ?? 0) }
  return item.kind === 'job' ? { what: 'silence', lease, silenceMs: termMs } : { what: 'lease-ends', lease, at: until, termMs }
}
