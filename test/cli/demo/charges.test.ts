// The check with which the demo proves that each card was charged once must itself be able to fail.
import { describe, expect, it } from 'vitest'
import { notChargedOnce, type Charged } from '../../../src/cli/demo/charges.ts'

const asked = new Map([
  ['a', { cents: 100 }],
  ['b', { cents: 200 }],
])
const charged = (id: string, cents: number): Charged => ({ id, cents, by: 'till-1', attempt: 1 })

describe('the record of the card network', () => {
  it('is right when it has each charge once, as it was asked', () => expect(notChargedOnce(asked, [charged('b', 200), charged('a', 100)])).toEqual([]))

  it('is wrong where a charge is missing, comes twice, is another, or was never asked for', () => {
    expect(notChargedOnce(asked, [charged('a', 100)])).toEqual(['b'])
    expect(notChargedOnce(asked, [charged('a', 100), charged('a', 100), charged('b', 200)])).toEqual(['a'])
    expect(notChargedOnce(asked, [charged('a', 101), charged('b', 200)])).toEqual(['a'])
    expect(notChargedOnce(asked, [charged('a', 100), charged('b', 200), charged('c', 1)])).toEqual(['c'])
  })
})
