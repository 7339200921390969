// Ids of events and commands: a repeat has to make the same ones again, on every release, so they are held against another implementation of RFC 9562.
import { v5 } from 'uuid'
import { describe, expect, it } from 'vitest'
import { uuidV5 } from '../../src/engine/envelope.ts'

const NAMESPACE = '5c7a3a4e-4f0e-4d5b-8f63-6f6a1f4b3e57'

describe('a name-based UUID', () => {
  it.each([
    ['an index', '0'],
    ['nothing', ''],
    ['a work item and a line break', 'ann@example.com\ntask/shop/mail/42\n7'],
    ['letters of two and of three bytes', 'Größe 長さ'],
    ['a name that is longer than what is kept for it', 'x'.repeat(10_000)],
    ['a long name of three bytes a letter', '長'.repeat(1_361)],
  ])('is that of RFC 9562 for %s', (_what, name) => {
    expect(uuidV5(NAMESPACE, name)).toBe(v5(name, NAMESPACE))
  })

  it('has every variant that a hash can lead to', () => {
    for (let n = 0; n < 500; n += 1) expect(uuidV5(NAMESPACE, String(n))).toBe(v5(String(n), NAMESPACE))
  })
})
