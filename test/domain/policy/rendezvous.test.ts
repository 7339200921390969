// Who of several does what: one order for all, and little moves when one goes.
import { describe, expect, it } from 'vitest'
import { firstAmong, rankAmong } from '../../../src/domain/policy/rendezvous.ts'

const NAMES = ['a', 'b', 'c', 'd']
const THINGS = Array.from({ length: 4_000 }, (_, index) => `task/shop/mail/${index}`)

describe('the order of servers for a thing', () => {
  it('ranks each of them once, whoever asks and however they are listed', () => {
    for (const thing of THINGS.slice(0, 200)) {
      const ranks = NAMES.map((name) => rankAmong(name, NAMES.toReversed(), thing))
      expect(ranks.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
      expect(NAMES[ranks.indexOf(0)]).toBe(firstAmong(NAMES, thing))
    }
  })

  it('gives each about as many as every other', () => {
    for (const name of NAMES) {
      const own = THINGS.filter((thing) => firstAmong(NAMES, thing) === name).length
      expect(own).toBeGreaterThan(850)
      expect(own).toBeLessThan(1_150)
    }
  })

  it('moves only what belonged to the one that has gone, each to the next in rank', () => {
    const left = NAMES.filter((name) => name !== 'b')
    for (const thing of THINGS) {
      const before = firstAmong(NAMES, thing)
      const second = NAMES.find((name) => rankAmong(name, NAMES, thing) === 1)
      expect(firstAmong(left, thing)).toBe(before === 'b' ? second : before)
    }
  })

  it('is nobody of none, and the only one of one', () => {
    expect(firstAmong([], 'x')).toBeUndefined()
    expect([firstAmong(['a'], 'x'), rankAmong('a', [], 'x'), rankAmong('a', ['a'], 'x')]).toEqual(['a', 0, 0])
  })
})
