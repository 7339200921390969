// The gate that each work item waits at, as its own stream tells (design 16).
import { describe, expect, it } from 'vitest'
import { STREAM_EVENTS_MAX, STREAM_EVENTS_WARN } from '../../../src/domain/policy/streams.ts'
import { whyNotRunning, type Gate } from '../../../src/domain/policy/why.ts'
import { given, itemIn } from '../../support/given.ts'
import {
  BIRTH,
  dispatched,
  GIVE_UP_AT,
  INTERRUPTED_AT,
  jobLeased,
  LOST_NOW,
  NOW,
  REQUEST_ENDED_AT,
  sampleEvents,
  STATES,
  TIMES_OUT_AT,
  type StateName,
} from '../../support/samples.ts'

const GATES: Readonly<Record<StateName, Gate | undefined>> = {
  'job absent': undefined,
  'job waiting': 'ready',
  'job running': 'running',
  'job running, told to pause': 'pausing',
  'job running, told to abort': 'aborting',
  'job paused': 'paused',
  'job paused unasked': 'parked',
  'job paused, told to resume': 'resuming',
  'job paused, told to abort': 'aborting',
  'job lost': 'lost',
  'job lost, told to abort': 'lost',
  'job lost while paused': 'lost',
  'job lost while paused, told to resume': 'lost',
  'job completed': 'settled',
  'job failed': 'settled',
  'job aborted': 'settled',
  'job cancelled': 'settled',
  'job given up': 'settled',
  'task absent': undefined,
  'task waiting': 'ready',
  'task waiting for its time': 'delay',
  'task waiting again': 'ready',
  'task waiting, paused': 'paused',
  'task running': 'running',
  'task running, told to pause': 'pausing',
  'task running, told to abort': 'aborting',
  'task paused': 'paused',
  'task paused, told to resume': 'resuming',
  'task paused, told to abort': 'aborting',
  'task dead letter': 'dead-letter',
  'task completed': 'settled',
  'task failed': 'settled',
  'task aborted': 'settled',
  'task cancelled': 'settled',
  'request absent': undefined,
  'request waiting': 'ready',
  'request waiting again': 'ready',
  'request waiting, paused': 'paused',
  'request running': 'running',
  'request running again': 'running',
  'request running, told to pause': 'pausing',
  'request running, told to abort': 'aborting',
  'request paused': 'paused',
  'request paused, told to resume': 'resuming',
  'request paused, told to abort': 'aborting',
  'request running in middleware': 'running',
  'request broken off in middleware': 'broke-off',
  'request given back in middleware': 'ready',
  'request broken off in middleware, paused': 'paused',
  'request with an open outbox': 'settled',
  'request replied to': 'settled',
  'request released': 'settled',
  'request released by time': 'settled',
  'request erased': 'settled',
  'request interrupted': 'settled',
  'request failed': 'settled',
  'request aborted': 'settled',
  'request cancelled': 'settled',
  'long-task absent': undefined,
  'long-task waiting': 'ready',
  'long-task waiting, paused': 'paused',
  'long-task running': 'running',
  'long-task running, told to pause': 'pausing',
  'long-task running, told to abort': 'aborting',
  'long-task paused': 'paused',
  'long-task paused unasked': 'parked',
  'long-task paused, told to resume': 'resuming',
  'long-task paused, told to abort': 'aborting',
  'long-task lost': 'lost',
  'long-task lost, told to abort': 'lost',
  'long-task lost while paused': 'lost',
  'long-task completed': 'settled',
  'long-task failed': 'settled',
  'long-task gone': 'settled',
  'long-task refused by its node': 'settled',
  'long-task aborted': 'settled',
  'long-task cancelled': 'settled',
  'long-task timed out': 'settled',
  'long-task timed out, stalled': 'settled',
  'long-task timed out, never taken': 'settled',
  'long-task on its node, waiting': 'ready',
  'long-task on its node, waiting, paused': 'paused',
  'long-task on its node, waiting again': 'ready',
  'long-task on its node, running': 'running',
  'long-task on its node, running, not to be run again': 'running',
  'long-task on its node, running, told to pause': 'pausing',
  'long-task on its node, running, told to abort': 'aborting',
  'long-task on its node, paused': 'paused',
  'long-task on its node, paused, told to resume': 'resuming',
  'long-task on its node, paused, told to abort': 'aborting',
  'long-task on its node, completed': 'settled',
  'long-task on its node, interrupted': 'settled',
  'long-task on its node, acknowledged': 'settled',
}

