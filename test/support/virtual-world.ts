// A world whose clock stands still until a test moves it, and whose chance is always the same: time in tests is never waited for.
import type { Cancel, World } from '../../src/world.ts'

export interface VirtualWorld extends World {
  /** Moves the clock on by `ms`, running every timer that falls due on the way, in order; what they set runs too if it is due. */
  readonly advance: (ms: number) => void
  /** Moves the clock on by `ms` at one stroke and only then runs what fell due, as after a process that stood still. */
  readonly leap: (ms: number) => void
  /** Milliseconds left on each pending timer, soonest first. */
  readonly pending: () => readonly number[]
  /** Resolves as soon as the pending timers are as `wanted` says; at once if they are already. */
  readonly until: (wanted: (pending: readonly number[]) => boolean) => Promise<void>
}

interface Timer {
  readonly at: number
  readonly run: () => void
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'

/** xorshift32: the same numbers in every run. */
const numbers = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/** Begins at `start` (milliseconds since 1970 UTC); `seed` is any number but 0. */
export const virtualWorld = ({ start = Date.UTC(2026, 0, 1), seed = 1 }: { readonly start?: number; readonly seed?: number } = {}): VirtualWorld => {
  const random = numbers(seed)
  const timers = new Set<Timer>()
  const waiting = new Set<() => void>()
  let elapsed = 0

  const hex = (digits: number): string => Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('')
  const soonest = (): Timer | undefined => [...timers].toSorted((a, b) => a.at - b.at)[0]
  const pending = (): readonly number[] => [...timers].map((timer) => timer.at - elapsed).toSorted((a, b) => a - b)
  const look = (): void => {
    for (const check of waiting) check()
  }

  const timer = (ms: number, run: () => void): Cancel => {
    const entry: Timer = { at: elapsed + Math.max(0, ms), run }
    timers.add(entry)
    // What only gives others a turn needs no clock to move.
    if (ms <= 0) queueMicrotask(() => timers.delete(entry) && run())
    queueMicrotask(look)
    return () => {
      if (timers.delete(entry)) queueMicrotask(look)
    }
  }

  const advance = (ms: number): void => {
    const end = elapsed + ms
    for (let next = soonest(); next !== undefined && next.at <= end; next = soonest()) {
      timers.delete(next)
      elapsed = Math.max(elapsed, next.at)
      next.run()
    }
    elapsed = end
    look()
  }

  const leap = (ms: number): void => {
    elapsed += ms
    advance(0)
  }

  const until = (wanted: (left: readonly number[]) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!wanted(pending())) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })

  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    timer,
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${'89ab'[Math.floor(random() * 4)]}${hex(3)}-${hex(12)}`,
    token: (length) => Array.from({ length }, () => ALPHABET[Math.floor(random() * 64)]).join(''),
    random,
    advance,
    leap,
    pending,
    until,
  }
}
