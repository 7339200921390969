// The token bucket that holds a queue to its rate: what it gives at once, what it gives in the long run, and when the next token is there.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fullBucket, putBack, refill, take, waitMs, type Bucket } from '../../../src/domain/policy/rate.ts'
import type { Rate } from '../../../src/domain/queue/config.ts'

const rate: Rate = { perSecond: 5, burst: 10 }
const T = 1_000_000

describe('a bucket that has rested', () => {
  it('gives its burst at once and then nothing', () => {
    const first = take(rate, fullBucket(rate, T), 100, T)
    expect(first).toEqual({ taken: 10, bucket: { tokens: 0, at: T } })
    expect(take(rate, first.bucket, 1, T).taken).toBe(0)
  })
  it('gives no more than is wanted', () => expect(take(rate, fullBucket(rate, T), 3, T)).toEqual({ taken: 3, bucket: { tokens: 7, at: T } }))
  it('gives nothing to who wants nothing', () => expect(take(rate, fullBucket(rate, T), 0, T).taken).toBe(0))
  it('holds no more than its burst, however long it rests', () => expect(refill(rate, fullBucket(rate, T), T + 1e9).tokens).toBe(10))
  it('has nobody wait', () => expect(waitMs(rate, fullBucket(rate, T), T)).toBe(0))
})

describe('an empty bucket', () => {
  const empty: Bucket = { tokens: 0, at: T }

  it('gives whole tokens only, as they flow in', () => {
    expect(take(rate, empty, 10, T + 199).taken).toBe(0)
    expect(take(rate, empty, 10, T + 200).taken).toBe(1)
    expect(take(rate, empty, 10, T + 1_000).taken).toBe(5)
  })
  it('keeps the part of a token that has flowed in when asked too early', () => {
    let bucket = empty
    for (let ms = 10; ms < 200; ms += 10) bucket = take(rate, bucket, 1, T + ms).bucket
    expect(take(rate, bucket, 1, T + 200).taken).toBe(1)
  })
  it('says when the next token is there', () => {
    expect(waitMs(rate, empty, T)).toBe(200)
    expect(waitMs(rate, empty, T + 150)).toBe(50)
    expect(waitMs({ perSecond: 2_000 / 86_400, burst: 1 }, empty, T)).toBe(43_200)
  })
  it('gets nothing from a clock that went back, and flows on where it stood', () => {
    expect(take(rate, empty, 10, T - 60_000)).toEqual({ taken: 0, bucket: empty })
    expect(waitMs(rate, empty, T - 1_000)).toBe(1_200)
  })
})

describe('what was not used', () => {
  it('goes back, up to the burst', () => {
    expect(putBack(rate, { tokens: 2, at: T }, 3)).toEqual({ tokens: 5, at: T })
    expect(putBack(rate, { tokens: 9, at: T }, 3)).toEqual({ tokens: 10, at: T })
  })
})

describe('a rate that has changed', () => {
  it('cuts what is there to the new burst', () => expect(take({ perSecond: 1, burst: 2 }, fullBucket(rate, T), 10, T).taken).toBe(2))
  it('lets a bucket fill up to the new burst at the new rate', () => expect(refill({ perSecond: 100, burst: 50 }, { tokens: 10, at: T }, T + 300).tokens).toBe(40))
})

describe('any rate and any calls', () => {
  const anyRate = fc.record({
    perSecond: fc.oneof(fc.double({ min: 1e-5, max: 1_000, noNaN: true }), fc.integer({ min: 1, max: 1_000_000 })),
    burst: fc.integer({ min: 1, max: 10_000 }),
  })
  const anyCalls = fc.array(fc.tuple(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 2_000 })), { maxLength: 200 })

  it('never give more than burst plus flow, never less than nothing, and keep the bucket within its bounds', () => {
    fc.assert(
      fc.property(anyRate, anyCalls, (given, calls) => {
        let bucket = fullBucket(given, T)
        let now = T
        let sum = 0
        for (const [later, wanted] of calls) {
          now += later
          const { taken, bucket: after } = take(given, bucket, wanted, now)
          expect(taken).toBeGreaterThanOrEqual(0)
          expect(taken).toBeLessThanOrEqual(wanted)
          expect(Number.isInteger(taken)).toBe(true)
          expect(after.tokens).toBeGreaterThanOrEqual(0)
          expect(after.tokens).toBeLessThanOrEqual(given.burst)
          sum += taken
          bucket = after
        }
        expect(sum).toBeLessThanOrEqual((given.burst + (given.perSecond * (now - T)) / 1_000) * (1 + 1e-5) + 1e-3)
      }),
    )
  })

  it('have a token ready when the wait that was said is over, and none before but for a millionth of a token', () => {
    fc.assert(
      fc.property(anyRate, fc.double({ min: 0, max: 0.99, noNaN: true }), (given, tokens) => {
        const bucket = { tokens, at: T }
        const wait = waitMs(given, bucket, T)
        expect(take(given, bucket, 1, T + wait).taken).toBe(1)
        const early = wait - 2 - 2e-3 / given.perSecond
        if (early > 0) expect(take(given, bucket, 1, T + early).taken).toBe(0)
      }),
    )
  })

  it('give the rate in the long run to who asks all the time', () => {
    let bucket: Bucket = { tokens: 0, at: T }
    let sum = 0
    for (let ms = 1; ms <= 100_000; ms++) {
      const { taken, bucket: after } = take({ perSecond: 7, burst: 3 }, bucket, 10, T + ms)
      bucket = after
      sum += taken
    }
    expect(sum).toBe(700)
  })
})
