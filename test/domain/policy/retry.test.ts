// How often and when a failed task is tried again: App Engine's own examples, and what holds for all settings.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attemptsMax, backoffMs, pauseMs, requestRetry, retryPolicy } from '../../../src/domain/policy/retry.ts'
import { DEFAULT_BACKOFF, DEFAULT_STINT_SETTINGS, type Backoff } from '../../../src/domain/queue/config.ts'

const backoff = (minMs: number, maxMs: number, doublings: number, jitter = 0): Backoff => ({ minMs, maxMs, doublings, jitter })
const pauses = (given: Backoff, count: number): number[] => Array.from({ length: count }, (_, index) => backoffMs(given, index + 1))

const anyBackoff = fc
  .record({
    one: fc.integer({ min: 0, max: 1e9 }),
    other: fc.integer({ min: 0, max: 1e9 }),
    doublings: fc.integer({ min: 0, max: 1_000_000 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ one, other, doublings, jitter }): Backoff => ({ minMs: Math.min(one, other), maxMs: Math.max(one, other), doublings, jitter }))
const anyAttempt = fc.integer({ min: 1, max: 100_000 })
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

describe('the limit of attempts', () => {
  it('is none when the file names none', () => expect(attemptsMax({})).toBeUndefined())
  it('is the number of leases that the file names', () => expect([1, 5, 100].map((retryLimit) => attemptsMax({ retryLimit }))).toEqual([1, 5, 100]))
  it('is one when the file says 0: no task is made that nobody can lease', () => expect(attemptsMax({ retryLimit: 0 })).toBe(1))
})

describe('the pause before jitter', () => {
  it('doubles so many times, then grows by the same step, then stays at its ceiling', () => {
    expect(pauses(backoff(10_000, 300_000, 3), 8)).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 240_000, 300_000, 300_000])
    expect(pauses(backoff(1_000, 1e9, 5), 9)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 96_000, 128_000])
  })
  it('grows by its first length when it never doubles', () => expect(pauses(backoff(100, 350, 0), 5)).toEqual([100, 200, 300, 350, 350]))
  it('is none when it begins with none', () => expect(pauses(backoff(0, 1_000, 1_000_000), 3)).toEqual([0, 0, 0]))
  it('is by default 1 s, doubling up to an hour', () =>
    expect(pauses(DEFAULT_BACKOFF, 13).map((ms) => ms / 1_000)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600]))

  it('never shrinks from one attempt to the next, and stays between its bounds', () => {
    fc.assert(
      fc.property(anyBackoff, anyAttempt, (given, attempt) => {
        const now = backoffMs(given, attempt)
        expect(now).toBeGreaterThanOrEqual(given.minMs)
        expect(now).toBeLessThanOrEqual(given.maxMs)
        expect(backoffMs(given, attempt + 1)).toBeGreaterThanOrEqual(now)
      }),
    )
  })
})

describe('the pause with jitter', () => {
  it('is the pause itself without jitter', () => {
    fc.assert(
      fc.property(anyBackoff, anyAttempt, anyRandom, (given, attempt, random) => {
        expect(pauseMs({ ...given, jitter: 0 }, attempt, random)).toBe(Math.round(backoffMs(given, attempt)))
      }),
    )
  })

  it('is drawn from so much below to so much above', () => {
    const given = backoff(1_000, 100_000, 16, 0.25)
    expect([0, 0.5, 1 - Number.EPSILON].map((random) => pauseMs(given, 4, random))).toEqual([6_000, 8_000, 10_000])
  })

  it('is spread at floor and ceiling too, so that nobody comes back together', () => {
    const given = backoff(1_000, 8_000, 16, 0.5)
    expect([0, 0.5].map((random) => pauseMs(given, 1, random))).toEqual([1_000, 1_250])
    expect([0, 0.5].map((random) => pauseMs(given, 20, random))).toEqual([4_000, 6_000])
  })

  it('is a whole number within its bounds, near its length, and grows with the draw', () => {
    fc.assert(
      fc.property(anyBackoff, anyAttempt, anyRandom, (given, attempt, random) => {
        const drawn = pauseMs(given, attempt, random)
        const length = backoffMs(given, attempt)
        expect(Number.isInteger(drawn)).toBe(true)
        expect(drawn).toBeGreaterThanOrEqual(given.minMs)
        expect(drawn).toBeLessThanOrEqual(given.maxMs)
        expect(Math.abs(drawn - length)).toBeLessThanOrEqual(length * given.jitter + 1)
        expect(pauseMs(given, attempt, random / 2)).toBeLessThanOrEqual(drawn)
      }),
    )
  })
})

describe('the policy of a queue', () => {
  it('is the limit of its file and the pause after this attempt', () => {
    const stint = { ...DEFAULT_STINT_SETTINGS, backoff: backoff(1_000, 60_000, 2) }
    expect(retryPolicy({ retryLimit: 4, stint }, 3, 0.5)).toEqual({ attemptsMax: 4, pauseMs: 4_000 })
    expect(retryPolicy({ stint }, 1, 0.5)).toEqual({ attemptsMax: undefined, pauseMs: 1_000 })
  })
})

describe('the policy of a request', () => {
  const facts = { onInterrupted: 'retry', runs: 'workers' } as const

  it('is to run it again without limit, unless its contract names one', () => {
    expect(requestRetry(facts, 1, 0.5)).toEqual({ attemptsMax: undefined, pauseMs: 110, deadLetter: false })
    expect(requestRetry({ ...facts, attemptsMax: 3 }, 3, 0.5)).toMatchObject({ attemptsMax: 3 })
  })

  it('is one execution where what breaks off is to fail, whatever number stands beside it', () => {
    for (const attemptsMax of [undefined, 1, 9]) expect(requestRetry({ ...facts, onInterrupted: 'fail', attemptsMax }, 1, 0.5)).toMatchObject({ attemptsMax: 1 })
  })

  it('pauses longer each time and a minute at most; in middleware not at all, since its next call is the pause', () => {
    expect([1, 2, 3, 4, 50].map((attempt) => requestRetry(facts, attempt, 0.5).pauseMs)).toEqual([110, 200, 400, 800, 54_000])
    for (const attempt of [1, 50]) expect(requestRetry({ ...facts, runs: 'middleware' }, attempt, 0.5).pauseMs).toBe(0)
  })
})
