// Everything that can happen to a work item. The codecs are the source of the types; time and order belong to the envelope, not to the fact.
import * as t from 'io-ts'
import { Kind } from '../ids.ts'

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

/** How long a reply is kept, and who lets it go (spec C 6). */
export const ReleasePolicy = t.keyof({ 'none-required': null, encouraged: null, required: null })
export type ReleasePolicy = t.TypeOf<typeof ReleasePolicy>

/** `retainMs`: how long after settlement the reply is kept; none: until its caller, or an administrator, releases it. */
export const Release = t.intersection([t.type({ policy: ReleasePolicy }), t.partial({ retainMs: Duration })])
export type Release = t.TypeOf<typeof Release>

/** `workers` lease it from its contract; `middleware` runs it in the process that took the call. */
export const Runs = t.keyof({ workers: null, middleware: null })
export type Runs = t.TypeOf<typeof Runs>

/** Which time was over: that of the whole, or that without progress. */
export const TimeoutCause = t.keyof({ total: null, stalled: null })
export type TimeoutCause = t.TypeOf<typeof TimeoutCause>

export const OnInterrupted = t.keyof({ retry: null, fail: null })
/** What becomes of a request whose execution broke off: it is run again, or it fails as `interrupted`. */
export type OnInterrupted = t.TypeOf<typeof OnInterrupted>

/** A reply without its body, which is the payload of the event. */
export const ReplyHead = t.intersection([
  t.type({
    status: t.number,
    /** In the order in which they were set; a name may come more than once. */
    headers: t.array(t.tuple([t.string, t.string])),
    /** Of the body. */
    bytes: t.number,
    /** False: the body was over the limit and is not stored. */
    kept: t.boolean,
  }),
  t.partial({
    /** SHA-256 of a body that is not kept, where its end was seen. */
    bodyDigest: t.string,
  }),
])
export type ReplyHead = t.TypeOf<typeof ReplyHead>

/** What a reply brings about in Stint itself, carried out once after the commit (rules 23). Bodies in base64. */
export const Effect = t.union([
  t.type({
    task: t.intersection([
      t.type({ app: t.string, queue: t.string, mediaType: t.string, bodyBase64: t.string }),
      t.partial({ id: t.string, tag: t.string, priority: t.number, key: t.string, delayMs: Duration }),
    ]),
  }),
  /** Whoever named no media type is fingerprinted as a call without one. */
  t.type({ request: t.intersection([t.type({ contract: t.string, bodyBase64: t.string }), t.partial({ id: t.string, mediaType: t.string })]) }),
  t.type({ directive: t.intersection([t.type({ workItem: t.string, directive: DirectiveName }), t.partial({ reason: t.string })]) }),
  t.type({ callback: t.type({ url: t.string, mediaType: t.string, bodyBase64: t.string }) }),
])
export type Effect = t.TypeOf<typeof Effect>

/** Which one of an outbox: an effect by its place in the reply, or the outcome itself, which goes to the callback of its request or to the management node. */
export const OutboxEntry = t.union([t.number, t.literal('reply')])
export type OutboxEntry = t.TypeOf<typeof OutboxEntry>

