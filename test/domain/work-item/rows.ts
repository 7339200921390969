// Parts of rows that several states share: what a command comes to because of the kind of the item, or because nobody or somebody else holds it.
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { adds, all, nothing, refuses } from '../../support/given.ts'

/** Nothing that a task's timer could end. */
export const NO_TIMER_OF_TASKS = all(
  nothing,
  'ExpireLease, at its end',
  'ExpireLease, too early',
  'ExpireLease, other lease',
  'ExpireLease, last attempt',
  'ExpireLease, last attempt without dead letter',
)

/** The commands of tasks, met by what is none. */
export const COMMANDS_OF_TASKS = {
  ...all(
    refuses('id-in-use'),
    'InsertTask, same content',
    'InsertTask, other content',
    'InsertTask, other principal',
    'InsertTask, to a waiting worker',
    'InsertTask, to a waiting worker before its time',
  ),
  ...all(refuses('not-possible'), 'LeaseItem', 'LeaseItem, with a request id'),
  ...all(
    refuses('not-possible'),
    'DeleteTask, no lease',
    'DeleteTask, current lease',
    'DeleteTask, other lease',
    'DeleteTask, other principal',
    'DeleteTask, other principal, current lease',
  ),
  ...NO_TIMER_OF_TASKS,
}

/** The commands of jobs, met by what is none. */
export const COMMANDS_OF_JOBS = {
  ...all(refuses('id-in-use'), 'RegisterJob, same instance', 'RegisterJob, new instance', 'RegisterJob, other content', 'RegisterJob, other principal'),
  ...all(nothing, 'LoseHolder, silent', 'LoseHolder, other lease', 'GiveUpLost, at its end', 'GiveUpLost, too early', 'GiveUpLost, other lease'),
}

/** Nothing was replied, nothing is owed, and nothing broke off. */
export const NOTHING_OWED = all(nothing, 'NoteEffects, the first', 'NoteEffects, the reply', 'Interrupt, when its time has come', 'Interrupt, too early', 'Interrupt, other lease')

/** The commands of requests, met by what is none. */
const COMMANDS_OF_REQUESTS = {
  ...all(
    refuses('id-in-use'),
    'AcceptRequest, same fingerprint',
    'AcceptRequest, other fingerprint',
    'AcceptRequest, after its time',
    'AcceptRequest, to a waiting worker',
    'AcceptRequest, by middleware',
  ),
  ...all(refuses('not-possible'), 'Reply, current lease', 'Reply, other content', 'Reply, other lease', 'Reply, other principal'),
  ...all(refuses('not-possible'), 'ReleaseReply, by its caller', 'ReleaseReply, when its time has come', 'ReleaseReply, before its time', 'ReleaseReply, by force'),
  ...NOTHING_OWED,
}

/** The commands of long tasks, met by what is none. */
export const COMMANDS_OF_LONG_TASKS = {
  ...all(refuses('id-in-use'), 'DispatchOperation, same content', 'DispatchOperation, other content', 'DispatchOperation, other principal'),
  ...all(refuses('not-possible'), 'TakeOperation', 'FailOperation'),
  ...all(nothing, 'TimeOut total, at its end', 'TimeOut total, too early', 'TimeOut stalled'),
}

/** What has not settled cannot be erased. */
export const NOT_ERASED = all(refuses('not-possible'), 'Erase', 'Erase, after its time')

/** A job that has not settled meets the commands of the others. */
export const NOT_A_TASK = { ...COMMANDS_OF_TASKS, ...COMMANDS_OF_REQUESTS, ...COMMANDS_OF_LONG_TASKS, ...NOT_ERASED }

/** A task that has not settled meets the commands of the others. */
export const NOT_A_JOB = { ...COMMANDS_OF_JOBS, ...COMMANDS_OF_REQUESTS, ...COMMANDS_OF_LONG_TASKS, ...NOT_ERASED }

/** A long task that has not settled meets the commands of the others, a redrive among them. */
export const A_LONG_TASK = { ...COMMANDS_OF_JOBS, ...COMMANDS_OF_TASKS, ...COMMANDS_OF_REQUESTS, ...NOT_ERASED, Redrive: refuses('not-possible') } as const

/** Registered again with what it was made from. */
export const JOB_AGAIN = {
  'RegisterJob, same instance': nothing,
  'RegisterJob, other content': refuses('exists-with-other-content'),
  'RegisterJob, other principal': refuses('id-in-use'),
} as const

