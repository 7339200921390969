// What the other rooms ask of a state: what a reader sees, who is held, what stays in memory, what time will do next (surface 4, rules 7).
import { describe, expect, it } from 'vitest'
import { deadlineOf, operationDeadlines, timesOutAt, type Deadline } from '../../../src/domain/policy/deadline.ts'
import { isHeld, isLive, isParked, surfaceState, type Existing, type SurfaceState } from '../../../src/domain/work-item/state.ts'
import { given, itemIn } from '../../support/given.ts'
import {
  at,
  directiveEnded,
  directiveGiven,
  GIVE_UP_AT,
  INTERRUPTED_AT,
  JOB,
  LEASE_UNTIL,
  NOW,
  OPERATION,
  REQUEST,
  sampleEvents,
  STATES,
  taskLeased,
  TERM_MS,
  TIMES_OUT_AT,
  type StateName,
} from '../../support/samples.ts'

interface Seen {
  readonly seen: SurfaceState | undefined
  readonly is: readonly ('live' | 'held' | 'parked')[]
  /** What time may do to it; the first that comes decides. */
  readonly next?: readonly Deadline['what'][]
}

const STATES_AS_SEEN: Readonly<Record<StateName, Seen>> = {
  'job absent': { seen: undefined, is: [] },
  'job waiting': { seen: 'waiting', is: ['live'] },
  'job running': { seen: 'running', is: ['live', 'held'], next: ['silence'] },
  'job running, told to pause': { seen: 'running', is: ['live', 'held'], next: ['silence'] },
  'job running, told to abort': { seen: 'aborting', is: ['live', 'held'], next: ['silence'] },
  'job paused': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['silence'] },
  'job paused unasked': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['silence'] },
  'job paused, told to resume': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['silence'] },
  'job paused, told to abort': { seen: 'aborting', is: ['live', 'held', 'parked'], next: ['silence'] },
  'job lost': { seen: 'lost', is: ['live', 'held'], next: ['given-up'] },
  'job lost, told to abort': { seen: 'lost', is: ['live', 'held'], next: ['given-up'] },
  'job lost while paused': { seen: 'lost', is: ['live', 'held', 'parked'], next: ['given-up'] },
  'job lost while paused, told to resume': { seen: 'lost', is: ['live', 'held', 'parked'], next: ['given-up'] },
  'job completed': { seen: 'completed', is: [] },
  'job failed': { seen: 'failed', is: [] },
  'job aborted': { seen: 'aborted', is: [] },
  'job cancelled': { seen: 'cancelled', is: [] },
  'job given up': { seen: 'failed', is: [] },
  'task absent': { seen: undefined, is: [] },
  'task waiting': { seen: 'waiting', is: ['live'] },
  'task waiting for its time': { seen: 'waiting', is: ['live'] },
  'task waiting again': { seen: 'waiting', is: ['live'] },
  'task waiting, paused': { seen: 'paused', is: ['live'] },
  'task running': { seen: 'running', is: ['live', 'held'], next: ['lease-ends'] },
  'task running, told to pause': { seen: 'running', is: ['live', 'held'], next: ['lease-ends'] },
  'task running, told to abort': { seen: 'aborting', is: ['live', 'held'], next: ['lease-ends'] },
  'task paused': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['lease-ends'] },
  'task paused, told to resume': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['lease-ends'] },
  'task paused, told to abort': { seen: 'aborting', is: ['live', 'held', 'parked'], next: ['lease-ends'] },
  'task dead letter': { seen: 'failed', is: [] },
  'task completed': { seen: 'completed', is: [] },
  'task failed': { seen: 'failed', is: [] },
  'task aborted': { seen: 'aborted', is: [] },
  'task cancelled': { seen: 'cancelled', is: [] },
  'request absent': { seen: undefined, is: [] },
  'request waiting': { seen: 'waiting', is: ['live'] },
  'request waiting again': { seen: 'waiting', is: ['live'] },
  'request waiting, paused': { seen: 'paused', is: ['live'] },
  'request running': { seen: 'running', is: ['live', 'held'], next: ['lease-ends'] },
  'request running again': { seen: 'running', is: ['live', 'held'], next: ['lease-ends'] },
  'request running, told to pause': { seen: 'running', is: ['live', 'held'], next: ['lease-ends'] },
  'request running, told to abort': { seen: 'aborting', is: ['live', 'held'], next: ['lease-ends'] },
  'request paused': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['lease-ends'] },
  'request paused, told to resume': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['lease-ends'] },
  'request paused, told to abort': { seen: 'aborting', is: ['live', 'held', 'parked'], next: ['lease-ends'] },
  'request running in middleware': { seen: 'running', is: ['live', 'held'], next: ['lease-ends'] },
  'request broken off in middleware': { seen: 'waiting', is: ['live'], next: ['interrupted'] },
  'request given back in middleware': { seen: 'waiting', is: ['live'], next: ['interrupted'] },
  'request broken off in middleware, paused': { seen: 'paused', is: ['live'] },
  // Its effects are still to be carried out, so a restart has to find it.
  'request with an open outbox': { seen: 'completed', is: ['live'] },
  // When it is released is no timer: it is asked when somebody wants the reply (rules 18).
  'request replied to': { seen: 'completed', is: [] },
  'request released': { seen: 'completed', is: [] },
  'request released by time': { seen: 'completed', is: [] },
  'request erased': { seen: 'completed', is: [] },
  'request interrupted': { seen: 'failed', is: [] },
  'request failed': { seen: 'failed', is: [] },
  'request aborted': { seen: 'aborted', is: [] },
  'request cancelled': { seen: 'cancelled', is: [] },
  'long-task absent': { seen: undefined, is: [] },
  'long-task waiting': { seen: 'waiting', is: ['live'], next: ['times-out'] },
  'long-task waiting, paused': { seen: 'paused', is: ['live'], next: ['times-out'] },
  'long-task running': { seen: 'running', is: ['live', 'held'], next: ['times-out', 'stalled', 'silence'] },
  'long-task running, told to pause': { seen: 'running', is: ['live', 'held'], next: ['times-out', 'stalled', 'silence'] },
  'long-task running, told to abort': { seen: 'aborting', is: ['live', 'held'], next: ['times-out', 'stalled', 'silence'] },
  'long-task paused': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['times-out', 'silence'] },
  'long-task paused unasked': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['times-out', 'silence'] },
  'long-task paused, told to resume': { seen: 'paused', is: ['live', 'held', 'parked'], next: ['times-out', 'silence'] },
  'long-task paused, told to abort': { seen: 'aborting', is: ['live', 'held', 'parked'], next: ['times-out', 'silence'] },
  'long-task lost': { seen: 'lost', is: ['live', 'held'], next: ['times-out', 'stalled'] },
  'long-task lost, told to abort': { seen: 'lost', is: ['live', 'held'], next: ['times-out', 'stalled'] },
  'long-task lost while paused': { seen: 'lost', is: ['live', 'held', 'parked'], next: ['times-out'] },
  'long-task completed': { seen: 'completed', is: [] },
  'long-task failed': { seen: 'failed', is: [] },
  'long-task gone': { seen: 'failed', is: [] },
  'long-task refused by its node': { seen: 'failed', is: [] },
  'long-task aborted': { seen: 'aborted', is: [] },
  'long-task cancelled': { seen: 'cancelled', is: [] },
  'long-task timed out': { seen: 'timedOut', is: [] },
  'long-task timed out, stalled': { seen: 'timedOut', is: [] },
  'long-task timed out, never taken': { seen: 'timedOut', is: [] },
  // Whoever gave it out keeps its time; and it stays on the list until its end is acknowledged.
  'long-task on its node, waiting': { seen: 'waiting', is: ['live'] },
  'long-task on its node, waiting, paused': { seen: 'paused', is: ['live'] },
  'long-task on its node, waiting again': { seen: 'waiting', is: ['live'] },
  'long-task on its node, running': { seen: 'running', is: ['live', 'held'] },
  'long-task on its node, running, not to be run again': { seen: 'running', is: ['live', 'held'] },
  'long-task on its node, running, told to pause': { seen: 'running', is: ['live', 'held'] },
  'long-task on its node, running, told to abort': { seen: 'aborting', is: ['live', 'held'] },
  'long-task on its node, paused': { seen: 'paused', is: ['live', 'held', 'parked'] },
  'long-task on its node, paused, told to resume': { seen: 'paused', is: ['live', 'held', 'parked'] },
  'long-task on its node, paused, told to abort': { seen: 'aborting', is: ['live', 'held', 'parked'] },
  'long-task on its node, completed': { seen: 'completed', is: ['live'] },
  'long-task on its node, interrupted': { seen: 'failed', is: ['live'] },
  'long-task on its node, acknowledged': { seen: 'completed', is: [] },
}

