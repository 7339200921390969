// The tables as the engine and the api see them, over a core that may be in this thread or in another: texts become rows here, and waits for positions are kept here.
import { StoreFault, type Position } from '../store/port.ts'
import type { World } from '../world.ts'
import { itemOf, type StoredRow } from './as-born.ts'
import type { ListText, LiveText, Statistics, UsageAnswer } from './runner.ts'
import type { DueFilter, DuePage, ItemFilter, ItemRow, Page, RequestFilter, RetiredFilter, StatisticsFilter, Tables, TablesStatus, UsageFilter } from './tables.ts'

/** How a core is reached. */
export interface Link {
  readonly liveItems: () => Promise<LiveText>
  /** The log reaches so far; it need not be followed at once. */
  readonly follow: (head: Position) => void
  /** Somebody waits for what has been told. */
  readonly hurry: () => void
  readonly list: (filter: ItemFilter) => Promise<ListText>
  readonly statistics: (filter: StatisticsFilter) => Promise<Statistics>
  readonly requests: (filter: RequestFilter) => Promise<ListText>
  readonly usage: (filter: UsageFilter) => Promise<UsageAnswer>
  readonly expiring: (filter: DueFilter) => Promise<DuePage>
  readonly retired: (filter: RetiredFilter) => Promise<DuePage>
  readonly close: () => Promise<void>
}

export interface Face {
  readonly tables: Tables
  /** To be told of every new status. */
  readonly moved: (status: TablesStatus) => void
  /** Somebody waits for a position that has not been reached. */
  readonly isWaitedFor: () => boolean
}

/** How long a question waits for the tables to have taken in what came before it. */
const FRESH_MS = 250

interface Waiter {
  readonly position: Position
  readonly done: (reached: boolean) => void
}

const waiters = (world: World) => {
  const waiting = new Set<Waiter>()
  const settle = (isDue: (position: Position) => boolean, reached: boolean): void => {
    for (const waiter of waiting) if (isDue(waiter.position)) waiter.done(reached)
  }
  return {
    add: (position: Position, ms: number): Promise<boolean> =>
      new Promise((resolve) => {
        const done = (reached: boolean): void => {
          cancel()
          waiting.delete(waiter)
          resolve(reached)
        }
        const waiter = { position, done }
        const cancel = world.timer(ms, () => done(false))
        waiting.add(waiter)
      }),
    isAny: (): boolean => waiting.size > 0,
    reached: (position: Position) => settle((wanted) => wanted <= position, true),
    giveUp: () => settle(() => true, false),
  }
}

/** Rows come from tables that this version of the fold wrote, so their JSON is trusted as it is. */
const rowsOf = (text: string): readonly ItemRow[] =>
  (JSON.parse(text) as readonly StoredRow[]).map((row) => ({
    workItem: row.workItem,
    item: itemOf(row),
    birth: row.birth,
    ending: row.ending,
    late: row.late,
    position: row.position,
  }))
const pageOf = (page: ListText): Page<ItemRow> | { readonly invalid: 'cursor' } => ('invalid' in page ? page : { ...page, items: rowsOf(page.items) })
type LiveItems = Awaited<ReturnType<Tables['liveItems']>>['items']
const liveOf = (chunks: readonly string[]): LiveItems =>
  chunks.flatMap((chunk) =>
    (JSON.parse(chunk) as readonly StoredRow[]).map((row) => ({ workItem: row.workItem, item: itemOf(row) as LiveItems[number]['item'], position: row.position })),
  )

export const tablesFace = (link: Link, world: World, initial: TablesStatus): Face => {
  const waiting = waiters(world)
  let status = initial
  let closed: Promise<void> | undefined
  let head: Position = ''

  const open = async <Answer>(ask: () => Promise<Answer>): Promise<Answer> => {
    if (closed !== undefined) throw new StoreFault('unavailable', 'The tables are closed')
    return ask()
  }

  const reached: Tables['reached'] = async (position, ms) => {
    if (status.position >= position) return true
    if (closed !== undefined || ms <= 0) return false
    const isReached = waiting.add(position, ms)
    link.hurry()
    return isReached
  }

  /** As of everything that was acknowledged before the question, unless the tables are too far behind for that. */
  const fresh = async <Answer>(ask: () => Promise<Answer>): Promise<Answer> => {
    if (status.position < head && Object.keys(status.stopped).length === 0) await reached(head, FRESH_MS)
    return open(ask)
  }

  return {
    isWaitedFor: waiting.isAny,
    moved: (now) => {
      status = now
      waiting.reached(now.position)
    },
    tables: {
      liveItems: async () => {
        const { position, chunks, bookStreams } = await open(link.liveItems)
        return { position, items: liveOf(chunks), bookStreams }
      },
      follow: (newest) => {
        if (closed !== undefined) return
        if (newest > head) head = newest
        link.follow(newest)
      },
      reached,
      list: async (filter) => pageOf(await fresh(() => link.list(filter))),
      statistics: (filter) => fresh(() => link.statistics(filter)),
      requests: async (filter) => pageOf(await fresh(() => link.requests(filter))),
      usage: (filter) => fresh(() => link.usage(filter)),
      expiring: (filter) => open(() => link.expiring(filter)),
      retired: (filter) => open(() => link.retired(filter)),
      status: () => status,
      close: () => {
        waiting.giveUp()
        closed ??= link.close()
        return closed
      },
    },
  }
}
