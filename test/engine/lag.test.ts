// How far the tables may fall behind the log before births are slowed, so that lists never show a world of long ago.
import { describe, expect, it } from 'vitest'
import { createLag } from '../../src/engine/lag.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const positionOf = (events: number): string => `log.${String(events).padStart(16, '0')}`

const started = (atStart = 0) => {
  const world = virtualWorld()
  let tablesAt = 0
  let appended = 0
  const lag = createLag(world, () => positionOf(tablesAt), positionOf(atStart))
  return {
    world,
    lag,
    append: (events: number): void => {
      appended += events
      lag.appended(positionOf(appended), events)
    },
    follow: (to = appended): void => {
      tablesAt = to
    },
  }
}

describe('when the tables fall behind the log', () => {
  it('is too far beyond 10 seconds, and not before', () => {
    const { world, lag, append, follow } = started()
    append(1)
    world.advance(9_999)
    expect(lag.isTooFar()).toBe(false)
    world.advance(1)
    expect(lag.isTooFar()).toBe(true)
    follow()
    expect(lag.isTooFar()).toBe(false)
  })

  it('is too far beyond 200,000 events, however quickly they came', () => {
    const { lag, append, follow } = started()
    for (let batch = 0; batch < 40; batch += 1) append(5_000)
    expect(lag.isTooFar()).toBe(false)
    append(5_000)
    expect(lag.isTooFar()).toBe(true)
    follow(100_000)
    expect(lag.isTooFar()).toBe(false)
  })

  it('is never too far while they keep up, whatever the time', () => {
    const { world, lag, append, follow } = started()
    for (let second = 0; second < 100; second += 1) {
      append(10_000)
      follow()
      world.advance(1_000)
      expect(lag.isTooFar()).toBe(false)
    }
  })
})

describe('how far the tables are behind', () => {
  it('is the time since what they do not show was appended, and nothing while they show all', () => {
    const { world, lag, append, follow } = started()
    expect(lag.behindMs()).toBe(0)
    append(1)
    world.advance(700)
    append(1)
    world.advance(100)
    expect(lag.behindMs()).toBe(800)
    follow(1)
    expect(lag.behindMs()).toBe(100)
    follow()
    expect(lag.behindMs()).toBe(0)
  })

  it('is the time since the start while they are folded anew, which slows no births', () => {
    const { world, lag, follow } = started(5)
    world.advance(60_000)
    expect([lag.behindMs(), lag.isTooFar()]).toEqual([60_000, false])
    follow(5)
    expect(lag.behindMs()).toBe(0)
  })
})
