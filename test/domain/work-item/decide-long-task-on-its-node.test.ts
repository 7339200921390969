// What each command comes to in the log of the node that runs a long task: it is leased and ends there as a task does, has no time of its own, and owes its end until that is acknowledged.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import {
  abortedByHolder,
  BIRTH,
  completed,
  directiveEnded,
  extended,
  failed,
  GONE,
  interruptedOperation,
  newDirective,
  NEXT_HOLDER,
  NOW,
  paused,
  phase,
  progress,
  refusedDirective,
  REQUEST_ENDED_AT,
  resumed,
  seen,
  taskLeased,
  TERM_MS,
} from '../../support/samples.ts'
import type { EventOfType, WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { A_LONG_TASK, FAILURES, NO_TIME, NOBODY_HOLDS, OPERATION_AGAIN, STRANGERS } from './rows.ts'

const cancelled: WorkItemEvent = { type: 'Cancelled', by: 'admin' }
const gone: WorkItemEvent = { type: 'Failed', ...GONE, lease: 1 }
const longer = extended(NOW + TERM_MS)
const expired: WorkItemEvent = { type: 'LeaseExpired', lease: 1 }
const noneLeft: WorkItemEvent = { type: 'Failed', code: 'interrupted', message: 'The lease of attempt 1 ended, and no attempt is left.' }
const LAST_LEASE = ['ExpireLease, last attempt', 'ExpireLease, last attempt without dead letter'] as const

const leased = (lease: number) => {
  const event = { lease, token: `${lease}.next`, holder: NEXT_HOLDER, until: NOW + TERM_MS }
  return { LeaseItem: adds(taskLeased(event)), 'LeaseItem, with a request id': adds(taskLeased({ ...event, requestId: 'request-1' })) }
}

/** The lease that travelled with it is the management node's; and whoever gave it out keeps its time. */
const ON_ITS_NODE = { ...A_LONG_TASK, ...OPERATION_AGAIN, ...NO_TIME, TakeOperation: nothing } as const

const FREE = {
  ...ON_ITS_NODE,
  ...NOBODY_HOLDS,
  FailOperation: adds({ type: 'Failed', ...GONE }),
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1), directiveEnded('obeyed'), cancelled),
} as const

whenState('long-task on its node, waiting', { ...FREE, ...leased(1) })

// The process before ran it; what it would say under its lease is nobody's word.
whenState('long-task on its node, waiting again', { ...FREE, ...leased(2) })

whenState('long-task on its node, waiting, paused', {
  ...FREE,
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2), directiveEnded('obeyed', 2), cancelled),
})

const HELD = {
  ...ON_ITS_NODE,
  ...STRANGERS,
  'ReleaseLease, current lease': refuses('not-possible'),
  'ExtendLease, after its end': refuses('stale-lease'),
} as const

/** When the node starts again, the lease of the process before it ends, whenever that would have been. */
const NO_DIRECTIVE_STANDS = {
  FailOperation: adds(gone),
  'ExpireLease, at its end': adds(expired),
  ...all(adds(expired, noneLeft), ...LAST_LEASE),
  'ExtendLease, current lease': adds(longer),
  'AskDirective, current lease': nothing,
  'Report phase, current lease': adds(phase),
  'Report progress': adds(progress),
  'Report refusal of directive 1': nothing,
  'Report completed, current lease': adds(completed),
  ...all(adds(failed), ...FAILURES),
  'Report aborted': adds(abortedByHolder),
} as const

const RUNNING = {
  ...HELD,
  ...NO_DIRECTIVE_STANDS,
  'Report paused': adds(paused),
  'Report running': nothing,
  'GiveDirective pause': adds(newDirective('pause', 1)),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1)),
} as const

whenState('long-task on its node, running', RUNNING)

// As its class says.
whenState('long-task on its node, running, not to be run again', { ...RUNNING, 'ExpireLease, at its end': adds(expired, interruptedOperation) })

whenState('long-task on its node, paused', {
  ...HELD,
  ...NO_DIRECTIVE_STANDS,
  'Report paused': nothing,
  'Report running': adds(resumed),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2)),
})

/** A pause or resume that stands when the process is gone is obeyed: nobody runs it now. */
const ITS_WISH_COMES_TRUE = (number: number) =>
  ({
    FailOperation: adds(directiveEnded('overtaken', number), gone),
    'ExpireLease, at its end': adds(expired, directiveEnded('obeyed', number)),
    ...all(adds(expired, directiveEnded('overtaken', number), noneLeft), ...LAST_LEASE),
    'ExtendLease, current lease': adds(longer, seen(number)),
    'AskDirective, current lease': adds(seen(number)),
    'Report phase, current lease': adds(phase, seen(number)),
    'Report progress': adds(progress, seen(number)),
    'Report completed, current lease': adds(directiveEnded('overtaken', number), completed),
    ...all(adds(directiveEnded('overtaken', number), failed), ...FAILURES),
    'Report aborted': adds(directiveEnded('overtaken', number), abortedByHolder),
  }) as const

