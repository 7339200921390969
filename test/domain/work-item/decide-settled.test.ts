// What each command comes to when a work item has settled, however it did: only the first other outcome under its last lease is still taken (surface 8).
import { adds, all, nothing, refuses, whenState, type Expectation } from '../../support/given.ts'
import type { EventOfType, WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { BIRTH, GIVE_UP_AT } from '../../support/samples.ts'
import { DELETED_AGAIN, JOB_AGAIN, NO_TIMER_OF_TASKS, NOBODY_HOLDS, NOT_A_JOB, NOT_A_TASK, NOT_LOST, TASK_AGAIN } from './rows.ts'

const SETTLED = refuses('settled')
const late = (digest: string, outcome: Extract<WorkItemEvent, { type: 'LateResultRecorded' }>['outcome']): Expectation =>
  adds({ type: 'LateResultRecorded', lease: 1, outcome, digest })

const NOTHING_MORE = {
  ...all(SETTLED, ...(Object.keys(NOBODY_HOLDS) as (keyof typeof NOBODY_HOLDS)[])),
  ...all(SETTLED, 'GiveDirective pause', 'GiveDirective resume', 'GiveDirective abort'),
} as const

const LATE_RESULTS = {
  'Report completed, current lease': late('completed', { completed: { result: { pages: 3 } } }),
  'Report failed': late('failed', { failed: { code: 'disk-full', message: 'No space left.' } }),
  'Report failed, last attempt without dead letter': late('failed', { failed: { code: 'disk-full', message: 'No space left.' } }),
  'Report failed, last attempt': late('failed', { failed: { code: 'disk-full', message: 'No space left.' } }),
  'Report failed for good': late('failed', { failed: { code: 'disk-full', message: 'No space left.', retry: false } }),
  'Report aborted': late('aborted', { aborted: { reason: 'asked', partial: { pages: 1 } } }),
} as const

const SETTLED_JOB = {
  ...NOTHING_MORE,
  ...JOB_AGAIN,
  ...NOT_A_TASK,
  ...NOT_LOST,
  'RegisterJob, new instance': nothing,
  ...all(nothing, 'LoseHolder, silent', 'LoseHolder, other lease'),
  Redrive: SETTLED,
} as const

const SETTLED_TASK = {
  ...NOTHING_MORE,
  ...TASK_AGAIN,
  ...NOT_A_JOB,
  ...NO_TIMER_OF_TASKS,
  ...DELETED_AGAIN,
  ...all(refuses('not-possible'), 'LeaseItem', 'LeaseItem, with a request id'),
  Redrive: SETTLED,
} as const

/** Nothing was promised of it to anybody, so it may be erased at once. */
const erased = (
  facts: Pick<EventOfType<'Erased'>, 'kind' | 'by' | 'end' | 'createdAt' | 'settledAt'>,
): { readonly Erase: Expectation; readonly 'Erase, after its time': Expectation } => {
  const tombstone = adds({ type: 'Erased', digest: 'content', eraser: 'admin', reason: 'asked', ...facts })
  return { Erase: tombstone, 'Erase, after its time': tombstone }
}
const erasedJob = (end: EventOfType<'Erased'>['end'], settledAt: number) => erased({ kind: 'job', by: 'servers', end, createdAt: BIRTH, settledAt })
const erasedTask = (end: EventOfType<'Erased'>['end'], settledAt: number) => erased({ kind: 'task', by: 'producer', end, createdAt: BIRTH, settledAt })

const ITS_OWN_END = {
  completed: all(nothing, 'Report completed, current lease'),
  failed: all(nothing, 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  aborted: all(nothing, 'Report aborted'),
} as const

whenState('job completed', { ...SETTLED_JOB, ...erasedJob('completed', BIRTH + 2_000), ...LATE_RESULTS, ...ITS_OWN_END.completed })
whenState('task completed', { ...SETTLED_TASK, ...erasedTask('completed', BIRTH + 2_000), ...LATE_RESULTS, ...ITS_OWN_END.completed })
whenState('job failed', { ...SETTLED_JOB, ...erasedJob('failed', BIRTH + 2_000), ...LATE_RESULTS, ...ITS_OWN_END.failed })
whenState('task failed', { ...SETTLED_TASK, ...erasedTask('failed', BIRTH + 2_000), ...LATE_RESULTS, ...ITS_OWN_END.failed })
whenState('job aborted', { ...SETTLED_JOB, ...erasedJob('aborted', BIRTH + 5_000), ...LATE_RESULTS, ...ITS_OWN_END.aborted })
whenState('task aborted', { ...SETTLED_TASK, ...erasedTask('aborted', BIRTH + 5_000), ...LATE_RESULTS, ...ITS_OWN_END.aborted })

whenState('job given up', { ...SETTLED_JOB, ...erasedJob('failed', GIVE_UP_AT), ...LATE_RESULTS })

// Nobody ever held it, so nobody has a result for it.
whenState('job cancelled', { ...SETTLED_JOB, ...erasedJob('cancelled', BIRTH + 3_000) })

// Its last holder had reported a failure before the task became a dead letter and was cancelled.
whenState('task cancelled', { ...SETTLED_TASK, ...erasedTask('cancelled', BIRTH + 5_000), ...LATE_RESULTS, ...ITS_OWN_END.failed })
