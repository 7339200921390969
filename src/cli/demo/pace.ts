// A budget of bytes a second that all jobs of a job server share: an indexer that leaves the machine room for others, and a demo that takes as long on any machine.
import { pause, type World } from '../../world.ts'

export interface Pace {
  /** Resolves when so many bytes may be worked on, or at once when `signal` aborts. */
  readonly take: (bytes: number, signal: AbortSignal) => Promise<void>
  /** Bytes to be taken at once, so that progress is seen to move. */
  readonly piece: number
}

const PIECES_A_SECOND = 8

export const createPace = (world: World, bytesPerSecond: number): Pace => {
  let next = world.monotonic()
  return {
    take: async (bytes, signal) => {
      const now = world.monotonic()
      // What was not used is gone: no bursts after a rest.
      const mine = Math.max(now, next)
      next = mine + (bytes / bytesPerSecond) * 1_000
      if (mine > now) await pause(world, mine - now, signal)
    },
    piece: Math.max(256, Math.min(64 * 1024, Math.ceil(bytesPerSecond / PIECES_A_SECOND))),
  }
}
