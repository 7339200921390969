// What time alone will do to a work item, and when: the timers ask here and set themselves by it.
import { isHeld, type WorkItem } from '../work-item/state.ts'

export type Deadline =
  /** A task's lease ends at a time that stands in the log. */
  | { readonly what: 'lease-ends'; readonly lease: number; readonly at: number; readonly termMs: number }
  /** A job's holder is lost after this silence, counted from its last sign of life. */
  | { readonly what: 'silence'; readonly lease: number; readonly silenceMs: number }
  /** A lost job settles at a time that stands in the log. */
  | { readonly what: 'given-up'; readonly lease: number; readonly at: number }

/** The next thing that time does to it, or undefined when time does nothing. */
export const deadlineOf = (item: WorkItem): Deadline | undefined => {
  if (!isHeld(item)) return undefined
  const { number: lease, until, termMs } = item.lease
  if (item.status === 'lost') return { what: 'given-up', lease, at: (item.lostAt ?? item.updatedAt) + (item.job?.lostAfterMs ?? 0) }
  return item.kind === 'task' ? { what: 'lease-ends', lease, at: until, termMs } : { what: 'silence', lease, silenceMs: termMs }
}