describe('why a work item is not running', () => {
  it.each(Object.keys(STATES) as StateName[])('when %s', (state) => {
    expect(whyNotRunning(itemIn(state), NOW)?.gate).toBe(GATES[state])
  })

  it('tells when a delay is over, and then that it is ready', () => {
    const delayed = itemIn('task waiting for its time')
    expect(whyNotRunning(delayed, NOW)).toMatchObject({ gate: 'delay', until: NOW + 5_000, detail: 'It is due in 5 s.' })
    expect(whyNotRunning(delayed, NOW + 4_001)).toMatchObject({ detail: 'It is due in 1 s.' })
    expect(whyNotRunning(delayed, NOW + 5_000)).toMatchObject({ gate: 'ready', since: NOW + 5_000 })
  })

  it('tells when a request is tried again, as it does of a task', () => {
    const retried = given(...STATES['request running'], sampleEvents.RetryScheduled).item
    expect(whyNotRunning(retried, NOW)).toMatchObject({ gate: 'delay', until: NOW + 1_000, failure: { code: 'disk-full' } })
    expect(whyNotRunning(retried, NOW + 1_000)).toMatchObject({ gate: 'ready', since: NOW + 1_000 })
  })

  it('tells what broke off in middleware, who goes on with it, and until when', () => {
    expect(whyNotRunning(itemIn('request broken off in middleware'), NOW)).toEqual({
      gate: 'broke-off',
      detail: 'Its execution broke off: the next call with its id runs it again, and it fails in 52 s if none comes.',
      since: REQUEST_ENDED_AT,
      until: INTERRUPTED_AT,
      failure: { code: 'lease-expired', message: 'The lease ended before its holder finished.' },
    })
    expect(whyNotRunning(itemIn('request broken off in middleware'), INTERRUPTED_AT + 5_000)?.detail).toContain('it fails in 0 s')
    expect(whyNotRunning(itemIn('request interrupted'), NOW)).toMatchObject({
      detail: expect.stringMatching(/^It has settled: failed, interrupted: .+[^.]\.$/),
      failure: { code: 'interrupted' },
    })
  })

  it('tells since when it has been ready', () => {
    expect(whyNotRunning(itemIn('task waiting'), NOW)).toMatchObject({ since: BIRTH })
    expect(whyNotRunning(itemIn('task waiting again'), NOW)).toMatchObject({ since: BIRTH + 2_000, failure: { code: 'lease-expired' } })
  })

  it('tells who paused it, and whether its holder knows', () => {
    expect(whyNotRunning(itemIn('task waiting, paused'), NOW)).toMatchObject({ directive: { by: 'admin', seen: false } })
    expect(whyNotRunning(itemIn('job paused'), NOW)).toMatchObject({ holder: { name: 'node-1', lease: 1 }, directive: { by: 'admin', seen: true } })
    expect(whyNotRunning(itemIn('job running, told to pause'), NOW)?.detail).toBe('It is to pause; node-1 has not seen it yet and is still running it.')
  })

  it('tells who is running it, and of no wish when none stands', () => {
    expect(whyNotRunning(itemIn('job running'), NOW)).toEqual({ gate: 'running', detail: 'node-1 is running it.', since: BIRTH + 1_000, holder: { name: 'node-1', lease: 1 } })
  })

  it('tells since when a lost holder is silent, when the job settles, and what waits for it', () => {
    expect(whyNotRunning(itemIn('job lost, told to abort'), LOST_NOW)).toMatchObject({
      since: BIRTH + 5_000,
      until: GIVE_UP_AT,
      directive: { by: 'admin', seen: false },
      detail: 'Its holder node-1 has been silent, and it settles in 86395 s if it does not return.',
    })
  })

  it('tells what made it a dead letter', () => {
    expect(whyNotRunning(itemIn('task dead letter'), NOW)).toMatchObject({
      failure: { code: 'disk-full', message: 'No space left.' },
      detail: 'It is a dead letter; redrive it to try again.',
    })
  })

  it('tells how it settled, and why it failed', () => {
    expect(whyNotRunning(itemIn('job given up'), NOW)).toMatchObject({ detail: 'It has settled: failed.', since: GIVE_UP_AT, failure: { code: 'lost' } })
  })
})

