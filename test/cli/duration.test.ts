// Durations: as flags take them and as tables show them.
import { describe, expect, it } from 'vitest'
import { formatAge, formatDuration, parseDuration } from '../../src/cli/duration.ts'

describe('a duration on a flag', () => {
  it('has units, also several', () => {
    expect(['250ms', '30s', '15m', '2h', '1d', '1w', '1h30m', '1.5h', '0'].map(parseDuration)).toEqual([
      250, 30_000, 900_000, 7_200_000, 86_400_000, 604_800_000, 5_400_000, 5_400_000, 0,
    ])
  })
  it('is nothing else', () => expect(['', '5', '5 m', 'm', '-5m', '5y', '1h-', 'abc'].map(parseDuration)).toEqual(Array.from({ length: 8 })))
})

describe('a duration in a table', () => {
  it('has at most two units', () => {
    expect([0, 850, 4_200, 9_940, 9_960, 59_600, 200_000, 7_500_000, 7_200_000, 360_000_000].map(formatDuration)).toEqual([
      '0ms',
      '850ms',
      '4.2s',
      '9.9s',
      '10s',
      '1m',
      '3m 20s',
      '2h 5m',
      '2h',
      '4d 4h',
    ])
  })
  it('is not negative', () => expect(formatDuration(-5)).toBe('0ms'))
})

describe('an age', () => {
  it('has one unit', () => {
    const now = Date.UTC(2026, 0, 10)
    const ages = [100, 40_000, 119_000, 180_000, 7_000_000, 7_300_000, 172_000_000, 432_000_000]
    expect(ages.map((ms) => formatAge(new Date(now - ms).toISOString(), now))).toEqual(['now', '40s', '119s', '3m', '116m', '2h', '47h', '5d'])
  })
})
