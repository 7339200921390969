// How fast one queue gives out its tasks: its token bucket, which comes and goes with the rate in its config.
import { fullBucket, putBack, take, waitMs, type Bucket } from '../../domain/policy/rate.ts'
import type { Rate } from '../../domain/queue/config.ts'

export interface Pace {
  readonly isLimited: () => boolean
  /** How many of `wanted` leases may be given now; they are counted. */
  readonly take: (wanted: number) => number
  /** Leases that did not come about. */
  readonly putBack: (count: number) => void
  /** Milliseconds until one more may be given; 0 without a rate. */
  readonly waitMs: () => number
}

export const createPace = (monotonic: () => number, rateNow: () => Rate | undefined): Pace => {
  let bucket: Bucket | undefined
  const filled = (rate: Rate): Bucket => bucket ?? fullBucket(rate, monotonic())
  return {
    isLimited: () => rateNow() !== undefined,
    take: (wanted) => {
      const rate = rateNow()
      if (rate === undefined) return wanted
      const taken = take(rate, filled(rate), wanted, monotonic())
      bucket = taken.bucket
      return taken.taken
    },
    putBack: (count) => {
      const rate = rateNow()
      if (rate !== undefined && bucket !== undefined && count > 0) bucket = putBack(rate, bucket, count)
    },
    waitMs: () => {
      const rate = rateNow()
      return rate === undefined || bucket === undefined ? 0 : waitMs(rate, bucket, monotonic())
    },
  }
}
