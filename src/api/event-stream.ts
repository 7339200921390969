// What every stream of server-sent events needs: a writer that waits for slow readers, a warden that ends the stream of one who may read no more, and a number of seats.
import type { ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { Cancel } from '../world.ts'
import type { Call } from './call.ts'
import type { Metrics } from './metrics.ts'

const COMMENT_EVERY_MS = 15_000
/** A reader whose token was revoked or has expired reads on for so long, at most. */
const ALLOWED_MS = 1_000
/** A reader that takes nothing for so long is dropped; it comes back with its Last-Event-ID. */
const STALLED_MS = 60_000

/** Writes to one reader: waits while it is slow, ends when it takes nothing at all, and shows that the connection lives. `onComment` is called with each comment. */
export const createWriter = (call: Call, res: ServerResponse, onComment: () => void) => {
  const gone = new AbortController()
  const { world } = call
  let cancelComment: Cancel = () => undefined
  const comment = (): void => {
    if (!res.writableNeedDrain) res.write(':\n\n')
    cancelComment = world.timer(COMMENT_EVERY_MS, comment)
    onComment()
  }
  cancelComment = world.timer(COMMENT_EVERY_MS, comment)
  return {
    write: async (text: string): Promise<void> => {
      if (res.write(text) || res.destroyed) return
      const cancel = world.timer(STALLED_MS, () => gone.abort())
      try {
        await once(res, 'drain', { signal: AbortSignal.any([call.signal, gone.signal]) })
      } catch {
        res.destroy()
      } finally {
        cancel()
      }
    },
    end: () => cancelComment(),
  }
}

/** Looks now and then whether the reader may still read, and ends the stream when it may not. */
export const createWarden = (call: Call) => {
  const { world } = call
  const over = new AbortController()
  let checkedAt = world.monotonic()
  const check = async (): Promise<void> => {
    checkedAt = world.monotonic()
    if (!(await call.isStillAllowed().catch(() => false))) over.abort()
  }
  return {
    signal: AbortSignal.any([call.signal, over.signal]),
    check: () => void check(),
    mayGoOn: async (): Promise<boolean> => {
      if (world.monotonic() - checkedAt >= ALLOWED_MS) await check()
      return !over.signal.aborted
    },
  }
}

/** Seats for readers of all event streams together. */
export interface Seats {
  readonly max: number
  /** Takes a seat until the call ends; false when all are taken. */
  readonly take: (call: Call) => boolean
}

export const createSeats = (max: number, metrics: Pick<Metrics, 'eventClients'>): Seats => {
  let taken = 0
  return {
    max,
    take: (call) => {
      if (taken >= max) return false
      taken += 1
      metrics.eventClients.inc()
      call.onEnd(() => {
        taken -= 1
        metrics.eventClients.dec()
      })
      return true
    },
  }
}

/** A proxy that collects the answer before it passes it on would hold back every event. */
export const STREAM_HEADERS = { 'X-Accel-Buffering': 'no' }
