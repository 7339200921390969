// One sample of every event, the commands that a work item may meet, and the states in which it may meet them: the shared vocabulary of the domain's tests.
import type { Command, LeaseGrant } from '../../src/domain/work-item/commands.ts'
import type { DirectiveName, EventOfType, Holder, ReplyHead, Resolution, WorkItemEvent, WorkItemEventType } from '../../src/domain/work-item/events.ts'
import type { JobFacts, RequestFacts, TaskFacts, WorkItem } from '../../src/domain/work-item/state.ts'

/** When every sample life begins. */
export const BIRTH = 1_800_000_000_000
/** When the commands come, unless a sample says otherwise: well within the first lease. */
export const NOW = BIRTH + 10_000

export const JOB: JobFacts = { service: 'search', server: 'node-1', label: 'index', expectedMs: 60_000, reportEveryMs: 5_000, silenceMs: 15_000, lostAfterMs: 86_400_000 }
export const TASK: TaskFacts = { app: 'shop', queue: 'mail', dueAt: BIRTH }
export const REQUEST: RequestFacts = {
  contract: 'payments',
  caller: 'shop',
  runs: 'workers',
  release: { policy: 'encouraged', retainMs: 3_600_000 },
  onInterrupted: 'retry',
  interruptedAfterMs: 60_000,
  bytes: 12,
  dueAt: BIRTH,
}
export const TERM_MS = 30_000
/** End of the first lease, given one second after birth to job and task alike. */
export const LEASE_UNTIL = BIRTH + 1_000 + TERM_MS

export const HOLDER: Holder = { subject: 'servers', name: 'node-1', instance: 'first' }
export const NEXT_HOLDER: Holder = { ...HOLDER, instance: 'second' }
export const CURRENT = '1.current'
/** What a worker that waits for a task is given. */
export const GRANT: LeaseGrant = { holder: NEXT_HOLDER, token: 'next', termMs: TERM_MS }
export const OTHER = '9.other'

type Facts<Type extends WorkItemEventType> = Partial<Omit<EventOfType<Type>, 'type'>>

export const registered: WorkItemEvent = { type: 'JobRegistered', ...JOB, attributes: { tenant: 'blue' }, by: 'servers', digest: 'content' }
export const inserted: WorkItemEvent = { type: 'TaskInserted', ...TASK, by: 'producer', digest: 'content', mediaType: 'application/json' }
export const jobLeased = (facts: Facts<'Leased'> = {}): WorkItemEvent => ({
  type: 'Leased',
  lease: 1,
  token: CURRENT,
  holder: HOLDER,
  termMs: JOB.silenceMs,
  until: LEASE_UNTIL,
  ...facts,
})
export const taskLeased = (facts: Facts<'Leased'> = {}): WorkItemEvent => jobLeased({ termMs: TERM_MS, ...facts })
export const directiveGiven = (directive: DirectiveName, number = 1, commandId = `command-${number}`): WorkItemEvent => ({
  type: 'DirectiveGiven',
  number,
  directive,
  by: 'admin',
  commandId,
})
/** The directive that a command of the table gives. */
export const newDirective = (directive: DirectiveName, number: number): WorkItemEvent => directiveGiven(directive, number, 'command-new')
export const refusedDirective: WorkItemEvent = { type: 'DirectiveEnded', number: 1, resolution: 'refused', reason: 'not here' }
export const paused: WorkItemEvent = { type: 'Paused' }
export const resumed: WorkItemEvent = { type: 'Resumed' }
export const phase: WorkItemEvent = { type: 'PhaseEntered', phase: 'merge' }
export const progress: WorkItemEvent = { type: 'ProgressReported', progress: { fraction: 0.5 } }
export const seen = (number = 1): WorkItemEvent => ({ type: 'DirectiveSeen', number })
export const directiveEnded = (resolution: Resolution, number = 1): WorkItemEvent => ({ type: 'DirectiveEnded', number, resolution })
export const extended = (until: number, lease = 1): WorkItemEvent => ({ type: 'LeaseExtended', lease, until })
export const released = (facts: Facts<'LeaseReleased'> = {}): WorkItemEvent => ({ type: 'LeaseReleased', lease: 1, counted: false, dueAt: NOW, busy: false, ...facts })
export const completed: WorkItemEvent = { type: 'Completed', result: { pages: 3 }, lease: 1, digest: 'completed' }
export const failed: WorkItemEvent = { type: 'Failed', code: 'disk-full', message: 'No space left.', lease: 1, digest: 'failed' }
export const abortedByHolder: WorkItemEvent = { type: 'Aborted', reason: 'asked', partial: { pages: 1 }, lease: 1, digest: 'aborted' }

