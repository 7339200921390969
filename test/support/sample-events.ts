// One sample of every event, and the facts, names and times that all samples share.
import type { LeaseGrant } from '../../src/domain/work-item/commands.ts'
import type { DirectiveName, EventOfType, Holder, ReplyHead, Resolution, TimeoutCause, WorkItemEvent, WorkItemEventType } from '../../src/domain/work-item/events.ts'
import type { JobFacts, OperationFacts, RequestFacts, TaskFacts } from '../../src/domain/work-item/state.ts'

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
/** Its node may be silent for as long as a job's server: three intervals. */
export const OPERATION: OperationFacts = { operation: 'CopyImage', node: 'node-1', lease: '1.current', progressEveryMs: 5_000, timeoutMs: 60_000, stalledAfterMs: 20_000 }
/** The same in the log of its node. */
export const ON_ITS_NODE: OperationFacts = {
  operation: 'CopyImage',
  node: 'node-1',
  lease: '1.sent',
  progressEveryMs: 5_000,
  reportTo: 'https://stint.example',
  onRestart: 'resume',
}
/** End of the first lease, given one second after birth to job and task alike. */
export const LEASE_UNTIL = BIRTH + 1_000 + TERM_MS

/** When the holder of a sample job or long task is lost. */
export const LOST_AT = BIRTH + 20_000
/** When the commands come to what is lost. */
export const LOST_NOW = LOST_AT + 5_000
/** When a lost sample job settles. */
export const GIVE_UP_AT = LOST_AT + JOB.lostAfterMs
/** When every sample request settles, or breaks off. */
export const REQUEST_ENDED_AT = BIRTH + 2_000
/** The reply of 'request replied to' is kept until then. */
export const REPLY_EXPIRED_AT = REQUEST_ENDED_AT + 3_600_000
/** What broke off in middleware fails then. */
export const INTERRUPTED_AT = REQUEST_ENDED_AT + REQUEST.interruptedAfterMs
/** When every sample long task times out. */
export const TIMES_OUT_AT = BIRTH + 60_000

export const HOLDER: Holder = { subject: 'servers', name: 'node-1', instance: 'first' }
export const NEXT_HOLDER: Holder = { ...HOLDER, instance: 'second' }
export const CURRENT = '1.current'
/** What a worker that waits for a task is given. */
export const GRANT: LeaseGrant = { holder: NEXT_HOLDER, token: 'next', termMs: TERM_MS }
export const OTHER = '9.other'

type Facts<Type extends WorkItemEventType> = Partial<Omit<EventOfType<Type>, 'type'>>

export const registered: EventOfType<'JobRegistered'> = { type: 'JobRegistered', ...JOB, attributes: { tenant: 'blue' }, by: 'servers', digest: 'content' }
export const inserted: EventOfType<'TaskInserted'> = { type: 'TaskInserted', ...TASK, by: 'producer', digest: 'content', mediaType: 'application/json' }
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
export const accepted: EventOfType<'RequestAccepted'> = { type: 'RequestAccepted', ...REQUEST, by: 'shop', digest: 'fingerprint', mediaType: 'application/json' }
export const acceptedByMiddleware: EventOfType<'RequestAccepted'> = { ...accepted, runs: 'middleware' }
export const replied: EventOfType<'Completed'> = { type: 'Completed', reply: REPLY, lease: 1, digest: 'reply' }
export const CALLBACK = 'https://shop.example/replies'

export const dispatched: EventOfType<'OperationDispatched'> = { type: 'OperationDispatched', ...OPERATION, by: 'management', digest: 'content', mediaType: 'application/json' }
/** As its node writes it down. */
export const entered: EventOfType<'OperationDispatched'> = { type: 'OperationDispatched', ...ON_ITS_NODE, by: 'management', digest: 'content', mediaType: 'application/json' }
export const timedOut = (cause: TimeoutCause): WorkItemEvent => ({ type: 'TimedOut', cause })
/** What its node does not know any more. */
export const GONE = { code: 'gone', message: 'Its node does not know it any more.' } as const

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
  OperationDispatched: {
    type: 'OperationDispatched',
    operation: 'CopyImage',
    node: 'node-1',
    by: 'management',
    digest: 'content',
    lease: CURRENT,
    mediaType: 'application/json',
    progressEveryMs: 5_000,
    timeoutMs: 60_000,
    stalledAfterMs: 20_000,
    reportTo: 'https://stint.example',
    onRestart: 'resume',
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
  TimedOut: { type: 'TimedOut', cause: 'stalled' },
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
