// How an event lies in EventStoreDB. The JSON of an event is the data of the stored event, byte for byte, and marked as JSON where there is no payload, so
// that the server's projections and its pages can read it. A payload follows the JSON in the data as it is: base64 would make it a third larger, against
// a limit of 1 MiB, and take ten times as long to write and three times as long to read. All else is in the metadata, as JSON whose last field is `meta` as it was given.
import { StoreFault, type EventToAppend, type Position } from '../port.ts'

/** An event as the wire takes it and gives it back. */
export interface StoredForm {
  readonly type: string
  readonly isJson: boolean
  readonly data: Uint8Array
  readonly metadata: Uint8Array
}

const text = new TextDecoder('utf-8', { fatal: true })

/** A plain array: the protocol's writer tells arrays by their constructor, and a Buffer has another. */
const plain = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)

/** What the server's projections look for, where the event says it (`$by_correlation_id`). */
const correlationOf = (meta: string): string => {
  let parsed: unknown
  try {
    parsed = JSON.parse(meta)
  } catch {
    // Whoever reads the event will say so; here it only has no correlation.
    return ''
  }
  const { correlationId, causationId } = (parsed ?? {}) as { readonly correlationId?: unknown; readonly causationId?: unknown }
  return (
    (typeof correlationId === 'string' ? `"$correlationId":${JSON.stringify(correlationId)},` : '') +
    (typeof causationId === 'string' ? `"$causationId":${JSON.stringify(causationId)},` : '')
  )
}

/** Ends what is before `meta`. A quotation mark within a JSON text is escaped, so it cannot be found any earlier. */
const META = ',"meta":'

export const encodeEvent = ({ id, type, v, time, data, meta, payload }: EventToAppend): StoredForm => {
  const json = Buffer.from(data)
  const size = payload === undefined ? '' : `,"payload":${payload.byteLength}`
  const metadata = Buffer.from(`{${correlationOf(meta)}"id":${JSON.stringify(id)},"v":${v},"time":${time}${size}${META}${meta}}`)
  return { type, isJson: payload === undefined, data: plain(payload === undefined ? json : Buffer.concat([json, payload])), metadata: plain(metadata) }
}

/** Bytes that the server counts against its limit for an append. Some versions count less. */
export const sizeOnServer = ({ type, data, metadata }: StoredForm): number => data.byteLength + metadata.byteLength + 2 * type.length

interface Head {
  readonly id: string
  readonly v: number
  readonly time: number
  readonly payload?: number
}

const isHead = (value: unknown): value is Head => {
  const { id, v, time, payload } = (value ?? {}) as Record<string, unknown>
  return typeof id === 'string' && Number.isSafeInteger(v) && Number.isSafeInteger(time) && (payload === undefined || Number.isSafeInteger(payload))
}

/** The event again. Throws a StoreFault `damaged` for what no Stint has written. */
export const decodeEvent = (stored: StoredForm, stream: string, position: Position): EventToAppend => {
  const strange = (cause?: unknown): StoreFault =>
    new StoreFault('damaged', `The event ${stored.type} at ${position} in the stream ${stream} was not written by Stint; no other program may write to its streams`, { cause })
  let head: unknown
  let meta: string
  let json: string
  try {
    const metadata = text.decode(stored.metadata)
    const end = metadata.indexOf(META)
    if (end === -1) throw new SyntaxError('No meta in the metadata')
    head = JSON.parse(`${metadata.slice(0, end)}}`)
    meta = metadata.slice(end + META.length, -1)
    const size = isHead(head) ? (head.payload ?? 0) : 0
    json = text.decode(stored.data.subarray(0, stored.data.byteLength - size))
  } catch (cause) {
    throw strange(cause)
  }
  if (!isHead(head)) throw strange()
  const event = { id: head.id, type: stored.type, v: head.v, time: head.time, data: json, meta }
  // A copy of its own: what is read lies in a message of many bytes.
  return head.payload === undefined ? event : { ...event, payload: stored.data.slice(stored.data.byteLength - head.payload) }
}
