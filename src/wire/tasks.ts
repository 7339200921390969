// Tasks (B): insert, lease, report, complete, fail, release, extend, redrive and delete over the native routes. The queue's access lists decide who may:
// `writer_email` inserts, `user_email` does all the rest; administrators look, direct and redrive; whoever made a task may look at it.
import * as t from 'io-ts'
import {
  common,
  directive as directiveName,
  directiveAnswer,
  directiveBody,
  failure,
  givenAnswer,
  historyEvent,
  lease,
  page,
  pageQuery,
  reason,
  receipt,
  reportAnswer,
  reportBody,
  result,
  route,
  state,
  taskItemId,
  why,
} from './items.ts'
import { appName, inQueue, key, queueName, tag } from './queues.ts'
import { base64, fields, instant, json, number, oneOf, text } from './schema.ts'

/** Bytes of a task's payload, at most. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024
/** Tasks of one lease, at most. */
export const LEASE_TASKS_MAX = 1_000
/** Seconds of a lease, at most: a week. */
export const LEASE_SECONDS_MAX = 604_800
/** Seconds ahead that a task may be delayed, at most: 30 days. */
export const DELAY_SECONDS_MAX = 2_592_000

const oneTask = fields({ app: appName, queue: queueName, id: taskItemId })

const described = { tag, priority: number({ min: -1_000, max: 1_000, integer: true, description: 'higher goes first (0)' }), key }
const delaySeconds = number({ min: 0, max: DELAY_SECONDS_MAX })
const payloadFields = {
  payload: json,
  payloadBase64: base64(PAYLOAD_BYTES_MAX),
  mediaType: text({ min: 1, max: 200 }),
}

export const insertBody = fields({}, { id: taskItemId, ...payloadFields, delaySeconds, ...described })
export type InsertBody = t.TypeOf<typeof insertBody>

const taskFields = {
  required: { ...common.required, app: appName, queue: queueName },
  optional: {
    ...common.optional,
    ...described,
    dueAt: instant,
    /** Bytes of its payload. */
    bytes: number({ min: 0, integer: true }),
    /** Until when the lease runs, while somebody holds it. */
    leaseUntil: instant,
    /** Why the last attempt ended, while it waits for the next. */
    failure: fields({ code: text({ max: 100 }), message: text({ max: 4_000 }) }),
    deadLetter: t.boolean,
  },
}

export const task = fields(taskFields.required, taskFields.optional)
export type Task = t.TypeOf<typeof task>

/** A task with its payload, for those who may lease it and for whoever made it. */
export const taskWithPayload = fields(taskFields.required, { ...taskFields.optional, ...payloadFields })
export type TaskWithPayload = t.TypeOf<typeof taskWithPayload>

export const leasedTask = fields({ ...taskFields.required, lease, leaseUntil: instant }, { ...taskFields.optional, ...payloadFields })
export type LeasedTask = t.TypeOf<typeof leasedTask>

export const leaseBody = fields(
  {},
  {
    max: number({ min: 1, max: LEASE_TASKS_MAX, integer: true, description: 'tasks, at most (1)' }),
    leaseSeconds: number({ min: 0.1, max: LEASE_SECONDS_MAX, description: 'as the queue says, unless given' }),
    worker: text({ min: 1, max: 200, description: 'made by the SDK once per process; tells workers of one principal apart' }),
    tag,
    sameTag: t.boolean,
    requestId: text({ min: 1, max: 100, description: 'names the call: a repeat is given what is still under its lease; without one an Idempotency-Key names it' }),
  },
)
export type LeaseBody = t.TypeOf<typeof leaseBody>

/** `more`: the answer could not carry all that it might have had. */
export const leaseAnswer = fields({ items: t.array(leasedTask) }, { more: t.boolean })
export type LeaseAnswer = t.TypeOf<typeof leaseAnswer>

const leaseProblem = fields({ type: text({ max: 200 }), title: text({ max: 200 }), status: t.number, code: text({ max: 60 }) }, { detail: text({ max: 4_000 }) })
/** Beside endings: the next lease request, which never waits, and what it brought; what it was refused for stands in `problem`, the endings hold all the same. */
export const leaseBeside = <Asked extends t.Mixed, Leased extends t.Mixed>(asked: Asked, leased: Leased) => ({
  asks: fields({}, { lease: asked }),
  answers: fields({}, { leased: fields({ items: t.array(leased) }, { more: t.boolean, problem: leaseProblem }) }),
})
export const completeBeside = leaseBeside(leaseBody, leasedTask)
export type CompleteBeside = t.TypeOf<typeof completeBeside.asks>
export type CompletedBeside = t.TypeOf<typeof completeBeside.answers>

export const endingFields = { required: { id: text({ max: 500 }), state }, optional: { recorded: t.boolean, late: t.boolean, leaseUntil: instant } }
export const ending = fields(endingFields.required, endingFields.optional)
/** Whoever keeps a lease learns with it what the administrator wants, as with a report. */
export const extended = fields({ ...endingFields.required, directive: directiveName }, { ...endingFields.optional, receipt })
export type Extended = t.TypeOf<typeof extended>

const held = { id: taskItemId, lease }

export const insertTask = route({
  name: 'insertTask',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks',
  tag: 'tasks',
  summary: 'Put tasks into a queue',
  roles: 'known',
  params: inQueue,
  body: insertBody,
  many: true,
  answers: { 201: task, 200: task },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'exists-with-other-content', 'id-in-use', 'queue-removed', 'not-served', 'over-quota', 'too-many-live', 'lagging'],
})

