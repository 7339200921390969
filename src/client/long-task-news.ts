// News of long tasks: one event stream for all that are waited for or watched by this client, open only while somebody listens. What it tells is when to look again;
// what has become of a long task is asked for, so that nothing that the stream misses is missed.
import { longTaskId } from '../wire/words.ts'
import { pause, type Cancel } from '../world.ts'
import { StintError } from './errors.ts'
import { events } from './events.ts'
import type { Http } from './http.ts'

/** Milliseconds until a stream begins anew whose log was put in the place of another. */
const AGAIN_MS = 250

export interface Listener {
  /** Resolves once something was recorded of the long task that was not heard of yet, at the latest after `ms`, or when `signal` aborts. Throws when the stream is refused. */
  readonly heard: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  /** Place in the log of the newest that was heard of: a look must have reached it. */
  readonly position: () => string | undefined
  readonly end: () => void
}

export interface News {
  /** Listens for what is recorded of a long task from now on. */
  readonly listen: (id: string) => Listener
}

interface Ear {
  isRung: boolean
  position: string | undefined
  failure: Error | undefined
  wake: () => void
}

/** Resolves when the ear rings, when the time is over, or when `signal` aborts. */
const rung = ({ world }: Http, ear: Ear, ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const wake = (): void => {
      cancel()
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const cancel: Cancel = world.timer(ms, wake)
    ear.wake = wake
    signal?.addEventListener('abort', wake, { once: true })
  })

const listenerOf = (http: Http, ear: Ear, end: () => void): Listener => ({
  heard: async (ms, signal) => {
    if (!ear.isRung && ear.failure === undefined && signal?.aborted !== true) await rung(http, ear, ms, signal)
    ear.isRung = false
    if (ear.failure !== undefined) throw ear.failure
  },
  position: () => ear.position,
  end,
})

export const createNews = (http: Http): News => {
  const ears = new Map<string, Set<Ear>>()
  let stream: AbortController | undefined

  const ring = (among: Iterable<Ear>, position?: string, failure?: Error): void => {
    for (const ear of among) {
      ear.isRung = true
      ear.position = position ?? ear.position
      ear.failure ??= failure
      ear.wake()
    }
  }
  const everybody = (): readonly Ear[] => [...ears.values()].flatMap((group) => [...group])

  /** One stream from now on: whatever happened before it was open is found by a look. */
  const follow = async (signal: AbortSignal): Promise<void> => {
    let isOpen = false
    const onCaughtUp = (): void => {
      if (!isOpen) ring(everybody())
      isOpen = true
    }
    for await (const { workItem = '', position } of events(http, { kind: 'long-task', signal, onCaughtUp })) ring(ears.get(workItem) ?? [], position)
  }

  const run = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted && !http.closed.aborted) {
      try {
        await follow(signal)
      } catch (failure) {
        if (!(failure instanceof StintError && failure.code === 'other-log')) return ring(everybody(), undefined, failure as Error)
        // The log is another one since, with other places: everybody looks, and the stream begins anew.
        for (const ear of everybody()) ear.position = undefined
        ring(everybody())
        await pause(http.world, AGAIN_MS, signal)
      }
    }
    ring(everybody())
  }

  const open = (): void => {
    const opened = new AbortController()
    stream = opened
    void run(opened.signal).finally(() => {
      if (stream === opened) stream = undefined
    })
  }

  return {
    listen: (id) => {
      const workItem = longTaskId(id)
      const ear: Ear = { isRung: false, position: undefined, failure: undefined, wake: () => undefined }
      const group = ears.get(workItem) ?? new Set()
      ears.set(workItem, group.add(ear))
      if (stream === undefined) open()
      return listenerOf(http, ear, () => {
        group.delete(ear)
        if (group.size === 0 && ears.get(workItem) === group) ears.delete(workItem)
        if (ears.size > 0) return
        stream?.abort()
        stream = undefined
      })
    },
  }
}
