// Headers as a worker writes them into a reply: what HTTP can carry is taken as it is, everything else is refused by its field.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { replyBody } from '../../src/wire/requests.ts'
import { decode } from '../../src/wire/schema.ts'

const headers = (value: unknown) => decode(replyBody, { status: 200, headers: value })

describe('the headers of a reply', () => {
  it.each([
    [{}],
    [{ Location: '/p/1' }],
    [{ 'Set-Cookie': ['a=1', 'b=2'] }],
    [{ 'X-Empty': '', 'x-latin': 'caf\u00e9', "x!#$%&'*+.^_`|~-": '1' }],
    [{ 'x-long': 'v'.repeat(65_530) }],
    [{ [`x-${'n'.repeat(300)}`]: '1' }],
    [Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`x-${index}`, '1']))],
  ])('may be %j', (value) => {
    expect(headers(value)).toEqual(E.right({ status: 200, headers: value }))
  })

  it.each([
    ['a list', [], 'type'],
    ['a text', 'Location: /', 'type'],
    ['nothing', null, 'type'],
    ['a name with a space', { 'Set Cookie': 'a=1' }, 'pattern'],
    ['a name that would end the line', { 'a\r\nb': '1' }, 'pattern'],
    ['no name', { '': '1' }, 'pattern'],
    ['a value that would begin another header', { a: '1\r\nSet-Cookie: b=2' }, 'pattern'],
    ['a value that no byte can carry', { a: '\u20ac' }, 'pattern'],
    ['a number', { a: 1 }, 'pattern'],
    ['a list with a number in it', { a: ['1', 2] }, 'pattern'],
    ['more characters than are taken in all', { a: 'v'.repeat(65_530), b: '123456' }, 'length'],
    ['more than two thousand', Object.fromEntries(Array.from({ length: 2_001 }, (_, index) => [`x-${index}`, '1'])), 'length'],
  ])('are refused as %s', (_what, value, code) => {
    expect(headers(value)).toEqual(E.left([expect.objectContaining({ path: '/headers', code })]))
  })
})
