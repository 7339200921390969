// What is said again long after, by whom, and what comes too late: the answers that the last ended lease and the last directive remember (rules 5, surface 8).
import { describe, expect, it } from 'vitest'
import { after, given, givenItem, itemIn } from '../../support/given.ts'
import {
  completed,
  CURRENT,
  directive,
  HOLDER,
  jobLeased,
  JOB,
  LEASE_UNTIL,
  leaseTask,
  NEXT_HOLDER,
  NO_DEAD_LETTER,
  NOW,
  registered,
  registerJob,
  releaseLease,
  report,
  reportCompleted,
  reportFailed,
  STATES,
  taskLeased,
  TERM_MS,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'

const second = taskLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: NOW + TERM_MS })
const retried: WorkItemEvent = { type: 'RetryScheduled', lease: 1, dueAt: NOW + 1_000, code: 'disk-full', message: 'No space left.', digest: 'failed' }

describe('when the report that ended a lease comes again', () => {
  it('adds nothing while the task waits for its next attempt', () => {
    given(...STATES['task running'], retried)
      .when(reportFailed(NOW))
      .thenNothing()
  })

  it('adds nothing while another holder has the task', () => {
    given(...STATES['task running'], retried, second)
      .when(reportFailed(NOW))
      .thenNothing()
  })

  it('is stale with another outcome, for the attempt is over', () => {
    given(...STATES['task running'], retried, second)
      .when(reportCompleted(NOW))
      .rejects('stale-lease', { state: 'running' })
  })

  it('is stale from another principal, which must not learn the answer', () => {
    given(...STATES['task running'], retried, second)
      .when(reportFailed(NOW, { by: 'somebody else' }))
      .rejects('stale-lease')
  })

  it('adds nothing after a day, when the item has settled by it', () => {
    given(...STATES['job running'], completed)
      .when(reportCompleted(NOW + 86_400_000))
      .thenNothing()
  })
})

describe('when a give-back comes again', () => {
  const released: WorkItemEvent = { type: 'LeaseReleased', lease: 1, counted: false, dueAt: NOW, busy: false }

  it('adds nothing while the task waits, is held by another, or has settled', () => {
    given(...STATES['task running'], released)
      .when(releaseLease(NOW))
      .thenNothing()
    given(...STATES['task running'], released, second)
      .when(releaseLease(NOW))
      .thenNothing()
    given(...STATES['task running'], released, second, { ...completed, lease: 2 } as WorkItemEvent)
      .when(releaseLease(NOW))
      .rejects('settled')
  })

  it('adds nothing when it settled a task that was to be aborted', () => {
    const done = givenItem(itemIn('task running, told to abort'))
      .when(releaseLease(NOW))
      .thenAdds(
        { type: 'LeaseReleased', lease: 1, counted: false, dueAt: NOW, busy: false },
        { type: 'DirectiveEnded', number: 1, resolution: 'obeyed' },
        { type: 'Aborted', reason: 'Given back while it was to be aborted.' },
      )
    done.when(releaseLease(NOW + 1_000)).thenNothing()
  })

  it('burns no attempt, however often', () => {
    let task = givenItem(itemIn('task waiting'))
    for (let lease = 1; lease <= 5; lease++) {
      task = task.when(leaseTask(NOW)).thenAdds(taskLeased({ lease, token: `${lease}.next`, holder: NEXT_HOLDER, until: NOW + TERM_MS }))
      task = task.when(releaseLease(NOW, { lease: `${lease}.next` })).thenAdds({ type: 'LeaseReleased', lease, counted: false, dueAt: NOW, busy: false })
    }
    const sixth = task.when(leaseTask(NOW)).thenAdds(taskLeased({ lease: 6, token: '6.next', holder: NEXT_HOLDER, until: NOW + TERM_MS }))
    // The first attempt that counts: two of three are left.
    sixth.when(reportFailed(NOW, { lease: '6.next' })).thenAdds({ ...retried, lease: 6 })
  })
})

