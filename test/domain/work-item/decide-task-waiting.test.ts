// What each command comes to while a task waits or lies among the dead letters: nobody holds it.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import { directiveEnded, newDirective, NEXT_HOLDER, NOW, taskLeased, TERM_MS } from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { DELETED, NO_TIMER_OF_TASKS, NOBODY_HOLDS, NOT_A_JOB, TASK_AGAIN } from './rows.ts'

const cancelled: WorkItemEvent = { type: 'Cancelled', by: 'admin' }
/** With a request id it is the same lease, and says so. */
const leased = (lease: number) => {
  const event = { lease, token: `${lease}.next`, holder: NEXT_HOLDER, until: NOW + TERM_MS }
  return { LeaseItem: adds(taskLeased(event)), 'LeaseItem, with a request id': adds(taskLeased({ ...event, requestId: 'request-1' })) }
}
const NOT_LEASED = all(refuses('not-possible'), 'LeaseItem', 'LeaseItem, with a request id')

const FREE_TASK = {
  ...TASK_AGAIN,
  ...NOT_A_JOB,
  ...NOBODY_HOLDS,
  ...DELETED,
  Redrive: refuses('not-possible'),
  ...NO_TIMER_OF_TASKS,
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1), directiveEnded('obeyed'), cancelled),
} as const

whenState('task waiting', { ...FREE_TASK, ...leased(1) })

whenState('task waiting for its time', { ...FREE_TASK, ...NOT_LEASED })

whenState('task waiting again', { ...FREE_TASK, ...leased(2) })

whenState('task waiting, paused', {
  ...FREE_TASK,
  ...NOT_LEASED,
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2), directiveEnded('obeyed', 2), cancelled),
})

whenState('task dead letter', {
  ...FREE_TASK,
  ...NOT_LEASED,
  Redrive: adds({ type: 'Redriven', by: 'admin', dueAt: NOW }),
  // The report that ended its last attempt, said again.
  ...all(nothing, 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
})
