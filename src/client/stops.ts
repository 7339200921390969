// Requests to stop that reach a process as signals, counted as whoever sent them meant them: what comes twice at a time was asked once.
import type { World } from '../world.ts'

/**
 * For so many milliseconds after the first signal another one is the same request: `timeout`, systemd and launchers signal a process and all of its group, of which the launcher passes
 * its own on. A person who presses Ctrl-C a second time takes longer.
 */
export const SAME_REQUEST_MS = 500

export interface Stops<Signal extends string> {
  readonly first: (signal: Signal) => void
  /** Each request after the first one. */
  readonly again: (signal: Signal) => void
}

export type SignalSource = Pick<NodeJS.EventEmitter, 'on' | 'off'>

/** Tells of requests to stop that reach `source`, this process unless said; returns what ends that. In a browser there are none. */
export const hearStops = <Signal extends string>(
  signals: readonly Signal[],
  world: Pick<World, 'monotonic'>,
  { first, again }: Stops<Signal>,
  source: SignalSource | undefined = globalThis.process,
): (() => void) => {
  let firstAt: number | undefined
  const heard = (signal: Signal): void => {
    if (firstAt === undefined) {
      firstAt = world.monotonic()
      first(signal)
    } else if (world.monotonic() - firstAt >= SAME_REQUEST_MS) again(signal)
  }
  for (const signal of signals) source?.on(signal, heard)
  return () => {
    for (const signal of signals) source?.off(signal, heard)
  }
}
