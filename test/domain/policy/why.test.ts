// The gate that each work item waits at, as its own stream tells (design 16).
import { describe, expect, it } from 'vitest'
import { STREAM_EVENTS_MAX, STREAM_EVENTS_WARN } from '../../../src/domain/policy/streams.ts'
import { whyNotRunning, type Gate } from '../../../src/domain/policy/why.ts'
import { given, itemIn } from '../../support/given.ts'
import { BIRTH, GIVE_UP_AT, INTERRUPTED_AT, LOST_NOW, NOW, REQUEST_ENDED_AT, sampleEvents, STATES, type StateName } from '../../support/samples.ts'

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
