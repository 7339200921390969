// The event stream as a test reads it: everything since it began, and promises for what is still to come. It outlives restarts of the server.
import type { HistoryEvent, Stint } from '../../src/client/index.ts'

export interface EventWatch {
  /** Everything so far, in order. */
  readonly seen: () => readonly HistoryEvent[]
  /** Resolves with the first `count` events, past or to come, that fit. */
  readonly until: (fits: (event: HistoryEvent) => boolean, count?: number) => Promise<readonly HistoryEvent[]>
  readonly close: () => Promise<void>
}

/** Resolves when the stream is open: nothing that happens from then on is missed. */
export const watchEvents = async (stint: Stint): Promise<EventWatch> => {
  const seen: HistoryEvent[] = []
  const waiting = new Set<() => void>()
  const over = new AbortController()
  let read: Promise<void> = Promise.resolve()

  await new Promise<void>((resolve, reject) => {
    const follow = async (): Promise<void> => {
      for await (const event of stint.events({ signal: over.signal, onCaughtUp: resolve })) {
        seen.push(event)
        for (const look of waiting) look()
      }
    }
    read = follow()
    read.catch(reject)
  })

  return {
    seen: () => seen,
    until: (fits, count = 1) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = seen.filter(fits)
          if (found.length < count) return
          waiting.delete(look)
          resolve(found.slice(0, count))
        }
        waiting.add(look)
        look()
      }),
    close: async () => {
      over.abort()
      await read
    },
  }
}
