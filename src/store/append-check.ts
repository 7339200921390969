// What every adapter checks before it takes an append: that the caller asks for something that can be stored at all, and how large it is.
import type { AppendTooLarge, EventToAppend, ExpectedRevision } from './port.ts'

/** Encoded bytes of one append, at most, in the stores that set the limit themselves (rules 13). */
export const MAX_APPEND_BYTES = 32 * 1024 * 1024

/** Bytes of an append: texts in UTF-8, payloads as they are, the stream's name once. */
export const encodedBytes = (stream: string, events: readonly EventToAppend[]): number => {
  let bytes = Buffer.byteLength(stream)
  for (const event of events) {
    bytes += Buffer.byteLength(event.id) + Buffer.byteLength(event.type) + Buffer.byteLength(event.data) + Buffer.byteLength(event.meta)
    bytes += event.payload?.byteLength ?? 0
  }
  return bytes
}

/** Throws a RangeError for an append that no correct caller makes: an empty one, numbers that are not whole, text that UTF-8 would not give back as it is. */
export const assertAppendable = (stream: string, expected: ExpectedRevision, events: readonly EventToAppend[]): void => {
  if (stream === '') throw new RangeError('An append names its stream')
  if (events.length === 0) throw new RangeError(`An append to ${stream} holds at least one event`)
  if (typeof expected === 'number' && !(Number.isSafeInteger(expected) && expected >= 0)) throw new RangeError(`No revision: ${expected}`)
  if (!stream.isWellFormed()) throw new RangeError(`A lone surrogate in the stream ${stream.toWellFormed()}`)
  for (const { id, v, time, type, data, meta } of events) {
    if (!Number.isSafeInteger(v) || !Number.isSafeInteger(time)) throw new RangeError(`Version and time of ${type} are whole numbers, not ${v} and ${time}`)
    if (!(id.isWellFormed() && type.isWellFormed() && data.isWellFormed() && meta.isWellFormed())) throw new RangeError(`A lone surrogate in an event for ${stream}`)
  }
}

export const tooLarge = (limitBytes: number): AppendTooLarge => ({ kind: 'tooLarge', limitBytes })
