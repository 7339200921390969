// What Stint asks of an event log, and nothing more. Every adapter means the same by it: test/contract holds them to it.
import type * as TE from 'fp-ts/lib/TaskEither.js'

/** Opaque outside the adapters: `<incarnation>.<zero-padded>`. Within one incarnation, string order is log order (rules 3). */
export type Position = string

/** `any`: no check · `noStream`: the stream has no event · a number: the revision of the stream's last event. */
export type ExpectedRevision = 'any' | 'noStream' | number

/**
 * What the data of an erased event reads as: a JSON text that no event can have, as the data of every event is a JSON object.
 * Its payload is gone; its id, type, version, time and meta stay.
 */
export const ERASED_DATA = 'null'

/** An event ready to be stored: already encoded, so that no adapter can fail on what it holds. Not to be changed while it is being appended. */
export interface EventToAppend {
  /** UUIDv5 of command id and index (rules 2). */
  readonly id: string
  readonly type: string
  /** A whole number. */
  readonly v: number
  /** Whole milliseconds since 1970 UTC. */
  readonly time: number
  /** JSON text of an object; `ERASED_DATA` once it is erased. */
  readonly data: string
  /** JSON text: actor, server, commandId, correlationId, causationId, traceparent. */
  readonly meta: string
  /** Raw bytes that belong to the event but not to its JSON: payloads and replies. None is not the same as an empty one. */
  readonly payload?: Uint8Array
}

export interface RecordedEvent extends EventToAppend {
  readonly stream: string
  /** From 0, given out without gaps; where events were pruned, some are missing before the stream's last event. */
  readonly revision: number
  readonly position: Position
}

export interface Appended {
  /** Revision of the last event written. */
  readonly revision: number
  /** Position of the last event written. */
  readonly position: Position
}

export interface Erasure extends Appended {
  /** Events that it erased: those before the tombstone that were not erased yet. */
  readonly erased: number
}

export interface PruneOptions {
  /** Pruned are erased events whose tombstone lies before this position: whoever has read that far has seen the tombstone while they were there. */
  readonly before: Position
  /** Where the call before left off; the start of the log. */
  readonly after?: Position
  /** Erased events looked at, at most (500): the writer is held up for no longer than that takes. */
  readonly max?: number
}

export interface Pruned {
  /** Rows deleted. */
  readonly pruned: number
  /** There may be more to prune after this position; nothing is left when it is not there. */
  readonly next?: Position
}

export interface TruncateOptions {
  /** Type of the tombstones. */
  readonly tombstone: string
  /** Tombstones before this position, and the one there, count. */
  readonly before: Position
  /** Where the call before left off; where the store has come to, whoever asked. */
  readonly after?: Position
  /** Tombstones looked at, at most (100). */
  readonly max?: number
}

export interface Truncated {
  /** Events that no stream shows any more. */
  readonly truncated: number
  /** There may be more to truncate after this position; nothing is left when it is not there. */
  readonly next?: Position
}

/** The stream is not where the caller believed; nothing of this append was stored. */
export interface RevisionConflict {
  readonly kind: 'conflict'
  /** Revision of the stream's last event, -1 if it has none. */
  readonly actual: number
}

/** The append is larger than `capabilities.maxAppendBytes`; nothing was stored. */
export interface AppendTooLarge {
  readonly kind: 'tooLarge'
  readonly limitBytes: number
}

/**
 * The world failed.
 * `unknown-outcome`: the append may or may not be stored; only a restart tells (rules 9) ·
 * `unavailable`: nothing was stored, and nothing will be until the cause is gone ·
 * `overloaded`: nothing was stored, try again later ·
 * `damaged`: what was read cannot be what was written ·
 * `foreign-position`: the position given is none of this log's; ask `foreignPosition` first where it comes from a caller.
 */
export class StoreFault extends Error {
  readonly kind: 'unknown-outcome' | 'unavailable' | 'overloaded' | 'damaged' | 'foreign-position'
  /** What whoever asked may be told of it, a sentence; the message is for who runs the server. */
  readonly told: string | undefined
  constructor(kind: StoreFault['kind'], message: string, options?: { cause?: unknown; told?: string }) {
    super(message, options)
    this.name = 'StoreFault'
    this.kind = kind
    this.told = options?.told
  }
}

export type AppendFailure = RevisionConflict | AppendTooLarge | StoreFault

export interface Capabilities {
  /**
   * Positions are given out one by one, so the difference of two says how many events were written between them. Where events were pruned fewer
   * are left to read: then it is the most that there can be.
   */
  readonly densePositions: boolean
  /** One digest chain over the whole log. */
  readonly globalChain: boolean
  /** An event's data can be nulled, its row and digest kept (rules 26). */
  readonly erase: boolean
  /** Rows of erased events can be deleted, and what is left can still be proved (rules 26). Comes with `erase`. */
  readonly prune: boolean
  /**
   * Streams can be truncated before their tombstones: nobody who reads the stream is shown anything before it any more. Who reads the whole log may be, and the disk may keep it, until
   * the store is cleaned by means of its own.
   */
  readonly truncate: boolean
  /** Acknowledged appends survive the process and the machine. */
  readonly durable: boolean
  /** Others append to this log too: what is known of it may be behind it, and has to be followed. Without it whoever opened the log is the only one who writes. */
  readonly shared: boolean
  /** Encoded bytes of one append, at most: texts in UTF-8 and payloads, the stream's name counted once (rules 13). */
  readonly maxAppendBytes: number
}

