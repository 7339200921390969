// What makes two bodies the same, and which JSON can be read without losing anything of it.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bodyFingerprint, canonicalJson, contentDigest, exactJson } from '../../src/engine/digest.ts'

const json = (text: string | Buffer) => bodyFingerprint('application/json', Buffer.from(text))

describe('JSON is read', () => {
  it.each([
    ['{"a":[1,-2.50,1e3,0.1,1E-7,0,-0,9007199254740992,1.7976931348623157e308,123456789012345680000]}'],
    ['{"a:1":"12345678901234567890","b\\"":{"a:1":"\\\\"},"c":[{"a":1},{"a":2}]}'],
    ['"\\ud800"'],
    ['{"__proto__":1}'],
    ['null'],
  ])('where nothing of it is lost: %s', (text) => expect(exactJson(Buffer.from(text))).toEqual({ value: JSON.parse(text) as unknown }))

  it.each([
    ['digits', '{"a":12345678901234567890}'],
    ['digits of a fraction', '[0.12345678901234567890]'],
    ['a number beyond all others', '1e400'],
    ['a number below all others', '1e-400'],
    ['a number of a million digits', `1${'0'.repeat(1_000_000)}1`],
    ['a key that comes twice', '{"a":1,"a":100}'],
    ['a key that comes twice further in', '[{"b":{"a":1,"\\u0061":1}}]'],
    ['bytes that are no text', Buffer.from([0x22, 0xff, 0x22])],
    ['what is nested too deeply', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['everything, as it is none', '{'],
  ])('not where it would lose %s', (_what, text) => expect(exactJson(Buffer.from(text))).toBeUndefined())
})

describe('canonical JSON', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .toReversed()
        .map(([key, inner]) => [key, shuffled(inner)]),
    )
  }

  it('is the same in whatever order the keys came, and says the same', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value)
        expect(canonicalJson(shuffled(value))).toBe(text)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it.each([
    [{ 9: 1, 10: 2 }, '{"10":2,"9":1}'],
    [{ a: 1, b: undefined }, '{"a":1}'],
    [[undefined, { b: 1, a: [undefined] }], '[null,{"a":[null],"b":1}]'],
    [undefined, 'null'],
  ])('of %j is %s', (value, text) => expect(canonicalJson(value)).toBe(text))
})

describe('the digest of content', () => {
  it.each(['', '{"a":"é"}', '"\ud800"', '長さ'])('is the same for bytes and for the text that they are: %j', (text) => {
    expect(contentDigest({ b: 1, a: undefined }, text)).toBe(contentDigest({ a: undefined, b: 1 }, Buffer.from(text)))
  })

  it('is that of what is asked about, not of what was asked about before', () => {
    const [one, other] = [contentDigest({ completed: {} }), contentDigest({ completed: { result: 1 } })]
    expect(one).not.toBe(other)
    expect([contentDigest({ completed: {} }), contentDigest({ completed: {} })]).toEqual([one, one])
  })

  it('is what it has always been, as it stands in logs', () => {
    expect(contentDigest({ tag: 'a', priority: undefined, key: undefined, delaySeconds: 0, mediaType: 'application/json' }, Buffer.from('{"n":1}'))).toBe(
      'xsbPbm75q69CMl-d4f9isLHhevODuyO0eKL0VDvJ9Tc',
    )
  })
})

describe('the fingerprint of a body', () => {
  it('is the same for the same JSON, however it is written and its type is called', () => {
    const same = [
      json('{"a":1,"b":[1.0,"\\u0061"]}'),
      json(' { "b": [1, "a"], "a": 1e0 } '),
      bodyFingerprint('application/x+json; charset=utf-8', Buffer.from('{"b":[1,"a"],"a":1}')),
    ]
    expect(new Set([...same, bodyFingerprint(undefined, Buffer.from('{"a":1,"b":[1,"a"]}'))]).size).toBe(1)
  })

  it.each([
    ['12345678901234567890', '12345678901234567891'],
    ['{"amount":1,"amount":100}', '{"amount":100}'],
    ['1e400', 'null'],
    [Buffer.from([0x22, 0xff, 0x22]), Buffer.from([0x22, 0xfe, 0x22])],
  ])('tells %s from %s', (one, other) => expect(json(one)).not.toBe(json(other)))

  it('of other bodies goes by their bytes and their type without parameters', () => {
    expect(bodyFingerprint('text/plain', Buffer.from('{}'))).toBe(bodyFingerprint('Text/Plain; charset=utf-8', Buffer.from('{}')))
    expect(bodyFingerprint('text/plain', Buffer.from('{}'))).not.toBe(bodyFingerprint('text/html', Buffer.from('{}')))
    expect(bodyFingerprint('text/plain', Buffer.from('{}'))).not.toBe(bodyFingerprint('text/plain', Buffer.from('{ }')))
  })
})
