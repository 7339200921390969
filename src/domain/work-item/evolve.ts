// How each fact changes a work item: total, and blind to everything but the fact, its time and its revision.
import type { EventOfType, WorkItemEvent } from './events.ts'
import { absent, isHeld, isUnresolved, type EndedLease, type Existing, type Held, type Settled, type Waiting, type WorkItem } from './state.ts'
import type { CarriedOut, OutboxEntry } from './events.ts'

/** When and where in its stream a fact was recorded. */
export interface At {
  readonly time: number
  readonly revision: number
}

const born = (at: At) => ({ revision: at.revision, createdAt: at.time, updatedAt: at.time, attempt: 0, will: 'normal' as const })

const registered = (event: EventOfType<'JobRegistered'>, at: At): Waiting => ({
  status: 'waiting',
  kind: 'job',
  ...born(at),
  by: event.by,
  digest: event.digest,
  job: {
    service: event.service,
    server: event.server,
    label: event.label,
    expectedMs: event.expectedMs,
    reportEveryMs: event.reportEveryMs,
    silenceMs: event.silenceMs,
    lostAfterMs: event.lostAfterMs,
  },
})

const inserted = (event: EventOfType<'TaskInserted'>, at: At): Waiting => ({
  status: 'waiting',
  kind: 'task',
  ...born(at),
  by: event.by,
  digest: event.digest,
  task: { app: event.app, queue: event.queue, tag: event.tag, priority: event.priority, key: event.key, bytes: event.bytes, dueAt: event.dueAt },
})

const accepted = (event: EventOfType<'RequestAccepted'>, at: At): Waiting => {
  const { contract, caller, runs, release, onInterrupted, attemptsMax, interruptedAfterMs, bytes, dueAt, callback } = event
  return {
    status: 'waiting',
    kind: 'request',
    ...born(at),
    by: event.by,
    digest: event.digest,
    request: { contract, caller, runs, release, onInterrupted, attemptsMax, interruptedAfterMs, bytes, dueAt, callback },
  }
}

const dispatched = (event: EventOfType<'OperationDispatched'>, at: At): Waiting => {
  const { operation, node, lease, progressEveryMs, timeoutMs, stalledAfterMs, reportTo, onRestart } = event
  return {
    status: 'waiting',
    kind: 'long-task',
    ...born(at),
    by: event.by,
    digest: event.digest,
    operation: { operation, node, lease, progressEveryMs, timeoutMs, stalledAfterMs, reportTo, onRestart },
  }
}

/** The parts of every living state, without those that belong to one status only. */
const core = (item: Existing) => {
  const { kind, revision, by, digest, createdAt, updatedAt, attempt, will, receipt, phase, progress, progressAt, ended, redriven, job, task, request, operation } = item
  return { kind, revision, by, digest, createdAt, updatedAt, attempt, will, receipt, phase, progress, progressAt, ended, redriven, job, task, request, operation }
}

const endedLease = (item: Existing, how: EndedLease['how'], digest?: string): EndedLease | undefined =>
  isHeld(item) ? { number: item.lease.number, token: item.lease.token, holder: item.lease.holder, how, digest } : item.ended

const leased = (item: Existing, event: EventOfType<'Leased'>, at: At): Held => ({
  ...core(item),
  status: 'running',
  attempt: item.attempt + 1,
  // What an earlier holder has seen, this one has not.
  receipt: isUnresolved(item.receipt) ? { ...item.receipt, seenAt: undefined } : item.receipt,
  phase: undefined,
  progress: undefined,
  progressAt: undefined,
  ended: endedLease(item, 'taken-over'),
  lease: { number: event.lease, token: event.token, holder: event.holder, since: at.time, until: event.until, termMs: event.termMs, requestId: event.requestId },
})

const waiting = (item: Existing, dueAt: number, ended: EndedLease | undefined, failure?: Waiting['failure']): Waiting => ({
  ...core(item),
  status: 'waiting',
  ended,
  failure,
  task: item.task && { ...item.task, dueAt },
  request: item.request && { ...item.request, dueAt },
})

/** What is still to be carried out; undefined when nothing is, as nearly always. */
const outboxOf = (entries: readonly OutboxEntry[]): Settled['outbox'] => (entries.length === 0 ? undefined : entries)

const withoutCarriedOut = (item: Settled, carriedOut: readonly CarriedOut[]): Settled['outbox'] =>
  outboxOf((item.outbox ?? []).filter((open) => !carriedOut.some(({ entry }) => entry === open)))

/** The reply goes to the callback of its request, and so does the news that there is none; what an operation came to goes to the management node. */
const toCaller = (item: Existing): readonly OutboxEntry[] => ((item.request?.callback ?? item.operation?.reportTo) === undefined ? [] : ['reply'])

const settled = (item: Existing, end: Settled['end'], at: At, digest: string | undefined, failure?: Settled['failure']): Settled => ({
  ...core(item),
  status: 'settled',
  end,
  settledAt: at.time,
  ended: endedLease(item, 'settled', digest),
  failure,
  endRevision: at.revision,
  outbox: outboxOf(toCaller(item)),
})