describe('why a long task is not done', () => {
  const detailOf = (state: StateName, now = NOW): string | undefined => whyNotRunning(itemIn(state), now)?.detail

  it('is, until its node takes it, that node, and time', () => {
    expect(whyNotRunning(itemIn('long-task waiting'), NOW)).toEqual({
      gate: 'ready',
      detail: 'Its node node-1 has not taken it yet; it times out in 50 s.',
      since: BIRTH,
      until: TIMES_OUT_AT,
    })
    expect(detailOf('long-task waiting', TIMES_OUT_AT + 1)).toContain('it times out in 0 s')
    expect(whyNotRunning(itemIn('long-task waiting, paused'), NOW)).toMatchObject({
      detail: 'An administrator has paused it; it times out in 50 s.',
      until: TIMES_OUT_AT,
      directive: { by: 'admin', seen: false },
    })
  })

  it('is, while its node runs it, how long that may take, and how long it may stand still', () => {
    expect(whyNotRunning(itemIn('long-task running'), NOW)).toEqual({
      gate: 'running',
      detail: 'node-1 is running it; it times out in 50 s, or after 20 s without progress.',
      since: BIRTH + 1_000,
      until: TIMES_OUT_AT,
      holder: { name: 'node-1', lease: 1 },
    })
    expect(detailOf('long-task running, told to pause')).toBe(
      'It is to pause; node-1 has not seen it yet and is still running it; it times out in 50 s, or after 20 s without progress.',
    )
    expect(detailOf('long-task running, told to abort')).toContain('It is to be aborted; node-1 has not seen it yet; it times out in 50 s')
  })

  it('is, while it is parked, who wished so; it times out all the same, and does not stall', () => {
    expect(detailOf('long-task paused')).toBe('node-1 has parked it, as an administrator wished; it times out in 50 s.')
    expect(detailOf('long-task paused unasked')).toBe('node-1 has parked it of its own accord; it times out in 50 s.')
    expect(detailOf('long-task paused, told to resume')).toBe('It is to go on; node-1 has not seen it yet; it times out in 50 s.')
    for (const state of ['long-task paused', 'long-task paused unasked', 'long-task paused, told to abort'] as const)
      expect(whyNotRunning(itemIn(state), NOW)?.until).toBe(TIMES_OUT_AT)
  })

  it('is, while its node is silent, that silence, until when the task has time', () => {
    expect(whyNotRunning(itemIn('long-task lost'), LOST_NOW)).toMatchObject({
      gate: 'lost',
      detail: 'Its holder node-1 has been silent; it times out in 35 s, or after 20 s without progress.',
      since: BIRTH + 5_000,
      until: TIMES_OUT_AT,
    })
    expect(detailOf('long-task lost while paused', LOST_NOW)).toBe('Its holder node-1 has been silent; it times out in 35 s.')
  })

  it('is no time where none was set', () => {
    const { timeoutMs: _timeout, stalledAfterMs: _stalled, ...timeless } = dispatched
    expect(whyNotRunning(given(timeless).item, NOW)).toEqual({ gate: 'ready', detail: 'Its node node-1 has not taken it yet.', since: BIRTH })
    expect(whyNotRunning(given(timeless, jobLeased()).item, NOW)?.detail).toBe('node-1 is running it.')
    expect(whyNotRunning(given({ ...timeless, stalledAfterMs: 500, timeoutMs: 1_500 }, jobLeased()).item, NOW)?.detail).toContain('after 0.5 s without progress')
  })

  it('tells which of its times was over, and that nobody had taken it', () => {
    expect(whyNotRunning(itemIn('long-task timed out'), TIMES_OUT_AT)).toMatchObject({ detail: 'It has timed out: it was not done within 60 s.', since: TIMES_OUT_AT })
    expect(detailOf('long-task timed out, stalled')).toBe('It has timed out: it made no progress for 20 s.')
    expect(detailOf('long-task timed out, never taken')).toBe('It has timed out: its node node-1 had not taken it within 60 s.')
    expect(whyNotRunning(given({ ...sampleEvents.Erased, kind: 'long-task', end: 'timedOut' }).item, NOW)?.detail).toBe('It has settled: timedOut.')
  })

  it('tells why its node would not run it, or does not know it any more', () => {
    expect(whyNotRunning(itemIn('long-task refused by its node'), NOW)).toMatchObject({
      detail: 'It has settled: failed, unknown-operation: Its node knows other operations.',
      failure: { code: 'unknown-operation' },
    })
    expect(detailOf('long-task gone')).toBe('It has settled: failed, gone: Its node does not know it any more.')
  })

  it('is on its node nobody but that node, and in the end whoever gave it out', () => {
    expect(whyNotRunning(itemIn('long-task on its node, waiting'), NOW)).toEqual({ gate: 'ready', detail: 'It waits for its node to run it.', since: BIRTH })
    expect(whyNotRunning(itemIn('long-task on its node, waiting again'), NOW)).toMatchObject({
      detail: 'Its node stopped while it ran, and is to run it again.',
      since: REQUEST_ENDED_AT,
      failure: { code: 'lease-expired' },
    })
    expect(detailOf('long-task on its node, running')).toBe('node-1 is running it.')
    expect(detailOf('long-task on its node, completed')).toBe('It has settled: completed; whoever gave it out has not acknowledged it yet.')
    expect(detailOf('long-task on its node, acknowledged')).toBe('It has settled: completed.')
  })
})

describe('a stream that is nearly full', () => {
  const withEvents = (state: StateName, events: number) => whyNotRunning({ ...itemIn(state), revision: events - 1 } as ReturnType<typeof itemIn>, NOW)

  it('is told of from 9,000 events on, beside the gate', () => {
    expect(withEvents('job running', STREAM_EVENTS_WARN - 1)?.history).toBeUndefined()
    expect(withEvents('job running', STREAM_EVENTS_WARN)).toMatchObject({
      gate: 'running',
      detail: 'node-1 is running it. Its stream is nearly full: 9000 of 10000 events.',
      history: { events: STREAM_EVENTS_WARN, eventsMax: STREAM_EVENTS_MAX },
    })
  })

  it('is no matter once it has settled', () => {
    expect(withEvents('job completed', STREAM_EVENTS_MAX - 10)?.history).toBeUndefined()
  })

  it('keeps a dead letter from being redriven, and says so', () => {
    expect(withEvents('task dead letter', STREAM_EVENTS_MAX - 10)?.detail).toContain('It is a dead letter for good: its stream is full.')
  })
})