export const REPLY: ReplyHead = { status: 201, headers: [['content-type', 'application/json']], bytes: 11, kept: true }
export const accepted: WorkItemEvent = { type: 'RequestAccepted', ...REQUEST, by: 'shop', digest: 'fingerprint', mediaType: 'application/json' }
export const acceptedByMiddleware: WorkItemEvent = { ...accepted, runs: 'middleware' }
export const replied: WorkItemEvent = { type: 'Completed', reply: REPLY, lease: 1, digest: 'reply' }
export const CALLBACK = 'https://shop.example/replies'

/** One sample for each type, in the order of the registry. */
export const sampleEvents: { readonly [Type in WorkItemEventType]: EventOfType<Type> } = {
  JobRegistered: { type: 'JobRegistered', ...JOB, expectedMs: 60_000, label: 'index', attributes: { tenant: 'blue' }, by: 'servers', digest: 'content' },
  TaskInserted: {
    type: 'TaskInserted',
    app: 'shop',
    queue: 'mail',
    dueAt: BIRTH,
    by: 'producer',
    digest: 'content',
    mediaType: 'application/json',
    tag: 'eu',
    priority: 5,
    key: 'customer-7',
  },
  RequestAccepted: {
    type: 'RequestAccepted',
    ...REQUEST,
    by: 'shop',
    digest: 'fingerprint',
    mediaType: 'application/json',
    attemptsMax: 5,
    method: 'POST',
    path: '/payments',
    callback: 'https://shop.example/replies',
  },
  Leased: { type: 'Leased', lease: 1, token: CURRENT, holder: HOLDER, termMs: 15_000, until: LEASE_UNTIL },
  LeaseExtended: { type: 'LeaseExtended', lease: 1, until: LEASE_UNTIL + 15_000 },
  LeaseReleased: { type: 'LeaseReleased', lease: 1, counted: false, dueAt: NOW, busy: true, reason: 'event loop' },
  LeaseExpired: { type: 'LeaseExpired', lease: 1 },
  HolderLost: { type: 'HolderLost', lease: 1, lastSeenAt: BIRTH + 1_000 },
  HolderFound: { type: 'HolderFound', lease: 1 },
  PhaseEntered: { type: 'PhaseEntered', phase: 'merge' },
  ProgressReported: { type: 'ProgressReported', progress: { fraction: 0.25, done: 1, total: 4, unit: 'files', message: 'reading' } },
  Paused: { type: 'Paused' },
  Resumed: { type: 'Resumed' },
  DirectiveGiven: { type: 'DirectiveGiven', number: 1, directive: 'pause', by: 'admin', commandId: 'command-1', reason: 'maintenance' },
  DirectiveSeen: { type: 'DirectiveSeen', number: 1 },
  DirectiveEnded: { type: 'DirectiveEnded', number: 1, resolution: 'refused', reason: 'cannot stop here' },
  RetryScheduled: { type: 'RetryScheduled', lease: 1, dueAt: NOW + 1_000, code: 'disk-full', message: 'No space left.', digest: 'failed' },
  DeadLettered: { type: 'DeadLettered', code: 'disk-full', message: 'No space left.', lease: 1, digest: 'failed' },
  Redriven: { type: 'Redriven', by: 'admin', dueAt: NOW },
  Completed: { type: 'Completed', result: { pages: 3 }, partial: false, lease: 1, digest: 'completed' },
  Failed: { type: 'Failed', code: 'disk-full', message: 'No space left.', detail: { free: 0 }, lease: 1, digest: 'failed' },
  Aborted: { type: 'Aborted', reason: 'asked', partial: { pages: 1 }, lease: 1, digest: 'aborted' },
  Cancelled: { type: 'Cancelled', by: 'admin', reason: 'not needed' },
  LateResultRecorded: { type: 'LateResultRecorded', lease: 1, outcome: { completed: { result: { pages: 3 } } }, digest: 'late' },
  EffectsCarriedOut: {
    type: 'EffectsCarriedOut',
    effects: [
      { entry: 0, outcome: 'done' },
      { entry: 'reply', outcome: 'given-up', code: 'gone', attempts: 3 },
    ],
  },
  ReplyReleased: { type: 'ReplyReleased', how: 'client', by: 'shop' },
  Erased: {
    type: 'Erased',
    kind: 'request',
    by: 'shop',
    digest: 'fingerprint',
    end: 'completed',
    createdAt: BIRTH,
    settledAt: BIRTH + 2_000,
    eraser: 'stint',
    reason: 'retention',
  },
}

