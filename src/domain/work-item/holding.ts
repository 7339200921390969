// What a holder may say: reports, questions, extensions and give-backs, each under the lease it was given. A lease that is not the current one says nothing (design 10).
import * as E from 'fp-ts/lib/Either.js'
import { accept, reject, type Decision } from '../decider.ts'
import { extensionMs, hasMoved, operationPromiseMs, progressIntervalMs } from '../policy/streams.ts'
import type { CommandOfType, Rejection, RetryPolicy } from './commands.ts'
import { directiveEnded, letGo } from './directives.ts'
import type { Outcome, Progress, WorkItemEvent } from './events.ts'
import { evolveAll } from './evolve.ts'
import { hasPromisedSilence, neverTaken, takenByReport } from './operations.ts'
import { isHeld, isParked, isUnresolved, nounOf, surfaceState, type Existing, type Held, type Settled, type WorkItem } from './state.ts'

type HoldingDecision = Decision<WorkItemEvent, Rejection>

/** The item if the caller holds it now, else why not. */
export const heldBy = (c: { readonly by: string; readonly lease: string }, item: WorkItem): E.Either<Rejection, Held> => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  const state = surfaceState(item)
  if (item.status === 'settled') return reject({ type: 'settled', state })
  if (!isHeld(item)) return reject({ type: 'stale-lease', state, detail: `Expected the current lease, but nobody holds this ${nounOf(item)}.` })
  if (item.lease.token !== c.lease) return reject({ type: 'stale-lease', state, detail: `Expected the current lease, which is number ${item.lease.number}.` })
  if (item.lease.holder.subject !== c.by) return reject({ type: 'forbidden', detail: 'Expected the principal that was given this lease.' })
  return E.right(item)
}

/** A call under the current lease is a sign of life: it finds a lost holder, and makes the promise longer when less than one silence of it is left (rules 16). */
const signOfLife = (item: Held, time: number): readonly WorkItemEvent[] => {
  if (!hasPromisedSilence(item)) return []
  const { number, termMs } = item.lease
  const reach = item.kind === 'long-task' ? operationPromiseMs(termMs, item.revision) : extensionMs(termMs, item.revision)
  const extended: WorkItemEvent = { type: 'LeaseExtended', lease: number, until: time + reach }
  if (item.status === 'lost') return [{ type: 'HolderFound', lease: number }, extended]
  return item.lease.until - time < item.lease.termMs ? [extended] : []
}

/** Whoever is answered with the directive has seen it. */
const seen = (item: Held): readonly WorkItemEvent[] =>
  isUnresolved(item.receipt) && item.receipt.seenAt === undefined ? [{ type: 'DirectiveSeen', number: item.receipt.number }] : []

export const isSameProgress = (a: Progress, b: Progress): boolean =>
  a.fraction === b.fraction && a.done === b.done && a.total === b.total && a.unit === b.unit && a.message === b.message

/** The first progress is recorded, and what travels with news that is; progress alone when it is time and it has moved (rules 14, 19). */
const progressed = (c: CommandOfType<'Report' | 'AskDirective'>, item: Held, withNews: boolean): readonly WorkItemEvent[] => {
  if (c.progress === undefined) return []
  const recorded: readonly WorkItemEvent[] = [{ type: 'ProgressReported', progress: c.progress }]
  if (item.progress === undefined || item.progressAt === undefined) return recorded
  if (isSameProgress(item.progress, c.progress)) return []
  const isDue = c.time - item.progressAt >= progressIntervalMs(item.revision) && hasMoved(item.progress, c.progress)
  return withNews || isDue ? recorded : []
}

/** Whether all that a report said stands in the stream, judged on the item after it: progress alone may be noted only (rules 19). */
export const isRecorded = (c: Pick<CommandOfType<'Report'>, 'progress' | 'outcome'>, after: WorkItem): boolean =>
  c.progress === undefined || c.outcome !== undefined || (after.status !== 'absent' && after.progress !== undefined && isSameProgress(after.progress, c.progress))

