// Routes that belong to no door: any work item by its global ID, the event stream, tokens, health, metrics and the documents that explain the rest.
import * as t from 'io-ts'
import { directiveAnswer, directiveBody, givenAnswer, historyEvent, page, pageQuery, position, reason, reportAnswer, reportBody, route, why, workItemId } from './items.ts'
import { jobProxy } from './jobs.ts'
import { longTask } from './long-tasks.ts'
import { quantiles } from './queues.ts'
import { request } from './requests.ts'
import { roles } from './route.ts'
import { fields, instant, json, jsonObject, number, oneOf, someOf, text } from './schema.ts'
import { task } from './tasks.ts'
import { workItemEvents } from './words.ts'

const oneItem = fields({ workItem: workItemId })
const readers = 'known' as const

export const showWorkItem = route({
  name: 'showWorkItem',
  method: 'GET',
  path: '/v1/work-items/{workItem}',
  tag: 'work items',
  summary: 'Show any work item',
  roles: readers,
  params: oneItem,
  answers: { 200: t.union([jobProxy, task, request, longTask]) },
  headers: ['If-None-Match', 'Prefer'],
  problems: ['not-found'],
})
export const workItemHistory = route({
  name: 'workItemHistory',
  method: 'GET',
  path: '/v1/work-items/{workItem}/history',
  tag: 'work items',
  summary: 'Every change of a work item, in order',
  roles: readers,
  params: oneItem,
  query: fields({}, pageQuery),
  answers: { 200: page(historyEvent) },
  problems: ['not-found'],
})
export const workItemWhy = route({
  name: 'workItemWhy',
  method: 'GET',
  path: '/v1/work-items/{workItem}/why',
  tag: 'work items',
  summary: 'Why is it in the state it is in?',
  roles: readers,
  params: oneItem,
  answers: { 200: why },
  problems: ['not-found'],
})
export const askDirective = route({
  name: 'askDirective',
  method: 'GET',
  path: '/v1/work-items/{workItem}/directive',
  tag: 'work items',
  summary: 'What does the administrator want?',
  roles: readers,
  params: oneItem,
  answers: { 200: directiveAnswer },
  headers: ['If-None-Match', 'Prefer', 'Stint-Lease'],
  problems: ['not-found', 'stale-lease', 'settled'],
})
export const eraseWorkItem = route({
  name: 'eraseWorkItem',
  method: 'POST',
  path: '/v1/work-items/{workItem}/erase',
  tag: 'work items',
  summary: 'Erase what a settled work item holds, for good: only its tombstone stays',
  roles: [],
  params: oneItem,
  body: fields({}, { reason }),
  answers: { 200: fields({ workItem: workItemId, erased: t.boolean }) },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'not-possible'],
})
export const reportWorkItem = route({
  name: 'reportWorkItem',
  method: 'POST',
  path: '/v1/work-items/{workItem}/reports',
  tag: 'work items',
  summary: 'Report on any work item that the caller holds, and learn the directive',
  roles: readers,
  params: oneItem,
  body: reportBody,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})
export const giveDirective = route({
  name: 'giveDirective',
  method: 'POST',
  path: '/v1/work-items/{workItem}/directives',
  tag: 'work items',
  summary: 'Abort, pause or resume any work item',
  roles: [],
  params: oneItem,
  body: directiveBody,
  answers: { 200: givenAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'settled', 'aborting'],
})

export const watchEvents = route({
  name: 'watchEvents',
  method: 'GET',
  path: '/v1/events',
  tag: 'events',
  summary: 'Server-sent events: everything that happens, from a position on',
  roles: readers,
  query: fields(
    {},
    { after: position, workItem: workItemId, kind: oneOf('job', 'task', 'request', 'long-task'), type: someOf('event types', Object.keys(workItemEvents), { max: 1_000 }) },
  ),
  answers: { 200: historyEvent },
  mediaType: 'text/event-stream',
  headers: ['Last-Event-ID'],
  problems: ['other-log', 'behind', 'overloaded'],
})

