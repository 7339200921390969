// What each command comes to while a job's holder is silent: its next sign of life finds it, a new instance takes over, and after a day it settles.
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
  LOST_NOW,
  newDirective,
  NEXT_HOLDER,
  paused,
  phase,
  progress,
  refusedDirective,
  resumed,
  seen,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { JOB_AGAIN, MOOT_TIMERS, NOT_A_TASK, STRANGERS } from './rows.ts'

const found: readonly WorkItemEvent[] = [{ type: 'HolderFound', lease: 1 }, extended(LOST_NOW + 2 * JOB.silenceMs)]
const foundLater: readonly WorkItemEvent[] = [{ type: 'HolderFound', lease: 1 }, extended(LEASE_UNTIL + 2 * JOB.silenceMs)]
const takenOver = jobLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: LOST_NOW + 2 * JOB.silenceMs })
const givenUp: WorkItemEvent = { type: 'Failed', code: 'lost', message: 'Its holder was lost and did not come back.' }

const LOST_JOB = {
  ...JOB_AGAIN,
  ...NOT_A_TASK,
  ...STRANGERS,
  ...MOOT_TIMERS,
  ...all(refuses('not-possible'), 'ReleaseLease, current lease', 'Redrive'),
  ...all(nothing, 'LoseHolder, silent', 'GiveUpLost, too early', 'GiveUpLost, other lease'),
} as const

const FOUND_AGAIN = {
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': adds(...found),
  'ExtendLease, after its end': adds(...foundLater),
  'AskDirective, current lease': adds(...found),
  'Report phase, current lease': adds(...found, phase),
  'Report progress': adds(...found, progress),
  'Report refusal of directive 1': adds(...found),
  'Report completed, current lease': adds(...found, completed),
  ...all(adds(...found, failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(...found, abortedByHolder),
  'GiveUpLost, at its end': adds(givenUp),
} as const

whenState('job lost', {
  ...LOST_JOB,
  ...FOUND_AGAIN,
  'Report paused': adds(...found, paused),
  'Report running': adds(...found),
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('job lost while paused', {
  ...LOST_JOB,
  ...FOUND_AGAIN,
  'Report paused': adds(...found),
  'Report running': adds(...found, resumed),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

const overtaken = directiveEnded('overtaken', 2)

whenState('job lost while paused, told to resume', {
  ...LOST_JOB,
  'RegisterJob, new instance': adds(takenOver, directiveEnded('obeyed', 2)),
  'ExtendLease, current lease': adds(...found, seen(2)),
  'ExtendLease, after its end': adds(...foundLater, seen(2)),
  'AskDirective, current lease': adds(...found, seen(2)),
  'Report phase, current lease': adds(...found, phase, seen(2)),
  'Report progress': adds(...found, progress, seen(2)),
  'Report paused': adds(...found, seen(2)),
  'Report running': adds(...found, seen(2), resumed, directiveEnded('obeyed', 2)),
  'Report refusal of directive 1': adds(...found, seen(2)),
  'Report completed, current lease': adds(...found, overtaken, completed),
  ...all(adds(...found, overtaken, failed), 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report aborted': adds(...found, overtaken, abortedByHolder),
  'GiveDirective pause': adds(overtaken, newDirective('pause', 3), directiveEnded('obeyed', 3)),
  'GiveDirective resume': nothing,
  'GiveDirective abort': adds(overtaken, newDirective('abort', 3)),
  'GiveUpLost, at its end': adds(overtaken, givenUp),
})

whenState('job lost, told to abort', {
  ...LOST_JOB,
  'RegisterJob, new instance': adds(takenOver),
  'ExtendLease, current lease': adds(...found, seen()),
  'ExtendLease, after its end': adds(...foundLater, seen()),
  'AskDirective, current lease': adds(...found, seen()),
  'Report phase, current lease': adds(...found, phase, seen()),
  'Report progress': adds(...found, progress, seen()),
  'Report paused': adds(...found, seen(), paused),
  'Report running': adds(...found, seen()),
  'Report refusal of directive 1': adds(...found, seen(), refusedDirective),
  'Report completed, current lease': adds(...found, directiveEnded('overtaken'), completed),
  ...all(
    adds(...found, directiveEnded('overtaken'), failed),
    'Report failed',
    'Report failed for good',
    'Report failed, last attempt',
    'Report failed, last attempt without dead letter',
  ),
  'Report aborted': adds(...found, directiveEnded('obeyed'), abortedByHolder),
  ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
  'GiveDirective abort': nothing,
  'GiveUpLost, at its end': adds(directiveEnded('obeyed'), { type: 'Aborted', reason: 'Its holder was lost and did not come back.' }),
})
