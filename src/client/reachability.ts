// Whether Stint answers, shared by all calls of one job server: when one of them gets through, the others do not wait out their pauses.
import { pause, type World } from '../world.ts'
import { backoffMs, type BackoffLimits } from './backoff.ts'
import { StintError, Unreachable } from './errors.ts'
import { follow } from './signals.ts'

/** Not even a sign that Stint is back shortens a pause below this, so that no mishap turns into a storm. */
const PAUSE_LEAST_MS = 100

export interface Reachability {
  /** A call got through. */
  readonly reached: () => void
  /** Waits before repeat number `repeat` (from 0) of what failed; ends early when Stint is reachable again or `signal` aborts. */
  readonly pause: (failure: unknown, repeat: number, signal: AbortSignal) => Promise<void>
}

export const createReachability = (world: World, limits: BackoffLimits): Reachability => {
  /** Made when somebody pauses: most calls get through, and nobody does. */
  let back: AbortController | undefined
  return {
    reached: () => {
      back?.abort()
      back = undefined
    },
    pause: async (failure, repeat, signal) => {
      const ms = backoffMs(world, limits, repeat, failure instanceof StintError ? failure.retryAfterMs : undefined)
      if (!(failure instanceof Unreachable)) return pause(world, ms, signal)
      back ??= new AbortController()
      const over = new AbortController()
      const unlink = follow(over, signal, back.signal)
      await pause(world, Math.min(ms, PAUSE_LEAST_MS), signal)
      await pause(world, ms - PAUSE_LEAST_MS, over.signal)
      unlink()
    },
  }
}

/** Whether the same call can succeed later without anybody changing it: no answer, too much at once, or a server that starts, stops or cannot write. */
export const mayPass = (failure: unknown): boolean => failure instanceof Unreachable || (failure instanceof StintError && (failure.status === 429 || failure.status >= 500))
