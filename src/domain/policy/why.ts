// Why a work item is not running, as far as its own stream knows (design 16): limits, rates, keys and workers are the queue's to tell.
import { isRunHere } from '../work-item/operations.ts'
import type { Existing, Held, OperationFacts, Settled, Waiting, WorkItem } from '../work-item/state.ts'
import { awaitsCall, brokeOff, isOwing, isParked, isUnresolved, surfaceState } from '../work-item/state.ts'
import { stallsAfterMs, timesOutAt } from './deadline.ts'
import { STREAM_EVENTS_MAX, STREAM_EVENTS_RESERVED, STREAM_EVENTS_WARN } from './streams.ts'

/**
 * What it waits for. `ready`: nothing of its own holds it back, a holder has to take it · `running`: nothing, it runs ·
 * `broke-off`: a call with its id, which alone goes on with what broke off in middleware ·
 * `pausing`, `resuming`, `aborting`: its holder, to do what the administrator wants · `parked`: its holder, who parked it unasked.
 */
export type Gate = 'ready' | 'broke-off' | 'delay' | 'paused' | 'dead-letter' | 'running' | 'pausing' | 'resuming' | 'parked' | 'aborting' | 'lost' | 'settled'

export interface Why {
  readonly gate: Gate
  /** A sentence for the reader. */
  readonly detail: string
  /** Since when this gate has held it, milliseconds since 1970 UTC. */
  readonly since?: number | undefined
  /** When time opens it: a delay's end, when a lost job settles, when the lease of a request ends, or when a long task times out. */
  readonly until?: number | undefined
  /** Who holds it. */
  readonly holder?: { readonly name: string; readonly lease: number } | undefined
  /** The administrator's wish behind the gate. */
  readonly directive?: { readonly by: string; readonly reason?: string | undefined; readonly seen: boolean } | undefined
  /** Why its last attempt ended. */
  readonly failure?: { readonly code: string; readonly message: string } | undefined
  /** There when its stream is nearly full: it ends at `eventsMax` (rules 14). */
  readonly history?: { readonly events: number; readonly eventsMax: number } | undefined
}

/** Characters of a cause in a sentence, at most. */
const CAUSE_MAX = 500