const completed = (item: Existing, { digest, reply, effects = [] }: EventOfType<'Completed'>, at: At): Settled => ({
  ...settled(item, 'completed', at, digest),
  reply: reply && { status: reply.status, bytes: reply.bytes, kept: reply.kept },
  outbox: outboxOf([...effects.map((_effect, index) => index), ...toCaller(item)]),
})

/** What a tombstone says, whether anything before it can still be read or not: one state for both. */
const erased = (event: EventOfType<'Erased'>, at: At): Settled => {
  const { kind, by, digest, end, createdAt, settledAt } = event
  return {
    ...born(at),
    status: 'settled',
    kind,
    by,
    digest,
    createdAt,
    end,
    settledAt,
    endRevision: at.revision,
    released: { how: 'erased', at: at.time },
    erased: true,
  }
}

/** Events that say by themselves what the item is, whatever came before. */
type BirthType = 'JobRegistered' | 'TaskInserted' | 'RequestAccepted' | 'OperationDispatched' | 'Erased'

const change = (item: Existing, event: Exclude<WorkItemEvent, { type: BirthType }>, at: At): Existing => {
  switch (event.type) {
    case 'Leased':
      return leased(item, event, at)
    case 'LeaseExtended':
      return isHeld(item) ? { ...item, lease: { ...item.lease, until: event.until } } : item
    case 'LeaseReleased':
      return waiting({ ...item, attempt: event.counted ? item.attempt : Math.max(0, item.attempt - 1) }, event.dueAt, endedLease(item, 'released'))
    case 'LeaseExpired':
      return waiting(item, at.time, endedLease(item, 'expired'), { code: 'lease-expired', message: 'The lease ended before its holder finished.' })
    case 'RetryScheduled':
      return waiting(item, event.dueAt, endedLease(item, 'retried', event.digest), { code: event.code, message: event.message })
    case 'HolderLost':
      return isHeld(item) ? { ...item, status: 'lost', lostAt: at.time, lastSeenAt: event.lastSeenAt, parked: item.status === 'paused' } : item
    case 'HolderFound':
      return isHeld(item) ? { ...item, status: item.parked ? 'paused' : 'running', lostAt: undefined, lastSeenAt: undefined, parked: undefined } : item
    case 'PhaseEntered':
      return { ...item, phase: event.phase }
    case 'ProgressReported':
      return { ...item, progress: event.progress, progressAt: at.time }
    case 'Paused':
      return isHeld(item) ? { ...item, status: 'paused' } : item
    case 'Resumed':
      return isHeld(item) ? { ...item, status: 'running' } : item
    case 'DirectiveGiven':
      return {
        ...item,
        will: event.directive === 'resume' ? 'normal' : event.directive,
        receipt: { number: event.number, directive: event.directive, by: event.by, commandId: event.commandId, reason: event.reason, givenAt: at.time },
      }
    case 'DirectiveSeen':
      return item.receipt?.number === event.number ? { ...item, receipt: { ...item.receipt, seenAt: at.time } } : item
    case 'DirectiveEnded':
      if (item.receipt?.number !== event.number) return item
      return {
        ...item,
        will: event.resolution === 'refused' ? 'normal' : item.will,
        receipt: { ...item.receipt, resolution: event.resolution, resolvedAt: at.time, resolutionReason: event.reason },
      }
    case 'DeadLettered':
      return { ...waiting(item, at.time, endedLease(item, 'retried', event.digest), { code: event.code, message: event.message }), status: 'deadLetter' }
    case 'Redriven':
      return { ...waiting(item, event.dueAt, item.ended), attempt: 0, redriven: true }
    case 'Completed':
      return completed(item, event, at)
    case 'Failed':
      return settled(item, 'failed', at, event.digest, { code: event.code, message: event.message })
    case 'Aborted':
      return settled(item, 'aborted', at, event.digest)
    case 'Cancelled':
      return settled(item, 'cancelled', at, undefined)
    case 'TimedOut':
      return { ...settled(item, 'timedOut', at, undefined), cause: event.cause }
    case 'LateResultRecorded':
      return item.status === 'settled' ? { ...item, late: { digest: event.digest } } : item
    case 'EffectsCarriedOut':
      return item.status === 'settled' ? { ...item, outbox: withoutCarriedOut(item, event.effects) } : item
    case 'ReplyReleased':
      return item.status === 'settled' ? { ...item, released: { how: event.how, at: at.time } } : item
  }
}

/** The state after one more fact. A stream that does not begin with a birth stays absent, whatever else it holds. */
export const evolve = (item: WorkItem, event: WorkItemEvent, at: At): WorkItem => {
  if (event.type === 'JobRegistered') return registered(event, at)
  if (event.type === 'TaskInserted') return inserted(event, at)
  if (event.type === 'RequestAccepted') return accepted(event, at)
  if (event.type === 'OperationDispatched') return dispatched(event, at)
  if (event.type === 'Erased') return erased(event, at)
  if (item.status === 'absent') return absent
  return { ...change(item, event, at), revision: at.revision, updatedAt: at.time }
}

/** The state after the facts of one append, which share their time. */
export const evolveAll = (item: WorkItem, events: readonly WorkItemEvent[], time: number): WorkItem =>
  events.reduce((state, event, index) => evolve(state, event, { time, revision: item.revision + 1 + index }), item)
