// What each command comes to while the node of a long task is silent: its next sign of life finds it, and if none comes it times out as any other does.
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
  LOST_NOW,
  newDirective,
  paused,
  phase,
  progress,
  refusedDirective,
  resumed,
  seen,
  timedOut,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { A_LONG_TASK, FAILURES, MOOT_TIMERS, OPERATION_AGAIN, STRANGERS } from './rows.ts'

const found: readonly WorkItemEvent[] = [{ type: 'HolderFound', lease: 1 }, extended(LOST_NOW + OPERATION_PROMISE_MS)]
const foundLater: readonly WorkItemEvent[] = [{ type: 'HolderFound', lease: 1 }, extended(LEASE_UNTIL + OPERATION_PROMISE_MS)]
const gone: WorkItemEvent = { type: 'Failed', ...GONE, lease: 1 }
const overtaken = directiveEnded('overtaken')

const LOST = {
  ...A_LONG_TASK,
  ...OPERATION_AGAIN,
  ...STRANGERS,
  ...MOOT_TIMERS,
  // Lost is not failed: only its timeouts end it, and there is no day after which it is given up.
  ...all(nothing, 'TakeOperation', 'LoseHolder, silent', 'TimeOut total, too early'),
  'ReleaseLease, current lease': refuses('not-possible'),
} as const

const FOUND_AGAIN = {
  FailOperation: adds(gone),
  'TimeOut total, at its end': adds(timedOut('total')),
  'ExtendLease, current lease': adds(...found),
  'ExtendLease, after its end': adds(...foundLater),
  'AskDirective, current lease': adds(...found),
  'Report phase, current lease': adds(...found, phase),
  'Report progress': adds(...found, progress),
  'Report refusal of directive 1': adds(...found),
  'Report completed, current lease': adds(...found, completed),
  ...all(adds(...found, failed), ...FAILURES),
  'Report aborted': adds(...found, abortedByHolder),
} as const

whenState('long-task lost', {
  ...LOST,
  ...FOUND_AGAIN,
  'TimeOut stalled': adds(timedOut('stalled')),
  'Report paused': adds(...found, paused),
  'Report running': adds(...found),
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('long-task lost while paused', {
  ...LOST,
  ...FOUND_AGAIN,
  'TimeOut stalled': nothing,
  'Report paused': adds(...found),
  'Report running': adds(...found, resumed),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

whenState('long-task lost, told to abort', {
  ...LOST,
  FailOperation: adds(directiveEnded('obeyed'), { type: 'Aborted', reason: GONE.message, lease: 1 }),
  'TimeOut total, at its end': adds(overtaken, timedOut('total')),
  'TimeOut stalled': adds(overtaken, timedOut('stalled')),
  'ExtendLease, current lease': adds(...found, seen()),
  'ExtendLease, after its end': adds(...foundLater, seen()),
  'AskDirective, current lease': adds(...found, seen()),
  'Report phase, current lease': adds(...found, phase, seen()),
  'Report progress': adds(...found, progress, seen()),
  'Report paused': adds(...found, seen(), paused),
  'Report running': adds(...found, seen()),
  'Report refusal of directive 1': adds(...found, seen(), refusedDirective),
  'Report completed, current lease': adds(...found, overtaken, completed),
  ...all(adds(...found, overtaken, failed), ...FAILURES),
  'Report aborted': adds(...found, directiveEnded('obeyed'), abortedByHolder),
  ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
  'GiveDirective abort': nothing,
})