describe.each(Object.entries(STATES_AS_SEEN))('when %s', (name, { seen, is, next = [] }) => {
  const item = itemIn(name as StateName)

  it(`is seen as ${seen ?? 'nothing'}`, () => {
    expect(item.status === 'absent' ? undefined : surfaceState(item)).toBe(seen)
  })

  it(`is ${is.join(', ') || 'neither live nor held'}`, () => {
    const answers = { live: isLive(item), held: isHeld(item), parked: isParked(item) }
    expect(Object.entries(answers).flatMap(([word, yes]) => (yes ? [word] : []))).toEqual(is)
  })

  it(`has ${next.join(', ') || 'nothing'} before it`, () => {
    const own = deadlineOf(item)
    expect([...operationDeadlines(item), ...(own === undefined ? [] : [own])].map(({ what }) => what)).toEqual(next)
  })
})

describe('the deadline', () => {
  it('of a task is the end of its lease', () => {
    expect(deadlineOf(itemIn('task running'))).toEqual({ what: 'lease-ends', lease: 1, at: LEASE_UNTIL, termMs: TERM_MS })
  })

  it('of a request that broke off in middleware is when it fails, and a pause stops that clock', () => {
    expect(deadlineOf(itemIn('request broken off in middleware'))).toEqual({ what: 'interrupted', lease: 1, at: INTERRUPTED_AT })
    const goesOn = given(...STATES['request broken off in middleware, paused'], at(NOW, directiveGiven('resume', 2)), at(NOW, directiveEnded('obeyed', 2))).item
    expect(deadlineOf(goesOn)).toEqual({ what: 'interrupted', lease: 1, at: NOW + REQUEST.interruptedAfterMs })
  })

  it('of a job is its promised silence, and of a lost one a day later', () => {
    expect(deadlineOf(itemIn('job running'))).toEqual({ what: 'silence', lease: 1, silenceMs: JOB.silenceMs })
    expect(deadlineOf(itemIn('job lost'))).toEqual({ what: 'given-up', lease: 1, at: GIVE_UP_AT })
  })

  it('of a long task is its time from its birth on, how long it may stand still, and the silence of its node', () => {
    const total = { what: 'times-out', at: TIMES_OUT_AT } as const
    expect(operationDeadlines(itemIn('long-task waiting'))).toEqual([total])
    expect(operationDeadlines(itemIn('long-task running'))).toEqual([
      total,
      { what: 'stalled', lease: 1, stalledAfterMs: OPERATION.stalledAfterMs },
      { what: 'silence', lease: 1, silenceMs: 3 * OPERATION.progressEveryMs },
    ])
    expect(timesOutAt(itemIn('long-task lost') as Existing)).toBe(TIMES_OUT_AT)
  })

  it('of a long task is none on the node that runs it, whatever the message said that brought it', () => {
    const { item } = given({ ...sampleEvents.OperationDispatched }, taskLeased())
    expect(item).toMatchObject({ operation: { timeoutMs: 60_000, stalledAfterMs: 20_000, reportTo: 'https://stint.example' } })
    expect([operationDeadlines(item), timesOutAt(item as Existing)]).toEqual([[], undefined])
  })
})
