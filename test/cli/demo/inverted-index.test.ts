// The index that the demo's jobs build: what is written is what is found.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCounter, createSearcher, encodeWords, mergeInto } from '../../../src/cli/demo/inverted-index.ts'

const indexOf = (texts: readonly string[], filesAPart: number): string => {
  const merged = new Map<string, Map<number, number>>()
  for (let from = 0; from < texts.length; from += filesAPart) {
    const counter = createCounter()
    for (const [index, text] of texts.slice(from, from + filesAPart).entries()) counter.add(from + index, text)
    mergeInto(merged, encodeWords(counter.words()))
  }
  return encodeWords(merged)
}

const TEXTS = ['the error handler reads an error', 'a file about nothing', 'errorHandler in one word, and an error', 'Error! Handler!']

describe('an inverted index', () => {
  it('finds the files in which all words stand, the best first', () => {
    const searcher = createSearcher(indexOf(TEXTS, 2), TEXTS.length)
    expect(searcher.search(['error', 'handler'])).toEqual([0, 2, 3])
    expect(searcher.search(['FILE'])).toEqual([1])
    expect(searcher.search(['error', 'file'])).toEqual([])
    expect(searcher.search(['absent'])).toEqual([])
    expect(searcher.search([])).toEqual([])
  })

  it('counts every word that stands somewhere', () => {
    const counter = createCounter()
    counter.add(0, 'one two two')
    counter.add(1, 'two')
    expect(counter.total()).toBe(4)
    expect(counter.words()).toEqual(
      new Map([
        ['one', new Map([[0, 1]])],
        [
          'two',
          new Map([
            [0, 2],
            [1, 1],
          ]),
        ],
      ]),
    )
  })

  it('is the same however it was cut into parts', () => {
    const text = fc.array(fc.constantFrom('alpha', 'beta', 'gamma', 'delta'), { maxLength: 10 }).map((words) => words.join(' '))
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 12 }), (texts, filesAPart) => {
        expect(indexOf(texts, filesAPart)).toBe(indexOf(texts, texts.length))
      }),
    )
  })
})