const countsBy = t.record(t.string, t.number)
export const statistics = route({
  name: 'statistics',
  method: 'GET',
  path: '/v1/statistics',
  tag: 'service',
  summary: 'Counts by kind, scope and state, and how long settled items ran',
  fromTables: true,
  roles: ['viewer'],
  query: fields({}, { kind: oneOf('job', 'task', 'request', 'long-task') }),
  answers: {
    200: fields({
      items: t.array(
        fields({ kind: oneOf('job', 'task', 'request', 'long-task'), scope: text({ max: 400 }), states: countsBy }, { runSeconds: quantiles, waitSeconds: quantiles }),
      ),
    }),
  },
})

const tokenFields = { name: text({ min: 1, max: 100 }), email: text({ min: 3, max: 320, pattern: /^[^\s@]+@[^\s@]+$/ }), roles: t.array(oneOf(...roles)) }
export const tokenEntry = fields({ id: text({ max: 60 }), ...tokenFields, createdAt: instant }, { expiresAt: instant, revokedAt: instant })
export const addToken = route({
  name: 'addToken',
  method: 'POST',
  path: '/v1/tokens',
  tag: 'tokens',
  summary: 'Make a token; its secret is shown this once',
  roles: [],
  body: fields(tokenFields, { expiresSeconds: number({ min: 1, max: 315_360_000 }) }),
  answers: { 201: fields({ id: text({ max: 60 }), ...tokenFields, createdAt: instant, token: text({ max: 200 }) }, { expiresAt: instant }) },
})
export const listTokens = route({
  name: 'listTokens',
  method: 'GET',
  path: '/v1/tokens',
  tag: 'tokens',
  summary: 'List tokens, without secrets',
  roles: [],
  answers: { 200: page(tokenEntry) },
})
export const revokeToken = route({
  name: 'revokeToken',
  method: 'DELETE',
  path: '/v1/tokens/{id}',
  tag: 'tokens',
  summary: 'Revoke a token at once',
  roles: [],
  params: fields({ id: text({ min: 1, max: 60 }) }),
  answers: { 200: tokenEntry },
  problems: ['not-found'],
})

export const whoAmI = route({
  name: 'whoAmI',
  method: 'GET',
  path: '/v1/me',
  tag: 'tokens',
  summary: 'Who the server takes you for',
  roles: 'known',
  answers: { 200: fields({ subject: text({ max: 320 }), email: text({ max: 320 }), roles: t.array(oneOf(...roles)) }) },
})

const check = fields({ name: text({ max: 60 }), ok: t.boolean }, { detail: text({ max: 1_000 }) })
export const health = route({
  name: 'health',
  method: 'GET',
  path: '/healthz',
  tag: 'service',
  summary: 'Is the process alive?',
  roles: 'anyone',
  answers: { 200: fields({ status: oneOf('ok'), version: text({ max: 40 }), uptimeSeconds: t.number }) },
})
export const readiness = route({
  name: 'readiness',
  method: 'GET',
  path: '/readyz',
  tag: 'service',
  summary: 'Does it take commands? 503 while it does not',
  roles: 'anyone',
  answers: {
    200: fields({ status: oneOf('ready', 'degraded', 'not-ready'), position, checks: t.array(check) }),
    503: fields({ status: oneOf('ready', 'degraded', 'not-ready'), position, checks: t.array(check) }),
  },
})
export const metrics = route({
  name: 'metrics',
  method: 'GET',
  path: '/metrics',
  tag: 'service',
  summary: 'Figures in the Prometheus text format',
  roles: 'anyone',
  answers: { 200: text({ max: 10_000_000 }) },
  mediaType: 'text/plain',
})
export const openapi = route({
  name: 'openapi',
  method: 'GET',
  path: '/openapi.json',
  tag: 'service',
  summary: 'This surface as OpenAPI 3.1',
  roles: 'anyone',
  answers: { 200: jsonObject(10_000_000) },
})
export const listProblems = route({
  name: 'listProblems',
  method: 'GET',
  path: '/problems',
  tag: 'service',
  summary: 'Every refusal with its status',
  roles: 'anyone',
  answers: { 200: json },
})
export const showProblem = route({
  name: 'showProblem',
  method: 'GET',
  path: '/problems/{code}',
  tag: 'service',
  summary: 'What a refusal means and what to do',
  roles: 'anyone',
  params: fields({ code: text({ max: 60 }) }),
  answers: { 200: json },
  problems: ['not-found'],
})
