// What each command comes to when a request has settled: its reply is given again until it is released, and it is never run again, whatever became of it.
import { adds, all, nothing, refuses, whenState, type Expectation } from '../../support/given.ts'
import { erasedRequest } from '../../support/samples.ts'
import type { EventOfType, WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { COMMANDS_OF_JOBS, COMMANDS_OF_LONG_TASKS, COMMANDS_OF_TASKS, NOBODY_HOLDS, NOT_COMPLETED, NOTHING_OWED } from './rows.ts'

const SETTLED = refuses('settled')
const late = (digest: string, outcome: EventOfType<'LateResultRecorded'>['outcome']): Expectation => adds({ type: 'LateResultRecorded', lease: 1, outcome, digest })
const lateReply = (digest: string): Expectation => late(digest, { completed: { result: { status: 201 } } })
const releasedBy = (how: EventOfType<'ReplyReleased'>['how'], by: string): WorkItemEvent => ({ type: 'ReplyReleased', how, by })
const byTime = adds(releasedBy('time', 'stint'))

/** Whoever calls again is told what has become of the first: nothing is added, so nothing is run. */
const KEPT = {
  ...all(nothing, 'AcceptRequest, same fingerprint', 'AcceptRequest, to a waiting worker', 'AcceptRequest, by middleware'),
  'AcceptRequest, other fingerprint': refuses('fingerprint-mismatch'),
  'AcceptRequest, after its time': byTime,
  'ReleaseReply, by its caller': adds(releasedBy('client', 'shop')),
  'ReleaseReply, by force': adds(releasedBy('force', 'admin')),
  'ReleaseReply, when its time has come': byTime,
  'ReleaseReply, before its time': nothing,
  // What was promised is kept: it is erased when it is released, or would be.
  Erase: refuses('not-possible'),
} as const

const GONE = {
  ...all(refuses('released'), 'AcceptRequest, same fingerprint', 'AcceptRequest, after its time', 'AcceptRequest, to a waiting worker', 'AcceptRequest, by middleware'),
  'AcceptRequest, other fingerprint': refuses('fingerprint-mismatch'),
  ...all(nothing, 'ReleaseReply, by its caller', 'ReleaseReply, when its time has come', 'ReleaseReply, before its time', 'ReleaseReply, by force'),
} as const

const SETTLED_REQUEST = {
  ...COMMANDS_OF_JOBS,
  ...COMMANDS_OF_TASKS,
  ...COMMANDS_OF_LONG_TASKS,
  ...all(SETTLED, ...(Object.keys(NOBODY_HOLDS) as (keyof typeof NOBODY_HOLDS)[])),
  ...all(SETTLED, 'GiveDirective pause', 'GiveDirective resume', 'GiveDirective abort', 'Redrive'),
  ...all(SETTLED, 'Reply, current lease', 'Reply, other content', 'Reply, other lease', 'Reply, other principal'),
  ...NOT_COMPLETED,
  ...NOTHING_OWED,
} as const

/** The first other word under the last lease is kept for whoever looks into it; no caller is ever given it. */
const LATE_RESULTS = {
  ...all(late('failed', { failed: { code: 'disk-full', message: 'No space left.' } }), 'Report failed', 'Report failed, last attempt'),
  'Report failed, last attempt without dead letter': late('failed', { failed: { code: 'disk-full', message: 'No space left.' } }),
  'Report failed for good': late('failed', { failed: { code: 'disk-full', message: 'No space left.', retry: false } }),
  'Report aborted': late('aborted', { aborted: { reason: 'asked', partial: { pages: 1 } } }),
  'Reply, current lease': lateReply('reply'),
  'Reply, other content': lateReply('other reply'),
} as const

const erased = (end: EventOfType<'Erased'>['end']) => adds({ ...erasedRequest, end } as typeof erasedRequest)

const REPLIED_TO = { ...SETTLED_REQUEST, ...LATE_RESULTS, ...KEPT, 'Reply, current lease': nothing, 'Erase, after its time': erased('completed') } as const

whenState('request replied to', REPLIED_TO)

// A callback that is still to be delivered needs the reply.
whenState('request with an open outbox', {
  ...REPLIED_TO,
  'NoteEffects, the first': adds({ type: 'EffectsCarriedOut', effects: [{ entry: 0, outcome: 'done' }] }),
  'NoteEffects, the reply': adds({ type: 'EffectsCarriedOut', effects: [{ entry: 'reply', outcome: 'done' }] }),
  ...all(refuses('not-possible'), 'Erase', 'Erase, after its time'),
})

const RELEASED = { ...REPLIED_TO, ...GONE, ...all(erased('completed'), 'Erase', 'Erase, after its time') } as const

whenState('request released', RELEASED)
whenState('request released by time', RELEASED)

// The tombstone knows the fingerprint and that it was, and that is enough to refuse every duplicate.
whenState('request erased', { ...SETTLED_REQUEST, ...GONE, ...all(nothing, 'Erase', 'Erase, after its time') })

// Without a reply it is answered the same each time until it is released, as with one.
whenState('request interrupted', { ...SETTLED_REQUEST, ...LATE_RESULTS, ...KEPT, 'Erase, after its time': erased('failed') })
whenState('request failed', {
  ...SETTLED_REQUEST,
  ...LATE_RESULTS,
  ...KEPT,
  ...all(nothing, 'Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'),
  'Erase, after its time': erased('failed'),
})
whenState('request aborted', { ...SETTLED_REQUEST, ...LATE_RESULTS, ...KEPT, 'Report aborted': nothing, 'Erase, after its time': erased('aborted') })

// Nobody ever held it, so nobody has anything to say of it.
whenState('request cancelled', { ...SETTLED_REQUEST, ...KEPT, 'Erase, after its time': erased('cancelled') })
