// What callers are shown: rows, leases and events in the JSON of the surface. Signs of life are laid over what is recorded; leases go to their holder only.
import type { Presence } from '../engine/engine.ts'
import type { Ending, ItemRow } from '../projections/tables.ts'
import type { HistoryEvent, Receipt } from '../wire/items.ts'
import type { JobProxy } from '../wire/jobs.ts'
import type { LeasedTask, Task } from '../wire/tasks.ts'
import type { shownOutcome, why } from '../wire/items.ts'
import { isHeld, parseWorkItemId, surfaceState, whyNotRunning, workItemOf, type Existing, type GivenReceipt, type Held, type SaidOutcome } from '../wire/words.ts'
import type * as t from 'io-ts'

type ShownOutcome = t.TypeOf<typeof shownOutcome>

/** RFC 3339, UTC, with milliseconds. */
export const instantOf = (ms: number): string => new Date(ms).toISOString()
const instantIf = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : instantOf(ms))
const secondsIf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

/** The caller's name for the item in its collection. */
export const nameOf = (workItem: string): string => {
  const parsed = parseWorkItemId(workItem)
  return parsed._tag === 'Right' ? parsed.right.id : workItem
}

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

const commonView = ({ workItem, item, position, ending, late, presence }: Shown) => ({
  id: nameOf(workItem),
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
  holder: isHeld(item) ? { name: item.lease.holder.name, lastSeenAt: instantIf(presence?.lastSeenAt ?? item.lastSeenAt) } : undefined,
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
  const { app, queue, tag, priority, key, dueAt } = task
  return { ...commonView(shown), app, queue, tag, priority, key, dueAt: instantOf(dueAt), deadLetter: shown.item.status === 'deadLetter' ? true : undefined }
}

export const itemView = (shown: Shown): JobProxy | Task => (shown.item.kind === 'job' ? jobView(shown) : taskView(shown))

/** The lease, for its holder and nobody else. */
export const leaseView = (item: Existing): { lease: string; leaseUntil: string } | undefined =>
  isHeld(item) ? { lease: item.lease.token, leaseUntil: instantOf(item.lease.until) } : undefined

const JSON_MEDIA_TYPE = /^application\/(?:[\w.-]+\+)?json\b/i
export const isJsonMediaType = (mediaType: string): boolean => JSON_MEDIA_TYPE.test(mediaType)

/** Bytes as they were inserted: JSON as JSON, everything else in base64. */
const payloadView = (mediaType: string, payload: Uint8Array | undefined): Pick<LeasedTask, 'payload' | 'payloadBase64' | 'mediaType'> => {
  if (payload === undefined) return {}
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  return isJsonMediaType(mediaType) ? { payload: JSON.parse(bytes.toString('utf8')) as unknown, mediaType } : { payloadBase64: bytes.toString('base64'), mediaType }
}

/** A task for the worker that has just leased it. */
export const leasedTaskView = (shown: Shown & { readonly item: Held }, payload: Uint8Array | undefined): LeasedTask => {
  const { deadLetter: _never, ...task } = taskView(shown)
  const mediaType = shown.birth?.type === 'TaskInserted' ? shown.birth.mediaType : 'application/octet-stream'
  return { ...task, lease: shown.item.lease.token, leaseUntil: instantOf(shown.item.lease.until), ...payloadView(mediaType, payload) }
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

/** What an event says, without the lease: that is its holder's secret (surface 5). */
const dataView = ({ type, data }: StoredEvent): unknown => {
  const parsed = JSON.parse(data) as unknown
  if (type !== 'Leased') return parsed
  const { token: _secret, ...rest } = parsed as { readonly token?: string }
  return rest
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

/** Why it is in the state it is in, as of `now`. */
export const whyView = (item: Existing, now: number): t.TypeOf<typeof why> => {
  const found = whyNotRunning(item, now)
  if (found === undefined) throw new Error('An item that exists has a gate')
  const { gate, detail, since, until, holder, directive, failure } = found
  return { state: surfaceState(item), gate, detail, since: instantIf(since), until: instantIf(until), holder: holder?.name, directive, failure }
}
