// What callers are shown: rows, leases and events in the JSON of the surface. Signs of life are laid over what is recorded; leases go to their holder only.
import { isJsonMediaType } from '../engine/digest.ts'
import type { NodeGate, Presence, QueueGate } from '../engine/findings.ts'
import type { Ending, ItemRow } from '../projections/tables.ts'
import type { HistoryEvent, Receipt } from '../wire/items.ts'
import type { JobProxy } from '../wire/jobs.ts'
import type { LeasedTask, Task, TaskWithPayload } from '../wire/tasks.ts'
import type { shownOutcome, why } from '../wire/items.ts'
import {
  isHeld,
  nameIn,
  surfaceState,
  whyNotRunning,
  workItemOf,
  type Effect,
  type Existing,
  type GivenReceipt,
  type Held,
  type ReplyHead,
  type SaidOutcome,
} from '../wire/words.ts'
import type * as t from 'io-ts'

type ShownOutcome = t.TypeOf<typeof shownOutcome>

/** A power of two. */
const INSTANTS_KEPT = 64
/** The times shown last, each in the place that its lowest bits say: most times of an answer are the same few, and to write one out costs more than the rest of a view. */
const instants = Array.from({ length: INSTANTS_KEPT }, () => ({ ms: Number.NaN, text: '' }))

/** RFC 3339, UTC, with milliseconds. */
export const instantOf = (ms: number): string => {
  const kept = instants[ms & (INSTANTS_KEPT - 1)]
  if (kept === undefined) return new Date(ms).toISOString()
  if (kept.ms !== ms) {
    kept.text = new Date(ms).toISOString()
    kept.ms = ms
  }
  return kept.text
}
export const instantIf = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : instantOf(ms))
const secondsIf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

export const receiptView = ({ number, directive, by, givenAt, reason, seenAt, resolution, resolvedAt, resolutionReason }: GivenReceipt): Receipt => ({
  number,
  directive,
  by,
  givenAt: instantOf(givenAt),
  reason,
  seenAt: instantIf(seenAt),
  resolution,
  resolvedAt: instantIf(resolvedAt),
  resolutionReason,
})

const receiptIf = (item: Existing): Receipt | undefined => (item.receipt === undefined ? undefined : receiptView(item.receipt))

const outcomeOfEnding = (ending: Ending): ShownOutcome => {
  switch (ending.type) {
    case 'Completed':
      return { completed: { result: ending.result, partial: ending.partial } }
    case 'Failed':
      return { failed: { code: ending.code, message: ending.message, detail: ending.detail } }
    case 'Aborted':
      return { aborted: { reason: ending.reason, partial: ending.partial } }
    case 'Cancelled':
      return { cancelled: { reason: ending.reason } }
    case 'TimedOut':
      return { timedOut: { cause: ending.cause } }
  }
}

const lateOutcome = (said: SaidOutcome): ShownOutcome => said

/** A dead letter is not settled, yet it shows how its last attempt failed. */
const outcomeOf = (item: Existing, ending: Ending | undefined): ShownOutcome | undefined => {
  if (ending !== undefined) return outcomeOfEnding(ending)
  return item.status === 'deadLetter' && item.failure !== undefined ? { failed: item.failure } : undefined
}

/** What is known of one item; `birth`, `ending` and `late` where they have been read. */
export type Shown = Pick<ItemRow, 'workItem' | 'item' | 'position' | 'ending' | 'late'> & {
  readonly birth?: ItemRow['birth'] | undefined
  readonly presence?: Presence | undefined
}

/** A worker without a name of its own goes by that of its principal. */
const holderName = ({ lease: { holder } }: Held): string => (holder.name === '' ? holder.subject : holder.name).slice(0, 200)

export const commonView = ({ workItem, item, position, ending, late, presence }: Shown) => ({
  id: nameIn(workItem),
  workItem,
  kind: item.kind,
  state: surfaceState(item),
  attempt: item.attempt,
  directive: item.will,
  createdAt: instantOf(item.createdAt),
  updatedAt: instantOf(item.updatedAt),
  position,
  phase: item.phase,
  progress: (isHeld(item) ? presence?.progress : undefined) ?? item.progress,
  outcome: outcomeOf(item, ending),
  holder: isHeld(item) ? { name: holderName(item), lastSeenAt: instantIf(presence?.lastSeenAt ?? item.lastSeenAt) } : undefined,
  receipt: receiptIf(item),
  settledAt: item.status === 'settled' ? instantOf(item.settledAt) : undefined,
  lateOutcome: late === undefined ? undefined : lateOutcome(late.outcome),
})

/** A job proxy as everybody may see it. */
export const jobView = (shown: Shown): JobProxy => {
  const { job } = shown.item
  if (job === undefined) throw new Error(`${shown.workItem} is no job`)
  return {
    ...commonView(shown),
    service: job.service,
    server: job.server,
    label: job.label,
    attributes: shown.birth?.type === 'JobRegistered' ? shown.birth.attributes : undefined,
    expectedSeconds: secondsIf(job.expectedMs),
    reportEverySeconds: job.reportEveryMs / 1_000,
    silenceSeconds: job.silenceMs / 1_000,
    lostAfterSeconds: job.lostAfterMs / 1_000,
  }
}

