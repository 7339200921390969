// The users of the application outside: they have it order one file after another, so that the queue does not run empty until the story has been told.
import { pause, type World } from '../../world.ts'
import type { Order } from './archive.ts'

const LOOK_EVERY_MS = 100
/** Files that are ordered at a time. */
const TOGETHER = 15

export interface Ordered {
  readonly id: string
  readonly order: Order
}

export interface OrderBook {
  /** Orders these beside the others. */
  readonly add: (files: readonly Order[], priority?: number) => Promise<readonly Ordered[]>
  /** From now on orders one after another, so that there is always something to do. */
  readonly begin: () => void
  /** All that was ordered, in its order. */
  readonly ordered: () => readonly Ordered[]
  /** Orders until there have been as many as were wanted at least, and no more. Rejects when an order was refused. */
  readonly finish: () => Promise<void>
  readonly close: () => void
}

export interface OrderBookSetting {
  readonly world: World
  readonly put: (files: readonly Order[], priority?: number) => Promise<readonly string[]>
  /** Ordered one after another, then from the first on again. */
  readonly files: readonly Order[]
  /** Orders that are made in any case. */
  readonly least: number
  /** How many tasks have not ended, as far as is known. */
  readonly open: () => number
  /** With so many open tasks no more are ordered. */
  readonly enough: number
}

export const openOrderBook = ({ world, put, files, least, open, enough }: OrderBookSetting): OrderBook => {
  const ordered: Ordered[] = []
  const closed = new AbortController()
  let next = 0
  let isEnough = false

  const add: OrderBook['add'] = async (wanted, priority) => {
    const ids = await put(wanted, priority)
    const added = wanted.map((order, index) => ({ id: ids[index] ?? '', order }))
    ordered.push(...added)
    return added
  }

  const some = (): readonly Order[] => {
    const from = next
    next += TOGETHER
    return Array.from({ length: TOGETHER }, (_each, index) => files[(from + index) % files.length]).filter((file) => file !== undefined)
  }

  const fill = async (): Promise<void> => {
    while (!closed.signal.aborted && !(isEnough && next >= least)) {
      if (open() + TOGETHER <= enough) await add(some())
      else await pause(world, LOOK_EVERY_MS, closed.signal)
    }
  }
  let filled: Promise<void> | undefined
  const begin = (): void => {
    filled ??= fill()
    filled.catch(() => undefined)
  }

  return {
    add,
    begin,
    ordered: () => ordered,
    finish: async () => {
      isEnough = true
      begin()
      await filled
    },
    close: () => closed.abort(),
  }
}