/** Why the log cannot be used for now. */
export interface Trouble {
  /** A sentence. */
  readonly reason: string
  /** It has lasted for longer than callers are kept waiting, or is none that passes: what is asked is refused at once. */
  readonly isRefusing: boolean
}

/** Whether a log can be used at the moment: it may be kept by another process, or on a disk that is full. */
export interface Reach {
  /** Undefined: it can be used, as far as is known. */
  readonly trouble: () => Trouble | undefined
  /** By how much the wall clock of this machine is ahead of the store's at least, in milliseconds; negative where it is behind; 0 where nothing is known. Undefined: both have the same. */
  readonly clockOffMs?: () => number
  /** Calls `listener` whenever trouble begins, grows worse or is over, and when a clock is set. */
  readonly onChange: (listener: () => void) => void
}

/** What identifies a log and where it ends. */
export interface Head {
  readonly storeId: string
  readonly incarnation: string
  /** Position of the last event; of an empty log, the position before the first. */
  readonly position: Position
  /** Digest of the chain at that position, lower-case hex; of an empty log, the digest that the chain starts from; empty where the store keeps none. */
  readonly digest: string
}

export type Subscribed = { readonly type: 'event'; readonly event: RecordedEvent } | { readonly type: 'caughtUp'; readonly position: Position }

export interface EventReader {
  /** Events of one stream in order, from revision `from` (0) or the next that is left, at most `max` (1,000). An unknown stream has none. */
  readonly readStream: (stream: string, options?: { from?: number; max?: number }) => TE.TaskEither<StoreFault, readonly RecordedEvent[]>
  /** Events of the whole log in order, after a position (from the start), at most `max` (1,000). After a position beyond the end there are none. */
  readonly readAll: (options?: { after?: Position; max?: number }) => TE.TaskEither<StoreFault, readonly RecordedEvent[]>
  readonly head: () => TE.TaskEither<StoreFault, Head>
}

export interface EventStore extends EventReader {
  readonly capabilities: Capabilities
  /** Not there where the log fails for good or not at all. */
  readonly reach?: Reach
  /** The first event of each of these streams, in their order, as of one moment; undefined where there is none. Costs a fifth of as many `readStream`. */
  readonly readFirst: (streams: readonly string[]) => TE.TaskEither<StoreFault, readonly (RecordedEvent | undefined)[]>
  /**
   * Appends to one stream, all events or none. Resolves after the events are durable, where the store is.
   * Appends that are sent one after another are decided in that order; appends to one stream take positions in that order.
   * Size is checked first, then the revision. No event at all, or numbers that are not whole, are a defect and throw.
   */
  readonly append: (stream: string, expected: ExpectedRevision, events: readonly EventToAppend[]) => TE.TaskEither<AppendFailure, Appended>
  /**
   * Everything after a position, for ever, in order; `caughtUp` each time the end is reached. Pulled, so a slow reader holds up nobody.
   * Ends quietly when `signal` aborts; throws StoreFault, `unavailable` when the store is closed under it.
   */
  readonly subscribe: (options: { after?: Position; signal: AbortSignal }) => AsyncIterable<Subscribed>
  /**
   * Appends the tombstone (one event, as a rule) as `append` does, and in the same transaction takes data and payload from every earlier event of the
   * stream; rows and digests stay (rules 26). So an erased event is never the last of its stream. In order with appends, and fails as they do.
   * Only with `capabilities.erase`; without it `unavailable`.
   */
  readonly erase: (stream: string, expected: ExpectedRevision, tombstone: readonly EventToAppend[]) => TE.TaskEither<AppendFailure, Erasure>
  /**
   * Deletes rows of erased events, some at a time; call it again with what it answers as `next`. The tombstones stay, so every stream still ends where it
   * ended, and each run of deleted rows leaves its length and digest, so that the rest can be proved. In order with appends. A `before` or `after` of another
   * log is a Left `foreign-position`. Only with `capabilities.prune`; without it `unavailable`.
   */
  readonly prune: (options: PruneOptions) => TE.TaskEither<StoreFault, Pruned>
  /**
   * Truncates each stream before its tombstone, some at a time; call it again with what it answers as `next`. How far this has come is kept in the store, so that a call without `after`
   * goes on with what is owed, over crashes and whichever server asks. Doing it again does nothing. Only with `capabilities.truncate`; without it `unavailable`.
   */
  readonly truncateErased: (options: TruncateOptions) => TE.TaskEither<StoreFault, Truncated>
  /** Settles what is in flight, then lets go of the files. What is asked afterwards is `unavailable`; closing again does nothing more. */
  readonly close: () => Promise<void>
}

/** Why the position cannot be used here, or undefined if it can. */
export const foreignPosition = (position: Position, incarnation: string): string | undefined => {
  const dot = position.lastIndexOf('.')
  if (dot < 1 || !/^\d{16}$/.test(position.slice(dot + 1))) return 'not a position'
  return position.slice(0, dot) === incarnation ? undefined : 'a position of another log'
}
