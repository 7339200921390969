// Looks at something again and again, and wakes those who wait for it to become so.
import { pause, type World } from '../../world.ts'

const LOOK_EVERY_MS = 200

export interface Watch {
  /** Calls after every look, whether or not it saw anything. */
  readonly onLook: (listener: () => void) => void
  /** Resolves when it is so; rejects, naming `what`, when it has not become so in time. */
  readonly until: (what: string, isSo: () => boolean, timeoutMs?: number) => Promise<void>
  /** Aborts when it is over. */
  readonly over: AbortSignal
  readonly close: () => Promise<void>
}

/** Whatever a story waits for comes within seconds; a machine that is very slow gets this long. */
const PATIENCE_MS = 120_000

/** Calls `look`, which must not reject, until it is closed or `interrupted` aborts. */
export const createWatch = (world: World, interrupted: AbortSignal, look: (signal: AbortSignal) => Promise<void>): Watch => {
  const over = new AbortController()
  interrupted.addEventListener('abort', () => over.abort(), { once: true })
  const listeners = new Set<() => void>()

  const run = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await look(over.signal)
      for (const listener of [...listeners]) listener()
      await pause(world, LOOK_EVERY_MS, over.signal)
    }
  }
  const running = run()

  return {
    onLook: (listener) => void listeners.add(listener),
    until: (what, isSo, timeoutMs = PATIENCE_MS) =>
      new Promise((resolve, reject) => {
        const end = (failure?: Error): void => {
          cancel()
          listeners.delete(check)
          over.signal.removeEventListener('abort', onOver)
          if (failure === undefined) resolve()
          else reject(failure)
        }
        const check = (): void => (isSo() ? end() : undefined)
        const onOver = (): void => end(new Error('The demo was ended.'))
        const cancel = world.timer(timeoutMs, () => end(new Error(`Expected ${what} within ${timeoutMs / 1_000} s, but it did not come to that.`)))
        over.signal.addEventListener('abort', onOver)
        listeners.add(check)
        check()
      }),
    over: over.signal,
    close: async () => {
      over.abort()
      await running
    },
  }
}
