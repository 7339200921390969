// Runs the tabular projections over one file: follows the log in slices, and answers questions between them, each from one moment of the tables.
//
//   follow(head) ─▶ read a page ─▶ fold ─▶ one transaction: every projection's tables and its position ─▶ turn ─▶ the next page …
//
// The same core runs in a thread of its own or in this one; nothing here knows which. Whatever fails stops at most the projection it happens in:
// a throw in one stops that one, an event that cannot be read stops those that came to it, a fault of the log or the disk is tried again, a damaged file is made anew.
import type { Position } from '../store/port.ts'
import { isBehind, openSession, positionOf, round, statusOf, turn, zeroOf, type SessionOptions } from './session.ts'
import { isDamage } from './tables-file.ts'
import { requestWalkOf } from './request-lists.ts'
import type { CallerUsage, DueFilter, DuePage, ItemFilter, Page, RequestFilter, RetiredFilter, ScopeStatistics, StatisticsFilter, TablesStatus, UsageFilter } from './tables.ts'
import type { PageText } from './work-item-lists.ts'

export type CoreOptions = Omit<SessionOptions, 'onLog' | 'onMoved'> & Partial<Pick<SessionOptions, 'onLog' | 'onMoved'>>

export interface LiveText {
  /** Undefined: the tables hold nothing yet. */
  readonly position: Position | undefined
  /** JSON arrays of `StoredRow`s, without what is only shown. */
  readonly chunks: readonly string[]
  /** Streams of queues, as of the same position. */
  readonly bookStreams: readonly string[]
}

export type ListText = (PageText & { readonly position: Position }) | { readonly invalid: 'cursor' }

export interface Statistics {
  readonly items: readonly ScopeStatistics[]
  readonly position: Position
}

export type UsageAnswer = Page<CallerUsage> | { readonly invalid: 'cursor' }

export interface Core {
  readonly liveItems: () => LiveText
  readonly follow: (head: Position) => void
  /** Resolves when there is nothing to do until the next `follow`. */
  readonly idle: () => Promise<void>
  readonly list: (filter: ItemFilter) => Promise<ListText>
  readonly statistics: (filter: StatisticsFilter) => Statistics
  readonly requests: (filter: RequestFilter) => Promise<ListText>
  readonly usage: (filter: UsageFilter) => UsageAnswer
  readonly expiring: (filter: DueFilter) => DuePage
  readonly retired: (filter: RetiredFilter) => DuePage
  readonly status: () => TablesStatus
  readonly close: () => Promise<void>
}

/** After a fault of the log or the disk, and when the log does not show yet what it is said to hold. */
const TRY_AGAIN_MS = 1_000

/** Opens the file, without following yet. Throws StoreFault when the log cannot be read, Error when the file cannot be used. */
export const openCore = async (given: CoreOptions): Promise<Core> => {
  const options: SessionOptions = { ...given, onLog: given.onLog ?? (() => undefined), onMoved: given.onMoved ?? (() => undefined) }
  let session = await openSession(options)
  let wanted: Position = ''
  let isTold = false
  let isDamaged = false
  let closing = false
  let lastTrouble: string | undefined
  let running: Promise<void> | undefined
  let cancelRetry = (): void => undefined

  const again = (): void => {
    cancelRetry()
    if (!closing) cancelRetry = options.world.timer(TRY_AGAIN_MS, start)
  }

  const trouble = (cause: unknown): void => {
    const text = cause instanceof Error ? cause.message : String(cause)
    if (text !== lastTrouble) options.onLog(`The tables cannot follow the log and will try again: ${text}`)
    lastTrouble = text
    isDamaged ||= isDamage(cause)
    again()
  }

  const makeAnew = async (): Promise<void> => {
    session.tables.close()
    session = await openSession(options, true)
    isDamaged = false
    options.onMoved(statusOf(session, options.projections), 0)
  }

  const run = async (): Promise<void> => {
    // Whoever told goes on first, and what is told in the meantime is one slice.
    await turn()
    isTold = false
    try {
      if (isDamaged) await makeAnew()
      do {
        isTold = false
        while (await round(session, options, wanted, () => closing));
      } while (isTold && !closing)
      lastTrouble = undefined
      if (isBehind(session, wanted) && options.upTo === undefined) again()
    } catch (cause) {
      trouble(cause)
    }
    running = undefined
    if (isTold) start()
  }

  const start = (): void => {
    if (closing || running !== undefined) return
    cancelRetry()
    running = run()
  }

  return {
    liveItems: () => {
      const position = positionOf(session, 'work-items')
      if (position === zeroOf(session) || session.workItems === undefined) return { position: undefined, chunks: [], bookStreams: [] }
      return { position, chunks: session.workItems.liveItems(), bookStreams: session.workItems.bookStreams() }
    },
    follow: (head) => {
      if (head > wanted) wanted = head
      isTold = true
      start()
    },
    idle: async () => {
      while (running !== undefined) await running
    },
    list: async (filter) => {
      const position = positionOf(session, 'work-items')
      const page = await session.workItems?.list(filter)
      if (page === undefined) return { items: '[]', position }
      return 'invalid' in page ? page : { ...page, position }
    },
    statistics: (filter) => ({ items: session.statistics?.(filter) ?? [], position: positionOf(session, 'statistics') }),
    requests: async (filter) => {
      const positions = [positionOf(session, 'requests'), positionOf(session, 'work-items')]
      const position = positions.reduce((a, b) => (a < b ? a : b))
      const page = session.requests === undefined ? undefined : await session.workItems?.page(filter, [requestWalkOf(filter)])
      if (page === undefined) return { items: '[]', position }
      return 'invalid' in page ? page : { ...page, position }
    },
    usage: (filter) => {
      const answer = session.requests?.usage(filter) ?? { items: [] }
      return 'invalid' in answer ? answer : { ...answer, position: positionOf(session, 'requests') }
    },
    expiring: (filter) => ({ items: session.requests?.expiring(filter) ?? [], position: positionOf(session, 'requests') }),
    retired: (filter) => ({ items: session.retired?.(filter) ?? [], position: positionOf(session, 'retired') }),
    status: () => statusOf(session, options.projections),
    close: async () => {
      closing = true
      cancelRetry()
      while (running !== undefined) await running
      session.tables.close()
    },
  }
}
