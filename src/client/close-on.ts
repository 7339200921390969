// Closes what works when its process is told to stop, and leaves the process to a signal that comes once more.
import type { World } from '../world.ts'
import { hearStops, SAME_REQUEST_MS, type SignalSource } from './stops.ts'

/**
 * Calls `close` at the first of these signals; half a second later they do what they do by themselves. Until then the process lives, also when all is closed before: the same request may
 * still be passed on to it, and would kill it while it ends.
 * @returns what is to be called once all is closed: unless a signal was heard, none is from then on
 */
export const closeOn = (signals: readonly string[], world: Pick<World, 'monotonic' | 'timer'>, close: () => void, source?: SignalSource): (() => void) => {
  let isTold = false
  const first = (): void => {
    isTold = true
    world.timer(SAME_REQUEST_MS, deafen)
    close()
  }
  const deafen = hearStops(signals, world, { first, again: () => undefined }, source)
  return () => {
    if (!isTold) deafen()
  }
}
