// Births that are kept until they are leased: within a bound, once, and as copies.
import { describe, expect, it } from 'vitest'
import { createBirths, type Born } from '../../src/engine/queues/births.ts'
import { taskId } from '../../src/domain/ids.ts'

const idOf = (name: string) => taskId('app', 'queue', name)
const bornWith = (payload: Uint8Array | undefined): Born => ({ birth: { type: 'TaskInserted', by: 'somebody' } as Born['birth'], payload })

describe('births that are kept', () => {
  it('are given once, with their payload', () => {
    const births = createBirths()
    births.keep(idOf('a'), bornWith(Buffer.from('payload')))
    expect(births.take(idOf('a'))?.payload).toEqual(Buffer.from('payload'))
    expect(births.take(idOf('a'))).toBeUndefined()
  })

  it('are copies: what they came in may be used again', () => {
    const births = createBirths()
    const request = Buffer.from('..payload..')
    births.keep(idOf('a'), bornWith(request.subarray(2, 9)))
    request.fill(0)
    const payload = births.take(idOf('a'))?.payload
    expect(Buffer.from(payload ?? []).toString()).toBe('payload')
  })

  it('take no more than their bound, and have room again for what was taken or dropped', () => {
    const births = createBirths(2_500)
    for (const name of ['a', 'b', 'c']) births.keep(idOf(name), bornWith(new Uint8Array(1_000)))
    expect(births.take(idOf('b'))).toBeUndefined()
    births.drop(idOf('a'))
    births.keep(idOf('c'), bornWith(new Uint8Array(2_000)))
    expect(births.take(idOf('c'))?.payload?.byteLength).toBe(2_000)
    births.keep(idOf('d'), bornWith(new Uint8Array(2_200)))
    expect(births.take(idOf('d'))?.payload?.byteLength).toBe(2_200)
  })
})
