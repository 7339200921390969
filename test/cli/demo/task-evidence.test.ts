// The checks with which the demo proves that each task was completed exactly once must themselves be able to fail.
import { describe, expect, it } from 'vitest'
import { holdingsIn, isCompletedOnce } from '../../../src/cli/demo/task-evidence.ts'
import { history } from '../../support/history.ts'

const leased = (lease: number, name: string) => ['Leased', { lease, holder: { name } }] as const
const completed = (lease: number) => ['Completed', { lease }] as const

describe('who held a task', () => {
  it('is each lease with how it ended', () => {
    const events = history(
      ['TaskInserted'],
      leased(1, 'a'),
      ['LeaseReleased', { lease: 1, busy: true }],
      leased(2, 'b'),
      ['LeaseExtended', { lease: 2 }],
      ['LeaseExpired', { lease: 2 }],
      leased(3, 'c'),
    )
    expect(holdingsIn(events)).toMatchObject([
      { lease: 1, holder: 'a', ended: { how: 'LeaseReleased', isBusy: true } },
      { lease: 2, holder: 'b', ended: { how: 'LeaseExpired', isBusy: false } },
      { lease: 3, holder: 'c' },
    ])
    expect(holdingsIn(events)[2]).not.toHaveProperty('ended')
  })
  it('is nobody while it waits', () => expect(holdingsIn(history(['TaskInserted']))).toEqual([]))
})

describe('a task was completed once, by the holder of its current lease', () => {
  it.each([
    ['when its only lease completed it', [leased(1, 'a'), completed(1)]],
    ['when an earlier lease had ended', [leased(1, 'a'), ['LeaseExpired', { lease: 1 }] as const, leased(2, 'b'), completed(2)]],
    ['when it was a dead letter before', [leased(1, 'a'), ['DeadLettered'] as const, ['Redriven'] as const, leased(2, 'b'), completed(2)]],
  ])('%s', (_what, events) => expect(isCompletedOnce(history(...events))).toBe(true))

  it.each([
    ['while somebody holds it', [leased(1, 'a')]],
    ['when it was completed twice', [leased(1, 'a'), completed(1), completed(1)]],
    ['when it was completed under a lease before', [leased(1, 'a'), ['LeaseExpired', { lease: 1 }] as const, leased(2, 'b'), completed(1)]],
    ['when nobody held it any more', [leased(1, 'a'), ['LeaseExpired', { lease: 1 }] as const, completed(1)]],
    ['when it ended otherwise', [leased(1, 'a'), ['Failed', { lease: 1 }] as const]],
    ['when it ended in two ways', [leased(1, 'a'), completed(1), ['Cancelled'] as const]],
  ])('but not %s', (_what, events) => expect(isCompletedOnce(history(...events))).toBe(false))
})
