// The rules of the one lifecycle: a command meets a work item. One function a command; the reasons stand in the specification of each door.
import * as E from 'fp-ts/lib/Either.js'
import { accept, reject, type Decision } from '../decider.ts'
import { hasCome } from '../policy/deadline.ts'
import { STREAM_EVENTS_MAX, STREAM_EVENTS_RESERVED } from '../policy/streams.ts'
import type { Command, CommandOfType, Rejection, RetryPolicy } from './commands.ts'
import { directiveEnded, giveDirective, letGo } from './directives.ts'
import { SETTLING, type WorkItemEvent } from './events.ts'
import { evolveAll } from './evolve.ts'
import { askDirective, extendLease, hasDeadLetters, releaseLease, report } from './holding.ts'
import { leasedTo, nextLease } from './leasing.ts'
import { brokenOff, dispatchOperation, failOperation, hasPromisedSilence, isRunHere, takeOperation, timeOut } from './operations.ts'
import { acceptRequest, erase, interrupt, noteEffects, releaseReply, reply } from './requests.ts'
import { isHeld, isUnresolved, leasable, nounOf, surfaceState, type Existing, type WorkItem } from './state.ts'

export type WorkItemDecision = Decision<WorkItemEvent, Rejection>

const registerJob = (c: CommandOfType<'RegisterJob'>, item: WorkItem): WorkItemDecision => {
  const leased = (lease: number): WorkItemEvent => ({
    type: 'Leased',
    lease,
    token: `${lease}.${c.token}`,
    holder: c.holder,
    termMs: c.job.silenceMs,
    until: c.time + 2 * c.job.silenceMs,
  })
  if (item.status === 'absent') return accept<WorkItemEvent>({ type: 'JobRegistered', ...c.job, attributes: c.attributes, by: c.by, digest: c.digest }, leased(1))
  if (item.kind !== 'job' || item.by !== c.by) return reject({ type: 'id-in-use' })
  if (item.digest !== c.digest) return reject({ type: 'exists-with-other-content' })
  if (item.status === 'settled') return accept()
  if (isHeld(item) && item.lease.holder.instance === c.holder.instance) return accept()
  // The instance that was taken over from is fenced off for good: its registration, should it come again, must not take the job back.
  if (item.ended?.how === 'taken-over' && item.ended.holder.instance === c.holder.instance)
    return reject({ type: 'stale-lease', state: surfaceState(item), detail: 'Expected a new instance, but another one has taken over from this one.' })
  // A killed server's new instance takes its job over (rules 20), and runs from the start: there is nothing to resume.
  const goesOn = isUnresolved(item.receipt) && item.receipt.directive === 'resume' ? directiveEnded(item, 'obeyed') : []
  return accept<WorkItemEvent>(leased(nextLease(item)), ...goesOn)
}

const insertTask = (c: CommandOfType<'InsertTask'>, item: WorkItem): WorkItemDecision => {
  if (item.status === 'absent') {
    const inserted: WorkItemEvent = { type: 'TaskInserted', ...c.task, by: c.by, digest: c.digest, mediaType: c.mediaType }
    return c.leaseTo !== undefined && c.task.dueAt <= c.time ? accept(inserted, leasedTo(c.leaseTo, 1, c.time)) : accept(inserted)
  }
  if (item.kind !== 'task' || item.by !== c.by) return reject({ type: 'id-in-use' })
  return item.digest === c.digest ? accept() : reject({ type: 'exists-with-other-content' })
}

const leaseItem = (c: CommandOfType<'LeaseItem'>, item: WorkItem): WorkItemDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  const state = surfaceState(item)
  if (item.kind === 'job') return reject({ type: 'not-possible', state, detail: 'Expected a task or a request: a job is leased by its registration.' })
  if (item.kind === 'long-task' && !isRunHere(item)) return reject({ type: 'not-possible', state, detail: 'Expected a task or a request: a long task is taken by its node.' })
  if (item.status !== 'waiting') return reject({ type: 'not-possible', state, detail: `Expected to lease a waiting ${nounOf(item)}, but it is ${state}.` })
  if (item.will !== 'normal') return reject({ type: 'not-possible', state, detail: `Expected to lease a waiting ${nounOf(item)}, but it is paused.` })
  if (isRunHere(item)) return accept(leasedTo(c, nextLease(item), c.time))
  const facts = leasable(item)
  if (facts === undefined) return reject({ type: 'not-possible', state, detail: 'Expected a request for workers, but this one is run by middleware.' })
  if (!hasCome(c, facts.dueAt)) return reject({ type: 'not-possible', state, detail: `Expected to lease a ${item.kind} that is due, but its delay has not passed.` })
  return accept(leasedTo(c, nextLease(item), c.time))
}