/** Inserted again. */
export const TASK_AGAIN = {
  'InsertTask, same content': nothing,
  'InsertTask, other content': refuses('exists-with-other-content'),
  'InsertTask, other principal': refuses('id-in-use'),
  // Born already: whoever waits is given nothing.
  'InsertTask, to a waiting worker': nothing,
  'InsertTask, to a waiting worker before its time': nothing,
} as const

/** Dispatched again. */
export const OPERATION_AGAIN = {
  'DispatchOperation, same content': nothing,
  'DispatchOperation, other content': refuses('exists-with-other-content'),
  'DispatchOperation, other principal': refuses('id-in-use'),
} as const

/** On the node that runs it, a long task has no time. */
export const NO_TIME = all(nothing, 'TimeOut total, at its end', 'TimeOut total, too early', 'TimeOut stalled')

/** Somebody holds it, and others speak. */
export const STRANGERS = {
  ...all(
    refuses('stale-lease'),
    'ExtendLease, other lease',
    'ReleaseLease, other lease',
    'AskDirective, other lease',
    'Report phase, other lease',
    'Report completed, other lease',
  ),
  ...all(
    refuses('forbidden'),
    'ExtendLease, other principal',
    'ReleaseLease, other principal',
    'AskDirective, other principal',
    'Report phase, other principal',
    'Report completed, other principal',
  ),
}

/** Nobody holds it, whatever the callers believe. */
export const NOBODY_HOLDS = all(
  refuses('stale-lease'),
  'ExtendLease, current lease',
  'ExtendLease, other lease',
  'ExtendLease, other principal',
  'ExtendLease, after its end',
  'ReleaseLease, current lease',
  'ReleaseLease, other lease',
  'ReleaseLease, other principal',
  'AskDirective, current lease',
  'AskDirective, other lease',
  'AskDirective, other principal',
  'Report phase, current lease',
  'Report phase, other lease',
  'Report phase, other principal',
  'Report progress',
  'Report paused',
  'Report running',
  'Report refusal of directive 1',
  'Report completed, current lease',
  'Report completed, other lease',
  'Report completed, other principal',
  'Report failed',
  'Report failed for good',
  'Report failed, last attempt',
  'Report failed, last attempt without dead letter',
  'Report aborted',
)

/** Reports of a failure, which come to one where nobody tries again. */
export const FAILURES = ['Report failed', 'Report failed for good', 'Report failed, last attempt', 'Report failed, last attempt without dead letter'] as const

export const deletedBy = (by: string): WorkItemEvent => ({ type: 'Cancelled', by, reason: 'deleted' })

/** What deleting a task comes to, whatever lease is named, while nobody holds it. */
export const DELETED = {
  ...all(adds(deletedBy('servers')), 'DeleteTask, no lease', 'DeleteTask, current lease', 'DeleteTask, other lease'),
  ...all(adds(deletedBy('somebody else')), 'DeleteTask, other principal', 'DeleteTask, other principal, current lease'),
}

/** Gone is gone: there is nothing left to delete, and nothing wrong with asking for it. */
export const DELETED_AGAIN = all(nothing, ...(Object.keys(DELETED) as (keyof typeof DELETED)[]))

/** The timers of a job that is not lost. */
export const NOT_LOST = all(nothing, 'GiveUpLost, at its end', 'GiveUpLost, too early', 'GiveUpLost, other lease')

/** A timer speaks of another lease. */
export const MOOT_TIMERS = all(nothing, 'LoseHolder, other lease')

/** Called again while there is no reply: the first goes on, whoever asks. */
export const REQUEST_AGAIN = {
  ...all(nothing, 'AcceptRequest, same fingerprint', 'AcceptRequest, after its time', 'AcceptRequest, to a waiting worker', 'AcceptRequest, by middleware'),
  'AcceptRequest, other fingerprint': refuses('fingerprint-mismatch'),
} as const

/** A request comes to a reply and to nothing else, whoever says otherwise. */
export const NOT_COMPLETED = all(refuses('not-possible'), 'Report completed, current lease', 'Report completed, other lease', 'Report completed, other principal')

/** There is no reply yet: nothing to release, to carry out or to erase. */
export const NOT_REPLIED_TO = {
  ...all(refuses('pending'), 'ReleaseReply, by its caller', 'ReleaseReply, when its time has come', 'ReleaseReply, before its time', 'ReleaseReply, by force'),
  ...NOTHING_OWED,
  ...NOT_ERASED,
  Redrive: refuses('not-possible'),
} as const
