// Everything that can happen to a queue itself: what its file says, whether it rests, and what is done to many of its tasks at once.
import * as t from 'io-ts'
import { QueueConfig } from './config.ts'

export const BulkKind = t.keyof({ purge: null, redrive: null })
/** `purge` cancels what waits; `redrive` gives dead letters another life. */
export type BulkKind = t.TypeOf<typeof BulkKind>

export const BulkFilter = t.partial({
  /** Only tasks with this tag. */
  tag: t.string,
  /** Only tasks with this concurrency key. */
  key: t.string,
  /** Only dead letters that ended with this code. */
  code: t.string,
  /** Only tasks inserted before this time, milliseconds since 1970 UTC. */
  insertedBefore: t.number,
})
/** Which tasks a bulk is about; all fields must fit, and no field at all means every task. */
export type BulkFilter = t.TypeOf<typeof BulkFilter>

const event = <Type extends string, Data extends t.Mixed>(type: Type, data: Data) => t.intersection([t.type({ type: t.literal(type) }), data])

const Digest = t.string

/** The registry: one codec for each type, looked up by name. */
export const queueEvents = {
  /** `digest` is that of the config. */
  QueueConfigured: event('QueueConfigured', t.type({ config: QueueConfig, digest: Digest, by: t.string })),
  /** `digest` is that of the app's queues without this one, so that the file which removed it can be told again. */
  QueueRemoved: event('QueueRemoved', t.type({ digest: Digest, by: t.string })),
  QueuePaused: event('QueuePaused', t.intersection([t.type({ by: t.string }), t.partial({ reason: t.string })])),
  QueueResumed: event('QueueResumed', t.type({ by: t.string })),
  /** `upTo` is the position in the log up to which tasks are meant: what is inserted later is not touched. */
  BulkStarted: event('BulkStarted', t.type({ id: t.string, what: BulkKind, filter: BulkFilter, upTo: t.string, by: t.string })),
  /** `skipped` are the tasks that had changed meanwhile. */
  BulkFinished: event('BulkFinished', t.type({ id: t.string, done: t.number, skipped: t.number })),
} as const

export type QueueEventType = keyof typeof queueEvents
export type QueueEventOfType<Type extends QueueEventType> = t.TypeOf<(typeof queueEvents)[Type]>
export type QueueEvent = { [Type in QueueEventType]: QueueEventOfType<Type> }[QueueEventType]

/** Version that is written now, for each type (rules 15). */
export const QUEUE_EVENT_VERSION = 1
