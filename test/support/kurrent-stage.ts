// Doubles and stores of one test, gone when it ends; and time that passes only where a test says so.
import { afterEach } from 'vitest'
import { openKurrentStore, type KurrentOptions, type KurrentStore } from '../../src/store/kurrent/store.ts'
import { startDouble, type Double, type DoubleOptions } from './kurrent-double/double.ts'
import { virtualWorld, type VirtualWorld } from './virtual-world.ts'

export interface KurrentStage {
  readonly double: (options?: DoubleOptions) => Promise<Double>
  /** Opens a store on all streams, on a clock that stands still unless `world` says otherwise. */
  readonly store: (double: Double, options?: Partial<KurrentOptions>) => Promise<KurrentStore>
}

/** Call it at the top of a test file. */
export const kurrentStage = (): KurrentStage => {
  let open: (() => Promise<void>)[] = []
  afterEach(async () => {
    const all = open.toReversed()
    open = []
    for (const close of all) await close()
  })
  return {
    double: async (options) => {
      const double = await startDouble(options)
      open.push(double.close)
      return double
    },
    store: async (double, options) => {
      const store = await openKurrentStore({ connectionString: double.connectionString, prefixes: 'all', world: virtualWorld(), ...options })
      open.push(store.close)
      return store
    },
  }
}

/** Turns of the event loop in which what is under way to the double arrives, and its answer: the double is in this process. */
const TURNS_AWAY = 50

export const turns = async (count: number = TURNS_AWAY): Promise<void> => {
  for (let left = count; left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets a second pass, with what it brings about. */
export const second = async (world: VirtualWorld): Promise<void> => {
  await turns()
  world.advance(1_000)
  await turns()
}

/** Lets time pass until the store knows that its server can be reached. */
export const reached = async (world: VirtualWorld, { reach }: KurrentStore): Promise<void> => {
  while (reach?.trouble() !== undefined) await second(world)
}

/** Waits until a timer of at most `ms` is set, then lets that much time pass. */
export const pass = async (world: VirtualWorld, ms: number): Promise<void> => {
  await world.until((pending) => pending.some((left) => left <= ms))
  world.advance(ms)
}

/**
 * Lets time pass, a step whenever something waits for it, until the promise settles. A step is short: no deadline is reached before the answers on the way, which have their turn
 * before each.
 */
export const passUntil = async <Value>(world: VirtualWorld, promise: Promise<Value>, step = 1_000): Promise<Value> => {
  let isSettled = false
  const settled = promise.finally(() => {
    isSettled = true
  })
  while (!isSettled) {
    await Promise.race([settled, world.until((pending) => pending.some((left) => left <= step))])
    if (!isSettled) await turns(10)
    if (!isSettled) world.advance(step)
  }
  return settled
}
