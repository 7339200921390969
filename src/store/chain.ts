// The digest chain over the whole log: each event's digest covers the one before it, so that no event can change, vanish or change places
// unseen. It covers data and payload through a digest of their own, so that they can be erased and the chain still holds (rules 26).
import { hash } from 'node:crypto'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import type { EventReader, EventToAppend, Position, RecordedEvent, StoreFault } from './port.ts'

/** SHA-256 in lower-case hex. */
export type Digest = string

/** An event with what the chain says of it. */
export interface ChainLink {
  readonly event: RecordedEvent
  readonly digest: Digest
  /** Set once the event is erased: the digest that its data and payload had. */
  readonly dataDigest?: Digest
}

/** A run of pruned events: nothing is left of them but where they were. Two runs never touch. */
export interface Gap {
  readonly first: Position
  readonly last: Position
  /** The digest of the last of them, from which the chain goes on. It is taken on trust: what it was made of is gone. */
  readonly chain: Digest
}

/** A reader of a log that keeps a chain (`capabilities.globalChain`). */
export interface ChainReader extends EventReader {
  /** As `readAll`, with digests. */
  readonly readChain: (options?: { after?: Position; max?: number }) => TE.TaskEither<StoreFault, readonly ChainLink[]>
  /** The gaps that have a position after `after` and not beyond `upTo`, in order. */
  readonly readGaps: (range: { after: Position; upTo: Position }) => TE.TaskEither<StoreFault, readonly Gap[]>
}

const sha256 = (content: string | Uint8Array): Digest => hash('sha256', content, 'hex')

/** The digest at the position before the first event. It names the store, so that a stretch of one log does not fit into another. */
export const genesis = (storeId: string): Digest => sha256(`stint log ${storeId}`)

/** The digest of what can be erased. `-` stands for no payload, which is not the same as an empty one. */
export const dataDigestOf = (event: Pick<EventToAppend, 'data' | 'payload'>): Digest => sha256(`${event.payload === undefined ? '-' : sha256(event.payload)}\n${event.data}`)

/**
 * The digest of an event at place `sequence` of the log. What is hashed is UTF-8 text of three lines and a rest: the digest before it; numbers and
 * the data's digest; the lengths (in UTF-16 units) of stream, id and type; then stream, id, type and meta without anything between
 * them. Lengths first, so that no two events share one text.
 */
export const linkDigest = (
  before: Digest,
  sequence: number,
  event: Pick<RecordedEvent, 'stream' | 'revision' | 'id' | 'type' | 'v' | 'time' | 'meta'>,
  dataDigest: Digest,
): Digest =>
  sha256(
    `${before}\n${sequence} ${event.revision} ${event.v} ${event.time} ${dataDigest}\n${event.stream.length} ${event.id.length} ${event.type.length}\n` +
      `${event.stream}${event.id}${event.type}${event.meta}`,
  )
