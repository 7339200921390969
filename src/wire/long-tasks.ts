// Long tasks (D): operations that a management node gives to implementation nodes, and what is said of them until they settle.
import type * as t from 'io-ts'
import {
  common,
  directiveAnswer,
  directiveBody,
  givenAnswer,
  historyEvent,
  itemId,
  lease,
  page,
  pageQuery,
  reportAnswer,
  reportBody,
  reportFields,
  route,
  state,
  why,
} from './items.ts'
import { fields, instant, jsonUpTo, number, text } from './schema.ts'

/** Bytes of an operation's arguments as JSON, at most. */
export const ARGS_BYTES_MAX = 1024 * 1024
/** Seconds from its birth after which a long task times out, where neither the call nor the node's class says otherwise. */
export const TIMEOUT_SECONDS = 3_600
/** Seconds between two reports of its node, where neither says otherwise. */
export const PROGRESS_EVERY_SECONDS = 2

export const nodeName = text({ min: 1, max: 200, pattern: /^(?!\.{1,2}$)[A-Za-z0-9._~-]+$/, description: 'an implementation node' })
export const operationName = text({ min: 1, max: 200, description: "name of the operation's class" })

/** What the class of a long task declares. */
export const timing = {
  timeoutSeconds: number({ min: 0.1, max: 31_536_000, description: 'from its birth on' }),
  progressEverySeconds: number({ min: 0.1, max: 3_600, description: 'interval at which its node reports' }),
  stalledAfterSeconds: number({ min: 0.1, max: 31_536_000, description: 'without progress; none: never' }),
}

export const dispatchBody = fields({ operation: operationName, node: nodeName }, { id: itemId, args: jsonUpTo(ARGS_BYTES_MAX), ...timing })
export type DispatchBody = t.TypeOf<typeof dispatchBody>

/** How far sending it to its node has got, while the node has not taken it; volatile. */
export const sending = fields({ attempts: number({ min: 0, integer: true }) }, { lastFailedAt: instant, lastFailure: text({ max: 1_000 }), nextAt: instant })

export const longTask = fields(
  { ...common.required, operation: operationName, node: nodeName, timeoutSeconds: timing.timeoutSeconds, timeoutAt: instant, progressEverySeconds: timing.progressEverySeconds },
  { ...common.optional, stalledAfterSeconds: timing.stalledAfterSeconds, args: jsonUpTo(ARGS_BYTES_MAX), sending },
)
export type LongTaskShown = t.TypeOf<typeof longTask>

const oneLongTask = fields({ id: itemId })
const readers = ['viewer', 'management'] as const

export const dispatchOperation = route({
  name: 'dispatchOperation',
  method: 'POST',
  path: '/v1/long-tasks',
  tag: 'long tasks',
  summary: 'Record an operation in the long-task table, and send it to its node until that has taken it',
  roles: ['management'],
  body: dispatchBody,
  carriesContent: true,
  many: true,
  answers: { 201: longTask, 200: longTask },
  headers: ['Idempotency-Key'],
  problems: ['unknown-operation', 'exists-with-other-content', 'id-in-use', 'too-many-live', 'lagging'],
})

export const listLongTasks = route({
  name: 'listLongTasks',
  method: 'GET',
  path: '/v1/long-tasks',
  tag: 'long tasks',
  summary: 'List long tasks, newest first',
  roles: [...readers],
  fromTables: true,
  query: fields({}, { node: nodeName, operation: operationName, state, ...pageQuery }),
  answers: { 200: page(longTask) },
})

export const showLongTask = route({
  name: 'showLongTask',
  method: 'GET',
  path: '/v1/long-tasks/{id}',
  tag: 'long tasks',
  summary: 'Show a long task with its progress of now',
  roles: [...readers],
  params: oneLongTask,
  answers: { 200: longTask },
  headers: ['If-None-Match', 'Prefer'],
  problems: ['not-found'],
})

export const reportLongTask = route({
  name: 'reportLongTask',
  method: 'POST',
  path: '/v1/long-tasks/{id}/reports',
  tag: 'long tasks',
  summary: 'Report phase, progress, state or outcome, and learn the directive',
  roles: ['node'],
  params: oneLongTask,
  body: reportBody,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

export const reportLongTasks = route({
  name: 'reportLongTasks',
  method: 'POST',
  path: '/v1/nodes/{node}/reports',
  tag: 'nodes',
  summary: 'Report on all operations of a node in one message; an item with nothing but its lease says that it still runs',
  roles: ['node'],
  params: fields({ node: nodeName }),
  body: fields({ id: itemId, ...reportFields.required }, reportFields.optional),
  many: true,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

export const askLongTaskDirective = route({
  name: 'askLongTaskDirective',
  method: 'GET',
  path: '/v1/long-tasks/{id}/directive',
  tag: 'long tasks',
  summary: 'What is wanted of it? With the lease it is a sign of life',
  roles: [...readers, 'node'],
  params: oneLongTask,
  answers: { 200: directiveAnswer },
  headers: ['If-None-Match', 'Prefer', 'Stint-Lease'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

export const directLongTask = route({
  name: 'directLongTask',
  method: 'POST',
  path: '/v1/long-tasks/{id}/directives',
  tag: 'long tasks',
  summary: 'Abort, pause or resume a long task',
  roles: ['management'],
  params: oneLongTask,
  body: directiveBody,
  answers: { 200: givenAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'settled', 'aborting'],
})

export const longTaskHistory = route({
  name: 'longTaskHistory',
  method: 'GET',
  path: '/v1/long-tasks/{id}/history',
  tag: 'long tasks',
  summary: 'Every change of a long task, in order',
  roles: [...readers],
  params: oneLongTask,
  query: fields({}, pageQuery),
  answers: { 200: page(historyEvent) },
  problems: ['not-found'],
})

export const longTaskWhy = route({
  name: 'longTaskWhy',
  method: 'GET',
  path: '/v1/long-tasks/{id}/why',
  tag: 'long tasks',
  summary: 'Why is it in the state it is in?',
  roles: [...readers],
  params: oneLongTask,
  answers: { 200: why },
  problems: ['not-found'],
})

/** What a node is sent: the operation with the lease under which it reports. Its own name tells it from whoever else may listen at its address by now. */
export const sentOperation = fields(
  { id: itemId, node: nodeName, lease, operation: operationName, progressEverySeconds: timing.progressEverySeconds },
  { args: jsonUpTo(ARGS_BYTES_MAX), timeoutAt: instant },
)
export type SentOperation = t.TypeOf<typeof sentOperation>