/** A task as everybody may see it: without its payload. */
export const taskView = (shown: Shown): Task => {
  const { task } = shown.item
  if (task === undefined) throw new Error(`${shown.workItem} is no task`)
  const { app, queue, tag, priority, key, dueAt, bytes } = task
  const { item } = shown
  return {
    ...commonView(shown),
    app,
    queue,
    tag,
    priority,
    key,
    bytes,
    dueAt: instantOf(dueAt),
    leaseUntil: isHeld(item) ? instantOf(item.lease.until) : undefined,
    failure: item.status === 'waiting' ? item.failure : undefined,
    deadLetter: item.status === 'deadLetter' ? true : undefined,
  }
}

/** The lease, for its holder and nobody else. */
export const leaseView = (item: Existing): { lease: string; leaseUntil: string } | undefined =>
  isHeld(item) ? { lease: item.lease.token, leaseUntil: instantOf(item.lease.until) } : undefined

/** Bytes as they were inserted: JSON as JSON, everything else in base64. */
export const payloadView = (mediaType: string, payload: Uint8Array | undefined): Pick<LeasedTask, 'payload' | 'payloadBase64' | 'mediaType'> => {
  if (payload === undefined) return {}
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  return isJsonMediaType(mediaType) ? { payload: JSON.parse(bytes.toString('utf8')) as unknown, mediaType } : { payloadBase64: bytes.toString('base64'), mediaType }
}

const mediaTypeOf = ({ birth }: Shown): string => (birth?.type === 'TaskInserted' ? birth.mediaType : 'application/octet-stream')

/** A task with its payload, for those who may have it. */
export const taskWithPayloadView = (shown: Shown, payload: Uint8Array | undefined): TaskWithPayload => ({ ...taskView(shown), ...payloadView(mediaTypeOf(shown), payload) })

/** A task for the worker that has just leased it. */
export const leasedTaskView = (shown: Shown & { readonly item: Held }, payload: Uint8Array | undefined): LeasedTask => {
  return { ...taskView(shown), lease: shown.item.lease.token, leaseUntil: instantOf(shown.item.lease.until), ...payloadView(mediaTypeOf(shown), payload) }
}

interface StoredEvent {
  readonly id: string
  readonly type: string
  readonly v: number
  readonly time: number
  readonly data: string
  readonly meta: string
  readonly stream: string
  readonly revision: number
  readonly position: string
}

type CompletedData = { readonly reply?: ReplyHead; readonly effects?: readonly Effect[] } & Readonly<Record<string, unknown>>

/** Headers of replies and bodies of effects are payloads, which go to others than those who may look at a history (rules 30). */
const completedView = ({ reply, effects, ...rest }: CompletedData): unknown => ({
  ...rest,
  ...(reply === undefined ? {} : { reply: { status: reply.status, bytes: reply.bytes, kept: reply.kept } }),
  ...(effects === undefined ? {} : { effects: effects.map((effect) => Object.keys(effect)[0]) }),
})

/** What an event says, without the lease: that is its holder's secret (surface 5). */
const dataView = ({ type, data }: StoredEvent): unknown => {
  const parsed = JSON.parse(data) as unknown
  // Erased.
  if (parsed === null) return null
  switch (type) {
    case 'Leased': {
      const { token: _secret, ...rest } = parsed as { readonly token?: string }
      return rest
    }
    case 'OperationDispatched': {
      const { lease: _secret, ...rest } = parsed as { readonly lease?: string }
      return rest
    }
    case 'Completed':
      return completedView(parsed as CompletedData)
    default:
      return parsed
  }
}

/** One fact of a history or of the event stream, without leases. */
export const eventView = (event: StoredEvent): HistoryEvent => {
  const meta = JSON.parse(event.meta) as { readonly actor?: string; readonly commandId?: string }
  return {
    id: event.id,
    position: event.position,
    revision: event.revision,
    type: event.type,
    v: event.v,
    time: instantOf(event.time),
    data: dataView(event),
    workItem: workItemOf(event.stream),
    actor: meta.actor,
    commandId: meta.commandId,
  }
}

/** Why a task that is due does not run, where that is its queue's doing: the gate opens without anything happening to the task itself. */
const QUEUE_GATES: Readonly<Record<QueueGate['gate'], string>> = {
  'queue-paused': 'It is due, but an administrator has paused its queue.',
  'queue-removed': 'It is due, but no queue file names its queue any more.',
  'not-served': 'It is due, but its queue is a push queue, and those are not served.',
  key: 'It is due, but as many tasks of its key are worked on as the queue allows.',
  rate: 'It is due, but the queue gives its tasks out no faster.',
  'no-worker': 'It is due, and no worker is waiting for the tasks of its queue.',
}

/** Why it is in the state it is in, as of `now`; `behind` is what its queue or its node holds it back by. */
export const whyView = (item: Existing, now: number, behind?: QueueGate | NodeGate): t.TypeOf<typeof why> => {
  // Its own delay counts from its last event, which the wall may have been set back behind.
  const found = whyNotRunning(item, Math.max(now, item.updatedAt))
  if (found === undefined) throw new Error('An item that exists has a gate')
  const { since, holder, directive, failure } = found
  const isHeldBack = behind !== undefined && found.gate === 'ready'
  const gate = isHeldBack ? behind.gate : found.gate
  const detail = isHeldBack ? ('detail' in behind ? behind.detail : QUEUE_GATES[behind.gate]) : found.detail
  const until = isHeldBack ? behind.until : found.until
  return { state: surfaceState(item), gate, detail, since: instantIf(since), until: instantIf(until), holder: isHeld(item) ? holderName(item) : holder?.name, directive, failure }
}
