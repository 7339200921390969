// How long a reply is given: the same on every server and in every replay, because it is a function of stream and time alone (rules 18).
import { describe, expect, it } from 'vitest'
import { expiryOf, isExpired, isGone } from '../../../src/domain/policy/release.ts'
import type { Release } from '../../../src/domain/work-item/events.ts'
import type { Settled } from '../../../src/domain/work-item/state.ts'
import { given, itemIn } from '../../support/given.ts'
import { accepted, at, replied, REPLY_EXPIRED_AT, REQUEST_ENDED_AT, taskLeased, type StateName } from '../../support/samples.ts'

const settled = (state: StateName): Settled => {
  const item = itemIn(state)
  if (item.status !== 'settled') throw new Error(`Expected ${state} to be settled`)
  return item
}

const repliedUnder = (release: Release): Settled => given({ ...accepted, release }, taskLeased(), at(REQUEST_ENDED_AT, replied)).item as Settled

describe('the expiry of a reply', () => {
  it.each([
    [{ policy: 'none-required', retainMs: 60_000 }, REQUEST_ENDED_AT + 60_000],
    [{ policy: 'encouraged', retainMs: 60_000 }, REQUEST_ENDED_AT + 60_000],
    [{ policy: 'required' }, undefined],
    // Under `required` no time releases it, whatever stands beside the policy.
    [{ policy: 'required', retainMs: 60_000 }, undefined],
  ] as const)('under %j counts from its settlement', (release, expiry) => {
    expect(expiryOf(repliedUnder(release))).toBe(expiry)
  })

  it('counts for what was settled without a reply too, and is nothing for what is no request', () => {
    for (const state of ['request interrupted', 'request failed', 'request aborted', 'request cancelled'] as const) expect(expiryOf(settled(state))).toBe(REPLY_EXPIRED_AT)
    for (const state of ['job completed', 'task completed'] as const) expect(expiryOf(settled(state))).toBeUndefined()
  })

  it('is reached in its millisecond, not before', () => {
    const item = settled('request replied to')
    expect([isExpired(item, REPLY_EXPIRED_AT - 1), isExpired(item, REPLY_EXPIRED_AT)]).toEqual([false, true])
    expect([isGone(item, REPLY_EXPIRED_AT - 1), isGone(item, REPLY_EXPIRED_AT)]).toEqual([false, true])
  })
})

describe('a reply that was released', () => {
  it.each(['request released', 'request released by time', 'request erased'] as const)('is gone at any time: %s', (state) => {
    expect(isGone(settled(state), REQUEST_ENDED_AT)).toBe(true)
  })

  it('by nobody is never gone where it is required', () => {
    expect(isGone(repliedUnder({ policy: 'required' }), Number.MAX_SAFE_INTEGER)).toBe(false)
  })
})
