// Puts events into the envelope in which they are stored: ids that a repeated command makes again, who and why in the metadata (rules 2).
import { hash } from 'node:crypto'
import { encodeEvent } from '../domain/work-item/codec.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import type { EventToAppend } from '../store/port.ts'
import type { Context } from './engine.ts'

/** RFC 9562 name-based UUID, version 5, in the namespace that a UUID spans. One-shot hashing, because this runs once for each event. */
export const uuidV5 = (namespace: string, name: string): string => {
  const bytes = hash('sha1', Buffer.concat([Buffer.from(namespace.replaceAll('-', ''), 'hex'), Buffer.from(name)]), 'buffer').subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The metadata as JSON text. The correlation id of a chain is its first command's id; the command is the cause of its events. */
export const encodeMeta = (context: Context, server: string): string =>
  JSON.stringify({
    actor: context.actor,
    server,
    commandId: context.commandId,
    correlationId: context.correlationId ?? context.commandId,
    causationId: context.commandId,
    ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
  })

const CARRIES_PAYLOAD: ReadonlySet<string> = new Set<WorkItemEvent['type']>(['TaskInserted', 'RequestAccepted', 'Completed'])

/** The events as the store takes them; a payload belongs to the birth or to the reply among them. */
export const toAppend = (events: readonly WorkItemEvent[], time: number, context: Context, server: string, payload?: Uint8Array): readonly EventToAppend[] => {
  const meta = encodeMeta(context, server)
  return events.map((event, index) => ({
    id: uuidV5(context.commandId, String(index)),
    ...encodeEvent(event),
    time,
    meta,
    ...(payload !== undefined && CARRIES_PAYLOAD.has(event.type) ? { payload } : {}),
  }))
}
