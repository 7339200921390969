// Buckets of run times: a fixed number whatever the range, each at most 1/16 wide of what it holds, and chosen by whole-number arithmetic alone, so that every machine counts the same.

/** Below this each millisecond has a bucket of its own; above, each doubling has so many. */
const STEPS = 16
const STEP_BITS = 4

/** Longer than any run: 2^48 ms are 8,900 years. */
const LONGEST_MS = 2 ** 48

/** Buckets that there can be. */
export const BUCKETS = STEPS + (48 - STEP_BITS) * STEPS + 1

const exponentOf = (n: number): number => (n < 2 ** 32 ? 31 - Math.clz32(n) : 63 - Math.clz32(Math.floor(n / 2 ** 32)))

/** The bucket of a duration in milliseconds; negative ones, which a clock that was set back leaves, count as none. */
export const bucketOf = (ms: number): number => {
  const n = Math.min(LONGEST_MS, Math.max(0, Math.floor(ms)))
  if (n < STEPS) return n
  const exponent = exponentOf(n)
  return STEPS + (exponent - STEP_BITS) * STEPS + Math.floor(n / 2 ** (exponent - STEP_BITS)) - STEPS
}

export interface Bucket {
  readonly count: number
  /** Longest duration in it, in milliseconds. */
  readonly longest: number
}

/** The duration that a share of all does not exceed, rounded up to the longest of its bucket: never too short, at most 1/16 too long. `buckets` in ascending order. */
export const quantile = (buckets: readonly Bucket[], share: number): number => {
  const rank = Math.max(1, Math.ceil(share * buckets.reduce((sum, { count }) => sum + count, 0)))
  let seen = 0
  for (const { count, longest } of buckets) {
    seen += count
    if (seen >= rank) return longest
  }
  return 0
}
