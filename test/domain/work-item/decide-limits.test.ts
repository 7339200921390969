// Where time and numbers end: a clock that goes back, promises that are renewed, streams that are full (rules 14, 16, 17).
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { STREAM_EVENTS_MAX, STREAM_EVENTS_RESERVED } from '../../../src/domain/policy/streams.ts'
import { decide, timeOf } from '../../../src/domain/work-item/decide.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import type { WorkItem } from '../../../src/domain/work-item/state.ts'
import { after, givenItem, itemIn } from '../../support/given.ts'
import {
  askDirective,
  BIRTH,
  deleteTask,
  directive,
  directiveEnded,
  extended,
  extendLease,
  GRANT,
  inserted,
  insertTask,
  JOB,
  LEASE_UNTIL,
  leaseTask,
  newDirective,
  NEXT_HOLDER,
  NO_DEAD_LETTER,
  NOW,
  phase,
  registerJob,
  releaseLease,
  report,
  reportCompleted,
  reportFailed,
  seen,
  TASK,
  taskLeased,
  TERM_MS,
  type StateName,
} from '../../support/samples.ts'

/** Promises in a long stream are renewed for longer. */
const HOUR_MS = 3_600_000

describe('when the clock goes back', () => {
  it('dates a command with the last fact of the stream', () => {
    const item = itemIn('task running')
    expect(timeOf(extendLease(BIRTH - 60_000), item)).toBe(BIRTH + 1_000)
    givenItem(item)
      .when(extendLease(BIRTH - 60_000, {}))
      .thenNothing()
    givenItem(itemIn('task waiting'))
      .when(leaseTask(BIRTH - 60_000))
      .thenAdds({ type: 'Leased', lease: 1, token: '1.next', holder: NEXT_HOLDER, termMs: TERM_MS, until: BIRTH + TERM_MS })
  })

  it('takes the time of a first command as it is', () => {
    expect(timeOf(registerJob(5), itemIn('job absent'))).toBe(5)
  })
})

describe('when a job makes a sign of life', () => {
  it('renews the promise only when less than one silence of it is left, at most once a silence', () => {
    const item = itemIn('job running')
    const enough = LEASE_UNTIL - JOB.silenceMs
    givenItem(item).when(askDirective(enough)).thenNothing()
    const renewed = givenItem(item)
      .when(askDirective(enough + 1))
      .thenAdds(extended(enough + 1 + 2 * JOB.silenceMs))
    renewed.when(askDirective(enough + 1 + JOB.silenceMs)).thenNothing()
    renewed.when(askDirective(enough + 2 + JOB.silenceMs)).thenAdds(extended(enough + 2 + 3 * JOB.silenceMs))
  })

  it('counts though its promise ran out, as long as nobody has recorded the loss', () => {
    givenItem(itemIn('job running'))
      .when(report(LEASE_UNTIL + 60_000, { phase: 'merge' }))
      .thenAdds(extended(LEASE_UNTIL + 60_000 + 2 * JOB.silenceMs), phase)
  })
})

describe('when a task is born to a waiting worker', () => {
  const toWorker = (dueAt: number) => insertTask(NOW, { task: { ...TASK, dueAt }, leaseTo: { ...GRANT, requestId: 'request-1' } })

  it('is leased from its first moment on, under the request that asked for work', () => {
    const born = givenItem(itemIn('task absent'))
      .when(toWorker(NOW))
      .thenAdds({ ...inserted, dueAt: NOW }, taskLeased({ token: '1.next', holder: NEXT_HOLDER, until: NOW + TERM_MS, requestId: 'request-1' }))
    expect(born.item).toMatchObject({ status: 'running', attempt: 1, createdAt: NOW, lease: { number: 1, since: NOW, requestId: 'request-1' } })
    born.when(leaseTask(NOW)).rejects('not-possible', { state: 'running' })
    born.when(extendLease(NOW + 1, { lease: '1.next' })).thenAdds(extended(NOW + 1 + TERM_MS))
  })

  it('waits like any other when it is due a millisecond later, and is leased then', () => {
    const born = givenItem(itemIn('task absent'))
      .when(toWorker(NOW + 1))
      .thenAdds({ ...inserted, dueAt: NOW + 1 })
    born.when(leaseTask(NOW)).rejects('not-possible', { state: 'waiting' })
    born.when(leaseTask(NOW + 1)).thenAdds(taskLeased({ token: '1.next', holder: NEXT_HOLDER, until: NOW + 1 + TERM_MS }))
  })

  it('is given to nobody when it was born before, not even while it still waits', () => {
    givenItem(itemIn('task waiting')).when(toWorker(NOW)).thenNothing()
    givenItem(itemIn('task running')).when(toWorker(NOW)).thenNothing()
  })
})

