// Closes what works when its process is told to stop: which signals are one request, and when a signal does again what it does by itself.
import type { World } from '../world.ts'

/** Milliseconds in which a signal that comes again is the same request: `timeout`, systemd and launchers send it to a process and to its group. */
const SAME_REQUEST_MS = 500

/** What is used of Node's process. */
export interface Signalled {
  readonly pid: number
  readonly on: (signal: string, heard: (signal: string) => void) => unknown
  readonly off: (signal: string, heard: (signal: string) => void) => unknown
  readonly listenerCount: (signal: string) => number
  readonly kill: (pid: number, signal: string) => unknown
}

/**
 * Calls `close` at the first of these signals; half a second later they do what they do by themselves. Where there is no process, in a browser, nothing is heard.
 * @returns what is to be called once all is closed: unless a signal was heard, none is from then on
 */
export const closeOn = (signals: readonly string[], world: Pick<World, 'monotonic'>, close: () => void, source: Signalled | undefined = globalThis.process): (() => void) => {
  if (source === undefined) return () => undefined
  let firstAt: number | undefined
  const deafen = (): void => {
    for (const signal of signals) source.off(signal, heard)
  }
  // What has closed goes on hearing them: the same request may be passed on to it while the process ends, and would kill it. No timer ends that, as it would keep the process.
  const heard = (signal: string): void => {
    if (firstAt === undefined) {
      firstAt = world.monotonic()
      close()
    } else if (world.monotonic() - firstAt >= SAME_REQUEST_MS) {
      deafen()
      if (source.listenerCount(signal) === 0) source.kill(source.pid, signal)
    }
  }
  for (const signal of signals) source.on(signal, heard)
  return () => {
    if (firstAt === undefined) deafen()
  }
}
