// What each command comes to while a long task waits for its node to take it: only time, its maker and its node do anything to it.
import { OPERATION_PROMISE_MS } from '../../../src/domain/policy/streams.ts'
import { adds, all, nothing, whenState } from '../../support/given.ts'
import { directiveEnded, GONE, jobLeased, newDirective, NOW, timedOut } from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { A_LONG_TASK, NOBODY_HOLDS, OPERATION_AGAIN } from './rows.ts'

const cancelled: WorkItemEvent = { type: 'Cancelled', by: 'admin' }

const NOT_TAKEN = {
  ...A_LONG_TASK,
  ...NOBODY_HOLDS,
  ...OPERATION_AGAIN,
  // The lease travelled with it, and its silence is three intervals of its reports.
  TakeOperation: adds(jobLeased({ until: NOW + OPERATION_PROMISE_MS })),
  FailOperation: adds({ type: 'Failed', ...GONE }),
  'TimeOut total, at its end': adds(timedOut('total')),
  // What nobody runs makes no progress.
  ...all(nothing, 'TimeOut total, too early', 'TimeOut stalled'),
} as const

whenState('long-task waiting', {
  ...NOT_TAKEN,
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1), directiveEnded('obeyed'), cancelled),
})

// It is not sent any more, but what was sent before may still be taken; and its time goes on.
whenState('long-task waiting, paused', {
  ...NOT_TAKEN,
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2), directiveEnded('obeyed', 2), cancelled),
})
