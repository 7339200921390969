// What a request counts for its caller through its life, and when that is too much.
import { describe, expect, it } from 'vitest'
import { beyondQuota, kept, NO_USAGE, plus } from '../../../src/domain/policy/quota.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { evolveAll } from '../../../src/domain/work-item/evolve.ts'
import { absent } from '../../../src/domain/work-item/state.ts'
import { BIRTH, inserted, jobLeased } from '../../support/samples.ts'

const accepted: WorkItemEvent = {
  type: 'RequestAccepted',
  contract: 'orders',
  caller: 'anna',
  by: 'gateway',
  digest: 'print',
  mediaType: 'text/plain',
  runs: 'workers',
  release: { policy: 'required' },
  onInterrupted: 'retry',
  interruptedAfterMs: 3_600_000,
  bytes: 10,
  dueAt: BIRTH,
}
const replied = (isKept: boolean): WorkItemEvent => ({ type: 'Completed', reply: { status: 200, headers: [], bytes: 5, kept: isKept }, lease: 1, digest: 'reply' })
const after = (...events: readonly WorkItemEvent[]) => kept(evolveAll(absent, events, BIRTH))
const anna = { contract: 'orders', caller: 'anna' }

describe('a request counts', () => {
  it('its body while it is pending, leased or not', () => {
    for (const events of [[accepted], [accepted, jobLeased()]]) expect(after(...events)).toEqual({ ...anna, pending: 1, unreleased: 0, bytes: 10 })
  })

  it('the reply too once it has one, unless its body was not kept', () => {
    expect(after(accepted, jobLeased(), replied(true))).toEqual({ ...anna, pending: 0, unreleased: 1, bytes: 15 })
    expect(after(accepted, jobLeased(), replied(false))).toEqual({ ...anna, pending: 0, unreleased: 1, bytes: 10 })
  })

  it('nothing from its end on when it ended without a reply: there is nothing to release', () => {
    const failed: WorkItemEvent = { type: 'Failed', code: 'interrupted', message: 'It broke off.' }
    expect(after(accepted, failed)).toBeUndefined()
  })

  it('nothing when it is erased; and neither does what is no request', () => {
    const erased: WorkItemEvent = { type: 'Erased', kind: 'request', by: 'gateway', digest: 'print', end: 'completed', createdAt: BIRTH, settledAt: BIRTH, eraser: 'admin' }
    expect([after(accepted, replied(true), erased), after(inserted), kept(absent)]).toEqual([undefined, undefined, undefined])
  })
})

describe('a quota', () => {
  const usage = { pending: 2, unreleased: 1, bytes: 100 }

  it('is kept to its last request and byte', () => {
    expect(beyondQuota(usage, { requests: 3, bytes: 100 })).toBeUndefined()
    expect(beyondQuota(usage, undefined)).toBeUndefined()
    expect(beyondQuota(usage, {})).toBeUndefined()
  })

  it('says which limit would be passed', () => {
    expect(beyondQuota(usage, { requests: 2 })).toBe('Expected at most 2 requests unreleased, pending ones among them, but with this one there would be 3.')
    expect(beyondQuota(usage, { bytes: 99 })).toBe('Expected at most 99 bytes unreleased, but this would make 100.')
  })

  it('adds and takes away', () => {
    expect(plus(plus(NO_USAGE, usage), usage, -1)).toEqual(NO_USAGE)
  })
})
