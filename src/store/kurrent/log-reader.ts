// Reads of an EventStoreDB as the port means them: only Stint's events, each with its position. A read that fails for what may pass is made again.
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault, foreignPosition, type EventReader, type Head, type Position, type RecordedEvent } from '../port.ts'
import type { WireAppend } from './append-requests.ts'
import type { Sighting } from './appender.ts'
import type { Connection } from './connection.ts'
import { decodeEvent } from './event-codec.ts'
import { faultOf, kindOfFailure } from './failures.ts'
import type { Identity } from './identity.ts'
import type { Patience } from './patience.ts'
import { metadataOf } from './metadata.ts'
import type { KurrentReach } from './reach.ts'
import { allRequest, streamRequest, type WireEvent } from './read-requests.ts'
import { commitOf, isSystemEvent, positionOf, type StreamNames } from './streams.ts'
import type { WireReader } from './wire-reader.ts'

const DEFAULT_MAX = 1_000
/** Silence of a read of $all that is a failure: there the server may have to pass over much that is not Stint's. */
const ALL_SILENCE_MS = 60_000
/** The event as the port has it. Throws StoreFault `damaged`. */
export const recordedOf = (event: WireEvent, incarnation: string): RecordedEvent => {
  const position = positionOf(incarnation, event.commit)
  return { ...decodeEvent(event, event.stream, position), stream: event.stream, revision: event.revision, position }
}

/** Revision of a stream's last event, or of the last that was taken out of reach if none can be read; -1 if there is neither. */
export const lastOf = async (connection: Connection, wire: WireReader, stream: string): Promise<number> => {
  const [end] = await wire.read(streamRequest(connection.library, stream, { from: 'end', max: 1, isBackwards: true }))
  if (end !== undefined) return end.revision
  const { document } = await metadataOf(connection, wire, stream)
  return typeof document['$tb'] === 'number' ? document['$tb'] - 1 : -1
}

/** Looks where an append would be, if it was stored. */
export const sightingOf = async (connection: Connection, wire: WireReader, { stream, expected, ids }: WireAppend): Promise<Sighting> => {
  const from = expected === 'noStream' ? 0 : expected + 1
  const there = await wire.read(streamRequest(connection.library, stream, { from, max: ids.length }))
  const last = there.at(-1)
  if (last === undefined) return { kind: 'absent' }
  if (there.length === ids.length && there.every(({ id }, index) => id === ids[index])) return { kind: 'stored', revision: last.revision, commit: last.commit }
  return { kind: 'passed', actual: Math.max(last.revision, await lastOf(connection, wire, stream)) }
}

export interface LogReaderOptions {
  readonly connection: Connection
  readonly wire: WireReader
  readonly names: StreamNames
  readonly identity: Identity
  readonly patience: Patience
  readonly isClosed: () => boolean
  readonly reach: Pick<KurrentReach, 'sure' | 'doubted' | 'failed' | 'refusal' | 'holds'>
}

export interface LogReader extends EventReader {
  readonly readFirst: (streams: readonly string[]) => () => Promise<E.Either<StoreFault, readonly (RecordedEvent | undefined)[]>>
  /** Where a position is in the server's log. Left `foreign-position`; none is before the first event. */
  readonly placeOf: (position: Position | undefined) => E.Either<StoreFault, bigint>
}

export const logReader = ({ connection, wire, names, identity, patience, isClosed, reach }: LogReaderOptions): LogReader => {
  const { library } = connection
  const { incarnation, storeId, origin } = identity
  const isOurs = ({ stream, type }: WireEvent): boolean => names.isOurs(stream) && !isSystemEvent(type)
  const recorded = (events: readonly WireEvent[]): readonly RecordedEvent[] => events.filter(isOurs).map((event) => recordedOf(event, incarnation))

  const placeOf: LogReader['placeOf'] = (position) => {
    if (position === undefined) return E.right(origin)
    const problem = foreignPosition(position, incarnation)
    if (problem !== undefined) return E.left(new StoreFault('foreign-position', `"${position.slice(0, 80)}" is ${problem}`))
    const commit = commitOf(position)
    return E.right(commit < origin ? origin : commit)
  }

  /** Reads, again and again while it may help. */
  const patiently = async <Answer>(what: string, read: () => Promise<Answer>): Promise<E.Either<StoreFault, Answer>> => {
    const trying = patience.begin()
    for (;;) {
      if (isClosed()) return E.left(new StoreFault('unavailable', 'The store is closed'))
      const refusal = reach.refusal()
      if (refusal !== undefined) return E.left(refusal)
      try {
        await reach.sure()
        const answer = await read()
        patience.worked()
        return E.right(answer)
      } catch (error) {
        if (error instanceof StoreFault) return E.left(error)
        const kind = kindOfFailure(error)
        const mayPass = kind === 'unsent' || kind === 'transient'
        if (mayPass) reach.doubted()
        if (mayPass) reach.failed()
        if (!mayPass || !(await trying.again())) return E.left(isClosed() ? new StoreFault('unavailable', 'The store was closed under a read') : faultOf(error, what))
      }
    }
  }

  /** Our events after a place, from pages of what the server's filter lets through. */
  const pageAfter = async (after: bigint, max: number): Promise<readonly RecordedEvent[]> => {
    const events: RecordedEvent[] = []
    for (let from = after; events.length < max;) {
      // One more, as the event at `from` comes too.
      const wanted = max - events.length + 1
      const page = await wire.read(allRequest(library, { from, filter: names.filter, max: wanted }), ALL_SILENCE_MS)
      const newest = page.at(-1)
      if (newest !== undefined) reach.holds(newest)
      events.push(...recorded(page.filter(({ commit }) => commit > from)).slice(0, max - events.length))
      const last = page.at(-1)
      if (page.length < wanted || last === undefined || last.commit === from) break
      from = last.commit
    }
    return events
  }

  const ofStream = async (stream: string, from: number, max: number): Promise<readonly RecordedEvent[]> => recorded(await wire.read(streamRequest(library, stream, { from, max })))

  return {
    placeOf,
    readStream:
      (stream, { from = 0, max = DEFAULT_MAX } = {}) =>
      () =>
        patiently(`The stream ${stream} cannot be read`, async () => (max < 1 ? [] : ofStream(stream, from, max))),
    readFirst: (streams) => () => patiently('Streams cannot be read', async () => Promise.all(streams.map(async (stream) => (await ofStream(stream, 0, 1))[0]))),
    readAll:
      ({ after, max = DEFAULT_MAX } = {}) =>
      async () => {
        const place = placeOf(after)
        return E.isLeft(place) ? place : patiently('The log cannot be read', () => pageAfter(place.right, max))
      },
    head: () => () =>
      patiently('The end of the log cannot be found', async (): Promise<Head> => {
        for (let from: bigint | 'end' = 'end'; ;) {
          const [last] = await wire.read(allRequest(library, { from, filter: names.filter, max: 1, isBackwards: true }), ALL_SILENCE_MS)
          const isEnd = last === undefined || last.commit <= origin
          if (isEnd || isOurs(last)) return { storeId, incarnation, position: positionOf(incarnation, isEnd ? origin : last.commit), digest: '' }
          from = last.commit
        }
      }),
  }
}