describe('when a result comes after settlement', () => {
  const late: WorkItemEvent = { type: 'LateResultRecorded', lease: 1, outcome: { completed: { result: { pages: 3 } } }, digest: 'completed' }

  it('is recorded once for a job that was given up, and again it adds nothing', () => {
    const recorded = givenItem(itemIn('job given up')).when(reportCompleted(NOW)).thenAdds(late)
    recorded.when(reportCompleted(NOW)).thenNothing()
    recorded.when(reportFailed(NOW)).rejects('settled', { state: 'failed' })
  })

  it('is refused under any lease but the last', () => {
    const takenOver = jobLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER })
    const life = [...STATES['job running'], takenOver, { ...completed, lease: 2 } as WorkItemEvent]
    given(...life)
      .when(reportFailed(NOW))
      .rejects('settled', { state: 'completed' })
    given(...life)
      .when(reportFailed(NOW, { lease: '2.next' }))
      .thenAdds({ type: 'LateResultRecorded', lease: 2, outcome: { failed: { code: 'disk-full', message: 'No space left.' } }, digest: 'failed' })
  })

  it('is refused when nobody ever held the item', () => {
    givenItem(itemIn('job cancelled')).when(reportCompleted(NOW)).rejects('settled', { state: 'cancelled' })
  })

  it('is no late result without an outcome', () => {
    givenItem(itemIn('job given up'))
      .when(report(NOW, { phase: 'merge' }))
      .rejects('settled')
  })
})

describe('when a dead letter is put back', () => {
  it('the same again adds nothing, also when it is worked on again; what never was one is refused', () => {
    const redrive = { type: 'Redrive', time: NOW, by: 'admin' } as const
    const redriven: WorkItemEvent = { type: 'Redriven', by: 'admin', dueAt: NOW }
    const back = givenItem(itemIn('task dead letter')).when(redrive).thenAdds(redriven)
    back.when(redrive).thenNothing()
    givenItem(itemIn('task waiting')).when(redrive).rejects('not-possible', { state: 'waiting' })
    givenItem(itemIn('task running')).when(redrive).rejects('not-possible', { state: 'running' })
  })
})

describe('when a task is out of attempts, and its queue keeps no dead letters', () => {
  const failed: WorkItemEvent = { type: 'Failed', code: 'disk-full', message: 'No space left.', lease: 1, digest: 'failed' }

  it('has failed for good: its report again adds nothing, and nobody can redrive it', () => {
    const done = givenItem(itemIn('task running'))
      .when(reportFailed(NOW, { retry: NO_DEAD_LETTER }))
      .thenAdds(failed)
    done.when(reportFailed(NOW, { retry: NO_DEAD_LETTER })).thenNothing()
    done.when({ type: 'Redrive', time: NOW, by: 'admin' }).rejects('settled', { state: 'failed' })
  })

  it('tries again as long as attempts are left', () => {
    givenItem(itemIn('task running'))
      .when(reportFailed(NOW, { retry: { attemptsMax: 2, pauseMs: 1_000, deadLetter: false } }))
      .thenAdds(retried)
  })

  it('takes the result of a holder whose lease ended as a late one', () => {
    const expired = after(itemIn('task running'), { type: 'ExpireLease', time: LEASE_UNTIL, lease: 1, retry: NO_DEAD_LETTER })
    expect(expired).toMatchObject({ status: 'settled', end: 'failed', failure: { code: 'lease-expired' }, ended: { number: 1, how: 'expired' } })
    givenItem(expired)
      .when(reportCompleted(LEASE_UNTIL))
      .thenAdds({ type: 'LateResultRecorded', lease: 1, outcome: { completed: { result: { pages: 3 } } }, digest: 'completed' })
  })
})

describe('when a lease expired, and its holder comes back', () => {
  it('takes the result until the expiry is recorded', () => {
    givenItem(itemIn('task running'))
      .when(reportCompleted(NOW + 86_400_000))
      .thenAdds(completed)
  })

  it('refuses it afterwards, for another may hold the task by now', () => {
    givenItem(itemIn('task waiting again')).when(reportCompleted(NOW)).rejects('stale-lease', { state: 'waiting' })
  })
})

