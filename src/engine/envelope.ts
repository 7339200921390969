// Puts events into the envelope in which they are stored: ids that a repeated command makes again, who and why in the metadata (rules 2).
import { hash } from 'node:crypto'
import { encodeEvent } from '../domain/work-item/codec.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import type { EventToAppend } from '../store/port.ts'
import type { Context } from './engine.ts'

/** What is hashed lies here, unless it is longer: a buffer for each id would cost as much as its hash. */
const SCRATCH = Buffer.alloc(4_096)
const NAMESPACE_BYTES = 16
const BYTES_A_CHARACTER_MAX = 3

/** The namespace whose bytes lie in the scratch: items of one request follow one another. */
let inScratch = ''

const nameBytes = (namespace: string, name: string): Uint8Array => {
  if (NAMESPACE_BYTES + name.length * BYTES_A_CHARACTER_MAX > SCRATCH.length) return Buffer.concat([Buffer.from(namespace.replaceAll('-', ''), 'hex'), Buffer.from(name)])
  if (namespace !== inScratch) {
    SCRATCH.write(namespace.replaceAll('-', ''), 0, 'hex')
    inScratch = namespace
  }
  return SCRATCH.subarray(0, NAMESPACE_BYTES + SCRATCH.write(name, NAMESPACE_BYTES))
}

/** The digit that carries the variant: two bits are set, the hash keeps the other two. */
const variantOf = (digit: string): string => ((Number.parseInt(digit, 16) & 0b0011) | 0b1000).toString(16)

/** RFC 9562 name-based UUID, version 5, in the namespace that a UUID spans. One-shot hashing, because this runs once for each event and each command. */
export const uuidV5 = (namespace: string, name: string): string => {
  const hex = hash('sha1', nameBytes(namespace, name), 'hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variantOf(hex.charAt(16))}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
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

const CARRIES_PAYLOAD: ReadonlySet<string> = new Set<WorkItemEvent['type']>(['TaskInserted', 'RequestAccepted', 'OperationDispatched', 'Completed'])

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
