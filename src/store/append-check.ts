// What every adapter checks before it takes a writing: that the caller asks for something that can be done at all, and how large it is.
import * as E from 'fp-ts/lib/Either.js'
import type { AppendTooLarge, EventToAppend, ExpectedRevision, PruneOptions, StoreFault } from './port.ts'
import { sequenceOf } from './position.ts'

/** Encoded bytes of one append, at most, in the stores that set the limit themselves (rules 13). */
export const MAX_APPEND_BYTES = 32 * 1024 * 1024

/** What may be under way at a time (rules 13). */
export interface InFlightLimits {
  /** 10,000. */
  readonly appends: number
  /** 64 MiB. */
  readonly bytes: number
}

export const IN_FLIGHT_LIMITS: InFlightLimits = { appends: 10_000, bytes: 64 * 1024 * 1024 }

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

/** Erased events looked at by one pruning: about 20 ms of the writer's time. */
const PRUNE_MAX = 500

/** Throws a RangeError for a pruning that would look at nothing. */
export const assertPrunable = ({ max = PRUNE_MAX }: PruneOptions): void => {
  if (!Number.isSafeInteger(max) || max < 1) throw new RangeError(`A pruning looks at one event at least, not at ${max}`)
}

/** A pruning in numbers of positions. Left `foreign-position`. */
export const pruneRange = (
  { before, after, max = PRUNE_MAX }: PruneOptions,
  incarnation: string,
): E.Either<StoreFault, { readonly before: number; readonly after: number; readonly max: number }> => {
  const [end, start] = [sequenceOf(before, incarnation), sequenceOf(after, incarnation)]
  if (E.isLeft(end)) return end
  return E.isLeft(start) ? start : E.right({ before: end.right, after: start.right, max })
}
