// Text on a terminal keeps to its width and cannot steer it.
import { describe, expect, it } from 'vitest'
import { cut, pad, paintFor, plain, widthOf } from '../../../src/cli/terminal/text.ts'

describe('plain', () => {
  it('takes out what steers a terminal', () => {
    expect(plain('\u001b[31mred\u001b[0m')).toBe('red')
    expect(plain('a\u001b]0;title\u0007b')).toBe('ab')
    expect(plain('line one\r\nline two\ttab')).toBe('line one line two tab')
    expect(plain('bell\u0007 \u202Eesrever')).toBe('bell� �esrever')
  })
  it('leaves text alone', () => expect(plain('für Ann · 東京 🚀')).toBe('für Ann · 東京 🚀'))
})

describe('widthOf', () => {
  it('counts columns, not characters', () => {
    expect([widthOf('abc'), widthOf('東京'), widthOf('e\u0301'), widthOf('🚀'), widthOf('\u001b[31mred\u001b[0m'), widthOf('█▌░')]).toEqual([3, 4, 1, 2, 3, 3])
  })
})

describe('cut and pad', () => {
  it('cut to a width with an ellipsis', () => {
    expect([cut('abcdef', 6), cut('abcdef', 4), cut('東京都', 4), cut('abc', 1), cut('abc', 0)]).toEqual(['abcdef', 'abc…', '東…', '…', ''])
  })
  it('fill up on either side', () => expect([pad('ab', 4), pad('ab', 4, 'right'), pad('東', 4), pad('abcd', 2)]).toEqual(['ab  ', '  ab', '東  ', 'abcd']))
})

describe('paint', () => {
  it('colours, or does not', () => {
    expect(paintFor(false)('red', 'x')).toBe('x')
    expect(paintFor(true)('red', 'x')).toBe('\u001b[31mx\u001b[39m')
  })
})