/** Time that is left, in whole seconds. */
const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`
/** A time that somebody has set. */
const exactly = (ms: number): string => `${ms / 1000} s`

const directiveOf = (item: Existing): Why['directive'] => item.receipt && { by: item.receipt.by, reason: item.receipt.reason, seen: item.receipt.seenAt !== undefined }

/** Until when a long task has time, and how a sentence goes on to say so; nothing of what has none. */
const timeLeft = (item: Existing, now: number): { readonly until?: number; readonly clause: string } => {
  const until = timesOutAt(item)
  if (until === undefined) return { clause: '' }
  const stalledAfterMs = stallsAfterMs(item)
  const stalled = stalledAfterMs === undefined ? '' : `, or after ${exactly(stalledAfterMs)} without progress`
  return { until, clause: `; it times out in ${seconds(Math.max(0, until - now))}${stalled}` }
}

/** On the node that runs it, it waits for nobody but that node; where it was given out, for its node to take it. */
const whyNotTaken = (item: Waiting, { node }: OperationFacts, now: number): Why => {
  const { failure, updatedAt: since } = item
  if (!isRunHere(item)) {
    const { until, clause } = timeLeft(item, now)
    return { gate: 'ready', detail: `Its node ${node} has not taken it yet${clause}.`, since: item.createdAt, until, failure }
  }
  const detail = item.ended === undefined ? 'It waits for its node to run it.' : 'Its node stopped while it ran, and is to run it again.'
  return { gate: 'ready', detail, since, failure }
}

const whyWaiting = (item: Waiting, now: number): Why => {
  const { failure } = item
  if (item.status === 'deadLetter') {
    const detail =
      item.revision + 1 >= STREAM_EVENTS_MAX - STREAM_EVENTS_RESERVED ? 'It is a dead letter for good: its stream is full.' : 'It is a dead letter; redrive it to try again.'
    return { gate: 'dead-letter', detail, since: item.updatedAt, failure }
  }
  if (item.will === 'pause') {
    const { until, clause } = timeLeft(item, now)
    return { gate: 'paused', detail: `An administrator has paused it${clause}.`, since: item.receipt?.givenAt, until, directive: directiveOf(item), failure }
  }
  if (item.operation !== undefined) return whyNotTaken(item, item.operation, now)
  if (awaitsCall(item)) {
    const until = item.updatedAt + item.request.interruptedAfterMs
    const how = brokeOff(item) ? 'broke off' : 'was given back'
    const detail = `Its execution ${how}: the next call with its id runs it again, and it fails in ${seconds(Math.max(0, until - now))} if none comes.`
    return { gate: brokeOff(item) ? 'broke-off' : 'ready', detail, since: item.updatedAt, until, failure }
  }
  const dueAt = item.task?.dueAt ?? item.request?.dueAt ?? now
  if (dueAt > now) return { gate: 'delay', detail: `It is due in ${seconds(dueAt - now)}.`, until: dueAt, failure }
  return { gate: 'ready', detail: 'It is due and waits for somebody to take it.', since: Math.max(dueAt, item.createdAt), failure }
}

const whyLost = (item: Held, now: number): Pick<Why, 'detail' | 'until'> => {
  const silent = `Its holder ${item.lease.holder.name} has been silent`
  if (item.job === undefined || item.lostAt === undefined) {
    const { until, clause } = timeLeft(item, now)
    return { detail: `${silent}${clause}.`, until }
  }
  const until = item.lostAt + item.job.lostAfterMs
  return { detail: `${silent}, and it settles in ${seconds(Math.max(0, until - now))} if it does not return.`, until }
}

const whyRunning = (item: Held, now: number): Pick<Why, 'detail' | 'until'> => {
  const { name } = item.lease.holder
  const { until, clause } = timeLeft(item, now)
  if (item.kind !== 'request') return { detail: `${name} is running it${clause}.`, until }
  return { detail: `${name} is running it; its lease ends in ${seconds(Math.max(0, item.lease.until - now))} unless it is extended.`, until: item.lease.until }
}

const whyHeld = (item: Held, now: number): Why => {
  const { name } = item.lease.holder
  const holder = { name, lease: item.lease.number }
  const directive = item.will === 'normal' && !isUnresolved(item.receipt) ? undefined : directiveOf(item)
  const seen = item.receipt?.seenAt === undefined ? 'has not seen it yet' : 'has seen it'
  if (item.status === 'lost') return { gate: 'lost', ...whyLost(item, now), since: item.lastSeenAt ?? item.lostAt, holder, directive }
  const { until, clause } = timeLeft(item, now)
  const asked = { since: item.receipt?.givenAt, until, holder, directive }
  if (item.will === 'abort') return { gate: 'aborting', detail: `It is to be aborted; ${name} ${seen}${clause}.`, ...asked }
  if (!isParked(item) && item.will === 'pause') return { gate: 'pausing', detail: `It is to pause; ${name} ${seen} and is still running it${clause}.`, ...asked }
  if (!isParked(item)) return { gate: 'running', ...whyRunning(item, now), since: item.lease.since, holder }
  if (item.will === 'pause') return { gate: 'paused', detail: `${name} has parked it, as an administrator wished${clause}.`, ...asked }
  if (isUnresolved(item.receipt)) return { gate: 'resuming', detail: `It is to go on; ${name} ${seen}${clause}.`, ...asked }
  return { gate: 'parked', detail: `${name} has parked it of its own accord${clause}.`, until, holder }
}

/** Of a request or a long task: whoever asked for it has no other place to learn why there is no result. */
const causeOf = ({ kind, failure }: Settled): string =>
  (kind !== 'request' && kind !== 'long-task') || failure === undefined ? '' : `, ${failure.code}: ${failure.message.slice(0, CAUSE_MAX).replace(/\.$/, '')}`

/** Which of its times was over; undefined when none was, and of an erased one, whose tombstone does not tell. */
const timedOut = ({ operation, cause, ended }: Settled): string | undefined => {
  if (operation === undefined || cause === undefined) return undefined
  const { node, timeoutMs = 0, stalledAfterMs = 0 } = operation
  if (cause === 'stalled') return `It has timed out: it made no progress for ${exactly(stalledAfterMs)}.`
  return ended === undefined
    ? `It has timed out: its node ${node} had not taken it within ${exactly(timeoutMs)}.`
    : `It has timed out: it was not done within ${exactly(timeoutMs)}.`
}

const whySettled = (item: Settled): Why => {
  const reporting = isOwing(item) && item.operation !== undefined ? '; whoever gave it out has not acknowledged it yet' : ''
  const detail = timedOut(item) ?? `It has settled: ${surfaceState(item)}${causeOf(item)}${reporting}.`
  return { gate: 'settled', detail, since: item.settledAt, failure: item.failure }
}

const gateOf = (item: Existing, now: number): Why => {
  switch (item.status) {
    case 'waiting':
    case 'deadLetter':
      return whyWaiting(item, now)
    case 'running':
    case 'paused':
    case 'lost':
      return whyHeld(item, now)
    case 'settled':
      return whySettled(item)
  }
}

/** Names the gate of a work item at this time; undefined for one that does not exist. */
export const whyNotRunning = (item: WorkItem, now: number): Why | undefined => {
  if (item.status === 'absent') return undefined
  const why = gateOf(item, now)
  const events = item.revision + 1
  if (item.status === 'settled' || events < STREAM_EVENTS_WARN) return why
  return { ...why, detail: `${why.detail} Its stream is nearly full: ${events} of ${STREAM_EVENTS_MAX} events.`, history: { events, eventsMax: STREAM_EVENTS_MAX } }
}