/** Samples with the fields that came to a type later, each with a golden file of its own name: `<type>.v<version>.<name>.json`. */
export const laterSamples: readonly { readonly name: 'bytes' | 'reply' | 'requestId'; readonly event: WorkItemEvent }[] = [
  { name: 'bytes', event: { ...sampleEvents.TaskInserted, bytes: 1_024 } },
  {
    name: 'reply',
    event: {
      type: 'Completed',
      reply: { ...REPLY, bodyDigest: 'sha256' },
      effects: [
        { task: { app: 'shop', queue: 'mail', mediaType: 'application/json', bodyBase64: 'e30=', id: 'mail-1', tag: 'eu', priority: 5, key: 'customer-7', delayMs: 1_000 } },
        { request: { contract: 'invoices', mediaType: 'application/json', bodyBase64: 'e30=', id: 'invoice-1' } },
        { directive: { workItem: 'job/old', directive: 'abort', reason: 'paid' } },
        { callback: { url: 'https://shop.example/paid', mediaType: 'application/json', bodyBase64: 'e30=' } },
      ],
      lease: 1,
      digest: 'reply',
    },
  },
  { name: 'requestId', event: { ...sampleEvents.Leased, termMs: TERM_MS, requestId: 'request-1' } },
]

/** A fact with its own time. */
export interface Dated {
  readonly time: number
  readonly event: WorkItemEvent
}
export const at = (time: number, event: WorkItemEvent): Dated => ({ time, event })