/** Anybody who may work the queue ends it, whatever lease is named; only the holder's word makes it a completion (rules 22). */
const deleteTask = (c: CommandOfType<'DeleteTask'>, item: WorkItem): WorkItemDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (item.kind !== 'task') return reject({ type: 'not-possible', state: surfaceState(item), detail: `Expected a task: a ${nounOf(item)} is aborted by a directive.` })
  if (item.status === 'settled') return accept()
  const isHolder = isHeld(item) && item.lease.holder.subject === c.by && (c.lease === undefined || item.lease.token === c.lease)
  if (isHolder) return accept<WorkItemEvent>(...directiveEnded(item, 'overtaken'), { type: 'Completed', lease: item.lease.number })
  return accept<WorkItemEvent>(...directiveEnded(item, item.will === 'abort' ? 'obeyed' : 'overtaken'), { type: 'Cancelled', by: c.by, reason: 'deleted' })
}

const redrive = (c: CommandOfType<'Redrive'>, item: WorkItem): WorkItemDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (item.status === 'settled') return reject({ type: 'settled', state: surfaceState(item) })
  if (item.kind !== 'task') return reject({ type: 'not-possible', state: surfaceState(item), detail: `Expected a task: a ${nounOf(item)} is no dead letter.` })
  // A repeat finds the task put back already, or worked on again.
  if (item.status !== 'deadLetter')
    return item.redriven === true ? accept() : reject({ type: 'not-possible', state: surfaceState(item), detail: 'Expected a dead letter, and the task is none.' })
  return accept<WorkItemEvent>({ type: 'Redriven', by: c.by, dueAt: c.time })
}

/** Why nothing follows on the attempt whose lease ended; undefined: another attempt does. */
const noneFollows = ({ attemptsMax }: RetryPolicy, item: Existing): { readonly code: string; readonly message: string } | undefined => {
  if (attemptsMax === undefined || item.attempt < attemptsMax) return brokenOff(item)
  const code = item.kind === 'task' ? 'lease-expired' : 'interrupted'
  return { code, message: `The lease of attempt ${item.attempt} ended, and no attempt is left.` }
}

/** A timer speaks of the lease it was set for; a lease that is gone or has been extended makes it moot, not wrong. */
const expireLease = (c: CommandOfType<'ExpireLease'>, item: WorkItem): WorkItemDecision => {
  if (!isHeld(item) || item.lease.number !== c.lease || hasPromisedSilence(item) || !hasCome(c, item.lease.until)) return accept()
  const expired: WorkItemEvent = { type: 'LeaseExpired', lease: c.lease }
  const freed = letGo(item, expired, 'Its lease ended while it was to be aborted.')
  const why = noneFollows(c.retry, item)
  if (item.will === 'abort' || why === undefined) return accept(...freed)
  if (!hasDeadLetters(c.retry, item)) return accept<WorkItemEvent>(expired, ...directiveEnded(item, 'overtaken'), { type: 'Failed', ...why })
  return accept<WorkItemEvent>(...freed, { type: 'DeadLettered', ...why })
}

/** Silence is judged by whoever keeps the volatile signs of life, on monotonic time; here only whether that lease still stands. */
const loseHolder = (c: CommandOfType<'LoseHolder'>, item: WorkItem): WorkItemDecision => {
  if (!isHeld(item) || item.lease.number !== c.lease || !hasPromisedSilence(item) || item.status === 'lost') return accept()
  return accept<WorkItemEvent>({ type: 'HolderLost', lease: c.lease, lastSeenAt: c.lastSeenAt })
}

/** A lost job settles at last: as aborted if that was asked for, else as failed (rules 20). */
const giveUpLost = (c: CommandOfType<'GiveUpLost'>, item: WorkItem): WorkItemDecision => {
  if (item.status !== 'lost' || item.kind !== 'job' || item.lease.number !== c.lease || item.lostAt === undefined) return accept()
  if (!hasCome(c, item.lostAt + (item.job?.lostAfterMs ?? 0))) return accept()
  if (item.will === 'abort') return accept<WorkItemEvent>(...directiveEnded(item, 'obeyed'), { type: 'Aborted', reason: 'Its holder was lost and did not come back.' })
  return accept<WorkItemEvent>(...directiveEnded(item, 'overtaken'), { type: 'Failed', code: 'lost', message: 'Its holder was lost and did not come back.' })
}

