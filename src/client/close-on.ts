// Closes what works when its process is told to stop, and leaves the process to a signal that comes once more.
import type { World } from '../world.ts'
import { hearStops, type SignalSource } from './stops.ts'

/** What is used of Node's process. */
export type Signalled = SignalSource & Pick<NodeJS.EventEmitter, 'listenerCount'> & { readonly pid: number; readonly kill: (pid: number, signal: string) => unknown }

/**
 * Calls `close` at the first of these signals; half a second later they do what they do by themselves. What has closed goes on hearing them: the same request may be passed on to it
 * while the process ends, and would kill it. No timer ends that, as it would keep the process.
 * @returns what is to be called once all is closed: unless a signal was heard, none is from then on
 */
export const closeOn = (signals: readonly string[], world: Pick<World, 'monotonic'>, close: () => void, source: Signalled | undefined = globalThis.process): (() => void) => {
  let isTold = false
  const first = (): void => {
    isTold = true
    close()
  }
  const again = (signal: string): void => {
    deafen()
    if (source?.listenerCount(signal) === 0) source.kill(source.pid, signal)
  }
  const deafen = hearStops(signals, world, { first, again }, source)
  return () => {
    if (!isTold) deafen()
  }
}
