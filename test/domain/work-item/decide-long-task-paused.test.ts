// What each command comes to while a node has parked a long task, asked or unasked: it makes no progress and does not stall, but its time goes on.
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
  phase,
  progress,
  resumed,
  seen,
  timedOut,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { A_LONG_TASK, FAILURES, MOOT_TIMERS, OPERATION_AGAIN, STRANGERS } from './rows.ts'

const gone: WorkItemEvent = { type: 'Failed', ...GONE, lease: 1 }
const longer = extended(LEASE_UNTIL + OPERATION_PROMISE_MS)
const overtaken = directiveEnded('overtaken', 2)

const PARKED = {
  ...A_LONG_TASK,
  ...OPERATION_AGAIN,
  ...STRANGERS,
  ...MOOT_TIMERS,
  ...all(nothing, 'TakeOperation', 'TimeOut total, too early', 'TimeOut stalled'),
  'ReleaseLease, current lease': refuses('not-possible'),
  'LoseHolder, silent': adds({ type: 'HolderLost', lease: 1, lastSeenAt: NOW - 5_000 }),
} as const

const NO_DIRECTIVE_STANDS = {
  FailOperation: adds(gone),
  'TimeOut total, at its end': adds(timedOut('total')),
  'ExtendLease, current lease': nothing,
  'ExtendLease, after its end': adds(longer),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report paused': nothing,
  'Report running': adds(resumed),
  'Report refusal of directive 1': nothing,
  'Report completed, current lease': adds(completed),
  ...all(adds(failed), ...FAILURES),
  'Report aborted': adds(abortedByHolder),
} as const

whenState('long-task paused', {
  ...PARKED,
  ...NO_DIRECTIVE_STANDS,
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

whenState('long-task paused unasked', {
  ...PARKED,
  ...NO_DIRECTIVE_STANDS,
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1)),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('long-task paused, told to resume', {
  ...PARKED,
  FailOperation: adds(overtaken, gone),
  'TimeOut total, at its end': adds(overtaken, timedOut('total')),
  'ExtendLease, current lease': adds(seen(2)),
  'ExtendLease, after its end': adds(longer, seen(2)),
  'AskDirective, current lease': adds(seen(2)),
  'Report phase, current lease': adds(phase, seen(2)),
  'Report progress': adds(progress, seen(2)),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed, directiveEnded('obeyed', 2)),
  'Report refusal of directive 1': adds(seen(2)),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), ...FAILURES),
  'Report aborted': adds(overtaken, abortedByHolder),
  'GiveDirective pause': adds(overtaken, newDirective('pause', 3), directiveEnded('obeyed', 3)),
  'GiveDirective resume': nothing,
  'GiveDirective abort': adds(overtaken, newDirective('abort', 3)),
})

whenState('long-task paused, told to abort', {
  ...PARKED,
  FailOperation: adds(directiveEnded('obeyed', 2), { type: 'Aborted', reason: GONE.message, lease: 1 }),
  'TimeOut total, at its end': adds(overtaken, timedOut('total')),
  'ExtendLease, current lease': adds(seen(2)),
  'ExtendLease, after its end': adds(longer, seen(2)),
  'AskDirective, current lease': adds(seen(2)),
  'Report phase, current lease': adds(phase, seen(2)),
  'Report progress': adds(progress, seen(2)),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed),
  'Report refusal of directive 1': adds(seen(2)),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), ...FAILURES),
  'Report aborted': adds(directiveEnded('obeyed', 2), abortedByHolder),
  ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
  'GiveDirective abort': nothing,
})
