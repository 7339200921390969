// What each command comes to while a task waits or lies among the dead letters: nobody holds it.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import { directiveEnded, newDirective, NEXT_HOLDER, NOW, taskLeased, TERM_MS } from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { NOBODY_HOLDS, NOT_A_JOB, TASK_AGAIN } from './rows.ts'

const cancelled: WorkItemEvent = { type: 'Cancelled', by: 'admin' }
const leased = (lease: number) => taskLeased({ lease, token: `${lease}.next`, holder: NEXT_HOLDER, until: NOW + TERM_MS })

const FREE_TASK = {
  ...TASK_AGAIN,
  ...NOT_A_JOB,
  ...NOBODY_HOLDS,
  Redrive: nothing,
  ...all(nothing, 'ExpireLease, at its end', 'ExpireLease, too early', 'ExpireLease, other lease', 'ExpireLease, last attempt'),
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1), directiveEnded('obeyed'), cancelled),
} as const

whenState('task waiting', { ...FREE_TASK, LeaseTask: adds(leased(1)) })

whenState('task waiting for its time', { ...FREE_TASK, LeaseTask: refuses('not-possible') })

whenState('task waiting again', { ...FREE_TASK, LeaseTask: adds(leased(2)) })

whenState('task waiting, paused', {
  ...FREE_TASK,
  LeaseTask: refuses('not-possible'),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2), directiveEnded('obeyed', 2), cancelled),
})

whenState('task dead letter', {
  ...FREE_TASK,
  LeaseTask: refuses('not-possible'),
  Redrive: adds({ type: 'Redriven', by: 'admin', dueAt: NOW }),
  // The report that ended its last attempt, said again.
  ...all(nothing, 'Report failed', 'Report failed for good', 'Report failed, last attempt'),
})
