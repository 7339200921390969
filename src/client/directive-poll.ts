// Asks Stint what the administrator wants of one job or task, by long poll: an abort arrives as soon as it is given.
import { pause, type World } from '../world.ts'
import type { Exchange } from './answer.ts'
import { LeaseLost, StintError } from './errors.ts'
import type { CallOptions } from './http.ts'
import type { HeldJob } from './job.ts'
import type { Reachability } from './reachability.ts'
import type { DirectiveAnswer } from './wish.ts'

/** Beyond the wait that was asked for, until an answer counts as lost. */
const TIMEOUT_BEYOND_MS = 10_000

export interface PollSetting {
  /** One question for the directive of the job or task. */
  readonly ask: (options: CallOptions) => Promise<Exchange<DirectiveAnswer>>
  readonly world: World
  readonly reachability: Reachability
  /** Seconds that the server holds the question back while nothing changes. */
  readonly waitSeconds: number
  /** Between two questions when the server does not hold them back. */
  readonly reportEveryMs: number
}

/** Asks under the lease `lease` until the job ends, is taken away, or has another lease. Never rejects. */
export const pollDirective = async (
  { ask, world, reachability, waitSeconds, reportEveryMs }: PollSetting,
  held: Pick<HeldJob, 'job' | 'over' | 'lease' | 'told' | 'stop'>,
  lease: string,
): Promise<void> => {
  const { job, over } = held
  let etag: string | undefined
  for (let repeat = 0; !over.aborted && held.lease() === lease;) {
    try {
      const { status, headers, body } = await ask({
        headers: { 'Stint-Lease': lease, Prefer: `wait=${waitSeconds}`, 'If-None-Match': etag },
        signal: over,
        timeoutMs: waitSeconds * 1_000 + TIMEOUT_BEYOND_MS,
        attemptsMax: 1,
      })
      reachability.reached()
      repeat = 0
      etag = headers.get('etag') ?? etag
      if (body !== undefined) held.told(body)
      const askedMs = Number(headers.get('retry-after') ?? 0) * 1_000
      const isHeldBack = headers.has('preference-applied') && etag !== undefined
      if (askedMs > 0 || (status === 304 && !isHeldBack) || etag === undefined) await pause(world, askedMs || reportEveryMs, over)
    } catch (failure) {
      if (over.aborted) return
      if (failure instanceof StintError && (failure.code === 'stale-lease' || failure.code === 'settled'))
        return held.stop(new LeaseLost(job.id, failure.code, failure.problem.state))
      // Everything else passes, or the next report finds out: it goes by another road.
      await reachability.pause(failure, repeat, over)
      repeat += 1
    }
  }
}
