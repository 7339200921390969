// Keeps the lease of an execution that this process holds at a server: extends it at half time, asks what the administrator wants, and tells the handler when either ends it.
import { LeaseLost, StintError, type AbortRequested } from '../client/errors.ts'
import type { Cancel, World } from '../world.ts'

export interface LeaseWatch {
  readonly signal: AbortSignal
  /** Asks and extends no more. */
  readonly end: () => void
}

export interface LeaseWatchOptions {
  readonly world: World
  readonly workItem: string
  readonly leaseMs: number
  /** Extends to a whole term from now. Throws `StintError` when the server refuses. */
  readonly extend: (signal: AbortSignal) => Promise<void>
  /** Resolves when the administrator wants it to end; held back by the server meanwhile. Throws as `extend` does. */
  readonly abortAsked: (signal: AbortSignal) => Promise<AbortRequested | undefined>
}

/** Refusals that mean that the execution is no longer this process's. */
const LOST: ReadonlySet<string> = new Set(['stale-lease', 'settled', 'not-found', 'erased', 'forbidden'])
/** Most handlers are through before anybody could want them to end, and cost no question. */
const FIRST_ASK_MS = 1_000
/** After a try that the server did not answer. */
const AGAIN_MS = 2_000
/** Nobody reads it; the reason that a signal makes for itself comes with its stack, anew for each execution. */
const OVER = new Error('The execution is over.')

export const watchLease = ({ world, workItem, leaseMs, extend, abortAsked }: LeaseWatchOptions): LeaseWatch => {
  const told = new AbortController()
  const over = new AbortController()
  let until = world.monotonic() + leaseMs
  let cancelExtend: Cancel = () => undefined
  let cancelAsk: Cancel = () => undefined

  const end = (): void => {
    over.abort(OVER)
    cancelExtend()
    cancelAsk()
  }
  const lost = (code: string): void => {
    end()
    told.abort(new LeaseLost(workItem, code))
  }
  const isLost = (thrown: unknown): thrown is StintError => thrown instanceof StintError && LOST.has(thrown.code)

  const extendLater = (ms: number): void => {
    cancelExtend = world.timer(ms, () => void extendNow())
  }
  const extendNow = async (): Promise<void> => {
    const askedAt = world.monotonic()
    try {
      await extend(over.signal)
      until = askedAt + leaseMs
      if (!over.signal.aborted) extendLater(leaseMs / 2)
    } catch (thrown) {
      if (over.signal.aborted) return
      // Nobody extended it in time: another may have it by now.
      if (isLost(thrown)) lost(thrown.code)
      else if (world.monotonic() >= until) lost('unreachable')
      else extendLater(Math.min(AGAIN_MS, leaseMs / 8))
    }
  }
  const paused = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      cancelAsk = world.timer(ms, resolve)
      over.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  const ask = async (): Promise<void> => {
    await paused(FIRST_ASK_MS)
    while (!over.signal.aborted) {
      try {
        const asked = await abortAsked(over.signal)
        if (asked === undefined) continue
        told.abort(asked)
        return
      } catch (thrown) {
        if (over.signal.aborted) return
        if (isLost(thrown)) return lost(thrown.code)
        await paused(AGAIN_MS)
      }
    }
  }

  extendLater(leaseMs / 2)
  void ask()
  return { signal: told.signal, end }
}
