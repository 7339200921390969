// What an administrator may want of a work item, and what becomes of the wish (surface 7).
import { accept, reject, type Decision } from '../decider.ts'
import type { CommandOfType, Rejection } from './commands.ts'
import type { Resolution, WorkItemEvent } from './events.ts'
import { isHeld, isParked, isUnresolved, surfaceState, type Existing, type WorkItem } from './state.ts'

/** The end of the directive that stands; nothing if none does. */
export const directiveEnded = (item: Existing, resolution: Resolution, reason?: string): readonly WorkItemEvent[] =>
  isUnresolved(item.receipt) ? [{ type: 'DirectiveEnded', number: item.receipt.number, resolution, ...(reason === undefined ? {} : { reason }) }] : []

/** What follows when a task loses its holder: nobody runs it now, so a pause or resume that stands is obeyed, and an abort settles it instead of letting it wait for the next. */
export const letGo = (item: Existing, freed: WorkItemEvent, abortReason: string): readonly WorkItemEvent[] => [
  freed,
  ...directiveEnded(item, 'obeyed'),
  ...(item.will === 'abort' ? [{ type: 'Aborted', reason: abortReason } as const] : []),
]

/** The administrator has this wish already, and it is on its way or done. */
const isStanding = (c: CommandOfType<'GiveDirective'>, item: Existing): boolean =>
  c.directive === 'resume' ? item.receipt?.directive === 'resume' && (isUnresolved(item.receipt) || !isParked(item)) : item.will === c.directive

/** A wish that is the standing one already, and a repeat of the last command, add nothing: the receipt of the first answers. */
export const giveDirective = (c: CommandOfType<'GiveDirective'>, item: WorkItem): Decision<WorkItemEvent, Rejection> => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (item.receipt?.commandId === c.commandId) return item.receipt.directive === c.directive ? accept() : reject({ type: 'exists-with-other-content' })
  if (item.status === 'settled') return reject({ type: 'settled', state: surfaceState(item) })
  if (isStanding(c, item)) return accept()
  if (item.will === 'abort') return reject({ type: 'aborting', state: surfaceState(item) })

  const number = (item.receipt?.number ?? 0) + 1
  const given: WorkItemEvent = { type: 'DirectiveGiven', number, directive: c.directive, by: c.by, commandId: c.commandId, ...(c.reason === undefined ? {} : { reason: c.reason }) }
  const obeyed: WorkItemEvent = { type: 'DirectiveEnded', number, resolution: 'obeyed' }
  const events = [...directiveEnded(item, 'overtaken'), given]

  // Nobody holds it: the wish is obeyed as it is given, and an abort before the beginning is a cancel.
  if (!isHeld(item)) {
    if (c.directive !== 'abort') return accept<WorkItemEvent>(...events, obeyed)
    return accept<WorkItemEvent>(...events, obeyed, { type: 'Cancelled', by: c.by, ...(c.reason === undefined ? {} : { reason: c.reason }) })
  }
  const isDone = isParked(item) ? c.directive === 'pause' : c.directive === 'resume'
  return accept<WorkItemEvent>(...events, ...(isDone ? [obeyed] : []))
}