export const CarriedOut = t.intersection([
  t.type({ entry: OutboxEntry, outcome: t.keyof({ done: null, refused: null, 'given-up': null }) }),
  t.partial({ code: t.string, /** How often it was tried, where it took more than one. */ attempts: t.number }),
])
export type CarriedOut = t.TypeOf<typeof CarriedOut>

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
  RequestAccepted: event(
    'RequestAccepted',
    t.intersection([
      t.type({
        contract: t.string,
        caller: t.string,
        by: t.string,
        /** The fingerprint: SHA-256 of what makes two requests the same. */
        digest: t.string,
        mediaType: t.string,
        runs: Runs,
        release: Release,
        onInterrupted: OnInterrupted,
        /** A request of middleware that no duplicate came for in this time after it broke off fails as `interrupted`. */
        interruptedAfterMs: Duration,
        /** Of the body. */
        bytes: t.number,
        dueAt: Instant,
      }),
      t.partial({ attemptsMax: t.number, method: t.string, path: t.string, callback: t.string }),
    ]),
  ),
  OperationDispatched: event(
    'OperationDispatched',
    t.intersection([
      t.type({
        /** Name of the operation's class. */
        operation: t.string,
        /** The implementation node that is to run it. */
        node: t.string,
        by: t.string,
        digest: t.string,
        /** Of lease 1, made before it is sent so that it travels with it: whoever took it can prove it, even if its answer was lost. */
        lease: t.string,
        /** The arguments are the payload. */
        mediaType: t.string,
        /** Its node reports at this interval. */
        progressEveryMs: Duration,
      }),
      t.partial({
        /** From its birth on. None on the node, where whoever gave it out keeps the time. */
        timeoutMs: Duration,
        /** Without progress. */
        stalledAfterMs: Duration,
        /** In the log of an implementation node: the management node that is told of it, until it has acknowledged the end. */
        reportTo: t.string,
        /** On the node: what becomes of it when the node starts again while it runs. */
        onRestart: t.keyof({ resume: null, fail: null }),
      }),
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
  Completed: event('Completed', t.intersection([t.partial({ result: t.unknown, partial: t.boolean, reply: ReplyHead, effects: t.array(Effect) }), Ending])),
  Failed: event('Failed', t.intersection([t.type({ code: t.string, message: t.string }), t.partial({ detail: t.unknown }), Ending])),
  Aborted: event('Aborted', t.intersection([t.type({ reason: t.string }), t.partial({ partial: t.unknown }), Ending])),
  Cancelled: event('Cancelled', t.intersection([t.type({ by: t.string }), t.partial({ reason: t.string })])),
  TimedOut: event('TimedOut', t.type({ cause: TimeoutCause })),
  LateResultRecorded: event('LateResultRecorded', t.type({ lease: t.number, outcome: Outcome, digest: t.string })),
  EffectsCarriedOut: event('EffectsCarriedOut', t.type({ effects: t.array(CarriedOut) })),
  /** From now on a duplicate is answered that the reply is gone, and never run again. */
  ReplyReleased: event('ReplyReleased', t.type({ how: t.keyof({ client: null, time: null, force: null }), by: t.string })),
  /** The tombstone: all that is left of an item whose data was erased, so it says by itself what the item was (rules 26). */
  Erased: event(
    'Erased',
    t.intersection([
      t.type({
        kind: Kind,
        by: t.string,
        digest: t.string,
        end: t.keyof({ completed: null, failed: null, aborted: null, cancelled: null, timedOut: null }),
        createdAt: Instant,
        settledAt: Instant,
        eraser: t.string,
      }),
      t.partial({ reason: t.string }),
    ]),
  ),
} as const

export type WorkItemEventType = keyof typeof workItemEvents
export type EventOfType<Type extends WorkItemEventType> = t.TypeOf<(typeof workItemEvents)[Type]>
export type WorkItemEvent = { [Type in WorkItemEventType]: EventOfType<Type> }[WorkItemEventType]

/** Version that is written now, for each type (rules 15). A type that changes gets an upcast from each older one. */
export const EVENT_VERSION = 1

/** After one of these nothing changes but what `late` allows (rules 22). */
export const SETTLING: ReadonlySet<string> = new Set<WorkItemEventType>(['Completed', 'Failed', 'Aborted', 'Cancelled', 'TimedOut'])

/** Type of the event that is left of an erased work item. */
export const TOMBSTONE = 'Erased' satisfies WorkItemEventType

/**
 * Whether an event of this type takes the place of everything before it in its stream, which was erased with it (rules 26): what is known of the item begins
 * anew there, and `evolve` makes the same of it whatever the item was.
 */
export const isTombstone = ({ type }: { readonly type: string }): boolean => type === TOMBSTONE