const RUNNING_JOB = [registered, jobLeased()]
const PAUSED_JOB = [...RUNNING_JOB, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const RUNNING_TASK = [inserted, taskLeased()]
const PAUSED_TASK = [...RUNNING_TASK, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const LOST_AT = BIRTH + 20_000
const lost = at(LOST_AT, { type: 'HolderLost', lease: 1, lastSeenAt: BIRTH + 5_000 })
const lostFor = (code: string): WorkItemEvent => ({ type: 'Failed', code, message: 'Its holder was lost and did not come back.' })
const byAdmin: WorkItemEvent = { type: 'Cancelled', by: 'admin' }
const letter: WorkItemEvent = { type: 'DeadLettered', code: 'disk-full', message: 'No space left.', lease: 1, digest: 'failed' }

/** When every sample request settles, or breaks off. */
export const REQUEST_ENDED_AT = BIRTH + 2_000
const together = (...events: readonly WorkItemEvent[]): readonly Dated[] => events.map((event) => at(REQUEST_ENDED_AT, event))
const leaseExpired: WorkItemEvent = { type: 'LeaseExpired', lease: 1 }
export const interrupted: WorkItemEvent = { type: 'Failed', code: 'interrupted', message: 'The lease of attempt 1 ended, and no attempt is left.' }
const RUNNING_REQUEST = [accepted, taskLeased()]
const PAUSED_REQUEST = [...RUNNING_REQUEST, directiveGiven('pause'), seen(), paused, directiveEnded('obeyed')]
const REPLIED_TO = [...RUNNING_REQUEST, replied]
const RELEASED = [...REPLIED_TO, { type: 'ReplyReleased', how: 'client', by: 'shop' } satisfies WorkItemEvent]
const BROKEN_OFF = [acceptedByMiddleware, taskLeased(), ...together(leaseExpired)]
/** The reply of 'request replied to' is kept until then. */
export const REPLY_EXPIRED_AT = REQUEST_ENDED_AT + 3_600_000
/** What broke off in middleware fails then. */
export const INTERRUPTED_AT = REQUEST_ENDED_AT + REQUEST.interruptedAfterMs
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
} as const satisfies Record<string, readonly (WorkItemEvent | Dated)[]>

export type StateName = keyof typeof STATES

/** When the commands come to an item in this state. */
export const nowIn = (state: StateName): number => {
  if (state === 'job given up') return LOST_AT + JOB.lostAfterMs + 1_000
  return state.startsWith('job lost') ? LOST_NOW : NOW
}
export const LOST_NOW = LOST_AT + 5_000
export const GIVE_UP_AT = LOST_AT + JOB.lostAfterMs

const RETRY = { attemptsMax: 3, pauseMs: 1_000 }
const NO_RETRY = { attemptsMax: 1, pauseMs: 0 }
/** As in a queue that keeps no dead letters. */
export const NO_DEAD_LETTER = { ...NO_RETRY, deadLetter: false }
type Caller = { readonly lease?: string; readonly by?: string }
type ReportFacts = Partial<Extract<Command, { type: 'Report' }>>

export const registerJob = (time: number, facts: Partial<Extract<Command, { type: 'RegisterJob' }>> = {}): Command => ({
  type: 'RegisterJob',
  time,
  by: 'servers',
  job: JOB,
  attributes: { tenant: 'blue' },
  digest: 'content',
  holder: HOLDER,
  token: 'current',
  ...facts,
})
export const insertTask = (time: number, facts: Partial<Extract<Command, { type: 'InsertTask' }>> = {}): Command => ({
  type: 'InsertTask',
  time,
  by: 'producer',
  task: TASK,
  mediaType: 'application/json',
  digest: 'content',
  ...facts,
})
export const acceptRequest = (time: number, facts: Partial<Extract<Command, { type: 'AcceptRequest' }>> = {}): Command => ({
  type: 'AcceptRequest',
  time,
  by: 'shop',
  request: REQUEST,
  mediaType: 'application/json',
  digest: 'fingerprint',
  ...facts,
})
export const replyTo = (time: number, facts: Partial<Extract<Command, { type: 'Reply' }>> = {}): Command => ({
  type: 'Reply',
  time,
  by: 'servers',
  lease: CURRENT,
  reply: REPLY,
  digest: 'reply',
  ...facts,
})
export const leaseTask = (time: number, facts: Partial<LeaseGrant> = {}): Command => ({ type: 'LeaseItem', time, ...GRANT, ...facts })
export const deleteTask = (time: number, facts: Caller = {}): Command => ({ type: 'DeleteTask', time, by: 'servers', ...facts })
export const report = (time: number, facts: ReportFacts): Extract<Command, { type: 'Report' }> => ({ type: 'Report', time, by: 'servers', lease: CURRENT, retry: RETRY, ...facts })
export const directive = (time: number, wish: DirectiveName, commandId = 'command-new'): Command => ({ type: 'GiveDirective', time, by: 'admin', commandId, directive: wish })
export const askDirective = (time: number, facts: Caller = {}): Command => ({ type: 'AskDirective', time, by: 'servers', lease: CURRENT, ...facts })
export const extendLease = (time: number, facts: Caller = {}): Command => ({ type: 'ExtendLease', time, by: 'servers', lease: CURRENT, termMs: TERM_MS, ...facts })
export const releaseLease = (time: number, facts: Caller = {}): Command => ({
  type: 'ReleaseLease',
  time,
  by: 'servers',
  lease: CURRENT,
  busy: false,
  delayMs: 0,
  ...facts,
})
export const reportCompleted = (time: number, facts: ReportFacts = {}): Command => report(time, { outcome: { completed: { result: { pages: 3 } } }, digest: 'completed', ...facts })
export const reportFailed = (time: number, facts: ReportFacts = {}): Command =>
  report(time, { outcome: { failed: { code: 'disk-full', message: 'No space left.' } }, digest: 'failed', ...facts })

/** Every command in every variant that makes a difference: together with the states, the table that the decider has to fill. */
export const CELLS = {
  'RegisterJob, same instance': (now) => registerJob(now),
  'RegisterJob, new instance': (now) => registerJob(now, { holder: NEXT_HOLDER, token: 'next' }),
  'RegisterJob, other content': (now) => registerJob(now, { digest: 'other content' }),
  'RegisterJob, other principal': (now) => registerJob(now, { by: 'somebody else' }),
  'InsertTask, same content': (now) => insertTask(now),
  'InsertTask, other content': (now) => insertTask(now, { digest: 'other content' }),
  'InsertTask, other principal': (now) => insertTask(now, { by: 'somebody else' }),
  'InsertTask, to a waiting worker': (now) => insertTask(now, { leaseTo: GRANT }),
  'InsertTask, to a waiting worker before its time': (now) => insertTask(now, { leaseTo: GRANT, task: { ...TASK, dueAt: now + 1 } }),
  LeaseItem: (now) => leaseTask(now),
  'LeaseItem, with a request id': (now) => leaseTask(now, { requestId: 'request-1' }),
  'AcceptRequest, same fingerprint': (now) => acceptRequest(now),
  'AcceptRequest, other fingerprint': (now) => acceptRequest(now, { digest: 'other fingerprint' }),
  'AcceptRequest, after its time': () => acceptRequest(REPLY_EXPIRED_AT),
  'AcceptRequest, to a waiting worker': (now) => acceptRequest(now, { leaseTo: GRANT }),
  'AcceptRequest, by middleware': (now) => acceptRequest(now, { leaseTo: GRANT, request: { ...REQUEST, runs: 'middleware' } }),
  'Reply, current lease': (now) => replyTo(now),
  'Reply, other content': (now) => replyTo(now, { digest: 'other reply' }),
  'Reply, other lease': (now) => replyTo(now, { lease: OTHER }),
  'Reply, other principal': (now) => replyTo(now, { by: 'somebody else' }),
  'ReleaseReply, by its caller': (now) => ({ type: 'ReleaseReply', time: now, by: 'shop', how: 'client' }),
  'ReleaseReply, when its time has come': () => ({ type: 'ReleaseReply', time: REPLY_EXPIRED_AT, by: 'stint', how: 'time' }),
  'ReleaseReply, before its time': () => ({ type: 'ReleaseReply', time: REPLY_EXPIRED_AT - 10_000, by: 'stint', how: 'time' }),
  'ReleaseReply, by force': (now) => ({ type: 'ReleaseReply', time: now, by: 'admin', how: 'force' }),
  'NoteEffects, the first': (now) => ({ type: 'NoteEffects', time: now, effects: [{ entry: 0, outcome: 'done' }] }),
  'NoteEffects, the reply': (now) => ({ type: 'NoteEffects', time: now, effects: [{ entry: 'reply', outcome: 'done' }] }),
  Erase: (now) => ({ type: 'Erase', time: now, by: 'admin', reason: 'asked' }),
  'Erase, after its time': () => ({ type: 'Erase', time: REPLY_EXPIRED_AT, by: 'admin', reason: 'asked' }),
  'Interrupt, when its time has come': () => ({ type: 'Interrupt', time: INTERRUPTED_AT, lease: 1 }),
  'Interrupt, too early': () => ({ type: 'Interrupt', time: INTERRUPTED_AT - 1, lease: 1 }),
  'Interrupt, other lease': () => ({ type: 'Interrupt', time: INTERRUPTED_AT, lease: 9 }),
  'DeleteTask, no lease': (now) => deleteTask(now),
  'DeleteTask, current lease': (now) => deleteTask(now, { lease: CURRENT }),
  'DeleteTask, other lease': (now) => deleteTask(now, { lease: OTHER }),
  'DeleteTask, other principal': (now) => deleteTask(now, { by: 'somebody else' }),
  'DeleteTask, other principal, current lease': (now) => deleteTask(now, { by: 'somebody else', lease: CURRENT }),
  'ExtendLease, current lease': (now) => extendLease(now),
  'ExtendLease, other lease': (now) => extendLease(now, { lease: OTHER }),
  'ExtendLease, other principal': (now) => extendLease(now, { by: 'somebody else' }),
  'ExtendLease, after its end': () => extendLease(LEASE_UNTIL),
  'ReleaseLease, current lease': (now) => releaseLease(now),
  'ReleaseLease, other lease': (now) => releaseLease(now, { lease: OTHER }),
  'ReleaseLease, other principal': (now) => releaseLease(now, { by: 'somebody else' }),
  'AskDirective, current lease': (now) => askDirective(now),
  'AskDirective, other lease': (now) => askDirective(now, { lease: OTHER }),
  'AskDirective, other principal': (now) => askDirective(now, { by: 'somebody else' }),
  'Report phase, current lease': (now) => report(now, { phase: 'merge' }),
  'Report phase, other lease': (now) => report(now, { phase: 'merge', lease: OTHER }),
  'Report phase, other principal': (now) => report(now, { phase: 'merge', by: 'somebody else' }),
  'Report progress': (now) => report(now, { progress: { fraction: 0.5 } }),
  'Report paused': (now) => report(now, { state: 'paused' }),
  'Report running': (now) => report(now, { state: 'running' }),
  'Report refusal of directive 1': (now) => report(now, { refuse: { directive: 1, reason: 'not here' } }),
  'Report completed, current lease': (now) => reportCompleted(now),
  'Report completed, other lease': (now) => reportCompleted(now, { lease: OTHER }),
  'Report completed, other principal': (now) => reportCompleted(now, { by: 'somebody else' }),
  'Report failed': (now) => reportFailed(now),
  'Report failed for good': (now) => reportFailed(now, { outcome: { failed: { code: 'disk-full', message: 'No space left.', retry: false } } }),
  'Report failed, last attempt': (now) => reportFailed(now, { retry: NO_RETRY }),
  'Report failed, last attempt without dead letter': (now) => reportFailed(now, { retry: NO_DEAD_LETTER }),
  'Report aborted': (now) => report(now, { outcome: { aborted: { reason: 'asked', partial: { pages: 1 } } }, digest: 'aborted' }),
  'GiveDirective pause': (now) => directive(now, 'pause'),
  'GiveDirective resume': (now) => directive(now, 'resume'),
  'GiveDirective abort': (now) => directive(now, 'abort'),
  Redrive: (now) => ({ type: 'Redrive', time: now, by: 'admin' }),
  'ExpireLease, at its end': () => ({ type: 'ExpireLease', time: LEASE_UNTIL, lease: 1, retry: RETRY }),
  'ExpireLease, too early': () => ({ type: 'ExpireLease', time: LEASE_UNTIL - 1, lease: 1, retry: RETRY }),
  'ExpireLease, other lease': () => ({ type: 'ExpireLease', time: LEASE_UNTIL, lease: 9, retry: RETRY }),
  'ExpireLease, last attempt': () => ({ type: 'ExpireLease', time: LEASE_UNTIL, lease: 1, retry: NO_RETRY }),
  'ExpireLease, last attempt without dead letter': () => ({ type: 'ExpireLease', time: LEASE_UNTIL, lease: 1, retry: NO_DEAD_LETTER }),
  'LoseHolder, silent': () => ({ type: 'LoseHolder', time: BIRTH + 20_000, lease: 1, lastSeenAt: BIRTH + 5_000 }),
  'LoseHolder, other lease': () => ({ type: 'LoseHolder', time: BIRTH + 20_000, lease: 9, lastSeenAt: BIRTH + 5_000 }),
  'GiveUpLost, at its end': () => ({ type: 'GiveUpLost', time: GIVE_UP_AT, lease: 1 }),
  'GiveUpLost, too early': () => ({ type: 'GiveUpLost', time: GIVE_UP_AT - 1, lease: 1 }),
  'GiveUpLost, other lease': () => ({ type: 'GiveUpLost', time: GIVE_UP_AT, lease: 9 }),
} as const satisfies Record<string, (now: number) => Command>

export type Cell = keyof typeof CELLS

/** Complete by the compiler: a command or status that is added has to be added here, and then to the tables. */
export const COMMAND_TYPES = Object.keys({
  RegisterJob: true,
  InsertTask: true,
  AcceptRequest: true,
  Reply: true,
  ReleaseReply: true,
  NoteEffects: true,
  Erase: true,
  Interrupt: true,
  LeaseItem: true,
  DeleteTask: true,
  ExtendLease: true,
  ReleaseLease: true,
  Report: true,
  AskDirective: true,
  GiveDirective: true,
  Redrive: true,
  ExpireLease: true,
  LoseHolder: true,
  GiveUpLost: true,
} satisfies Record<Command['type'], true>) as readonly Command['type'][]
export const STATUSES = Object.keys({ absent: true, waiting: true, deadLetter: true, running: true, paused: true, lost: true, settled: true } satisfies Record<
  WorkItem['status'],
  true
>) as readonly WorkItem['status'][]
