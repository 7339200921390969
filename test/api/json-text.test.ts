// Numbers in JSON that cannot be kept as they are written are refused with their place; all others are what they were.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/api/json-text.ts'

const read = (text: string) => parseJson(Buffer.from(text))

describe('a number in a body', () => {
  it.each([
    ['{"payload":{"n":12345678901234567890}}', '/payload/n'],
    ['{"items":[{"id":"a"},{"payload":[1,9007199254740993]}]}', '/items/1/payload/1'],
    ['{"a/b":1e400}', '/a~1b'],
    ['-1e400', ''],
    ['[1e-400]', '/0'],
  ])('that would be another one is refused: %s', (text, path) => expect(read(text)).toEqual(E.left([expect.objectContaining({ path, code: 'json' })])))

  it.each(['{"f":1.10}', '[9007199254740991,9007199254740992,1e21,1e300]', '{"n":"12345678901234567890"}', '[0.12345678901234567890,0e999,-0]', '100000000000000000000'])(
    'that is the same is taken: %s',
    (text) => expect(read(text)).toEqual(E.right(JSON.parse(text))),
  )
})