const refused = (c: CommandOfType<'Report'>, item: Held): readonly WorkItemEvent[] =>
  c.refuse !== undefined && item.receipt?.number === c.refuse.directive ? directiveEnded(item, 'refused', c.refuse.reason) : []

/** Parking and going on. */
const parked = (c: CommandOfType<'Report'>, item: Held): readonly WorkItemEvent[] => {
  if (c.state === 'paused' && !isParked(item)) return [{ type: 'Paused' }]
  return c.state === 'running' && isParked(item) ? [{ type: 'Resumed' }] : []
}

/** What the report makes of the directive that stands: refused, or obeyed by doing what it asks for. */
const answered = (c: CommandOfType<'Report'>, item: Held): readonly WorkItemEvent[] => {
  const refusal = refused(c, item)
  if (refusal.length > 0 || !isUnresolved(item.receipt)) return refusal
  const obeys = (c.state === 'paused' && item.receipt.directive === 'pause') || (c.state === 'running' && item.receipt.directive === 'resume')
  return obeys ? directiveEnded(item, 'obeyed') : []
}

/** Whether an item that is out of attempts waits among the dead letters. A request never does: whoever called waits for an answer. */
export const hasDeadLetters = (retry: RetryPolicy, item: Existing): boolean => item.kind === 'task' && retry.deadLetter !== false

const settling = (c: CommandOfType<'Report'>, item: Held, outcome: Outcome): readonly WorkItemEvent[] => {
  const ending = { lease: item.lease.number, ...(c.digest === undefined ? {} : { digest: c.digest }) }
  const refusal = refused(c, item)
  const moot = refusal.length > 0 ? refusal : directiveEnded(item, 'overtaken')
  // Fields are taken one by one: an outcome is its author's, and must not say what the event says.
  if ('completed' in outcome) {
    const { result, partial } = outcome.completed
    return [...moot, { type: 'Completed', ...(result === undefined ? {} : { result }), ...(partial === undefined ? {} : { partial }), ...ending }]
  }
  if ('aborted' in outcome) {
    const obeyed = item.receipt?.directive === 'abort' ? directiveEnded(item, 'obeyed') : moot
    const { reason, partial } = outcome.aborted
    return [...obeyed, { type: 'Aborted', reason, ...(partial === undefined ? {} : { partial }), ...ending }]
  }
  const { code, message, detail, retry } = outcome.failed
  const triesAgain = (item.kind === 'task' || item.kind === 'request') && retry !== false && item.will !== 'abort'
  const isLast = c.retry.attemptsMax !== undefined && item.attempt >= c.retry.attemptsMax
  if (!triesAgain || (isLast && !hasDeadLetters(c.retry, item))) return [...moot, { type: 'Failed', code, message, ...(detail === undefined ? {} : { detail }), ...ending }]
  const freed: WorkItemEvent = isLast ? { type: 'DeadLettered', code, message, ...ending } : { type: 'RetryScheduled', dueAt: c.time + c.retry.pauseMs, code, message, ...ending }
  return [...(refusal.length > 0 ? refusal : directiveEnded(item, 'obeyed')), freed]
}

/** After settlement the first other outcome under the last lease is kept, the one that settled it is a repeat, and anything else is too late (surface 8). */
export const late = (c: Pick<CommandOfType<'Report'>, 'by' | 'lease' | 'outcome' | 'digest' | 'takenBy'>, item: Settled): HoldingDecision => {
  const last = item.ended ?? neverTaken(c, item)
  if (c.outcome === undefined || c.digest === undefined || last === undefined || last.token !== c.lease || last.holder.subject !== c.by)
    return reject({ type: 'settled', state: surfaceState(item) })
  if (last.digest === c.digest || item.late?.digest === c.digest) return accept()
  if (item.late !== undefined) return reject({ type: 'settled', state: surfaceState(item) })
  return accept<WorkItemEvent>({ type: 'LateResultRecorded', lease: last.number, outcome: c.outcome, digest: c.digest })
}

