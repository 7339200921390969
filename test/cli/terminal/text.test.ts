// Text on a terminal keeps to its width and cannot steer it.
import { describe, expect, it } from 'vitest'
import { commandLines, cut, cutName, cutWords, pad, paintFor, plain, shellWord, widthOf, wrapped } from '../../../src/cli/terminal/text.ts'

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

describe('cutName', () => {
  it('keeps the end of a path, from a slash on', () => {
    expect(cutName('node/include/openssl/archs/linux64-s390x', 24)).toBe('…/archs/linux64-s390x')
    expect(cutName('src/apis/dfareporting #2', 20)).toBe('…/dfareporting #2')
    expect(cutName('a/very-long-directory', 10)).toBe('…directory')
  })
  it('keeps the beginning of what is no path', () => expect([cutName('nightly run of a/b', 10), cutName('abcdef', 4), cutName('a/b', 3)]).toEqual(['nightly r…', 'abc…', 'a/b']))
})

describe('cutWords', () => {
  it('ends between words where one is near', () => expect([cutWords('taken over, anew', 13), cutWords('fits as it is', 13)]).toEqual(['taken over, …', 'fits as it is']))
  it('cuts a word that is long', () => expect(cutWords('a {"files":27,"bytes":1}', 12)).toBe('a {"files":…'))
})

describe('wrapped', () => {
  it('breaks between words and goes on with the indentation', () => {
    expect(wrapped('  chain unbroken: 225 events, head 54770923', 24)).toEqual(['  chain unbroken: 225', '  events, head 54770923'])
  })
  it('counts colours as nothing', () => expect(wrapped(`${paintFor(true)('red', 'no')} more`, 7)).toHaveLength(1))
  it('cuts a word only that fits on no line', () => expect(wrapped('an incomprehensible word', 10)).toEqual(['an', 'incompreh…', 'word']))
})

describe('a command to copy', () => {
  const command = 'npx stint jobs abort --label src/cli --url http://127.0.0.1:7070'
  it('stands in one line where it fits', () => expect(commandLines(command, 80)).toEqual([`  ${command}`]))
  it('is broken as a shell takes it where it does not', () => {
    const lines = commandLines(command, 45)
    expect(lines).toEqual(['  npx stint jobs abort --label src/cli \\', '    --url http://127.0.0.1:7070'])
    expect(
      lines
        .join('\n')
        .replaceAll(/\\\n\s*/g, '')
        .trim(),
    ).toBe(command)
  })
  it('has its words quoted where a shell would take them apart', () => expect([shellWord('a/b.ts'), shellWord("it's two")]).toEqual(['a/b.ts', `'it'\\''s two'`]))
})

describe('paint', () => {
  it('colours, or does not', () => {
    expect(paintFor(false)('red', 'x')).toBe('x')
    expect(paintFor(true)('red', 'x')).toBe('\u001b[31mx\u001b[39m')
  })
})
