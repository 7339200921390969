// What of a call is news of a long task: one without news for too long has stalled. A sign of life alone is none.
import { isSameProgress } from '../../domain/work-item/holding.ts'
import type { Progress, WorkItemEvent } from '../../domain/work-item/events.ts'
import type { WorkItem } from '../../domain/work-item/state.ts'
import type { CommandToDo } from '../command.ts'

/** That its node has taken it, entered a phase, parked it or gone on. */
const NEWS: ReadonlySet<string> = new Set<WorkItemEvent['type']>(['Leased', 'PhaseEntered', 'Paused', 'Resumed'])

/**
 * Whether a command tells anything new of a long task. Never of anything else, since nothing else stalls.
 * @param before the item on which it was decided
 * @param events what was recorded of it
 * @param noted progress that was told before and is not recorded
 */
export const tellsNews = (command: CommandToDo, before: WorkItem, events: readonly WorkItemEvent[], noted: Progress | undefined): boolean => {
  if (before.status === 'absent' || before.operation === undefined) return false
  if (events.some(({ type }) => NEWS.has(type))) return true
  if (command.type !== 'Report' || command.progress === undefined) return false
  const known = noted ?? before.progress
  return known === undefined || !isSameProgress(known, command.progress)
}
