// How long to wait before a repeat: doubling, with jitter so that many clients do not come back at the same moment.
import type { World } from '../world.ts'

export interface BackoffLimits {
  /** Milliseconds before the first repeat, before jitter. */
  readonly firstMs: number
  /** Milliseconds between two repeats, at most. */
  readonly mostMs: number
}

/** Milliseconds before repeat number `repeat` (from 0): half of the doubled time for sure, the rest by chance; never less than the server asked for. */
export const backoffMs = (world: World, { firstMs, mostMs }: BackoffLimits, repeat: number, askedMs = 0): number => {
  const doubled = Math.min(mostMs, firstMs * 2 ** Math.min(repeat, 30))
  return Math.max(askedMs, doubled * (0.5 + world.random() / 2))
}
