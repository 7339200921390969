// How fast a queue gives out its tasks: a token bucket as a value, in which a token is a lease. Whoever keeps the bucket brings the time.
import type { Rate } from '../queue/config.ts'

export interface Bucket {
  /** What was there at `at`, parts of a token included; never more than the burst. */
  readonly tokens: number
  /** Milliseconds on whatever clock the keeper uses; a monotonic one is best. */
  readonly at: number
}

export interface Taken {
  /** Whole tokens that were there, at most as many as were wanted. */
  readonly taken: number
  readonly bucket: Bucket
}

/** Sums of many small fractions fall short of the whole by a hair; nobody shall wait for that. */
const HAIR = 1e-6

/** A bucket that has rested. */
export const fullBucket = (rate: Rate, now: number): Bucket => ({ tokens: rate.burst, at: now })

/** The bucket with what has flowed in since. A clock that went back, or a rate that became smaller, gives nothing. */
export const refill = (rate: Rate, bucket: Bucket, now: number): Bucket => {
  const at = Math.max(bucket.at, now)
  return { tokens: Math.min(rate.burst, bucket.tokens + ((at - bucket.at) / 1000) * rate.perSecond), at }
}

/** Takes what is there, at most `wanted`. */
export const take = (rate: Rate, bucket: Bucket, wanted: number, now: number): Taken => {
  const full = refill(rate, bucket, now)
  const taken = Math.max(0, Math.min(wanted, Math.floor(full.tokens + HAIR)))
  return { taken, bucket: { tokens: Math.max(0, full.tokens - taken), at: full.at } }
}

/** What was taken and not used goes back: a lease that did not come about is not counted (rules 8). */
export const putBack = (rate: Rate, bucket: Bucket, count: number): Bucket => ({ ...bucket, tokens: Math.min(rate.burst, bucket.tokens + count) })

/** Milliseconds from `now` until a whole token is there; 0 when one is. */
export const waitMs = (rate: Rate, bucket: Bucket, now: number): number => {
  const missing = 1 - refill(rate, bucket, now).tokens
  // After a clock went back nothing flows until it is where it stood.
  return missing <= HAIR ? 0 : Math.ceil((missing / rate.perSecond) * 1000) + Math.max(0, bucket.at - now)
}
