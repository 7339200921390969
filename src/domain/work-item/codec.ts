// Between a work-item event and what is stored of it: its type, a version and JSON text that does not say the type again.
// Every stored event passes through here at each start, so the codec is looked up by type and its error report is made only for what is wrong.
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import { EVENT_VERSION, workItemEvents, type WorkItemEvent, type WorkItemEventType } from './events.ts'

export interface EncodedEvent {
  readonly type: string
  readonly v: number
  /** JSON text, without the type. */
  readonly data: string
}

/** An event that cannot be read is never skipped (rules 15). */
export interface UndecodableEvent {
  /** `unknown-type` and `newer-version`: a later Stint wrote it · `invalid`: it is not what any Stint writes. */
  readonly reason: 'unknown-type' | 'newer-version' | 'invalid'
  /** A sentence that names the type and, for what is invalid, where; never a stored value. */
  readonly detail: string
}

/** Turns the data of one version into the data of the next. Total for what that version's codec accepted. */
export type Upcast = (data: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>

/** For each type that has changed, the way from version 1 to 2, from 2 to 3, and so on. Versions never leave this list. */
export type Upcasts = Readonly<Partial<Record<WorkItemEventType, readonly Upcast[]>>>

export const UPCASTS: Upcasts = {}

const isKnown = (type: string): type is WorkItemEventType => Object.hasOwn(workItemEvents, type)

const isData = (data: unknown): data is Readonly<Record<string, unknown>> => typeof data === 'object' && data !== null && !Array.isArray(data)

const failure = (reason: UndecodableEvent['reason'], detail: string): E.Either<UndecodableEvent, never> => E.left({ reason, detail })

/** Where an event is wrong, as paths; its values are not shown, they may be somebody's payload. */
const wrongPaths = (errors: t.Errors): string => {
  const paths = errors.map(({ context }) =>
    context
      .map(({ key }) => key)
      .filter((key) => key !== '' && !/^\d+$/.test(key))
      .join('/'),
  )
  return [...new Set(paths)]
    .filter((path) => path !== '')
    .slice(0, 5)
    .join(', ')
}

/** A decoder that knows these changes of version. */
export const eventDecoder =
  (upcasts: Upcasts) =>
  (type: string, v: number, data: unknown): E.Either<UndecodableEvent, WorkItemEvent> => {
    if (!isKnown(type)) return failure('unknown-type', `Expected a known event type, but it is "${type.slice(0, 60)}".`)
    const steps = upcasts[type] ?? []
    const newest = steps.length + 1
    if (v > newest) return failure('newer-version', `Expected ${type} of version ${newest} at most, but it has version ${v}.`)
    if (!Number.isInteger(v) || v < 1) return failure('invalid', `Expected a version from 1, but ${type} has version ${v}.`)
    if (!isData(data)) return failure('invalid', `Expected the data of ${type} to be an object.`)
    const event: unknown = { ...(v === newest ? data : steps.slice(v - 1).reduce((older, upcast) => upcast(older), data)), type }
    // All codecs here check without changing, so the check alone decides; it is several times faster than a decode.
    const codec: t.Mixed = workItemEvents[type]
    if (codec.is(event)) return E.right(event as WorkItemEvent)
    const decoded = codec.decode(event)
    return failure('invalid', `Expected ${type} of version ${v} to be sound, but it is wrong at ${E.isLeft(decoded) ? wrongPaths(decoded.left) || 'its root' : 'its root'}.`)
  }

/**
 * The event that was stored as this type, version and (already parsed) data. Fields that the codec does not name are kept.
 * Costs about 0.2 µs for a sound event.
 */
export const decodeEvent = eventDecoder(UPCASTS)

/** How the JSON of each type of event begins, when its type stands first in it, as it does in all that are decided. */
const BEGINNINGS: ReadonlyMap<string, string> = new Map(Object.keys(workItemEvents).map((type) => [type, `{"type":${JSON.stringify(type)},`]))

/** What is stored of an event. Fields that are undefined are left out. */
export const encodeEvent = (event: WorkItemEvent): EncodedEvent => {
  const whole = JSON.stringify(event)
  const beginning = BEGINNINGS.get(event.type)
  // To cut the type off its text is cheaper than to copy all other fields.
  if (beginning !== undefined && whole.startsWith(beginning)) return { type: event.type, v: EVENT_VERSION, data: `{${whole.slice(beginning.length)}` }
  const { type, ...data } = event
  return { type, v: EVENT_VERSION, data: JSON.stringify(data) }
}
