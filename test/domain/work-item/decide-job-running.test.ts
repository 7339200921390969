// What each command comes to while a job runs, with and without a directive that stands.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import {
  abortedByHolder,
  completed,
  directiveEnded,
  extended,
  failed,
  JOB,
  jobLeased,
  LEASE_UNTIL,
  newDirective,
  NEXT_HOLDER,
  NOW,
  paused,
  phase,
  progress,
  refusedDirective,
  seen,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { JOB_AGAIN, MOOT_TIMERS, NOBODY_HOLDS, NOT_A_TASK, NOT_LOST, STRANGERS } from './rows.ts'

const lost: WorkItemEvent = { type: 'HolderLost', lease: 1, lastSeenAt: NOW - 5_000 }
const takenOver = jobLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: NOW + 2 * JOB.silenceMs })
const longer = extended(LEASE_UNTIL + 2 * JOB.silenceMs)
const overtaken = directiveEnded('overtaken')

const HELD_JOB = {
  ...JOB_AGAIN,
  ...NOT_A_TASK,
  ...STRANGERS,
  ...NOT_LOST,
  ...MOOT_TIMERS,
  ...all(refuses('not-possible'), 'ReleaseLease, current lease', 'Redrive'),
  'LoseHolder, silent': adds(lost),
} as const

whenState('job waiting', {
  ...JOB_AGAIN,
  ...NOT_A_TASK,
  ...NOT_LOST,
  ...MOOT_TIMERS,
  ...NOBODY_HOLDS,
  'RegisterJob, same instance': adds(jobLeased({ until: NOW + 2 * JOB.silenceMs })),
  'RegisterJob, new instance': adds(jobLeased({ token: '1.next', holder: NEXT_HOLDER, until: NOW + 2 * JOB.silenceMs })),
  Redrive: refuses('not-possible'),
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1), directiveEnded('obeyed'), { type: 'Cancelled', by: 'admin' }),
  'LoseHolder, silent': nothing,
})

whenState('job running', {
  ...HELD_JOB,
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': nothing,
  'ExtendLease, after its end': adds(longer),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report paused': adds(paused),
  'Report running': nothing,
  'Report refusal of directive 1': nothing,
  'Report completed, current lease': adds(completed),
  ...all(adds(failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(abortedByHolder),
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('job running, told to pause', {
  ...HELD_JOB,
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': adds(seen()),
  'ExtendLease, after its end': adds(longer, seen()),
  'AskDirective, current lease': adds(seen()),
  'Report phase, current lease': adds(phase, seen()),
  'Report progress': adds(progress, seen()),
  'Report paused': adds(seen(), paused, directiveEnded('obeyed')),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(overtaken, abortedByHolder),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(overtaken, newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(overtaken, newDirective('abort', 2)),
})

whenState('job running, told to abort', {
  ...HELD_JOB,
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': adds(seen()),
  'ExtendLease, after its end': adds(longer, seen()),
  'AskDirective, current lease': adds(seen()),
  'Report phase, current lease': adds(phase, seen()),
  'Report progress': adds(progress, seen()),
  'Report paused': adds(seen(), paused),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(directiveEnded('obeyed'), abortedByHolder),
  ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
  'GiveDirective abort': nothing,
})
