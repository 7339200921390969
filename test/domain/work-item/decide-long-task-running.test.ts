// What each command comes to while a node runs a long task, with and without a directive that stands.
import { OPERATION_PROMISE_MS } from '../../../src/domain/policy/streams.ts'
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import {
  abortedByHolder,
  completed,
  directiveEnded,
  extended,
  failed,
  GONE,
  LEASE_UNTIL,
  newDirective,
  NOW,
  paused,
  phase,
  progress,
  refusedDirective,
  seen,
  timedOut,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { A_LONG_TASK, FAILURES, MOOT_TIMERS, OPERATION_AGAIN, STRANGERS } from './rows.ts'

const lost: WorkItemEvent = { type: 'HolderLost', lease: 1, lastSeenAt: NOW - 5_000 }
const gone: WorkItemEvent = { type: 'Failed', ...GONE, lease: 1 }
const longer = extended(LEASE_UNTIL + OPERATION_PROMISE_MS)
const overtaken = directiveEnded('overtaken')

const RUNNING = {
  ...A_LONG_TASK,
  ...OPERATION_AGAIN,
  ...STRANGERS,
  ...MOOT_TIMERS,
  // Taken once: what its node says again is no news.
  TakeOperation: nothing,
  'ReleaseLease, current lease': refuses('not-possible'),
  'LoseHolder, silent': adds(lost),
  'TimeOut total, too early': nothing,
} as const

whenState('long-task running', {
  ...RUNNING,
  FailOperation: adds(gone),
  'TimeOut total, at its end': adds(timedOut('total')),
  'TimeOut stalled': adds(timedOut('stalled')),
  'ExtendLease, current lease': nothing,
  'ExtendLease, after its end': adds(longer),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report paused': adds(paused),
  'Report running': nothing,
  'Report refusal of directive 1': nothing,
  'Report completed, current lease': adds(completed),
  // Nobody runs it again: its maker dispatches another.
  ...all(adds(failed), ...FAILURES),
  'Report aborted': adds(abortedByHolder),
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('long-task running, told to pause', {
  ...RUNNING,
  FailOperation: adds(overtaken, gone),
  'TimeOut total, at its end': adds(overtaken, timedOut('total')),
  'TimeOut stalled': adds(overtaken, timedOut('stalled')),
  'ExtendLease, current lease': adds(seen()),
  'ExtendLease, after its end': adds(longer, seen()),
  'AskDirective, current lease': adds(seen()),
  'Report phase, current lease': adds(phase, seen()),
  'Report progress': adds(progress, seen()),
  'Report paused': adds(seen(), paused, directiveEnded('obeyed')),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), ...FAILURES),
  'Report aborted': adds(overtaken, abortedByHolder),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(overtaken, newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(overtaken, newDirective('abort', 2)),
})

whenState('long-task running, told to abort', {
  ...RUNNING,
  // What does not run any more has come to what was wanted of it.
  FailOperation: adds(directiveEnded('obeyed'), { type: 'Aborted', reason: GONE.message, lease: 1 }),
  'TimeOut total, at its end': adds(overtaken, timedOut('total')),
  'TimeOut stalled': adds(overtaken, timedOut('stalled')),
  'ExtendLease, current lease': adds(seen()),
  'ExtendLease, after its end': adds(longer, seen()),
  'AskDirective, current lease': adds(seen()),
  'Report phase, current lease': adds(phase, seen()),
  'Report progress': adds(progress, seen()),
  'Report paused': adds(seen(), paused),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), ...FAILURES),
  'Report aborted': adds(directiveEnded('obeyed'), abortedByHolder),
  ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
  'GiveDirective abort': nothing,
})
