// The clock that delays run on: the wall, but when that is set back it goes on at its own pace. What was due stays due, and what was put off is not put off further.
import type { World } from '../world.ts'

/** Milliseconds that never go back; ahead of the wall for as long as the wall has been set back. */
export const createForwardClock = ({ now, monotonic }: Pick<World, 'now' | 'monotonic'>): (() => number) => {
  let last = now()
  let at = monotonic()
  return () => {
    const mono = monotonic()
    last = Math.max(now(), last + mono - at)
    at = mono
    return last
  }
}
