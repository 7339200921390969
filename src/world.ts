// The one port for clocks, timers, identifiers and chance. Everything else takes them from here, so that a test can stand in for the world.
// It uses only what Node and browsers share, because the SDK takes its time from here too.

/** Ends a timer that has not fired; calling it again does nothing. */
export type Cancel = () => void

export interface World {
  /** Wall clock, milliseconds since 1970 UTC. May jump. */
  readonly now: () => number
  /** Milliseconds that only grow; the zero point means nothing. */
  readonly monotonic: () => number
  /** Calls `run` once after `ms` milliseconds of monotonic time. A pending timer keeps the process alive: cancel it on close. */
  readonly timer: (ms: number, run: () => void) => Cancel
  /** A random identifier (UUIDv4). */
  readonly uuid: () => string
  /** `length` characters of `[A-Za-z0-9_-]`, 6 random bits each. */
  readonly token: (length: number) => string
  /** A number from 0 (included) to 1 (excluded); for jitter only, never for secrets. */
  readonly random: () => number
}

/** setTimeout takes at most a signed 32-bit number of milliseconds (24.8 days); longer waits are cut into pieces. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

const TOKEN_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'

const timer = (ms: number, run: () => void): Cancel => {
  let handle: ReturnType<typeof setTimeout>
  const arm = (left: number): void => {
    const piece = Math.max(0, Math.min(left, LONGEST_TIMEOUT_MS))
    handle = setTimeout(() => (left > piece ? arm(left - piece) : run()), piece)
  }
  arm(ms)
  return () => clearTimeout(handle)
}

/** Random bytes are drawn many at a time: a call for a few costs as much as one for a thousand. None is used twice. */
const POOL_BYTES = 1_024
const pool = new Uint8Array(POOL_BYTES)
let poolTaken = POOL_BYTES

const randomByte = (): number => {
  if (poolTaken === POOL_BYTES) {
    crypto.getRandomValues(pool)
    poolTaken = 0
  }
  const byte = pool[poolTaken] ?? 0
  pool[poolTaken] = 0
  poolTaken += 1
  return byte
}

const token = (length: number): string => {
  let text = ''
  for (let made = 0; made < length; made += 1) text += TOKEN_ALPHABET[randomByte() & 63]
  return text
}

/** The world as it is. */
export const realWorld: World = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer,
  uuid: () => crypto.randomUUID(),
  token,
  random: () => Math.random(),
}

/** A promise that settles after `ms` milliseconds of `world`, or at once when `signal` aborts; it never rejects. */
export const pause = (world: World, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = world.timer(ms, done)
    signal?.addEventListener('abort', done, { once: true })
  })
