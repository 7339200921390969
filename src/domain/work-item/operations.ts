// The rules of a long task (D): dispatched with its lease, taken by its node, timed by whoever gave it out. In the log of the node that runs it the same item has no
// time of its own, and its outcome is owed to the management node until that has acknowledged it.
import { accept, reject, type Decision } from '../decider.ts'
import { hasCome, stallsAfterMs, timesOutAt } from '../policy/deadline.ts'
import { operationPromiseMs } from '../policy/streams.ts'
import type { CommandOfType, Rejection } from './commands.ts'
import { directiveEnded } from './directives.ts'
import type { EventOfType, Holder, WorkItemEvent } from './events.ts'
import { isHeld, surfaceState, type EndedLease, type Existing, type OperationFacts, type Settled, type Waiting, type WorkItem } from './state.ts'

type OperationDecision = Decision<WorkItemEvent, Rejection>

/** So many intervals of reports without a report, and the node is lost (spec D 7). */
export const SILENCE_INTERVALS = 3

export const silenceMs = ({ progressEveryMs }: Pick<OperationFacts, 'progressEveryMs'>): number => SILENCE_INTERVALS * progressEveryMs

/** Whether it is run from this very log: an implementation node's own entity. */
export const isRunHere = (item: Existing): boolean => item.operation?.reportTo !== undefined

/** Whether its holder promised not to be silent for longer than its term: then every word under the lease is a sign of life. A lease of the others ends, and is extended, as the engine says. */
export const hasPromisedSilence = (item: Existing): boolean => item.kind === 'job' || (item.kind === 'long-task' && !isRunHere(item))

const taken = ({ lease, progressEveryMs }: OperationFacts, holder: Holder, time: number): EventOfType<'Leased'> => {
  const termMs = silenceMs({ progressEveryMs })
  return { type: 'Leased', lease: 1, token: lease, holder, termMs, until: time + operationPromiseMs(termMs, 0) }
}

/** Dispatched and not taken yet, as far as the log knows. */
const awaitsNode = (item: WorkItem): item is Waiting & { readonly operation: OperationFacts } =>
  item.status === 'waiting' && item.operation !== undefined && item.ended === undefined && !isRunHere(item)

export const dispatchOperation = (c: CommandOfType<'DispatchOperation'>, item: WorkItem): OperationDecision => {
  if (item.status === 'absent') {
    // An absent fact is left out, not stored as nothing.
    const { operation, node, lease, progressEveryMs, timeoutMs, stalledAfterMs, reportTo, onRestart } = c.operation
    const said = {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(stalledAfterMs === undefined ? {} : { stalledAfterMs }),
      ...(reportTo === undefined ? {} : { reportTo }),
      ...(onRestart === undefined ? {} : { onRestart }),
    }
    return accept<WorkItemEvent>({ type: 'OperationDispatched', operation, node, lease, progressEveryMs, ...said, by: c.by, digest: c.digest, mediaType: c.mediaType })
  }
  if (item.kind !== 'long-task' || item.by !== c.by) return reject({ type: 'id-in-use' })
  return item.digest === c.digest ? accept() : reject({ type: 'exists-with-other-content' })
}

/** What was taken stays taken: a second answer of the node, or one that comes after the end, says nothing new. */
export const takeOperation = (c: CommandOfType<'TakeOperation'>, item: WorkItem): OperationDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (item.kind !== 'long-task') return reject({ type: 'not-possible', state: surfaceState(item), detail: 'Expected a long task.' })
  return awaitsNode(item) ? accept<WorkItemEvent>(taken(item.operation, c.holder, c.time)) : accept()
}

/** The first report of a node whose answer to the dispatch was lost takes the long task, if it knows the lease that only the node was sent. */
export const takenByReport = ({ takenBy, lease, time }: CommandOfType<'Report'>, item: WorkItem): EventOfType<'Leased'> | undefined =>
  takenBy !== undefined && awaitsNode(item) && item.operation.lease === lease ? taken(item.operation, takenBy, time) : undefined

/** The lease of a long task that settled before the log knew that its node had taken it: the node's late result is under it. */
export const neverTaken = ({ takenBy, lease }: Pick<CommandOfType<'Report'>, 'takenBy' | 'lease'>, item: Settled): EndedLease | undefined =>
  takenBy !== undefined && item.operation?.lease === lease ? { number: 1, token: lease, holder: takenBy, how: 'settled' } : undefined

export const failOperation = (c: CommandOfType<'FailOperation'>, item: WorkItem): OperationDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (item.kind !== 'long-task') return reject({ type: 'not-possible', state: surfaceState(item), detail: 'Expected a long task.' })
  if (item.status === 'settled') return accept()
  const lease = isHeld(item) ? { lease: item.lease.number } : {}
  // What does not run any more has come to what was wanted of it.
  if (item.will === 'abort') return accept<WorkItemEvent>(...directiveEnded(item, 'obeyed'), { type: 'Aborted', reason: c.message, ...lease })
  const detail = c.detail === undefined ? {} : { detail: c.detail }
  return accept<WorkItemEvent>(...directiveEnded(item, 'overtaken'), { type: 'Failed', code: c.code, message: c.message, ...detail, ...lease })
}

/** Whether the log lets its time be over. That it made no progress for so long is not there to be seen. */
const isTimeOver = (c: CommandOfType<'TimeOut'>, item: Existing): boolean => {
  const at = timesOutAt(item)
  return c.cause === 'total' ? at !== undefined && hasCome(c, at) : stallsAfterMs(item) !== undefined
}

/** Its node may still run it, and learns of this by call and by the answer to its report: what it comes to is a late result. */
export const timeOut = (c: CommandOfType<'TimeOut'>, item: WorkItem): OperationDecision => {
  if (item.status === 'absent' || item.status === 'settled' || !isTimeOver(c, item)) return accept()
  return accept<WorkItemEvent>(...directiveEnded(item, 'overtaken'), { type: 'TimedOut', cause: c.cause })
}

/** The process that ran it is gone, so that its lease ends: what its class says becomes of it then. Undefined: it is run again. */
export const brokenOff = ({ operation }: Existing): { readonly code: string; readonly message: string } | undefined =>
  operation?.onRestart === 'fail' ? { code: 'interrupted', message: 'Its node stopped while it ran, and its class says that it is not run again.' } : undefined
