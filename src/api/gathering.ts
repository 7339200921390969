// What the items of one exchange know of each other: it is held back for as long as none of them has an answer, and then answers all of them as they are.
import type { World } from '../world.ts'

/** How long an exchange of which one item has its answer stays open for the others: they often settle in the same or the next commit, and each exchange more costs both sides. */
const GATHER_MS = 2
/** Nobody reads it; the reason that a signal makes for itself comes with its stack. */
const ENOUGH = new Error('Another item of the exchange has its answer.')

export interface Gathering {
  /** Aborts when no item is to wait any longer: one has had its answer for a while, the client is gone, or the server stops. */
  readonly over: AbortSignal
  readonly begin: () => void
  /** @param isKnown the item is answered for good; otherwise it is asked for again */
  readonly end: (isKnown: boolean) => void
  /** Whether so many bytes still find room in the answer; they are counted. The first always do. */
  readonly takes: (bytes: number, bytesMax: number) => boolean
}

export const createGathering = (world: World, signal: AbortSignal): Gathering => {
  const over = new AbortController()
  let open = 0
  let taken = 0
  let isOneKnown = false
  let cancel: (() => void) | undefined
  const enough = (): void => {
    cancel?.()
    over.abort(ENOUGH)
  }
  const gather = (): void => {
    if (isOneKnown && cancel === undefined && !over.signal.aborted) cancel = world.timer(GATHER_MS, enough)
  }
  if (signal.aborted) enough()
  else signal.addEventListener('abort', enough, { once: true })

  return {
    over: over.signal,
    begin: () => {
      open += 1
      gather()
    },
    end: (isKnown) => {
      open -= 1
      isOneKnown ||= isKnown
      if (open > 0) return gather()
      cancel?.()
      cancel = undefined
    },
    takes: (bytes, bytesMax) => {
      if (taken > 0 && taken + bytes > bytesMax) return false
      taken += bytes
      return true
    },
  }
}
