// What each command comes to when a long task has settled, its timeout above all: what its node still says of it is recorded once, and changes nothing.
import { adds, all, nothing, refuses, whenState, type Expectation } from '../../support/given.ts'
import { BIRTH, TIMES_OUT_AT } from '../../support/samples.ts'
import type { EventOfType } from '../../../src/domain/work-item/events.ts'
import { A_LONG_TASK, FAILURES, NO_TIME, NOBODY_HOLDS, OPERATION_AGAIN } from './rows.ts'

const SETTLED = refuses('settled')
const late = (digest: string, outcome: EventOfType<'LateResultRecorded'>['outcome']): Expectation => adds({ type: 'LateResultRecorded', lease: 1, outcome, digest })
const lateFailure = (facts: { readonly retry?: false }): Expectation => late('failed', { failed: { code: 'disk-full', message: 'No space left.', ...facts } })

/** Nothing was promised of it to anybody, so it may be erased at once. */
const erased = (end: EventOfType<'Erased'>['end'], settledAt: number): Readonly<Record<'Erase' | 'Erase, after its time', Expectation>> => {
  const facts = { kind: 'long-task', by: 'management', digest: 'content', end, createdAt: BIRTH, settledAt, eraser: 'admin', reason: 'asked' } as const
  return all(adds({ type: 'Erased', ...facts }), 'Erase', 'Erase, after its time')
}

const OVER = {
  ...A_LONG_TASK,
  ...OPERATION_AGAIN,
  ...all(SETTLED, ...(Object.keys(NOBODY_HOLDS) as (keyof typeof NOBODY_HOLDS)[])),
  ...all(SETTLED, 'GiveDirective pause', 'GiveDirective resume', 'GiveDirective abort', 'Redrive'),
  // Its node's answer to the dispatch, and what it says of it when it is asked for its list, come too late.
  ...all(nothing, 'TakeOperation', 'FailOperation'),
  ...NO_TIME,
} as const

const LATE_RESULTS = {
  'Report completed, current lease': late('completed', { completed: { result: { pages: 3 } } }),
  ...all(lateFailure({}), 'Report failed', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Report failed for good': lateFailure({ retry: false }),
  'Report aborted': late('aborted', { aborted: { reason: 'asked', partial: { pages: 1 } } }),
} as const

whenState('long-task completed', { ...OVER, ...erased('completed', BIRTH + 2_000), ...LATE_RESULTS, 'Report completed, current lease': nothing })
whenState('long-task failed', { ...OVER, ...erased('failed', BIRTH + 2_000), ...LATE_RESULTS, ...all(nothing, ...FAILURES) })
whenState('long-task aborted', { ...OVER, ...erased('aborted', BIRTH + 5_000), ...LATE_RESULTS, 'Report aborted': nothing })
// The engine said so, not its node: what that says is another word.
whenState('long-task gone', { ...OVER, ...erased('failed', BIRTH + 2_000), ...LATE_RESULTS })
whenState('long-task timed out', { ...OVER, ...erased('timedOut', TIMES_OUT_AT), ...LATE_RESULTS })
whenState('long-task timed out, stalled', { ...OVER, ...erased('timedOut', BIRTH + 30_000), ...LATE_RESULTS })

// As far as the log knows, nobody ever held these; a node that did after all says so with its report.
whenState('long-task cancelled', { ...OVER, ...erased('cancelled', BIRTH + 3_000) })
whenState('long-task refused by its node', { ...OVER, ...erased('failed', BIRTH + 1_000) })
whenState('long-task timed out, never taken', { ...OVER, ...erased('timedOut', TIMES_OUT_AT) })