/** Whether this report is the one that ended the last lease, said again. */
const isRepeatOfRetried = (c: CommandOfType<'Report'>, item: WorkItem): boolean =>
  item.status !== 'absent' && c.digest !== undefined && item.ended?.token === c.lease && item.ended.digest === c.digest && item.ended.holder.subject === c.by

export const report = (c: CommandOfType<'Report'>, item: WorkItem): HoldingDecision => {
  // Neither while it runs nor as a late result: what a request comes to is its reply.
  if (item.status !== 'absent' && item.kind === 'request' && c.outcome !== undefined && 'completed' in c.outcome)
    return reject({ type: 'not-possible', state: surfaceState(item), detail: 'Expected a reply: a request is not completed by an outcome.' })
  if (item.status === 'settled') return late(c, item)
  if (isRepeatOfRetried(c, item)) return accept()
  const taken = takenByReport(c, item)
  const held = heldBy(c, taken === undefined ? item : evolveAll(item, [taken], c.time))
  if (E.isLeft(held)) return held
  const now = held.right
  const phase: readonly WorkItemEvent[] = c.phase !== undefined && c.phase !== now.phase ? [{ type: 'PhaseEntered', phase: c.phase }] : []
  const park = c.outcome === undefined ? parked(c, now) : []
  const progress = progressed(c, now, c.outcome !== undefined || phase.length + park.length > 0)
  const said = [...(taken === undefined ? [] : [taken]), ...signOfLife(now, c.time), ...phase, ...progress]
  if (c.outcome !== undefined) return accept(...said, ...settling(c, now, c.outcome))
  return accept(...said, ...seen(now), ...park, ...answered(c, now))
}

export const askDirective = (c: CommandOfType<'AskDirective'>, item: WorkItem): HoldingDecision => {
  const held = heldBy(c, item)
  if (E.isLeft(held)) return held
  return accept<WorkItemEvent>(...signOfLife(held.right, c.time), ...progressed(c, held.right, false), ...seen(held.right))
}

export const extendLease = (c: CommandOfType<'ExtendLease'>, item: WorkItem): HoldingDecision => {
  const held = heldBy(c, item)
  if (E.isLeft(held)) return held
  const { lease } = held.right
  if (hasPromisedSilence(held.right)) return accept<WorkItemEvent>(...signOfLife(held.right, c.time), ...seen(held.right))
  // Completion counts until the expiry is recorded, an extension only while the lease runs: on the server's clock, since the wall can be set (rules 17).
  if (!(c.stands ?? c.time < lease.until))
    return reject({ type: 'stale-lease', state: surfaceState(held.right), detail: 'Expected a lease that still runs, but its time is over.' })
  const until = c.time + c.termMs
  return accept<WorkItemEvent>(...(until === lease.until ? [] : [{ type: 'LeaseExtended', lease: lease.number, until } as const]), ...seen(held.right))
}

/** Giving back is free: a release, and a busy one above all, burns no attempt (rules 21). */
export const releaseLease = (c: CommandOfType<'ReleaseLease'>, item: WorkItem): HoldingDecision => {
  if (item.status !== 'absent' && item.ended?.how === 'released' && item.ended.token === c.lease && item.ended.holder.subject === c.by) return accept()
  const held = heldBy(c, item)
  if (E.isLeft(held)) return held
  if (held.right.kind === 'job' || held.right.kind === 'long-task')
    return reject({
      type: 'not-possible',
      state: surfaceState(held.right),
      detail: `Expected a task: a ${nounOf(held.right)} stays with its ${held.right.kind === 'job' ? 'server' : 'node'}.`,
    })
  const reason = c.reason === undefined ? {} : { reason: c.reason }
  const released: WorkItemEvent = { type: 'LeaseReleased', lease: held.right.lease.number, counted: false, dueAt: c.time + c.delayMs, busy: c.busy, ...reason }
  return accept(...letGo(held.right, released, 'Given back while it was to be aborted.'))
}
