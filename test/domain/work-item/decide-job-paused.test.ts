// What each command comes to while a job is parked by its holder, asked or unasked.
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
  phase,
  progress,
  resumed,
  seen,
} from '../../support/samples.ts'
import { JOB_AGAIN, MOOT_TIMERS, NOT_A_TASK, NOT_LOST, STRANGERS } from './rows.ts'

const takenOver = jobLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: NOW + 2 * JOB.silenceMs })
const longer = extended(LEASE_UNTIL + 2 * JOB.silenceMs)
const overtaken = directiveEnded('overtaken', 2)

const PAUSED_JOB = {
  ...JOB_AGAIN,
  ...NOT_A_TASK,
  ...STRANGERS,
  ...NOT_LOST,
  ...MOOT_TIMERS,
  ...all(refuses('not-possible'), 'ReleaseLease, current lease', 'Redrive'),
  'LoseHolder, silent': adds({ type: 'HolderLost', lease: 1, lastSeenAt: NOW - 5_000 }),
} as const

const NO_DIRECTIVE_STANDS = {
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': nothing,
  'ExtendLease, after its end': adds(longer),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report paused': nothing,
  'Report running': adds(resumed),
  'Report refusal of directive 1': nothing,
  'Report completed, current lease': adds(completed),
  ...all(adds(failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(abortedByHolder),
} as const

whenState('job paused', {
  ...PAUSED_JOB,
  ...NO_DIRECTIVE_STANDS,
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

whenState('job paused unasked', {
  ...PAUSED_JOB,
  ...NO_DIRECTIVE_STANDS,
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1)),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('job paused, told to resume', {
  ...PAUSED_JOB,
  'RegisterJob, new instance': adds(takenOver, directiveEnded('obeyed', 2)),
  'ExtendLease, current lease': adds(seen(2)),
  'ExtendLease, after its end': adds(longer, seen(2)),
  'AskDirective, current lease': adds(seen(2)),
  'Report phase, current lease': adds(phase, seen(2)),
  'Report progress': adds(progress, seen(2)),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed, directiveEnded('obeyed', 2)),
  'Report refusal of directive 1': adds(seen(2)),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(overtaken, abortedByHolder),
  'GiveDirective pause': adds(overtaken, newDirective('pause', 3), directiveEnded('obeyed', 3)),
  'GiveDirective resume': nothing,
  'GiveDirective abort': adds(overtaken, newDirective('abort', 3)),
})

whenState('job paused, told to abort', {
  ...PAUSED_JOB,
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': adds(seen(2)),
  'ExtendLease, after its end': adds(longer, seen(2)),
  'AskDirective, current lease': adds(seen(2)),
  'Report phase, current lease': adds(phase, seen(2)),
  'Report progress': adds(progress, seen(2)),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed),
  'Report refusal of directive 1': adds(seen(2)),
  'Report completed, current lease': adds(overtaken, completed),
  ...all(adds(overtaken, failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(directiveEnded('obeyed', 2), abortedByHolder),
  ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
  'GiveDirective abort': nothing,
})