describe('when a task is held', () => {
  it('is extended from now on, which may be shorter than it was', () => {
    givenItem(itemIn('task running'))
      .when({ type: 'ExtendLease', time: NOW, by: 'servers', lease: '1.current', termMs: 1_000 })
      .thenAdds(extended(NOW + 1_000))
  })

  it('can be extended until the last millisecond', () => {
    givenItem(itemIn('task running'))
      .when(extendLease(LEASE_UNTIL - 1))
      .thenAdds(extended(LEASE_UNTIL - 1 + TERM_MS))
    givenItem(itemIn('task running')).when(extendLease(LEASE_UNTIL)).rejects('stale-lease', { state: 'running' })
  })

  it('becomes a dead letter with its last attempt, and has all attempts again when it is redriven', () => {
    let item = itemIn('task waiting')
    for (let attempt = 1; attempt <= 3; attempt++) {
      item = after(item, leaseTask(NOW + attempt * 10_000))
      item = after(item, reportFailed(NOW + attempt * 10_000, { lease: `${attempt}.next` }))
    }
    expect(item).toMatchObject({ status: 'deadLetter', attempt: 3, failure: { code: 'disk-full' } })
    item = after(item, { type: 'Redrive', time: NOW + 60_000, by: 'admin' })
    expect(item).toMatchObject({ status: 'waiting', attempt: 0, failure: undefined, task: { dueAt: NOW + 60_000 } })
    item = after(item, leaseTask(NOW + 60_000))
    expect(item).toMatchObject({ attempt: 1, lease: { number: 4 } })
  })

  it('waits for its pause before the next attempt', () => {
    const failed = after(itemIn('task running'), reportFailed(NOW))
    givenItem(failed)
      .when(leaseTask(NOW + 999))
      .rejects('not-possible', { state: 'waiting' })
    expect(E.isRight(decide(leaseTask(NOW + 1_000), failed))).toBe(true)
  })
})

/** The item as it would be with room for this many more events before it ends. */
const nearlyFull = (state: StateName, room: number): WorkItem => {
  const item = itemIn(state)
  return item.status === 'absent' ? item : { ...item, revision: STREAM_EVENTS_MAX - STREAM_EVENTS_RESERVED - room - 1 }
}

