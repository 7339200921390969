// The log in memory: the executable meaning of the port, and the store of fast tests. Nothing of it outlives the process.
import * as E from 'fp-ts/lib/Either.js'
import { realWorld, type World } from '../world.ts'
import { MAX_APPEND_BYTES, assertAppendable, encodedBytes, tooLarge } from './append-check.ts'
import { dataDigestOf, genesis, linkDigest, type ChainLink, type ChainReader } from './chain.ts'
import { ERASED_DATA, StoreFault, type Capabilities, type EventStore, type EventToAppend, type ExpectedRevision } from './port.ts'
import { newIncarnation, positionAt, sequenceOf } from './position.ts'
import { commits, follow } from './subscription.ts'

export interface MemoryOptions {
  readonly world?: World
  /** 32 MiB. */
  readonly maxAppendBytes?: number
  /** Stand in for a store that has no chain, or cannot erase. */
  readonly lacks?: readonly ('globalChain' | 'erase')[]
}

export type MemoryStore = EventStore & ChainReader

const DEFAULT_MAX = 1_000

/** The store's own: what the caller does with its payload later does not change what is stored. */
const copied = (event: EventToAppend): EventToAppend => {
  const { id, type, v, time, data, meta, payload } = event
  return payload === undefined ? { id, type, v, time, data, meta } : { id, type, v, time, data, meta, payload: Uint8Array.from(payload) }
}

const erased = ({ event, digest }: ChainLink): ChainLink => {
  const { payload: _gone, ...kept } = event
  return { event: { ...kept, data: ERASED_DATA }, digest, dataDigest: dataDigestOf(event) }
}

/** The events themselves: what was appended where. Knows nothing of closing, limits or promises. */
const memoryLog = (storeId: string, incarnation: string) => {
  const log: ChainLink[] = []
  /** Stream → index in `log` by revision. */
  const streams = new Map<string, number[]>()
  const lastRevision = (stream: string): number => (streams.get(stream)?.length ?? 0) - 1
  const lastDigest = (): string => log.at(-1)?.digest ?? genesis(storeId)
  return {
    lastRevision,
    lastDigest,
    length: (): number => log.length,
    add: (stream: string, events: readonly EventToAppend[]): void => {
      const indexes = streams.get(stream) ?? []
      streams.set(stream, indexes)
      for (const event of events) {
        const recorded = { ...copied(event), stream, revision: indexes.length, position: positionAt(incarnation, log.length + 1) }
        indexes.push(log.length)
        log.push({ event: recorded, digest: linkDigest(lastDigest(), log.length + 1, recorded, dataDigestOf(recorded)) })
      }
    },
    ofStream: (stream: string, from: number, max: number): readonly ChainLink[] => (streams.get(stream) ?? []).slice(from, from + max).map((index) => log[index] as ChainLink),
    after: (sequence: number, max: number): readonly ChainLink[] => log.slice(sequence, sequence + max),
    erase: (stream: string): number => {
      const due = (streams.get(stream) ?? []).filter((index) => log[index]?.dataDigest === undefined)
      for (const index of due) log[index] = erased(log[index] as ChainLink)
      return due.length
    },
  }
}

/** Whether a stream whose last event has revision `last` (-1 for none) is where the caller believes. */
const isExpected = (expected: ExpectedRevision, last: number): boolean => expected === 'any' || (expected === 'noStream' ? last === -1 : last === expected)

/** A log that lives as long as the object. Never full, never overloaded, never in doubt. */
export const memoryStore = (options: MemoryOptions = {}): MemoryStore => {
  const { world = realWorld, maxAppendBytes = MAX_APPEND_BYTES, lacks = [] } = options
  const storeId = world.uuid()
  const incarnation = newIncarnation(world)
  const log = memoryLog(storeId, incarnation)
  const news = commits()
  const capabilities: Capabilities = {
    densePositions: true,
    globalChain: !lacks.includes('globalChain'),
    erase: !lacks.includes('erase'),
    durable: false,
    maxAppendBytes,
  }
  const whileOpen = async <L, A>(run: () => E.Either<L, A>): Promise<E.Either<L | StoreFault, A>> =>
    news.ended() ? E.left(new StoreFault('unavailable', 'The store is closed')) : run()

  const reader: ChainReader = {
    readStream:
      (stream, { from = 0, max = DEFAULT_MAX } = {}) =>
      () =>
        whileOpen(() => E.right(log.ofStream(stream, from, max).map((link) => link.event))),
    readAll:
      ({ after, max = DEFAULT_MAX } = {}) =>
      () =>
        whileOpen(() => {
          const sequence = sequenceOf(after, incarnation)
          return E.isLeft(sequence) ? sequence : E.right(log.after(sequence.right, max).map((link) => link.event))
        }),
    readChain:
      ({ after, max = DEFAULT_MAX } = {}) =>
      () =>
        whileOpen(() => {
          const sequence = sequenceOf(after, incarnation)
          return E.isLeft(sequence) ? sequence : E.right(log.after(sequence.right, max))
        }),
    head: () => () => whileOpen(() => E.right({ storeId, incarnation, position: positionAt(incarnation, log.length()), digest: capabilities.globalChain ? log.lastDigest() : '' })),
  }

  return {
    ...reader,
    capabilities,
    readFirst: (streams) => () => whileOpen(() => E.right(streams.map((stream) => log.ofStream(stream, 0, 1)[0]?.event))),
    append: (stream, expected, events) => {
      assertAppendable(stream, expected, events)
      return () =>
        whileOpen(() => {
          if (encodedBytes(stream, events) > maxAppendBytes) return E.left(tooLarge(maxAppendBytes))
          const last = log.lastRevision(stream)
          if (!isExpected(expected, last)) return E.left({ kind: 'conflict', actual: last })
          log.add(stream, events)
          news.announce()
          return E.right({ revision: last + events.length, position: positionAt(incarnation, log.length()) })
        })
    },
    subscribe: (from) => follow(reader, news, positionAt(incarnation, 0), from),
    erase: (stream) => () => whileOpen(() => (capabilities.erase ? E.right(log.erase(stream)) : E.left(new StoreFault('unavailable', 'This store cannot erase')))),
    close: async () => news.end(),
  }
}