describe('when a job server registers again', () => {
  const again = (instance: string | undefined) =>
    registerJob(NOW, { holder: { subject: 'servers', name: 'node-1', ...(instance === undefined ? {} : { instance }) }, token: 'again' })
  const byRestarted = jobLeased({ lease: 2, token: '2.again', holder: NEXT_HOLDER, until: NOW + 2 * JOB.silenceMs })

  it('keeps the lease of the same instance, also when it was lost meanwhile', () => {
    givenItem(itemIn('job lost')).when(again('first')).thenNothing()
  })

  it('gives the job to a new instance, and the old one is fenced off', () => {
    const takenOver = givenItem(itemIn('job running')).when(again('second')).thenAdds(byRestarted)
    takenOver.when(reportCompleted(NOW)).rejects('stale-lease', { state: 'running' })
    takenOver.when(again('second')).thenNothing()
  })

  it('does not give it back to the instance that was taken over from, whose registration comes again', () => {
    given(...STATES['job running'], byRestarted)
      .when(again('first'))
      .rejects('stale-lease', { state: 'running' })
  })

  it('gives it to one more new instance', () => {
    given(...STATES['job running'], byRestarted)
      .when(again('third'))
      .thenAdds(jobLeased({ lease: 3, token: '3.again', holder: { ...HOLDER, instance: 'third' }, until: NOW + 2 * JOB.silenceMs }))
  })

  it('takes one without an instance for the same holder each time', () => {
    const withoutInstance = { subject: 'servers', name: 'node-1' }
    given(registered, jobLeased({ holder: withoutInstance }))
      .when(again(undefined))
      .thenNothing()
  })

  it('finds it settled, and adds nothing', () => {
    givenItem(itemIn('job given up')).when(again('second')).thenNothing()
  })
})

describe('when a directive comes again', () => {
  it('adds nothing for the same command, also after settlement', () => {
    givenItem(itemIn('job aborted'))
      .when(directive(NOW, 'abort', 'command-1'))
      .thenNothing()
  })

  it('is refused when the same command now asks for something else', () => {
    givenItem(itemIn('job running, told to pause'))
      .when(directive(NOW, 'abort', 'command-1'))
      .rejects('exists-with-other-content')
  })

  it('adds nothing when somebody else wishes what stands already', () => {
    givenItem(itemIn('job paused, told to resume'))
      .when(directive(NOW, 'resume', 'command-of-another'))
      .thenNothing()
  })

  it('is settled for a new command on a settled item, even with the wish that ended it', () => {
    givenItem(itemIn('job aborted'))
      .when(directive(NOW, 'abort', 'command-of-another'))
      .rejects('settled', { state: 'aborted' })
  })
})

describe('when an outcome carries more than its fields', () => {
  it('takes nothing else from it into the event', () => {
    const cunning = { completed: { result: 1, type: 'Paused', lease: 9, digest: 'forged' } }
    givenItem(itemIn('job running'))
      .when(report(NOW, { outcome: cunning, digest: 'completed' }))
      .thenAdds({ type: 'Completed', result: 1, lease: 1, digest: 'completed' })
    const abort = { aborted: { reason: 'asked', type: 'Resumed', lease: 9 } }
    givenItem(itemIn('job running'))
      .when(report(NOW, { outcome: abort, digest: 'aborted' }))
      .thenAdds({ type: 'Aborted', reason: 'asked', lease: 1, digest: 'aborted' })
  })
})

describe('when a lease token leaks', () => {
  it('serves nobody else, neither for a report nor for a late result', () => {
    givenItem(itemIn('job running'))
      .when(report(NOW, { lease: CURRENT, by: 'thief', phase: 'stolen' }))
      .rejects('forbidden')
    givenItem(itemIn('job given up'))
      .when(reportCompleted(NOW, { by: 'thief' }))
      .rejects('settled')
  })
})