describe('when the stream is full', () => {
  const message = 'Its stream holds 10000 events, as many as one work item may have.'
  const failed: WorkItemEvent = { type: 'Failed', code: 'history-limit', message }
  const letter: WorkItemEvent = { type: 'DeadLettered', code: 'history-limit', message }

  it('takes what still fits', () => {
    givenItem(nearlyFull('job running', 1))
      .when(report(NOW, { phase: 'merge' }))
      .thenAdds(phase)
  })

  it('goes on as long as nothing new happens', () => {
    givenItem(nearlyFull('job running', 0)).when(askDirective(NOW)).thenNothing()
    givenItem(nearlyFull('task dead letter', 0)).when(reportFailed(NOW)).thenNothing()
  })

  it('keeps what a job reports, and fails it', () => {
    givenItem(nearlyFull('job running', 0))
      .when(report(NOW, { phase: 'merge' }))
      .thenAdds(phase, failed)
  })

  it('makes a task a dead letter, and its holder is told that the lease is gone', () => {
    const full = givenItem(nearlyFull('task running', 0))
      .when(extendLease(NOW))
      .thenAdds(extended(NOW + TERM_MS), letter)
    full.when(extendLease(NOW)).rejects('stale-lease', { state: 'failed' })
  })

  it('ends the directive that stands: overtaken for a job, come true for a task', () => {
    givenItem(nearlyFull('job running, told to pause', 0)).when(askDirective(NOW)).thenAdds(seen(), directiveEnded('overtaken'), failed)
    givenItem(nearlyFull('task running, told to pause', 0)).when(askDirective(NOW)).thenAdds(seen(), directiveEnded('obeyed'), letter)
  })

  it('aborts what is to be aborted', () => {
    givenItem(nearlyFull('task running, told to abort', 0)).when(askDirective(NOW)).thenAdds(seen(), directiveEnded('obeyed'), { type: 'Aborted', reason: message })
    givenItem(nearlyFull('job running', 0)).when(directive(NOW, 'abort')).thenAdds(newDirective('abort', 1), directiveEnded('obeyed'), { type: 'Aborted', reason: message })
  })

  it('always lets it settle as its holder says', () => {
    givenItem(nearlyFull('job lost', 0))
      .when(reportCompleted(NOW + 15_000))
      .thenAdds({ type: 'HolderFound', lease: 1 }, extended(NOW + 15_000 + HOUR_MS), { type: 'Completed', result: { pages: 3 }, lease: 1, digest: 'completed' })
  })

  it('gives nobody a lease of it', () => {
    givenItem(nearlyFull('task waiting', 0)).when(leaseTask(NOW)).thenAdds(letter)
    givenItem(nearlyFull('job running', 0))
      .when(registerJob(NOW, { holder: NEXT_HOLDER, token: 'next' }))
      .thenAdds(failed)
  })

  it('still takes a give-back, as the end that it is', () => {
    givenItem(nearlyFull('task running', 0)).when(releaseLease(NOW)).thenAdds({ type: 'LeaseReleased', lease: 1, counted: false, dueAt: NOW, busy: false }, letter)
  })

  it('fails a task for good where the command says that there are no dead letters', () => {
    const retry = { ...NO_DEAD_LETTER, attemptsMax: 3 }
    givenItem(nearlyFull('task running', 0))
      .when(report(NOW, { phase: 'merge', retry }))
      .thenAdds(phase, failed)
    givenItem(nearlyFull('task running, told to pause', 0))
      .when(report(NOW, { phase: 'merge', retry }))
      .thenAdds(phase, seen(), directiveEnded('overtaken'), failed)
    givenItem(nearlyFull('task running', 0)).when({ type: 'ExpireLease', time: LEASE_UNTIL, lease: 1, retry }).thenAdds({ type: 'LeaseExpired', lease: 1 }, failed)
    // Its last attempt has its own reason to fail.
    givenItem(nearlyFull('task running', 0))
      .when(reportFailed(NOW, { retry: NO_DEAD_LETTER }))
      .thenAdds({ type: 'Failed', code: 'disk-full', message: 'No space left.', lease: 1, digest: 'failed' })
  })

  it('lets anybody delete the task, and it ends as it was deleted', () => {
    const cancelled: WorkItemEvent = { type: 'Cancelled', by: 'somebody else', reason: 'deleted' }
    givenItem(nearlyFull('task running', 0)).when(deleteTask(NOW)).thenAdds({ type: 'Completed', lease: 1 })
    for (const state of ['task running', 'task waiting', 'task waiting, paused', 'task dead letter'] as const)
      givenItem(nearlyFull(state, 0))
        .when(deleteTask(NOW, { by: 'somebody else' }))
        .thenAdds(cancelled)
    givenItem(nearlyFull('task running, told to abort', 0))
      .when(deleteTask(NOW, { by: 'somebody else' }))
      .thenAdds(directiveEnded('obeyed'), cancelled)
  })

  it('refuses pauses and redrives, which would only make it longer', () => {
    givenItem(nearlyFull('job running', 0)).when(directive(NOW, 'pause')).rejects('not-possible', { state: 'running' })
    givenItem(nearlyFull('task dead letter', 0)).when({ type: 'Redrive', time: NOW, by: 'admin' }).rejects('not-possible', { state: 'failed' })
  })

  it('lets an administrator still cancel the dead letter', () => {
    givenItem(nearlyFull('task dead letter', 0)).when(directive(NOW, 'abort')).thenAdds(newDirective('abort', 1), directiveEnded('obeyed'), { type: 'Cancelled', by: 'admin' })
  })

  it('ends in the places that are kept for it, whatever comes last', () => {
    const ended = after(nearlyFull('task paused, told to resume', 0), report(NOW, { phase: 'merge', progress: { fraction: 1 }, state: 'running' }))
    const cancelled = after(ended, directive(NOW, 'abort'))
    const late = after(cancelled, reportCompleted(NOW))
    expect(late).toMatchObject({ status: 'settled', late: { digest: 'completed' } })
    // Three more are to follow a settlement in time: effects carried out, reply released, erased.
    expect(late.revision + 1 + 3).toBeLessThanOrEqual(STREAM_EVENTS_MAX)
  })
})
