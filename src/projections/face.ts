// The tables as the engine and the api see them, over a core that may be in this thread or in another: texts become rows here, and waits for positions are kept here.
import { StoreFault, type Position } from '../store/port.ts'
import type { World } from '../world.ts'
import type { ListText, LiveText, Statistics, UsageAnswer } from './runner.ts'
import type { DueFilter, DuePage, ItemFilter, ItemRow, Page, RequestFilter, RetiredFilter, StatisticsFilter, Tables, TablesStatus, UsageFilter } from './tables.ts'

/** How a core is reached. */
export interface Link {
  readonly liveItems: () => Promise<LiveText>
  /** The log goes as far as this; it need not be followed at once. */
  readonly follow: (head: Position) => void
  /** Somebody waits: what is still to be followed is followed at once. */
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
}

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
    isEmpty: () => waiting.size === 0,
    reached: (position: Position) => settle((wanted) => wanted <= position, true),
    giveUp: () => settle(() => true, false),
  }
}

/** Rows come from tables that this version of the fold wrote, so their JSON is trusted as it is. */
const rowsOf = (text: string): readonly ItemRow[] => JSON.parse(text) as readonly ItemRow[]
const pageOf = (page: ListText): Page<ItemRow> | { readonly invalid: 'cursor' } => ('invalid' in page ? page : { ...page, items: rowsOf(page.items) })
type LiveItems = Awaited<ReturnType<Tables['liveItems']>>['items']
const liveOf = (chunks: readonly string[]): LiveItems => chunks.flatMap((chunk) => JSON.parse(chunk) as LiveItems)

export const tablesFace = (link: Link, world: World, initial: TablesStatus): Face => {
  const waiting = waiters(world)
  let status = initial
  let closed: Promise<void> | undefined

  const open = async <Answer>(ask: () => Promise<Answer>): Promise<Answer> => {
    if (closed !== undefined) throw new StoreFault('unavailable', 'The tables are closed')
    return ask()
  }

  const hurryForWaiters = (): void => {
    if (!waiting.isEmpty()) link.hurry()
  }

  return {
    moved: (now) => {
      status = now
      waiting.reached(now.position)
      hurryForWaiters()
    },
    tables: {
      liveItems: async () => {
        const { position, chunks, bookStreams } = await open(link.liveItems)
        return { position, items: liveOf(chunks), bookStreams }
      },
      follow: (head) => {
        if (closed !== undefined) return
        link.follow(head)
        hurryForWaiters()
      },
      reached: async (position, ms) => {
        if (status.position >= position) return true
        if (closed !== undefined || ms <= 0) return false
        link.hurry()
        return waiting.add(position, ms)
      },
      list: async (filter) => pageOf(await open(() => link.list(filter))),
      statistics: (filter) => open(() => link.statistics(filter)),
      requests: async (filter) => pageOf(await open(() => link.requests(filter))),
      usage: (filter) => open(() => link.usage(filter)),
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
