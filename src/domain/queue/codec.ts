// Between an event of a queue and what is stored of it: its type, a version and JSON text that does not say the type again.
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import type { EncodedEvent, UndecodableEvent } from '../work-item/codec.ts'
import { QUEUE_EVENT_VERSION, queueEvents, type QueueEvent, type QueueEventType } from './events.ts'

const isKnown = (type: string): type is QueueEventType => Object.hasOwn(queueEvents, type)

const isData = (data: unknown): data is Readonly<Record<string, unknown>> => typeof data === 'object' && data !== null && !Array.isArray(data)

const failure = (reason: UndecodableEvent['reason'], detail: string): E.Either<UndecodableEvent, never> => E.left({ reason, detail })

/** What is stored of an event. Fields that are undefined are left out. */
export const encodeQueueEvent = (event: QueueEvent): EncodedEvent => {
  const { type, ...data } = event
  return { type, v: QUEUE_EVENT_VERSION, data: JSON.stringify(data) }
}

/** The event that was stored as this type, version and (already parsed) data. Fields that the codec does not name are kept. */
export const decodeQueueEvent = (type: string, v: number, data: unknown): E.Either<UndecodableEvent, QueueEvent> => {
  if (!isKnown(type)) return failure('unknown-type', `Expected a known event of a queue, but it is "${type.slice(0, 60)}".`)
  if (v > QUEUE_EVENT_VERSION) return failure('newer-version', `Expected ${type} of version ${QUEUE_EVENT_VERSION} at most, but it has version ${v}.`)
  if (v !== QUEUE_EVENT_VERSION) return failure('invalid', `Expected a version from 1, but ${type} has version ${v}.`)
  if (!isData(data)) return failure('invalid', `Expected the data of ${type} to be an object.`)
  const event: unknown = { ...data, type }
  const codec: t.Mixed = queueEvents[type]
  return codec.is(event) ? E.right(event as QueueEvent) : failure('invalid', `Expected ${type} of version ${v} to be sound, but it is not.`)
}
