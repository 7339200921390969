// What each command comes to while somebody holds a task, with and without a directive that stands.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import {
  abortedByHolder,
  completed,
  directiveEnded,
  extended,
  failed,
  newDirective,
  NOW,
  paused,
  phase,
  progress,
  refusedDirective,
  released,
  resumed,
  seen,
  TERM_MS,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { deletedBy, NOT_A_JOB, STRANGERS, TASK_AGAIN } from './rows.ts'

const longer = extended(NOW + TERM_MS)
const expired: WorkItemEvent = { type: 'LeaseExpired', lease: 1 }
const expiredLetter = { type: 'DeadLettered', code: 'lease-expired', message: 'The lease of attempt 1 ended, and no attempt is left.' } as const
const expiredForGood: WorkItemEvent = { ...expiredLetter, type: 'Failed' }
const retried: WorkItemEvent = { type: 'RetryScheduled', lease: 1, dueAt: NOW + 1_000, code: 'disk-full', message: 'No space left.', digest: 'failed' }
const letter: WorkItemEvent = { type: 'DeadLettered', lease: 1, code: 'disk-full', message: 'No space left.', digest: 'failed' }
/** Deleting is completing for the holder, with its lease or without; under another lease, and for anybody else, it is a cancel. */
const deleted = (byHolder: readonly WorkItemEvent[], byOthers: readonly WorkItemEvent[]) => ({
  ...all(adds(...byHolder, { type: 'Completed', lease: 1 }), 'DeleteTask, no lease', 'DeleteTask, current lease'),
  'DeleteTask, other lease': adds(...byOthers, deletedBy('servers')),
  ...all(adds(...byOthers, deletedBy('somebody else')), 'DeleteTask, other principal', 'DeleteTask, other principal, current lease'),
})
const aborted = (reason: string): WorkItemEvent => ({ type: 'Aborted', reason })

const HELD_TASK = {
  ...TASK_AGAIN,
  ...NOT_A_JOB,
  ...STRANGERS,
  ...all(refuses('not-possible'), 'LeaseItem', 'LeaseItem, with a request id'),
  Redrive: refuses('not-possible'),
  'ExtendLease, after its end': refuses('stale-lease'),
  ...all(nothing, 'ExpireLease, too early', 'ExpireLease, other lease'),
} as const

const NO_DIRECTIVE_STANDS = {
  'ExtendLease, current lease': adds(longer),
  'ReleaseLease, current lease': adds(released()),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report refusal of directive 1': nothing,
  'Report completed, current lease': adds(completed),
  'Report failed': adds(retried),
  'Report failed for good': adds(failed),
  'Report failed, last attempt': adds(letter),
  'Report aborted': adds(abortedByHolder),
  'ExpireLease, at its end': adds(expired),
  'ExpireLease, last attempt': adds(expired, expiredLetter),
  'Report failed, last attempt without dead letter': adds(failed),
  'ExpireLease, last attempt without dead letter': adds(expired, expiredForGood),
  ...deleted([], []),
} as const

whenState('task running', {
  ...HELD_TASK,
  ...NO_DIRECTIVE_STANDS,
  'Report paused': adds(paused),
  'Report running': nothing,
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
})

whenState('task paused', {
  ...HELD_TASK,
  ...NO_DIRECTIVE_STANDS,
  'Report paused': nothing,
  'Report running': adds(resumed),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

/** A pause or resume that stands when the holder lets go is obeyed: nobody runs the task now. */
const ITS_WISH_COMES_TRUE = (number: number) =>
  ({
    'ExtendLease, current lease': adds(longer, seen(number)),
    'ReleaseLease, current lease': adds(released(), directiveEnded('obeyed', number)),
    'AskDirective, current lease': adds(seen(number)),
    'Report phase, current lease': adds(phase, seen(number)),
    'Report progress': adds(progress, seen(number)),
    'Report completed, current lease': adds(directiveEnded('overtaken', number), completed),
    'Report failed': adds(directiveEnded('obeyed', number), retried),
    'Report failed for good': adds(directiveEnded('overtaken', number), failed),
    'Report failed, last attempt': adds(directiveEnded('obeyed', number), letter),
    'Report aborted': adds(directiveEnded('overtaken', number), abortedByHolder),
    'ExpireLease, at its end': adds(expired, directiveEnded('obeyed', number)),
    'ExpireLease, last attempt': adds(expired, directiveEnded('obeyed', number), expiredLetter),
    // Failed for good it waits for nobody: what was wished for it comes too late.
    'Report failed, last attempt without dead letter': adds(directiveEnded('overtaken', number), failed),
    'ExpireLease, last attempt without dead letter': adds(expired, directiveEnded('overtaken', number), expiredForGood),
    ...deleted([directiveEnded('overtaken', number)], [directiveEnded('overtaken', number)]),
  }) as const

whenState('task running, told to pause', {
  ...HELD_TASK,
  ...ITS_WISH_COMES_TRUE(1),
  'Report paused': adds(seen(), paused, directiveEnded('obeyed')),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(directiveEnded('overtaken'), newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(directiveEnded('overtaken'), newDirective('abort', 2)),
})

whenState('task paused, told to resume', {
  ...HELD_TASK,
  ...ITS_WISH_COMES_TRUE(2),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed, directiveEnded('obeyed', 2)),
  'Report refusal of directive 1': adds(seen(2)),
  'GiveDirective pause': adds(directiveEnded('overtaken', 2), newDirective('pause', 3), directiveEnded('obeyed', 3)),
  'GiveDirective resume': nothing,
  'GiveDirective abort': adds(directiveEnded('overtaken', 2), newDirective('abort', 3)),
})

/** A task that is to be aborted does not wait for the next holder: it settles as soon as this one lets go. */
const IT_SETTLES = (number: number) =>
  ({
    'ExtendLease, current lease': adds(longer, seen(number)),
    'ReleaseLease, current lease': adds(released(), directiveEnded('obeyed', number), aborted('Given back while it was to be aborted.')),
    'AskDirective, current lease': adds(seen(number)),
    'Report phase, current lease': adds(phase, seen(number)),
    'Report progress': adds(progress, seen(number)),
    'Report completed, current lease': adds(directiveEnded('overtaken', number), completed),
    ...all(
      adds(directiveEnded('overtaken', number), failed),
      'Report failed',
      'Report failed for good',
      'Report failed, last attempt',
      'Report failed, last attempt without dead letter',
    ),
    'Report aborted': adds(directiveEnded('obeyed', number), abortedByHolder),
    ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
    'GiveDirective abort': nothing,
    ...all(
      adds(expired, directiveEnded('obeyed', number), aborted('Its lease ended while it was to be aborted.')),
      'ExpireLease, at its end',
      'ExpireLease, last attempt',
      'ExpireLease, last attempt without dead letter',
    ),
    // Done after all if its holder says so; gone as was wished if anybody else does.
    ...deleted([directiveEnded('overtaken', number)], [directiveEnded('obeyed', number)]),
  }) as const

whenState('task running, told to abort', {
  ...HELD_TASK,
  ...IT_SETTLES(1),
  'Report paused': adds(seen(), paused),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
})

whenState('task paused, told to abort', {
  ...HELD_TASK,
  ...IT_SETTLES(2),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed),
  'Report refusal of directive 1': adds(seen(2)),
})
