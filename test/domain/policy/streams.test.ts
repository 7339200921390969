// How often facts that only refresh are recorded, so that weeks of work stay within one stream (rules 14, 16).
import { describe, expect, it } from 'vitest'
import { extensionMs, hasMoved, progressIntervalMs, STREAM_EVENTS_MAX, STREAM_EVENTS_WARN } from '../../../src/domain/policy/streams.ts'
import type { Progress } from '../../../src/domain/work-item/events.ts'
import type { WorkItem } from '../../../src/domain/work-item/state.ts'
import { after, itemIn } from '../../support/given.ts'
import { askDirective, BIRTH, JOB, report } from '../../support/samples.ts'

describe('the pause between two recorded progress reports', () => {
  it.each([
    [0, 250],
    [499, 250],
    [500, 500],
    [999, 500],
    [1_000, 1_000],
    [2_499, 4_000],
    [2_500, 8_000],
    [9_999, 250 * 2 ** 19],
  ])('at revision %i is %i ms', (revision, ms) => {
    expect(progressIntervalMs(revision)).toBe(ms)
  })
})

describe('progress has moved', () => {
  it.each<[string, Progress, Progress, boolean]>([
    ['by 1 %', { fraction: 0.28 }, { fraction: 0.29 }, true],
    ['backwards by 1 %', { fraction: 0.29 }, { fraction: 0.28 }, true],
    ['to its end', { fraction: 0.99 }, { fraction: 1 }, true],
    ['by less', { fraction: 0.28 }, { fraction: 0.2899 }, false],
    ['by 1 % of a known total', { done: 100, total: 1_000 }, { done: 110, total: 1_000 }, true],
    ['by less of a known total', { done: 100, total: 1_000 }, { done: 109, total: 1_000 }, false],
    ['by 1 % of what was counted, without a total', { done: 1_000 }, { done: 1_010 }, true],
    ['by less of what was counted', { done: 1_000 }, { done: 1_009 }, false],
    ['from nothing, without a total', { done: 0 }, { done: 1 }, true],
    ['not at all, without a total', { done: 0 }, { done: 0 }, false],
    ['as with no total, when the total is zero', { done: 0, total: 0 }, { done: 1, total: 0 }, true],
    ['when the whole becomes known', { done: 10 }, { done: 10, total: 100 }, true],
    ['when only its message is another, and it has nothing else', { message: 'reading' }, { message: 'writing' }, true],
    ['not with the same message', { message: 'reading' }, { message: 'reading' }, false],
    ['not with another message beside a fraction that stands', { fraction: 0.5, message: 'a' }, { fraction: 0.5, message: 'b' }, false],
    ['not with another message beside a count that stands', { done: 5, message: 'a' }, { done: 5, message: 'b' }, false],
    ['when a count gives way to a message', { done: 5 }, { message: 'b' }, true],
  ])('%s', (_, before, now, moved) => {
    expect(hasMoved(before, now)).toBe(moved)
  })

  it('at each of a hundred steps', () => {
    for (let percent = 1; percent <= 100; percent++) expect(hasMoved({ fraction: (percent - 1) / 100 }, { fraction: percent / 100 })).toBe(true)
  })
})

describe('an extension', () => {
  it.each([
    [0, 30_000],
    [999, 30_000],
    [1_000, 60_000],
    [5_000, 960_000],
    [7_000, 3_600_000],
    [9_999, 3_600_000],
  ])('of 15 s of silence at revision %i reaches %i ms', (revision, ms) => {
    expect(extensionMs(15_000, revision)).toBe(ms)
  })

  it('is never shorter than two silences, however long they are', () => {
    expect(extensionMs(7_200_000, 0)).toBe(14_400_000)
    expect(extensionMs(7_200_000, 9_999)).toBe(14_400_000)
  })
})

const DAY_MS = 86_400_000

/** A job whose server calls each 5 s for some days; `call` says what it says at a time since birth. */
const liveOn = (days: number, call: (ms: number) => ReturnType<typeof askDirective>): WorkItem => {
  let item = itemIn('job running')
  for (let ms = 5_000; ms <= days * DAY_MS; ms += 5_000) item = after(item, call(ms))
  return item
}

describe('a job of 30 days that calls each 5 s and promises no silence over 15 s', () => {
  it('stays within its stream when it only polls', () => {
    const item = liveOn(30, (ms) => askDirective(BIRTH + ms))
    expect(item.status).toBe('running')
    expect(item.revision + 1).toBeLessThan(STREAM_EVENTS_WARN)
    expect(JOB.silenceMs).toBe(15_000)
  })

  it('stays within its stream when each call brings progress that has moved', () => {
    const item = liveOn(30, (ms) => report(BIRTH + ms, { progress: { fraction: (ms / 50_000) % 1 } }))
    expect(item.status).toBe('running')
    expect(item.revision + 1).toBeLessThan(STREAM_EVENTS_MAX)
  })

  it('is failed when it enters a new phase with each call, and not before its stream is full', () => {
    const item = liveOn(1, (ms) => report(BIRTH + ms, { phase: `phase ${ms}` }))
    expect(item).toMatchObject({ status: 'settled', end: 'failed', failure: { code: 'history-limit' } })
    expect(item.revision + 1).toBeGreaterThan(STREAM_EVENTS_MAX - 20)
    expect(item.revision + 1).toBeLessThanOrEqual(STREAM_EVENTS_MAX)
  })
})
