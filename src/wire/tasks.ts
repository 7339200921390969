// Tasks (B), as far as they stand: insert, lease, report, complete, fail, release, extend and redrive over the native routes.
import * as t from 'io-ts'
import {
  common,
  directiveAnswer,
  directiveBody,
  failure,
  givenAnswer,
  historyEvent,
  lease,
  page,
  pageQuery,
  reason,
  reportAnswer,
  reportBody,
  route,
  state,
  taskItemId,
  why,
} from './items.ts'
import { fields, instant, json, number, text } from './schema.ts'

/** Bytes of a task's payload, at most. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024

const queueName = text({ min: 1, max: 100, pattern: /^[A-Za-z0-9-]+$/ })
const appName = text({ min: 1, max: 100, pattern: /^[a-z0-9.:-]+$/ })
const inQueue = fields({ app: appName, queue: queueName })
const oneTask = fields({ app: appName, queue: queueName, id: taskItemId })

const described = { tag: text({ max: 500 }), priority: number({ min: -1_000, max: 1_000, integer: true }), key: text({ min: 1, max: 200 }) }

export const insertBody = fields(
  {},
  {
    id: taskItemId,
    payload: json,
    payloadBase64: text({ max: Math.ceil(PAYLOAD_BYTES_MAX / 3) * 4, pattern: /^[A-Za-z0-9+/]*={0,2}$/ }),
    mediaType: text({ min: 1, max: 200 }),
    delaySeconds: number({ min: 0, max: 2_592_000 }),
    ...described,
  },
)
export type InsertBody = t.TypeOf<typeof insertBody>

export const task = fields({ ...common.required, app: appName, queue: queueName }, { ...common.optional, ...described, dueAt: instant, deadLetter: t.boolean })
export type Task = t.TypeOf<typeof task>

export const leasedTask = fields(
  { ...common.required, app: appName, queue: queueName, lease, leaseUntil: instant },
  { ...common.optional, ...described, dueAt: instant, payload: json, payloadBase64: text({ max: Math.ceil(PAYLOAD_BYTES_MAX / 3) * 4 }), mediaType: text({ max: 200 }) },
)
export type LeasedTask = t.TypeOf<typeof leasedTask>

const ending = fields({ id: text({ max: 500 }), state }, { recorded: t.boolean, late: t.boolean, leaseUntil: instant })

const held = { id: taskItemId, lease }

export const insertTask = route({
  name: 'insertTask',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks',
  tag: 'tasks',
  summary: 'Put tasks into a queue',
  roles: ['producer'],
  params: inQueue,
  body: insertBody,
  many: true,
  answers: { 201: task, 200: task },
  headers: ['Idempotency-Key'],
  problems: ['exists-with-other-content', 'id-in-use', 'too-many-live', 'lagging'],
})

export const listTasks = route({
  name: 'listTasks',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks',
  tag: 'tasks',
  summary: 'List the tasks of a queue, oldest first',
  roles: ['viewer', 'producer', 'worker'],
  params: inQueue,
  query: fields({}, { state, ...pageQuery }),
  answers: { 200: page(task) },
})

export const showTask = route({
  name: 'showTask',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/tasks/{id}',
  tag: 'tasks',
  summary: 'Show a task',
  roles: ['viewer', 'producer', 'worker'],
  params: oneTask,
  answers: { 200: task },
  headers: ['If-None-Match', 'Prefer'],
  problems: ['not-found'],
})

export const leaseTasks = route({
  name: 'leaseTasks',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks/lease',
  tag: 'tasks',
  summary: 'Lease waiting tasks, oldest first; with Prefer: wait the call waits for work',
  roles: ['worker'],
  params: inQueue,
  body: fields({}, { max: number({ min: 1, max: 1_000, integer: true }), leaseSeconds: number({ min: 0.1, max: 604_800 }), worker: text({ min: 1, max: 200 }) }),
  answers: { 200: fields({ items: t.array(leasedTask) }, { more: t.boolean }) },
  headers: ['Prefer', 'Idempotency-Key'],
})

export const reportTask = route({
  name: 'reportTask',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/tasks/{id}/reports',
  tag: 'tasks',
  summary: 'Report phase and progress of a leased task, and learn the directive',
  roles: ['worker'],
  params: oneTask,
  body: reportBody,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

const onLease = <Body>(name: string, verb: string, summary: string, body: t.Type<Body, unknown, unknown>) =>
  route({
    name,
    method: 'POST',
    path: `/v1/queues/{app}/{queue}/tasks/${verb}`,
    tag: 'tasks',
    summary,
    roles: ['worker'],
    params: inQueue,
    body,
    many: true,
    answers: { 200: ending },
    headers: ['Idempotency-Key'],
    problems: ['not-found', 'stale-lease', 'settled', 'not-possible'],
  })

export const completeTask = onLease('completeTask', 'complete', 'Complete leased tasks', fields(held, { result: json }))
export const failTask = onLease('failTask', 'fail', 'Fail leased tasks: again later, or not', fields({ ...held, failed: failure }))
export const releaseTask = onLease(
  'releaseTask',
  'release',
  'Give leased tasks back; burns no attempt',
  fields(held, { reason, busy: t.boolean, delaySeconds: number({ min: 0, max: 2_592_000 }) }),
)
export const extendTask = onLease('extendTask', 'extend', 'Extend leases from now', fields({ ...held, leaseSeconds: number({ min: 0, max: 604_800 }) }))
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
  roles: ['viewer', 'producer', 'worker'],
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
  roles: ['viewer', 'producer', 'worker'],
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
  roles: ['viewer', 'producer', 'worker'],
  params: oneTask,
  answers: { 200: why },
  problems: ['not-found'],
})