export const listTasks = route({
  name: 'listTasks',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks',
  tag: 'tasks',
  summary:
    'List the tasks of a queue in its order, by priority, then due time, then insertion: all of them for those who may look at the queue, their own for those who may insert',
  roles: 'known',
  fromTables: true,
  params: inQueue,
  query: fields({}, { state, tag, key, deadLetter: oneOf('true', 'false'), ...pageQuery }),
  answers: { 200: page(task) },
  problems: ['not-found'],
})

export const showTask = route({
  name: 'showTask',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks/{id}',
  tag: 'tasks',
  summary: 'Show a task; `payload=true` adds its payload for those who may lease it and for whoever made it',
  roles: 'known',
  params: oneTask,
  query: fields({}, { payload: oneOf('true', 'false') }),
  answers: { 200: taskWithPayload },
  headers: ['If-None-Match', 'Prefer'],
  problems: ['not-found'],
})

export const deleteTask = route({
  name: 'deleteTask',
  method: 'DELETE',
  path: '/v1/queues/{app}/{queue}/tasks/{id}',
  tag: 'tasks',
  summary: 'Take a task out of the queue, in any state: completed if the caller holds it (Stint-Lease says under which lease), else cancelled',
  roles: 'known',
  params: oneTask,
  answers: { 200: ending },
  headers: ['Stint-Lease', 'Idempotency-Key'],
  problems: ['not-found'],
})

export const leaseTasks = route({
  name: 'leaseTasks',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks/lease',
  tag: 'tasks',
  summary: 'Lease waiting tasks, by priority and then oldest first; with Prefer: wait the call waits for work',
  roles: 'known',
  params: inQueue,
  body: leaseBody,
  answers: { 200: leaseAnswer },
  headers: ['Prefer', 'Idempotency-Key'],
  problems: ['not-found', 'queue-removed', 'not-served', 'superseded', 'no-leader'],
})

export const reportTask = route({
  name: 'reportTask',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks/{id}/reports',
  tag: 'tasks',
  summary: 'Report phase and progress of a leased task, and learn the directive',
  roles: 'known',
  params: oneTask,
  body: reportBody,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

const onLease = <Body, Answer>(
  name: string,
  verb: string,
  summary: string,
  body: t.Type<Body, unknown, unknown>,
  answer: t.Type<Answer, unknown, unknown>,
  beside?: typeof completeBeside,
) =>
  route({
    name,
    method: 'POST',
    path: `/v1/queues/{app}/{queue}/tasks/${verb}`,
    tag: 'tasks',
    summary,
    roles: 'known',
    params: inQueue,
    body,
    many: true,
    beside,
    answers: { 200: answer },
    headers: ['Idempotency-Key'],
    problems: ['not-found', 'stale-lease', 'settled', 'not-possible', ...(beside === undefined ? [] : (['no-leader'] as const))],
  })

export const completeTask = onLease(
  'completeTask',
  'complete',
  'Complete leased tasks; beside `items`, `lease` asks for the next ones in the same exchange',
  fields(held, { result }),
  ending,
  completeBeside,
)
export const failTask = onLease('failTask', 'fail', 'Fail leased tasks: again later, or not', fields({ ...held, failed: failure }), ending)
export const releaseTask = onLease('releaseTask', 'release', 'Give leased tasks back; burns no attempt', fields(held, { reason, busy: t.boolean, delaySeconds }), ending)
export const extendTask = onLease(
  'extendTask',
  'extend',
  'Extend leases from now, and learn the directive; 0 seconds give the task back at once',
  fields({ ...held, leaseSeconds: number({ min: 0, max: LEASE_SECONDS_MAX }) }),
  extended,
)
export const redriveTask = route({
  name: 'redriveTask',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks/redrive',
  tag: 'tasks',
  summary: 'Give dead letters another life',
  roles: [],
  params: inQueue,
  body: fields({ id: taskItemId }),
  many: true,
  answers: { 200: ending },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'settled'],
})

export const askTaskDirective = route({
  name: 'askTaskDirective',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks/{id}/directive',
  tag: 'tasks',
  summary: 'What does the administrator want?',
  roles: 'known',
  params: oneTask,
  answers: { 200: directiveAnswer },
  headers: ['If-None-Match', 'Prefer', 'Stint-Lease'],
  problems: ['not-found', 'stale-lease', 'settled'],
})
export const directTask = route({
  name: 'directTask',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks/{id}/directives',
  tag: 'tasks',
  summary: 'Abort, pause or resume a task',
  roles: [],
  params: oneTask,
  body: directiveBody,
  answers: { 200: givenAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'settled', 'aborting'],
})
export const taskHistory = route({
  name: 'taskHistory',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks/{id}/history',
  tag: 'tasks',
  summary: 'Every change of a task, in order',
  roles: 'known',
  params: oneTask,
  query: fields({}, pageQuery),
  answers: { 200: page(historyEvent) },
  problems: ['not-found'],
})
export const taskWhy = route({
  name: 'taskWhy',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks/{id}/why',
  tag: 'tasks',
  summary: 'Why is it in the state it is in?',
  roles: 'known',
  params: oneTask,
  answers: { 200: why },
  problems: ['not-found'],
})