whenState('long-task on its node, running, told to pause', {
  ...HELD,
  ...ITS_WISH_COMES_TRUE(1),
  'Report paused': adds(seen(), paused, directiveEnded('obeyed')),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(directiveEnded('overtaken'), newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(directiveEnded('overtaken'), newDirective('abort', 2)),
})

whenState('long-task on its node, paused, told to resume', {
  ...HELD,
  ...ITS_WISH_COMES_TRUE(2),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed, directiveEnded('obeyed', 2)),
  'Report refusal of directive 1': adds(seen(2)),
  'GiveDirective pause': adds(directiveEnded('overtaken', 2), newDirective('pause', 3), directiveEnded('obeyed', 3)),
  'GiveDirective resume': nothing,
  'GiveDirective abort': adds(directiveEnded('overtaken', 2), newDirective('abort', 3)),
})

/** What is to be aborted is not run again: it settles as soon as nobody runs it. */
const IT_SETTLES = (number: number) =>
  ({
    FailOperation: adds(directiveEnded('obeyed', number), { type: 'Aborted', reason: GONE.message, lease: 1 }),
    ...all(adds(expired, directiveEnded('obeyed', number), { type: 'Aborted', reason: 'Its lease ended while it was to be aborted.' }), 'ExpireLease, at its end', ...LAST_LEASE),
    'ExtendLease, current lease': adds(longer, seen(number)),
    'AskDirective, current lease': adds(seen(number)),
    'Report phase, current lease': adds(phase, seen(number)),
    'Report progress': adds(progress, seen(number)),
    'Report completed, current lease': adds(directiveEnded('overtaken', number), completed),
    ...all(adds(directiveEnded('overtaken', number), failed), ...FAILURES),
    'Report aborted': adds(directiveEnded('obeyed', number), abortedByHolder),
    ...all(refuses('aborting'), 'GiveDirective pause', 'GiveDirective resume'),
    'GiveDirective abort': nothing,
  }) as const

whenState('long-task on its node, running, told to abort', {
  ...HELD,
  ...IT_SETTLES(1),
  'Report paused': adds(seen(), paused),
  'Report running': adds(seen()),
  'Report refusal of directive 1': adds(seen(), refusedDirective),
})

whenState('long-task on its node, paused, told to abort', {
  ...HELD,
  ...IT_SETTLES(2),
  'Report paused': adds(seen(2)),
  'Report running': adds(seen(2), resumed),
  'Report refusal of directive 1': adds(seen(2)),
})

const SETTLED = refuses('settled')
const late = (digest: string, outcome: EventOfType<'LateResultRecorded'>['outcome']) => adds({ type: 'LateResultRecorded', lease: 1, outcome, digest })

const OVER = {
  ...ON_ITS_NODE,
  ...all(SETTLED, ...(Object.keys(NOBODY_HOLDS) as (keyof typeof NOBODY_HOLDS)[])),
  ...all(SETTLED, 'GiveDirective pause', 'GiveDirective resume', 'GiveDirective abort', 'Redrive'),
  FailOperation: nothing,
  'Report completed, current lease': late('completed', { completed: { result: { pages: 3 } } }),
  ...all(
    late('failed', { failed: { code: 'disk-full', message: 'No space left.' } }),
    'Report failed',
    'Report failed, last attempt',
    'Report failed, last attempt without dead letter',
  ),
  'Report failed for good': late('failed', { failed: { code: 'disk-full', message: 'No space left.', retry: false } }),
  'Report aborted': late('aborted', { aborted: { reason: 'asked', partial: { pages: 1 } } }),
} as const

/** It stays on the list until the management node has said that it knows the end. */
const OWING = { ...OVER, 'NoteEffects, the reply': adds({ type: 'EffectsCarriedOut', effects: [{ entry: 'reply', outcome: 'done' }] }) } as const

whenState('long-task on its node, completed', { ...OWING, 'Report completed, current lease': nothing })
whenState('long-task on its node, interrupted', OWING)

const erased = {
  kind: 'long-task',
  by: 'management',
  digest: 'content',
  end: 'completed',
  createdAt: BIRTH,
  settledAt: REQUEST_ENDED_AT,
  eraser: 'admin',
  reason: 'asked',
} as const
whenState('long-task on its node, acknowledged', {
  ...OVER,
  'Report completed, current lease': nothing,
  ...all(adds({ type: 'Erased', ...erased }), 'Erase', 'Erase, after its time'),
})
