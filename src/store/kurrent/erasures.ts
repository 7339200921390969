// What erasing comes to in an EventStoreDB: the tombstone is appended as everything is, and the stream is truncated before it. A crash may come between the two, so what is owed is told from
// the log: tombstones after the place up to which all have been dealt with, which is kept in the metadata of the store's own stream.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { StoreFault, type Truncated, type TruncateOptions } from '../port.ts'
import type { Connection } from './connection.ts'
import { faultOf } from './failures.ts'
import type { LogReader } from './log-reader.ts'
import type { KurrentReach } from './reach.ts'
import { eventOf, subscriptionRequest, type WireEvent } from './read-requests.ts'
import { IDENTITY_STREAM, positionOf, type StreamNames } from './streams.ts'
import type { StreamMetadata } from './truncation.ts'

const DEFAULT_MAX = 100
/** The server says at least every thousand events how far it has looked. */
const SILENCE_MS = 60_000
/** In the metadata of the store's own stream: the place up to which streams are truncated before their tombstones, as text. */
const TRUNCATED_TO = 'stintTruncatedTo'

export interface ErasuresOptions {
  readonly connection: Connection
  readonly names: StreamNames
  readonly incarnation: string
  readonly reader: Pick<LogReader, 'placeOf'>
  readonly reach: Pick<KurrentReach, 'sure' | 'refusal'>
  readonly metadata: StreamMetadata
  readonly truncate: (stream: string, before: number) => TE.TaskEither<StoreFault, number>
  readonly isClosed: () => boolean
}

interface Found {
  readonly tombstones: readonly WireEvent[]
  /** There are none but these up to here. */
  readonly upTo: bigint
}

/** Looks for tombstones after a place, up to another, at most so many. The server looks through its log by the types of events. */
const findTombstones = async ({ connection, names }: ErasuresOptions, type: string, from: bigint, to: bigint, max: number): Promise<Found> => {
  const ending = new AbortController()
  const tombstones: WireEvent[] = []
  let upTo = from
  const passed = (place: bigint): void => {
    upTo = place < to ? place : to
    if (place >= to || tombstones.length === max) ending.abort()
  }
  await connection.read(subscriptionRequest(connection.library, { from, filter: { types: [type] } }), {
    signal: ending.signal,
    silenceMs: SILENCE_MS,
    onMessage: (message) => {
      const checkpoint = message.getCheckpoint()
      const event = eventOf(message)
      if (message.hasCaughtUp()) passed(to)
      else if (checkpoint !== undefined) passed(BigInt(checkpoint.getCommitPosition()))
      else if (event !== undefined) {
        if (event.type === type && event.commit <= to && event.commit > from && names.isOurs(event.stream)) tombstones.push(event)
        passed(event.commit)
      }
    },
  })
  return { tombstones, upTo }
}

/** The `truncateErased` of the store. */
export const erasures = (options: ErasuresOptions): ((asked: TruncateOptions) => TE.TaskEither<StoreFault, Truncated>) => {
  const { reader, reach, metadata, truncate, incarnation, isClosed } = options

  const truncateAll = async (tombstones: readonly WireEvent[]): Promise<number> => {
    const all = await Promise.all(tombstones.map(({ stream, revision }) => truncate(stream, revision)()))
    let truncated = 0
    for (const one of all) {
      if (E.isRight(one)) truncated += one.right
      // Of a stream that was deleted by hand nothing is shown at all.
      else if (one.left.kind !== 'damaged') throw one.left
    }
    return truncated
  }

  const placeKept = async (): Promise<bigint> => {
    const kept = (await metadata.read(IDENTITY_STREAM))[TRUNCATED_TO]
    return typeof kept === 'string' && /^\d+$/.test(kept) ? BigInt(kept) : 0n
  }

  const keepPlace = async (place: bigint): Promise<void> => {
    const changed = await metadata.change(IDENTITY_STREAM, (document) => {
      const kept = document[TRUNCATED_TO]
      return typeof kept === 'string' && BigInt(kept) >= place ? undefined : { ...document, [TRUNCATED_TO]: String(place) }
    })
    if (E.isLeft(changed)) throw changed.left
  }

  return ({ tombstone, before, after, max = DEFAULT_MAX }) => {
    if (!Number.isSafeInteger(max) || max < 1) throw new RangeError(`A truncation looks at one tombstone at least, not at ${max}`)
    return async () => {
      const [to, from] = [reader.placeOf(before), reader.placeOf(after)]
      if (E.isLeft(to)) return to
      if (E.isLeft(from)) return from
      const refusal = isClosed() ? new StoreFault('unavailable', 'The store is closed') : reach.refusal()
      if (refusal !== undefined) return E.left(refusal)
      try {
        await reach.sure()
        const kept = await placeKept()
        const start = kept > from.right ? kept : from.right
        if (start >= to.right) return E.right({ truncated: 0 })
        const { tombstones, upTo } = await findTombstones(options, tombstone, start, to.right, max)
        const truncated = await truncateAll(tombstones)
        await keepPlace(upTo)
        return E.right(upTo < to.right ? { truncated, next: positionOf(incarnation, upTo) } : { truncated })
      } catch (cause) {
        return E.left(faultOf(cause, 'What was erased cannot be taken out of its streams'))
      }
    }
  }
}
