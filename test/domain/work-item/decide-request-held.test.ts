// What each command comes to while somebody runs a request, in a worker or in middleware, with and without a directive that stands.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import {
  abortedByHolder,
  directiveEnded,
  extended,
  failed,
  interrupted,
  newDirective,
  NOW,
  paused,
  phase,
  progress,
  refusedDirective,
  released,
  replied,
  resumed,
  seen,
  TERM_MS,
} from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { COMMANDS_OF_JOBS, COMMANDS_OF_LONG_TASKS, COMMANDS_OF_TASKS, NOBODY_HOLDS, NOT_COMPLETED, NOT_REPLIED_TO, REQUEST_AGAIN, STRANGERS } from './rows.ts'

const longer = extended(NOW + TERM_MS)
const expired: WorkItemEvent = { type: 'LeaseExpired', lease: 1 }
const retried: WorkItemEvent = { type: 'RetryScheduled', lease: 1, dueAt: NOW + 1_000, code: 'disk-full', message: 'No space left.', digest: 'failed' }
const aborted = (reason: string): WorkItemEvent => ({ type: 'Aborted', reason })

/** The one reply, whatever the administrator wished; said otherwise it is another reply, and as good before the first. */
const repliedAfter = (...moot: readonly WorkItemEvent[]) => ({
  'Reply, current lease': adds(...moot, replied),
  'Reply, other content': adds(...moot, { ...replied, digest: 'other reply' }),
})
/** Out of attempts it fails: whoever called waits for an answer, and a dead letter is none. */
const FAILS_FOR_GOOD = ['Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'] as const
const LAST_LEASE = ['ExpireLease, last attempt', 'ExpireLease, last attempt without dead letter'] as const

const HELD_REQUEST = {
  ...COMMANDS_OF_JOBS,
  ...COMMANDS_OF_TASKS,
  ...COMMANDS_OF_LONG_TASKS,
  ...STRANGERS,
  ...NOT_COMPLETED,
  ...NOT_REPLIED_TO,
  ...REQUEST_AGAIN,
  'Reply, other lease': refuses('stale-lease'),
  'Reply, other principal': refuses('forbidden'),
  'ExtendLease, after its end': refuses('stale-lease'),
} as const

const NO_DIRECTIVE_STANDS = {
  ...repliedAfter(),
  'ExtendLease, current lease': adds(longer),
  'ReleaseLease, current lease': adds(released()),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report refusal of directive 1': nothing,
  'Report failed': adds(retried),
  ...all(adds(failed), ...FAILS_FOR_GOOD),
  'Report aborted': adds(abortedByHolder),
  'ExpireLease, at its end': adds(expired),
  ...all(adds(expired, interrupted), ...LAST_LEASE),
} as const

const RUNNING_REQUEST = {
  ...HELD_REQUEST,
  ...NO_DIRECTIVE_STANDS,
  'Report paused': adds(paused),
  'Report running': nothing,
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
} as const

whenState('request running', RUNNING_REQUEST)

// Who runs it makes a difference only when it breaks off.
whenState('request running in middleware', RUNNING_REQUEST)

// The execution before is fenced off: whatever it says, its reply above all, is refused, and its timers are moot.
whenState('request running again', {
  ...RUNNING_REQUEST,
  ...NOBODY_HOLDS,
  ...NOT_COMPLETED,
  ...all(refuses('stale-lease'), 'Reply, current lease', 'Reply, other content', 'Reply, other principal'),
  ...all(nothing, 'ExpireLease, at its end', ...LAST_LEASE),
})

whenState('request paused', {
  ...HELD_REQUEST,
  ...NO_DIRECTIVE_STANDS,
  'Report paused': nothing,
  'Report running': adds(resumed),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

/** A pause or resume that stands when the holder lets go is obeyed: nobody runs the request now. */
const ITS_WISH_COMES_TRUE = (number: number) =>
  ({
    ...repliedAfter(directiveEnded('overtaken', number)),
    'ExtendLease, current lease': adds(longer, seen(number)),
    'ReleaseLease, current lease': adds(released(), directiveEnded('obeyed', number)),
    'AskDirective, current lease': adds(seen(number)),
    'Report phase, current lease': adds(phase, seen(number)),
    'Report progress': adds(progress, seen(number)),
    'Report failed': adds(directiveEnded('obeyed', number), retried),
    ...all(adds(directiveEnded('overtaken', number), failed), ...FAILS_FOR_GOOD),
    'Report aborted': adds(directiveEnded('overtaken', number), abortedByHolder),
    'ExpireLease, at its end': adds(expired, directiveEnded('obeyed', number)),
    ...all(adds(expired, directiveEnded('overtaken', number), interrupted), ...LAST_LEASE),
  }) as const

whenState('request running, told to pause', {
  ...HELD_REQUEST,
  ...ITS_WISH_COMES_TRUE(1),
  'Report paused': adds(seen(), paused, directiveEnded('obeyed')),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(directiveEnded('overtaken'), newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(directiveEnded('overtaken'), newDirective('abort', 2)),
})

whenState('request paused, told to resume', {
  ...HELD_REQUEST,
  ...ITS_WISH_COMES_TRUE(2),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed, directiveEnded('obeyed', 2)),
  'Report refusal of directive 1': adds(seen(2)),
  'GiveDirective pause': adds(directiveEnded('overtaken', 2), newDirective('pause', 3), directiveEnded('obeyed', 3)),
  'GiveDirective resume': nothing,
  'GiveDirective abort': adds(directiveEnded('overtaken', 2), newDirective('abort', 3)),
})

/** A request that is to be aborted does not wait for the next execution: it settles as soon as this one lets go, unless it replies after all. */
const IT_SETTLES = (number: number) =>
  ({
    ...repliedAfter(directiveEnded('overtaken', number)),
    'ExtendLease, current lease': adds(longer, seen(number)),
    'ReleaseLease, current lease': adds(released(), directiveEnded('obeyed', number), aborted('Given back while it was to be aborted.')),
    'AskDirective, current lease': adds(seen(number)),
    'Report phase, current lease': adds(phase, seen(number)),
    'Report progress': adds(progress, seen(number)),
    ...all(adds(directiveEnded('overtaken', number), failed), 'Report failed', ...FAILS_FOR_GOOD),
    'Report aborted': adds(directiveEnded('obeyed', number), abortedByHolder),
    ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
    'GiveDirective abort': nothing,
    ...all(adds(expired, directiveEnded('obeyed', number), aborted('Its lease ended while it was to be aborted.')), 'ExpireLease, at its end', ...LAST_LEASE),
  }) as const

whenState('request running, told to abort', {
  ...HELD_REQUEST,
  ...IT_SETTLES(1),
  'Report paused': adds(seen(), paused),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
})

whenState('request paused, told to abort', {
  ...HELD_REQUEST,
  ...IT_SETTLES(2),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed),
  'Report refusal of directive 1': adds(seen(2)),
})
