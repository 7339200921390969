// The commands that a work item may meet, each in every variant that makes a difference.
import type { Command, LeaseGrant } from '../../src/domain/work-item/commands.ts'
import type { DirectiveName, Holder, TimeoutCause } from '../../src/domain/work-item/events.ts'
import {
  BIRTH,
  CURRENT,
  GIVE_UP_AT,
  GONE,
  GRANT,
  HOLDER,
  INTERRUPTED_AT,
  JOB,
  LEASE_UNTIL,
  NEXT_HOLDER,
  OPERATION,
  OTHER,
  REPLY,
  REPLY_EXPIRED_AT,
  REQUEST,
  TASK,
  TERM_MS,
  TIMES_OUT_AT,
} from './sample-events.ts'

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
export const dispatchOperation = (time: number, facts: Partial<Extract<Command, { type: 'DispatchOperation' }>> = {}): Command => ({
  type: 'DispatchOperation',
  time,
  by: 'management',
  operation: OPERATION,
  mediaType: 'application/json',
  digest: 'content',
  ...facts,
})
export const takeOperation = (time: number, holder: Holder = HOLDER): Command => ({ type: 'TakeOperation', time, holder })
export const failOperation = (time: number, facts: Partial<Extract<Command, { type: 'FailOperation' }>> = {}): Command => ({ type: 'FailOperation', time, ...GONE, ...facts })
export const timeOut = (time: number, cause: TimeoutCause): Command => ({ type: 'TimeOut', time, cause })
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
  'DispatchOperation, same content': (now) => dispatchOperation(now),
  'DispatchOperation, other content': (now) => dispatchOperation(now, { digest: 'other content' }),
  'DispatchOperation, other principal': (now) => dispatchOperation(now, { by: 'somebody else' }),
  TakeOperation: (now) => takeOperation(now),
  FailOperation: (now) => failOperation(now),
  'TimeOut total, at its end': () => timeOut(TIMES_OUT_AT, 'total'),
  'TimeOut total, too early': () => timeOut(TIMES_OUT_AT - 1, 'total'),
  'TimeOut stalled': (now) => timeOut(now, 'stalled'),
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
  DispatchOperation: true,
  TakeOperation: true,
  FailOperation: true,
  TimeOut: true,
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
