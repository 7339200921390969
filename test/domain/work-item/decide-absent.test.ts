// What each command comes to when there is no such work item: births only.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import { accepted, acceptedByMiddleware, dispatched, HOLDER, inserted, jobLeased, NEXT_HOLDER, NOW, registered, taskLeased, TERM_MS } from '../../support/samples.ts'
import { DELETED, NO_TIME, NO_TIMER_OF_TASKS, NOBODY_HOLDS } from './rows.ts'

const NOT_FOUND = refuses('not-found')
const birth = (by: string, digest: string) => adds({ ...registered, by, digest }, jobLeased({ until: NOW + 30_000, holder: HOLDER }))
const insertion = (by: string, digest: string) => adds({ ...inserted, by, digest })

const leasedAtOnce = taskLeased({ token: '1.next', holder: NEXT_HOLDER, until: NOW + TERM_MS })

/** Which door is knocked at decides the kind, not the state: nothing is there. */
const ABSENT = {
  'RegisterJob, same instance': birth('servers', 'content'),
  'RegisterJob, new instance': adds(registered, jobLeased({ until: NOW + 30_000, holder: NEXT_HOLDER, token: '1.next' })),
  'RegisterJob, other content': birth('servers', 'other content'),
  'RegisterJob, other principal': birth('somebody else', 'content'),
  'InsertTask, same content': insertion('producer', 'content'),
  'InsertTask, other content': insertion('producer', 'other content'),
  'InsertTask, other principal': insertion('somebody else', 'content'),
  'InsertTask, to a waiting worker': adds(inserted, leasedAtOnce),
  'InsertTask, to a waiting worker before its time': adds({ ...inserted, dueAt: NOW + 1 }),
  ...all(NOT_FOUND, 'LeaseItem', 'LeaseItem, with a request id', ...(Object.keys(DELETED) as (keyof typeof DELETED)[])),
  ...all(NOT_FOUND, ...(Object.keys(NOBODY_HOLDS) as (keyof typeof NOBODY_HOLDS)[])),
  ...all(NOT_FOUND, 'GiveDirective pause', 'GiveDirective resume', 'GiveDirective abort', 'Redrive'),
  ...NO_TIMER_OF_TASKS,
  'AcceptRequest, same fingerprint': adds(accepted),
  'AcceptRequest, other fingerprint': adds({ ...accepted, digest: 'other fingerprint' }),
  'AcceptRequest, after its time': adds(accepted),
  'AcceptRequest, to a waiting worker': adds(accepted, leasedAtOnce),
  'AcceptRequest, by middleware': adds(acceptedByMiddleware, leasedAtOnce),
  ...all(NOT_FOUND, 'Reply, current lease', 'Reply, other content', 'Reply, other lease', 'Reply, other principal'),
  ...all(NOT_FOUND, 'ReleaseReply, by its caller', 'ReleaseReply, when its time has come', 'ReleaseReply, before its time', 'ReleaseReply, by force'),
  ...all(NOT_FOUND, 'NoteEffects, the first', 'NoteEffects, the reply', 'Erase', 'Erase, after its time'),
  ...all(nothing, 'Interrupt, when its time has come', 'Interrupt, too early', 'Interrupt, other lease'),
  'DispatchOperation, same content': adds(dispatched),
  'DispatchOperation, other content': adds({ ...dispatched, digest: 'other content' }),
  'DispatchOperation, other principal': adds({ ...dispatched, by: 'somebody else' }),
  ...all(NOT_FOUND, 'TakeOperation', 'FailOperation'),
  ...NO_TIME,
  ...all(nothing, 'LoseHolder, silent', 'LoseHolder, other lease'),
  ...all(nothing, 'GiveUpLost, at its end', 'GiveUpLost, too early', 'GiveUpLost, other lease'),
} as const

whenState('job absent', ABSENT)

whenState('task absent', ABSENT)

whenState('request absent', ABSENT)

whenState('long-task absent', ABSENT)
