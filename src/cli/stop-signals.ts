// The signals that ask a process to stop, counted as whoever sent them meant them: what comes twice at a time was asked once.
import type { World } from '../world.ts'

export const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

export type StopSignal = (typeof STOP_SIGNALS)[number]

/**
 * For so many milliseconds after the first signal another one is the same request: `timeout` and systemd signal a process and all of its group, of which the launcher passes
 * its own on. A person who presses Ctrl-C a second time takes longer.
 */
const SAME_REQUEST_MS = 500

export interface Stops {
  readonly first: (signal: StopSignal) => void
  /** Each request after the first one. */
  readonly again: (signal: StopSignal) => void
}

/** Tells of requests to stop that reach `source`, as a rule this process. */
export const hearStops = (world: World, { first, again }: Stops, source: Pick<NodeJS.EventEmitter, 'on'> = process): void => {
  let firstAt: number | undefined
  const heard = (signal: StopSignal): void => {
    if (firstAt === undefined) {
      firstAt = world.monotonic()
      first(signal)
    } else if (world.monotonic() - firstAt >= SAME_REQUEST_MS) again(signal)
  }
  for (const signal of STOP_SIGNALS) source.on(signal, heard)
}
