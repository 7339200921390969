// Why a work item is not running, as far as its own stream knows (design 16): limits, rates, keys and workers are the queue's to tell.
import type { Existing, Held, Settled, Waiting, WorkItem } from '../work-item/state.ts'
import { awaitsCall, brokeOff, isParked, isUnresolved, surfaceState } from '../work-item/state.ts'
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
  /** When it opens by itself: a delay's end, when a lost job settles, or when the lease of a request ends. */
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

const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`

const directiveOf = (item: Existing): Why['directive'] => item.receipt && { by: item.receipt.by, reason: item.receipt.reason, seen: item.receipt.seenAt !== undefined }

const whyWaiting = (item: Waiting, now: number): Why => {
  const { failure } = item
  if (item.status === 'deadLetter') {
    const detail =
      item.revision + 1 >= STREAM_EVENTS_MAX - STREAM_EVENTS_RESERVED ? 'It is a dead letter for good: its stream is full.' : 'It is a dead letter; redrive it to try again.'
    return { gate: 'dead-letter', detail, since: item.updatedAt, failure }
  }
  if (item.will === 'pause') return { gate: 'paused', detail: 'An administrator has paused it.', since: item.receipt?.givenAt, directive: directiveOf(item), failure }
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

const whyHeld = (item: Held, now: number): Why => {
  const holder = { name: item.lease.holder.name, lease: item.lease.number }
  const directive = item.will === 'normal' && !isUnresolved(item.receipt) ? undefined : directiveOf(item)
  const seen = item.receipt?.seenAt === undefined ? 'has not seen it yet' : 'has seen it'
  if (item.status === 'lost') {
    const until = item.lostAt === undefined || item.job === undefined ? undefined : item.lostAt + item.job.lostAfterMs
    const left = until === undefined ? '' : `, and it settles in ${seconds(Math.max(0, until - now))} if it does not return`
    return { gate: 'lost', detail: `Its holder ${holder.name} has been silent${left}.`, since: item.lastSeenAt ?? item.lostAt, until, holder, directive }
  }
  if (item.will === 'abort') return { gate: 'aborting', detail: `It is to be aborted; ${holder.name} ${seen}.`, since: item.receipt?.givenAt, holder, directive }
  if (!isParked(item) && item.will === 'pause')
    return { gate: 'pausing', detail: `It is to pause; ${holder.name} ${seen} and is still running it.`, since: item.receipt?.givenAt, holder, directive }
  if (!isParked(item)) {
    const until = item.kind === 'request' ? item.lease.until : undefined
    const term = until === undefined ? '' : `; its lease ends in ${seconds(Math.max(0, until - now))} unless it is extended`
    return { gate: 'running', detail: `${holder.name} is running it${term}.`, since: item.lease.since, until, holder }
  }
  if (item.will === 'pause') return { gate: 'paused', detail: `${holder.name} has parked it, as an administrator wished.`, since: item.receipt?.givenAt, holder, directive }
  if (isUnresolved(item.receipt)) return { gate: 'resuming', detail: `It is to go on; ${holder.name} ${seen}.`, since: item.receipt.givenAt, holder, directive }
  return { gate: 'parked', detail: `${holder.name} has parked it of its own accord.`, holder }
}

/** Of a request: its caller has no other place to learn why there is no reply. */
const causeOf = ({ kind, failure }: Settled): string =>
  kind !== 'request' || failure === undefined ? '' : `, ${failure.code}: ${failure.message.slice(0, CAUSE_MAX).replace(/\.$/, '')}`

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
      return { gate: 'settled', detail: `It has settled: ${surfaceState(item)}${causeOf(item)}.`, since: item.settledAt, failure: item.failure }
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
