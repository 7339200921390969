// The shared vocabulary of the domain's tests: sample events, the commands that a work item may meet, and the states in which it may meet them.
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import type { WorkItem } from '../../src/domain/work-item/state.ts'
import {
  abortedByHolder,
  accepted,
  acceptedByMiddleware,
  at,
  BIRTH,
  CALLBACK,
  completed,
  directiveEnded,
  directiveGiven,
  dispatched,
  entered,
  failed,
  GONE,
  inserted,
  JOB,
  jobLeased,
  LOST_AT,
  LOST_NOW,
  NOW,
  paused,
  registered,
  replied,
  REPLY_EXPIRED_AT,
  REQUEST_ENDED_AT,
  sampleEvents,
  seen,
  taskLeased,
  timedOut,
  TIMES_OUT_AT,
  type Dated,
} from './sample-events.ts'

export * from './sample-commands.ts'
export * from './sample-events.ts'

const RUNNING_JOB = [registered, jobLeased()]
const PAUSED_JOB = [...RUNNING_JOB, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const RUNNING_TASK = [inserted, taskLeased()]
const PAUSED_TASK = [...RUNNING_TASK, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const lost = at(LOST_AT, { type: 'HolderLost', lease: 1, lastSeenAt: BIRTH + 5_000 })
const lostFor = (code: string): WorkItemEvent => ({ type: 'Failed', code, message: 'Its holder was lost and did not come back.' })
const byAdmin: WorkItemEvent = { type: 'Cancelled', by: 'admin' }
const letter: WorkItemEvent = { type: 'DeadLettered', code: 'disk-full', message: 'No space left.', lease: 1, digest: 'failed' }

const together = (...events: readonly WorkItemEvent[]): readonly Dated[] => events.map((event) => at(REQUEST_ENDED_AT, event))
const leaseExpired: WorkItemEvent = { type: 'LeaseExpired', lease: 1 }
export const interrupted: WorkItemEvent = { type: 'Failed', code: 'interrupted', message: 'The lease of attempt 1 ended, and no attempt is left.' }
const RUNNING_REQUEST = [accepted, taskLeased()]
const PAUSED_REQUEST = [...RUNNING_REQUEST, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const REPLIED_TO = [...RUNNING_REQUEST, replied]
const RELEASED = [...REPLIED_TO, { type: 'ReplyReleased', how: 'client', by: 'shop' } satisfies WorkItemEvent]
const BROKEN_OFF = [acceptedByMiddleware, taskLeased(), ...together(leaseExpired)]
export const erasedRequest: WorkItemEvent = {
  type: 'Erased',
  kind: 'request',
  by: 'shop',
  digest: 'fingerprint',
  end: 'completed',
  createdAt: BIRTH,
  settledAt: REQUEST_ENDED_AT,
  eraser: 'admin',
  reason: 'asked',
}

const RUNNING_OPERATION = [dispatched, jobLeased()]
const PAUSED_OPERATION = [...RUNNING_OPERATION, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const RUN_ON_ITS_NODE = [entered, taskLeased()]
const PAUSED_ON_ITS_NODE = [...RUN_ON_ITS_NODE, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const acknowledged: WorkItemEvent = { type: 'EffectsCarriedOut', effects: [{ entry: 'reply', outcome: 'done' }] }
/** What becomes of it on its node when that starts again, if its class says so. */
export const interruptedOperation: WorkItemEvent = { type: 'Failed', code: 'interrupted', message: 'Its node stopped while it ran, and its class says that it is not run again.' }

/** Every state that the tests name, as the life that leads to it; facts without a time of their own follow each other by a second. */
export const STATES = {
  'job absent': [],
  'job waiting': [registered],
  'job running': RUNNING_JOB,
  'job running, told to pause': [...RUNNING_JOB, directiveGiven('pause')],
  'job running, told to abort': [...RUNNING_JOB, directiveGiven('abort')],
  'job paused': PAUSED_JOB,
  'job paused unasked': [...RUNNING_JOB, paused],
  'job paused, told to resume': [...PAUSED_JOB, directiveGiven('resume', 2)],
  'job paused, told to abort': [...PAUSED_JOB, directiveGiven('abort', 2)],
  'job lost': [...RUNNING_JOB, lost],
  'job lost, told to abort': [...RUNNING_JOB, directiveGiven('abort'), lost],
  'job lost while paused': [...PAUSED_JOB, lost],
  'job lost while paused, told to resume': [...PAUSED_JOB, lost, at(LOST_AT + 1_000, directiveGiven('resume', 2))],
  'job completed': [...RUNNING_JOB, completed],
  'job failed': [...RUNNING_JOB, failed],
  'job aborted': [...RUNNING_JOB, directiveGiven('abort'), seen(), directiveEnded('obeyed'), abortedByHolder],
  'job cancelled': [registered, directiveGiven('abort'), directiveEnded('obeyed'), byAdmin],
  'job given up': [...RUNNING_JOB, lost, at(LOST_AT + JOB.lostAfterMs, lostFor('lost'))],
  'task absent': [],
  'task waiting': [inserted],
  'task waiting for its time': [{ ...inserted, dueAt: NOW + 5_000 }],
  'task waiting again': [...RUNNING_TASK, { type: 'LeaseExpired', lease: 1 }],
  'task waiting, paused': [inserted, directiveGiven('pause'), directiveEnded('obeyed')],
  'task running': RUNNING_TASK,
  'task running, told to pause': [...RUNNING_TASK, directiveGiven('pause')],
  'task running, told to abort': [...RUNNING_TASK, directiveGiven('abort')],
  'task paused': PAUSED_TASK,
  'task paused, told to resume': [...PAUSED_TASK, directiveGiven('resume', 2)],
  'task paused, told to abort': [...PAUSED_TASK, directiveGiven('abort', 2)],
  'task dead letter': [...RUNNING_TASK, letter],
  'task completed': [...RUNNING_TASK, completed],
  'task failed': [...RUNNING_TASK, failed],
  'task aborted': [...RUNNING_TASK, directiveGiven('abort'), seen(), directiveEnded('obeyed'), abortedByHolder],
  'request absent': [],
  'request waiting': [accepted],
  'request waiting again': [...RUNNING_REQUEST, leaseExpired],
  'request waiting, paused': [accepted, directiveGiven('pause'), directiveEnded('obeyed')],
  'request running': RUNNING_REQUEST,
  'request running again': [...RUNNING_REQUEST, leaseExpired, taskLeased({ lease: 2, token: '2.current' })],
  'request running, told to pause': [...RUNNING_REQUEST, directiveGiven('pause')],
  'request running, told to abort': [...RUNNING_REQUEST, directiveGiven('abort')],
  'request paused': PAUSED_REQUEST,
  'request paused, told to resume': [...PAUSED_REQUEST, directiveGiven('resume', 2)],
  'request paused, told to abort': [...PAUSED_REQUEST, directiveGiven('abort', 2)],
  'request running in middleware': [acceptedByMiddleware, taskLeased()],
  'request broken off in middleware': BROKEN_OFF,
  'request given back in middleware': [acceptedByMiddleware, taskLeased(), sampleEvents.LeaseReleased],
  'request broken off in middleware, paused': [...BROKEN_OFF, ...together(directiveGiven('pause'), directiveEnded('obeyed'))],
  'request with an open outbox': [
    { ...accepted, callback: CALLBACK },
    taskLeased(),
    { ...replied, effects: [{ callback: { url: CALLBACK, mediaType: 'text/plain', bodyBase64: '' } }] },
  ],
  'request replied to': REPLIED_TO,
  'request released': RELEASED,
  'request released by time': [...REPLIED_TO, at(REPLY_EXPIRED_AT, { type: 'ReplyReleased', how: 'time', by: 'stint' })],
  'request erased': [...RELEASED, erasedRequest],
  'request interrupted': [...RUNNING_REQUEST, ...together(leaseExpired, interrupted)],
  'request failed': [...RUNNING_REQUEST, failed],
  'request aborted': [...RUNNING_REQUEST, ...together(directiveGiven('abort'), seen(), directiveEnded('obeyed'), abortedByHolder)],
  'request cancelled': [accepted, ...together(directiveGiven('abort'), directiveEnded('obeyed'), byAdmin)],
  'task cancelled': [...RUNNING_TASK, letter, directiveGiven('abort'), directiveEnded('obeyed'), byAdmin],
  'long-task absent': [],
  'long-task waiting': [dispatched],
  'long-task waiting, paused': [dispatched, directiveGiven('pause'), directiveEnded('obeyed')],
  'long-task running': RUNNING_OPERATION,
  'long-task running, told to pause': [...RUNNING_OPERATION, directiveGiven('pause')],
  'long-task running, told to abort': [...RUNNING_OPERATION, directiveGiven('abort')],
  'long-task paused': PAUSED_OPERATION,
  'long-task paused unasked': [...RUNNING_OPERATION, paused],
  'long-task paused, told to resume': [...PAUSED_OPERATION, directiveGiven('resume', 2)],
  'long-task paused, told to abort': [...PAUSED_OPERATION, directiveGiven('abort', 2)],
  'long-task lost': [...RUNNING_OPERATION, lost],
  'long-task lost, told to abort': [...RUNNING_OPERATION, directiveGiven('abort'), lost],
  'long-task lost while paused': [...PAUSED_OPERATION, lost],
  'long-task completed': [...RUNNING_OPERATION, completed],
  'long-task failed': [...RUNNING_OPERATION, failed],
  'long-task gone': [...RUNNING_OPERATION, { type: 'Failed', ...GONE, lease: 1 }],
  'long-task refused by its node': [dispatched, { type: 'Failed', code: 'unknown-operation', message: 'Its node knows other operations.' }],
  'long-task aborted': [...RUNNING_OPERATION, directiveGiven('abort'), seen(), directiveEnded('obeyed'), abortedByHolder],
  'long-task cancelled': [dispatched, directiveGiven('abort'), directiveEnded('obeyed'), byAdmin],
  'long-task timed out': [...RUNNING_OPERATION, at(TIMES_OUT_AT, timedOut('total'))],
  'long-task timed out, stalled': [...RUNNING_OPERATION, at(BIRTH + 30_000, timedOut('stalled'))],
  'long-task timed out, never taken': [dispatched, at(TIMES_OUT_AT, timedOut('total'))],
  'long-task on its node, waiting': [entered],
  'long-task on its node, waiting, paused': [entered, directiveGiven('pause'), directiveEnded('obeyed')],
  'long-task on its node, waiting again': [...RUN_ON_ITS_NODE, leaseExpired],
  'long-task on its node, running': RUN_ON_ITS_NODE,
  'long-task on its node, running, not to be run again': [{ ...entered, onRestart: 'fail' }, taskLeased()],
  'long-task on its node, running, told to pause': [...RUN_ON_ITS_NODE, directiveGiven('pause')],
  'long-task on its node, running, told to abort': [...RUN_ON_ITS_NODE, directiveGiven('abort')],
  'long-task on its node, paused': PAUSED_ON_ITS_NODE,
  'long-task on its node, paused, told to resume': [...PAUSED_ON_ITS_NODE, directiveGiven('resume', 2)],
  'long-task on its node, paused, told to abort': [...PAUSED_ON_ITS_NODE, directiveGiven('abort', 2)],
  'long-task on its node, completed': [...RUN_ON_ITS_NODE, completed],
  'long-task on its node, interrupted': [{ ...entered, onRestart: 'fail' }, taskLeased(), ...together(leaseExpired, interruptedOperation)],
  'long-task on its node, acknowledged': [...RUN_ON_ITS_NODE, completed, acknowledged],
} as const satisfies Record<string, readonly (WorkItemEvent | Dated)[]>

export type StateName = keyof typeof STATES

/** When the commands come to an item in this state. */
export const nowIn = (state: StateName): number => {
  if (state === 'job given up') return LOST_AT + JOB.lostAfterMs + 1_000
  return state.startsWith('job lost') || state.startsWith('long-task lost') ? LOST_NOW : NOW
}

export const STATUSES = Object.keys({ absent: true, waiting: true, deadLetter: true, running: true, paused: true, lost: true, settled: true } satisfies Record<
  WorkItem['status'],
  true
>) as readonly WorkItem['status'][]