const byCommand = (c: Command, item: WorkItem): WorkItemDecision => {
  switch (c.type) {
    case 'RegisterJob':
      return registerJob(c, item)
    case 'InsertTask':
      return insertTask(c, item)
    case 'LeaseItem':
      return leaseItem(c, item)
    case 'AcceptRequest':
      return acceptRequest(c, item)
    case 'Reply':
      return reply(c, item)
    case 'ReleaseReply':
      return releaseReply(c, item)
    case 'NoteEffects':
      return noteEffects(c, item)
    case 'Erase':
      return erase(c, item)
    case 'Interrupt':
      return interrupt(c, item)
    case 'DeleteTask':
      return deleteTask(c, item)
    case 'DispatchOperation':
      return dispatchOperation(c, item)
    case 'TakeOperation':
      return takeOperation(c, item)
    case 'FailOperation':
      return failOperation(c, item)
    case 'TimeOut':
      return timeOut(c, item)
    case 'ExtendLease':
      return extendLease(c, item)
    case 'ReleaseLease':
      return releaseLease(c, item)
    case 'Report':
      return report(c, item)
    case 'AskDirective':
      return askDirective(c, item)
    case 'GiveDirective':
      return giveDirective(c, item)
    case 'Redrive':
      return redrive(c, item)
    case 'ExpireLease':
      return expireLease(c, item)
    case 'LoseHolder':
      return loseHolder(c, item)
    case 'GiveUpLost':
      return giveUpLost(c, item)
  }
}

/** Whether the command says that its queue has no dead letters. Most commands say nothing of it, and then a task that cannot go on becomes one. */
const wantsNoDeadLetter = (c: Command): boolean => 'retry' in c && c.retry.deadLetter === false

/** How an item ends whose stream is full: as the administrator wants if that is to abort, else as a dead letter or a failure. */
const ending = (c: Command, item: Existing): readonly WorkItemEvent[] => {
  const message = `Its stream holds ${STREAM_EVENTS_MAX} events, as many as one work item may have.`
  if (item.will === 'abort') return [...directiveEnded(item, 'obeyed'), { type: 'Aborted', reason: message }]
  if (item.kind === 'task' && !wantsNoDeadLetter(c)) return [...directiveEnded(item, 'obeyed'), { type: 'DeadLettered', code: 'history-limit', message }]
  return [...directiveEnded(item, 'overtaken'), { type: 'Failed', code: 'history-limit', message }]
}

/** A stream that is full ends its item, so that no history grows without bound (rules 14). Nobody is given a lease of an item that ends so. */
const bounded = (c: Command, item: WorkItem, events: readonly WorkItemEvent[]): WorkItemDecision => {
  if (events.length === 0 || item.status === 'absent' || item.status === 'settled') return E.right(events)
  if (item.revision + 1 + events.length <= STREAM_EVENTS_MAX - STREAM_EVENTS_RESERVED) return E.right(events)
  if (c.type === 'Redrive' || (c.type === 'GiveDirective' && c.directive !== 'abort'))
    return reject({
      type: 'not-possible',
      state: surfaceState(item),
      detail: `Expected room in its stream, but it holds nearly all of the ${STREAM_EVENTS_MAX} events that one work item may have.`,
    })
  // Unless it was taken, done and told of in one.
  const kept = events.some(({ type }) => SETTLING.has(type)) ? events : events.filter(({ type }) => type !== 'Leased')
  const after = evolveAll(item, kept, c.time)
  return after.status === 'absent' || after.status === 'settled' || after.status === 'deadLetter' ? accept(...kept) : accept(...kept, ...ending(c, after))
}

/** The time at which a command counts, and with which its events are dated: never before the stream's last event (rules 17). */
export const timeOf = (command: { readonly time: number }, item: WorkItem): number => (item.status === 'absent' ? command.time : Math.max(command.time, item.updatedAt))

/** What follows from a command, or why nothing does. Total and pure: the same command on the same item always decides the same. */
export const decide = (command: Command, item: WorkItem): WorkItemDecision => {
  const time = timeOf(command, item)
  const timed = time === command.time ? command : { ...command, time }
  const decided = byCommand(timed, item)
  return E.isLeft(decided) ? decided : bounded(timed, item, decided.right)
}
