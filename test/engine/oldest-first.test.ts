// A map that gives its oldest entry at once, held against one that is looked through.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createOldestFirst } from '../../src/engine/oldest-first.ts'

type Step = readonly ['set' | 'delete' | 'drop' | 'trim', number]

const steps = fc.array(fc.tuple(fc.constantFrom('set', 'set', 'delete', 'drop', 'trim'), fc.integer({ min: 0, max: 7 })), { maxLength: 60 }) as fc.Arbitrary<Step[]>

describe('a map that knows its oldest entry', () => {
  it('says the same as a list in which what was set last stands last', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const map = createOldestFirst<number, number>()
        let list: [number, number][] = []
        for (const [at, [what, key]] of all.entries()) {
          const target = what === 'drop' ? (map.oldest() ?? key) : key
          if (what === 'set') {
            map.set(target, at)
            list = [...list.filter(([other]) => other !== target), [target, at]]
          } else if (what === 'trim') {
            map.trim(key)
            list = key === 0 ? [] : list.slice(-key)
          } else {
            expect(map.delete(target)).toBe(list.some(([other]) => other === target))
            list = list.filter(([other]) => other !== target)
          }
          expect(map.oldest()).toBe(list[0]?.[0])
          expect(map.size()).toBe(list.length)
          for (let other = 0; other < 8; other += 1) expect(map.get(other)).toBe(list.find(([known]) => known === other)?.[1])
        }
      }),
    )
  })
})
