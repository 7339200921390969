// Everything that can happen to a work item. The codecs are the source of the types; time and order belong to the envelope, not to the fact.
import * as t from 'io-ts'

/** Milliseconds since 1970 UTC. */
const Instant = t.number
/** Milliseconds. */
const Duration = t.number

export const Holder = t.intersection([
  t.type({
    /** Subject of the principal that was given the lease. */
    subject: t.string,
    /** Name of the server or worker. */
    name: t.string,
  }),
  t.partial({
    /** Made by the SDK once per process; tells a restarted server from the one before. */
    instance: t.string,
  }),
])
export type Holder = t.TypeOf<typeof Holder>

export const Progress = t.partial({
  /** 0 to 1. */
  fraction: t.number,
  done: t.number,
  total: t.number,
  unit: t.string,
  message: t.string,
})
export type Progress = t.TypeOf<typeof Progress>

export const DirectiveName = t.keyof({ pause: null, resume: null, abort: null })
export type DirectiveName = t.TypeOf<typeof DirectiveName>

export const Resolution = t.keyof({ obeyed: null, refused: null, overtaken: null })
export type Resolution = t.TypeOf<typeof Resolution>

/** How an attempt ended, in the one form of surface 6. */
export const Outcome = t.union([
  t.type({ completed: t.partial({ result: t.unknown, partial: t.boolean }) }),
  t.type({ failed: t.intersection([t.type({ code: t.string, message: t.string }), t.partial({ retry: t.boolean, detail: t.unknown })]) }),
  t.type({ aborted: t.intersection([t.type({ reason: t.string }), t.partial({ partial: t.unknown })]) }),
])
export type Outcome = t.TypeOf<typeof Outcome>

/** What an ending says about the lease it came from, so that a repeat can be told from a change of mind. */
const Ending = t.partial({
  /** Number of the lease whose holder said so; absent when the engine or an administrator ended it. */
  lease: t.number,
  /** SHA-256 of the outcome in canonical JSON. */
  digest: t.string,
})

const event = <Type extends string, Data extends t.Mixed>(type: Type, data: Data) => t.intersection([t.type({ type: t.literal(type) }), data])

/** The registry: one codec for each type, looked up by name, never tried one after another. */
export const workItemEvents = {
  JobRegistered: event(
    'JobRegistered',
    t.intersection([
      t.type({ service: t.string, server: t.string, by: t.string, digest: t.string, reportEveryMs: Duration, silenceMs: Duration, lostAfterMs: Duration }),
      t.partial({ label: t.string, attributes: t.UnknownRecord, expectedMs: Duration }),
    ]),
  ),
  TaskInserted: event(
    'TaskInserted',
    t.intersection([
      t.type({ app: t.string, queue: t.string, by: t.string, digest: t.string, dueAt: Instant, mediaType: t.string }),
      t.partial({ tag: t.string, priority: t.number, key: t.string, /** Of the payload. */ bytes: t.number }),
    ]),
  ),
  Leased: event(
    'Leased',
    t.intersection([
      t.type({ lease: t.number, token: t.string, holder: Holder, termMs: Duration, until: Instant }),
      t.partial({
        /** Named by the lease call, so that its repeat finds what it was given (rules 27). */
        requestId: t.string,
      }),
    ]),
  ),
  LeaseExtended: event('LeaseExtended', t.type({ lease: t.number, until: Instant })),
  LeaseReleased: event('LeaseReleased', t.intersection([t.type({ lease: t.number, counted: t.boolean, dueAt: Instant }), t.partial({ reason: t.string, busy: t.boolean })])),
  LeaseExpired: event('LeaseExpired', t.type({ lease: t.number })),
  HolderLost: event('HolderLost', t.type({ lease: t.number, lastSeenAt: Instant })),
  HolderFound: event('HolderFound', t.type({ lease: t.number })),
  PhaseEntered: event('PhaseEntered', t.type({ phase: t.string })),
  ProgressReported: event('ProgressReported', t.type({ progress: Progress })),
  Paused: event('Paused', t.type({})),
  Resumed: event('Resumed', t.type({})),
  DirectiveGiven: event(
    'DirectiveGiven',
    t.intersection([t.type({ number: t.number, directive: DirectiveName, by: t.string, commandId: t.string }), t.partial({ reason: t.string })]),
  ),
  DirectiveSeen: event('DirectiveSeen', t.type({ number: t.number })),
  DirectiveEnded: event('DirectiveEnded', t.intersection([t.type({ number: t.number, resolution: Resolution }), t.partial({ reason: t.string })])),
  RetryScheduled: event('RetryScheduled', t.intersection([t.type({ lease: t.number, dueAt: Instant, code: t.string, message: t.string }), t.partial({ digest: t.string })])),
  DeadLettered: event('DeadLettered', t.intersection([t.type({ code: t.string, message: t.string }), Ending])),
  Redriven: event('Redriven', t.type({ by: t.string, dueAt: Instant })),
  Completed: event('Completed', t.intersection([t.partial({ result: t.unknown, partial: t.boolean }), Ending])),
  Failed: event('Failed', t.intersection([t.type({ code: t.string, message: t.string }), t.partial({ detail: t.unknown }), Ending])),
  Aborted: event('Aborted', t.intersection([t.type({ reason: t.string }), t.partial({ partial: t.unknown }), Ending])),
  Cancelled: event('Cancelled', t.intersection([t.type({ by: t.string }), t.partial({ reason: t.string })])),
  LateResultRecorded: event('LateResultRecorded', t.type({ lease: t.number, outcome: Outcome, digest: t.string })),
} as const

export type WorkItemEventType = keyof typeof workItemEvents
export type EventOfType<Type extends WorkItemEventType> = t.TypeOf<(typeof workItemEvents)[Type]>
export type WorkItemEvent = { [Type in WorkItemEventType]: EventOfType<Type> }[WorkItemEventType]

/** Version that is written now, for each type (rules 15). A type that changes gets an upcast from each older one. */
export const EVENT_VERSION = 1

/** After one of these nothing changes but what `late` allows (rules 22). */
export const SETTLING: ReadonlySet<string> = new Set<WorkItemEventType>(['Completed', 'Failed', 'Aborted', 'Cancelled'])

/**
 * Whether an event of this type takes the place of everything before it in its stream, which was erased with it (rules 26): what is known of the item begins
 * anew there, and `evolve` makes the same of it whatever the item was.
 */
export const isTombstone = (_event: { readonly type: string }): boolean => false
