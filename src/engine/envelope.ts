// Puts events into the envelope in which they are stored: ids that a repeated command makes again, who and why in the metadata (rules 2).
import { hash } from 'node:crypto'
import { encodeEvent } from '../domain/work-item/codec.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import type { EventToAppend } from '../store/port.ts'
import type { Context } from './command.ts'

/** What is hashed lies here, unless it is longer: a buffer for each id would cost as much as its hash. */
const SCRATCH = Buffer.alloc(4_096)
const NAMESPACE_BYTES = 16
const BYTES_A_CHARACTER_MAX = 3
const ASCII_MAX = 0x7f
const HYPHEN = 0x2d

/** The namespace whose bytes lie in the scratch: items of one request follow one another. */
let inScratch = ''

/** What a hexadecimal digit is worth: those that are letters have the bit of 64. */
const digit = (code: number): number => (code & 0x0f) + (code >> 6) * 9

const putNamespace = (namespace: string): void => {
  if (namespace === inScratch) return
  let at = 0
  for (let read = 0; at < NAMESPACE_BYTES; read += 2) {
    if (namespace.charCodeAt(read) === HYPHEN) read += 1
    SCRATCH[at++] = (digit(namespace.charCodeAt(read)) << 4) | digit(namespace.charCodeAt(read + 1))
  }
  inScratch = namespace
}

/** Where the name ends in the scratch. Most are short and plain, and for those a call out of JavaScript costs more than they do. */
const putName = (name: string): number => {
  let at = NAMESPACE_BYTES
  for (let read = 0; read < name.length; read += 1) {
    const code = name.charCodeAt(read)
    if (code > ASCII_MAX) return NAMESPACE_BYTES + SCRATCH.write(name, NAMESPACE_BYTES)
    SCRATCH[at++] = code
  }
  return at
}

const nameBytes = (namespace: string, name: string): Uint8Array => {
  if (NAMESPACE_BYTES + name.length * BYTES_A_CHARACTER_MAX > SCRATCH.length) return Buffer.concat([Buffer.from(namespace.replaceAll('-', ''), 'hex'), Buffer.from(name)])
  putNamespace(namespace)
  return SCRATCH.subarray(0, putName(name))
}

/** The digit that carries the variant: two bits are set, the hash keeps the other two. */
const variantOf = (code: number): string => '89ab'.charAt(digit(code) & 0b0011)

/** RFC 9562 name-based UUID, version 5, in the namespace that a UUID spans. One-shot hashing, because this runs once for each event and each command. */
export const uuidV5 = (namespace: string, name: string): string => {
  const hex = hash('sha1', nameBytes(namespace, name), 'hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variantOf(hex.charCodeAt(16))}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** How the metadata of an actor's events begins, for the one that was asked for last. */
let begun = { actor: '', server: '', text: '' }

const metaBegin = (actor: string, server: string): string => {
  if (begun.text === '' || begun.actor !== actor || begun.server !== server)
    begun = { actor, server, text: `{"actor":${JSON.stringify(actor)},"server":${JSON.stringify(server)},"commandId":"` }
  return begun.text
}

const UUID = /^[0-9a-f-]{36}$/

/** The metadata as JSON text. The correlation id of a chain is its first command's id; the command is the cause of its events. */
export const encodeMeta = (context: Context, server: string): string => {
  const { actor, commandId, correlationId, traceparent } = context
  // Written by hand, as nearly all are: in most appends this text is longer than the event.
  if (correlationId === undefined && traceparent === undefined && UUID.test(commandId))
    return `${metaBegin(actor, server)}${commandId}","correlationId":"${commandId}","causationId":"${commandId}"}`
  return JSON.stringify({ actor, server, commandId, correlationId: correlationId ?? commandId, causationId: commandId, traceparent })
}

const CARRIES_PAYLOAD: ReadonlySet<string> = new Set<WorkItemEvent['type']>(['TaskInserted', 'RequestAccepted', 'OperationDispatched', 'Completed'])

/** The events as the store takes them; a payload belongs to the birth or to the reply among them. */
export const toAppend = (events: readonly WorkItemEvent[], time: number, context: Context, server: string, payload?: Uint8Array): readonly EventToAppend[] => {
  const meta = encodeMeta(context, server)
  return events.map((event, index) => {
    const { type, v, data } = encodeEvent(event)
    const id = uuidV5(context.commandId, String(index))
    return payload !== undefined && CARRIES_PAYLOAD.has(type) ? { id, type, v, data, time, meta, payload } : { id, type, v, data, time, meta }
  })
}
