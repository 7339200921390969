// The log in memory: the executable meaning of the port, and the store of fast tests. Nothing of it outlives the process.
import * as E from 'fp-ts/lib/Either.js'
import { realWorld, type World } from '../world.ts'
import { MAX_APPEND_BYTES, assertAppendable, assertPrunable, encodedBytes, pruneRange, tooLarge } from './append-check.ts'
import { dataDigestOf, genesis, linkDigest, type ChainLink, type ChainReader, type Gap } from './chain.ts'
import { ERASED_DATA, StoreFault, type AppendFailure, type Capabilities, type Erasure, type EventStore, type EventToAppend, type ExpectedRevision } from './port.ts'
import { newIncarnation, positionAt, sequenceOf } from './position.ts'
import { commits, follow } from './subscription.ts'

export interface MemoryOptions {
  readonly world?: World
  /** 32 MiB. */
  readonly maxAppendBytes?: number
  /** Stand in for a store that has no chain, or cannot erase (and so not prune either). */
  readonly lacks?: readonly ('globalChain' | 'erase')[]
  /** Stands in for a store that several servers have open at once. */
  readonly shared?: boolean
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
  /** In the place of a pruned event there is its digest. */
  const log: (ChainLink | string)[] = []
  /** Stream → index in `log` by revision. */
  const streams = new Map<string, number[]>()
  const left = (index: number): ChainLink | undefined => {
    const link = log[index]
    return typeof link === 'string' ? undefined : link
  }
  const lastRevision = (stream: string): number => (streams.get(stream)?.length ?? 0) - 1
  const lastDigest = (): string => left(log.length - 1)?.digest ?? genesis(storeId)
  /** Index of the first event of a stream that still has its data. */
  const tombstoneOf = (stream: string): number => (streams.get(stream) ?? []).find((index) => left(index)?.dataDigest === undefined && left(index) !== undefined) ?? log.length
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
    ofStream: (stream: string, from: number, max: number): readonly ChainLink[] => {
      const links: ChainLink[] = []
      const indexes = streams.get(stream) ?? []
      for (let revision = from; revision < indexes.length && links.length < max; revision += 1) {
        const link = left(indexes[revision] as number)
        if (link !== undefined) links.push(link)
      }
      return links
    },
    after: (sequence: number, max: number): readonly ChainLink[] => {
      const links: ChainLink[] = []
      for (let index = sequence; index < log.length && links.length < max; index += 1) {
        const link = left(index)
        if (link !== undefined) links.push(link)
      }
      return links
    },
    gaps: (after: number, upTo: number): readonly Gap[] => {
      const gaps: Gap[] = []
      for (let index = 0; index < log.length; index += 1) {
        if (typeof log[index] !== 'string') continue
        const first = index
        while (typeof log[index + 1] === 'string') index += 1
        if (index + 1 > after && first + 1 <= upTo) gaps.push({ first: positionAt(incarnation, first + 1), last: positionAt(incarnation, index + 1), chain: log[index] as string })
      }
      return gaps
    },
    erase: (stream: string): number => {
      const due = (streams.get(stream) ?? []).filter((index) => left(index) !== undefined && left(index)?.dataDigest === undefined)
      for (const index of due) log[index] = erased(log[index] as ChainLink)
      return due.length
    },
    prune: ({ before, after, max }: { readonly before: number; readonly after: number; readonly max: number }): { readonly pruned: number; readonly next?: number } => {
      let looked = 0
      let pruned = 0
      for (let index = after; index < Math.min(log.length, before - 1); index += 1) {
        const link = left(index)
        if (link?.dataDigest === undefined) continue
        if (looked === max) return { pruned, next: index }
        looked += 1
        if (tombstoneOf(link.event.stream) + 1 >= before) continue
        log[index] = link.digest
        pruned += 1
      }
      return { pruned }
    },
  }
}

/** Whether a stream whose last event has revision `last` (-1 for none) is where the caller believes. */
const isExpected = (expected: ExpectedRevision, last: number): boolean => expected === 'any' || (expected === 'noStream' ? last === -1 : last === expected)

/** A log that lives as long as the object. Never full, never overloaded, never in doubt. */
export const memoryStore = (options: MemoryOptions = {}): MemoryStore => {
  const { world = realWorld, maxAppendBytes = MAX_APPEND_BYTES, lacks = [], shared = false } = options
  const storeId = world.uuid()
  const incarnation = newIncarnation(world)
  const log = memoryLog(storeId, incarnation)
  const news = commits()
  const capabilities: Capabilities = {
    densePositions: true,
    globalChain: !lacks.includes('globalChain'),
    erase: !lacks.includes('erase'),
    prune: !lacks.includes('erase'),
    truncate: false,
    durable: false,
    shared,
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
    readGaps:
      ({ after, upTo }) =>
      () =>
        whileOpen(() => {
          const [start, end] = [sequenceOf(after, incarnation), sequenceOf(upTo, incarnation)]
          if (E.isLeft(start)) return start
          return E.isLeft(end) ? end : E.right(log.gaps(start.right, end.right))
        }),
    head: () => () => whileOpen(() => E.right({ storeId, incarnation, position: positionAt(incarnation, log.length()), digest: capabilities.globalChain ? log.lastDigest() : '' })),
  }

  const append = (stream: string, expected: ExpectedRevision, events: readonly EventToAppend[], erases: boolean): E.Either<AppendFailure, Erasure> => {
    if (encodedBytes(stream, events) > maxAppendBytes) return E.left(tooLarge(maxAppendBytes))
    const last = log.lastRevision(stream)
    if (!isExpected(expected, last)) return E.left({ kind: 'conflict', actual: last })
    const erased = erases ? log.erase(stream) : 0
    log.add(stream, events)
    news.announce()
    return E.right({ revision: last + events.length, position: positionAt(incarnation, log.length()), erased })
  }
  const unable = (what: string): E.Either<StoreFault, never> => E.left(new StoreFault('unavailable', `This store cannot ${what}`))

  return {
    ...reader,
    capabilities,
    readFirst: (streams) => () => whileOpen(() => E.right(streams.map((stream) => log.ofStream(stream, 0, 1)[0]?.event))),
    append: (stream, expected, events) => {
      assertAppendable(stream, expected, events)
      return () =>
        whileOpen(() => {
          const appended = append(stream, expected, events, false)
          return E.isLeft(appended) ? appended : E.right({ revision: appended.right.revision, position: appended.right.position })
        })
    },
    subscribe: (from) => follow(reader, news, positionAt(incarnation, 0), from),
    erase: (stream, expected, tombstone) => {
      assertAppendable(stream, expected, tombstone)
      return () => whileOpen(() => (capabilities.erase ? append(stream, expected, tombstone, true) : unable('erase')))
    },
    truncateErased: () => () => whileOpen(() => unable('truncate streams')),
    prune: (asked) => {
      assertPrunable(asked)
      return () =>
        whileOpen(() => {
          if (!capabilities.prune) return unable('prune')
          const range = pruneRange(asked, incarnation)
          if (E.isLeft(range)) return range
          const { pruned, next } = log.prune(range.right)
          return E.right(next === undefined ? { pruned } : { pruned, next: positionAt(incarnation, next) })
        })
    },
    close: async () => news.end(),
  }
}
