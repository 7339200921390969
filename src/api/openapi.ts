// The surface as an OpenAPI 3.1 document, written from the routes themselves so that it cannot say anything else than they do.
import * as items from '../wire/items.ts'
import * as contracts from '../wire/contracts.ts'
import * as jobs from '../wire/jobs.ts'
import * as longTasks from '../wire/long-tasks.ts'
import * as nodes from '../wire/nodes.ts'
import { problems, type ProblemCode } from '../wire/problems.ts'
import * as queues from '../wire/queues.ts'
import * as requests from '../wire/requests.ts'
import { roles } from '../wire/route.ts'
import { routeList } from '../wire/routes.ts'
import type { JsonSchema } from '../wire/schema.ts'
import * as service from '../wire/service.ts'
import * as tasks from '../wire/tasks.ts'
import { definitionOf, fieldsOf, schemaOf, type Names } from './json-schema.ts'
import type { AnyRoute } from './request.ts'

const named = {
  JobProxy: jobs.jobProxy,
  RegisteredJob: jobs.registeredJob,
  Registration: jobs.registerBody,
  Task: tasks.task,
  LeasedTask: tasks.leasedTask,
  NewTask: tasks.insertBody,
  LeaseRequest: tasks.leaseBody,
  Contract: contracts.contract,
  NewContract: contracts.contractBody,
  Request: requests.request,
  LeasedRequest: requests.leasedRequest,
  Reply: requests.replyBody,
  Effect: requests.effect,
  Usage: requests.usage,
  LongTask: longTasks.longTask,
  NewLongTask: longTasks.dispatchBody,
  Node: nodes.node,
  NodeRegistration: nodes.registerNodeBody,
  Operation: nodes.declaredOperation,
  Queue: queues.queue,
  Bulk: queues.bulk,
  Report: items.reportBody,
  ReportAnswer: items.reportAnswer,
  Progress: items.progress,
  Outcome: items.outcome,
  ShownOutcome: items.shownOutcome,
  Failure: items.failure,
  Receipt: items.receipt,
  Directive: items.directiveBody,
  DirectiveAnswer: items.directiveAnswer,
  Event: items.historyEvent,
  Why: items.why,
  Token: service.tokenEntry,
} as const

const names: Names = new Map<unknown, string>(Object.entries(named).map(([name, codec]) => [codec, name]))

const TAGS: Readonly<Record<AnyRoute['tag'], string>> = {
  jobs: 'Job proxies: job servers register and report, administrators look and direct',
  tasks: 'Tasks: producers insert, workers lease and settle; the access lists of the queue decide who may',
  queues: 'Queues: what they are set up to be, how full they are, and what is done to a queue as a whole',
  'work items': 'Any work item by its global ID',
  contracts: 'Contracts: who may call, who works, and how long replies are kept',
  requests: 'Requests: called once, replied to once, and the same reply until it is released',
  'long tasks': 'Long tasks: operations that management nodes give to implementation nodes, timed and reported on',
  nodes: 'Implementation nodes: where they are, what they can run, and whether they answer',
  node: 'What an implementation node answers itself; no part of a Stint server',
  events: 'The log, live',
  tokens: 'Bearer tokens and who one is',
  service: 'The server about itself',
}

const problemSchema: JsonSchema = {
  type: 'object',
  description: 'RFC 9457. `GET /problems` lists all codes.',
  properties: {
    type: { type: 'string', examples: ['/problems/stale-lease'] },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(problems) },
    detail: { type: 'string' },
    instance: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          path: { type: 'string', description: 'JSON pointer; `/query/…`, `/params/…` and `/headers/…` outside the body' },
          code: { type: 'string' },
          detail: { type: 'string' },
        },
        required: ['path', 'code', 'detail'],
      },
    },
    state: { type: 'string', enum: items.states },
    oldest: {
      type: 'array',
      description: 'Of a caller over its quota: requests that it could release, oldest first, at most ten',
      items: { type: 'object', properties: { id: { type: 'string' }, settledAt: { type: 'string', format: 'date-time' } }, required: ['id', 'settledAt'] },
    },
    callers: { type: 'string', description: 'Where the usage of that caller is shown' },
  },
  required: ['type', 'title', 'status', 'code'],
}

/** Headers of requests, by name. */
const REQUEST_HEADERS: Readonly<Record<AnyRoute['headers'][number], { readonly schema: JsonSchema; readonly description: string }>> = {
  Prefer: { schema: { type: 'string', examples: ['wait=30'] }, description: '`wait=N` waits up to N seconds, at most 60, for a change or for work' },
  'If-None-Match': { schema: { type: 'string' }, description: 'ETag of the version that the caller has; 304 while it is the newest' },
  'Stint-Lease': { schema: { type: 'string', maxLength: 64 }, description: 'The lease: makes the call a sign of life of its holder' },
  'Idempotency-Key': { schema: { type: 'string', minLength: 1, maxLength: 255 }, description: 'Names the command, so that a repeat is known as one' },
  'Stint-Callback': { schema: { type: 'string', format: 'uri' }, description: 'Where the reply is delivered when it is there' },
  'Last-Event-ID': { schema: { type: 'string' }, description: 'Position of the last event that was read' },
}

const header = (description: string, schema: JsonSchema = { type: 'string' }) => ({ description, schema })

const ANSWER_HEADERS = {
  'Stint-Position': header('Place in the log that the answer reflects'),
  'Stint-Request-Id': header('Names the exchange; the caller may give it'),
}

/** Refusals that any route can give; those of principals only where a principal is needed, those of bodies only where there is one. */
const generalProblems = (route: AnyRoute): readonly ProblemCode[] => [
  'invalid',
  'not-acceptable',
  'method-not-allowed',
  'headers-too-large',
  'request-timeout',
  'internal',
  ...(route.roles === 'anyone' ? ([] as const) : (['unauthenticated', 'forbidden', 'stopping', 'keys-unavailable', 'rate-limited'] as const)),
  // Whatever can be looked for may have been erased.
  ...(route.problems.includes('not-found') ? (['erased'] as const) : ([] as const)),
  ...(route.body === undefined && !route.bytes ? ([] as const) : (['too-large', 'unsupported-media-type'] as const)),
  ...(route.method === 'GET' ? (['behind', 'other-log'] as const) : (['store-unavailable', 'overloaded', 'not-possible'] as const)),
]

const problemAnswers = (route: AnyRoute): Record<string, unknown> => {
  const codes = [...new Set([...generalProblems(route), ...route.problems])]
  const byStatus = Map.groupBy(codes, (code) => problems[code].status)
  return Object.fromEntries(
    [...byStatus]
      .filter(([status]) => route.answers[status] === undefined)
      .map(([status, found]) => [
        String(status),
        {
          description: found.map((code) => `\`${code}\`: ${problems[code].title}`).join(' · '),
          headers: {
            ...ANSWER_HEADERS,
            ...(status === 429 || status === 503 ? { 'Retry-After': header('Seconds', { type: 'integer' }) } : {}),
            ...(status === 405 ? { Allow: header('Methods of the path') } : {}),
          },
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      ]),
  )
}

/** Properties of what stands beside `items`. */
const besideOf = (codec: NonNullable<AnyRoute['beside']>['asks'] | undefined): Readonly<Record<string, JsonSchema>> =>
  codec === undefined ? {} : Object.fromEntries(fieldsOf(codec, names).map(({ name, schema }) => [name, schema]))

const manySchema = (answer: JsonSchema, beside: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: 'object',
  description: 'One result for each item, in the order sent',
  properties: {
    ...beside,
    items: {
      type: 'array',
      items: {
        anyOf: [
          { allOf: [{ type: 'object', properties: { status: { type: 'integer' } }, required: ['status'] }, answerWithStatus(answer)] },
          { $ref: '#/components/schemas/ItemProblem' },
        ],
      },
    },
  },
  required: ['items'],
})

/** Results carry their status beside the fields of the answer, so the answer's own schema must not forbid it. */
const answerWithStatus = (answer: JsonSchema): JsonSchema => ('additionalProperties' in answer ? { ...answer, additionalProperties: true } : answer)

const successHeaders = (route: AnyRoute, status: number): Record<string, unknown> => ({
  ...ANSWER_HEADERS,
  ...(route.headers.includes('If-None-Match') ? { ETag: header('The version') } : {}),
  ...(route.headers.includes('Prefer') ? { 'Preference-Applied': header('The wait that was granted'), 'Retry-After': header('There when the server is stopping') } : {}),
  ...(status === 201 || status === 202 ? { Location: header('Where it is to be found') } : {}),
})

const successAnswers = (route: AnyRoute): Record<string, unknown> => {
  const answers = Object.entries(route.answers).map(([status, codec]) => {
    const schema = codec === undefined ? undefined : schemaOf(codec, names)
    const content =
      schema === undefined
        ? {}
        : {
            content: {
              [route.mediaType]: {
                schema:
                  route.many && status === '200'
                    ? { anyOf: [schema, manySchema(definitionOf(codec as NonNullable<typeof codec>, names), besideOf(route.beside?.answers))] }
                    : schema,
              },
            },
          }
    return [status, { description: status === '201' ? 'Created' : status === '202' ? 'Begun' : route.summary, headers: successHeaders(route, Number(status)), ...content }]
  })
  const unchanged = route.headers.includes('If-None-Match') ? [['304', { description: 'The caller has the newest version', headers: successHeaders(route, 304) }]] : []
  return Object.fromEntries([...answers, ...unchanged]) as Record<string, unknown>
}

const requestBody = (route: AnyRoute): object => {
  if (route.bytes) return { requestBody: { required: false, content: { '*/*': { schema: { type: 'string', format: 'binary' } } } } }
  if (route.body === undefined) return {}
  const one = schemaOf(route.body, names)
  const many: JsonSchema = {
    type: 'object',
    properties: { items: { type: 'array', maxItems: 1_000, items: one }, ...besideOf(route.beside?.asks) },
    required: ['items'],
    additionalProperties: false,
  }
  return { requestBody: { required: true, content: { 'application/json': { schema: route.many ? { oneOf: [one, many] } : one } } } }
}

const parametersOf = (route: AnyRoute): readonly object[] => [
  ...fieldsOf(route.params, names).map(({ name, schema }) => ({ name, in: 'path', required: true, schema })),
  ...fieldsOf(route.query, names).map(({ name, schema, isRequired }) => ({ name, in: 'query', required: isRequired, schema })),
  ...route.headers.map((name) => ({ name, in: 'header', required: false, ...REQUEST_HEADERS[name] })),
]

const rolesText = (wanted: Exclude<AnyRoute['roles'], 'anyone'>): string =>
  wanted === 'known' ? 'Every known principal; what it is asked about decides.' : `Roles: ${[...wanted.filter((role) => role !== 'admin'), 'admin'].join(', ')}.`

const operationOf = (route: AnyRoute): object => ({
  operationId: route.name,
  tags: [route.tag],
  summary: route.summary,
  ...(route.roles === 'anyone' ? { security: [] } : { description: rolesText(route.roles) }),
  parameters: parametersOf(route),
  ...requestBody(route),
  responses: { ...successAnswers(route), ...problemAnswers(route) },
})

const pathItems = (): Record<string, Record<string, object>> => {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routeList as unknown as readonly AnyRoute[]) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) }
  return paths
}

/** What a node has to answer, for who writes one without the SDK: refusals that the server takes for final, beside the outcomes. */
const nodeAnswers = (route: AnyRoute): Record<string, unknown> => {
  const byStatus = Map.groupBy([...new Set([...(route.body === undefined ? [] : (['invalid'] as const)), ...route.problems])], (code) => problems[code].status)
  const refusals = [...byStatus].map(([status, codes]) => [
    String(status),
    {
      description: codes.map((code) => `\`${code}\`: ${problems[code].title}`).join(' · '),
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  ])
  const answers = Object.entries(route.answers).map(([status, codec]) => [
    status,
    { description: route.summary, ...(codec === undefined ? {} : { content: { 'application/json': { schema: schemaOf(codec, names) } } }) },
  ])
  return Object.fromEntries([...answers, ...refusals]) as Record<string, unknown>
}

/** The calls that the server makes to implementation nodes. */
const nodeCalls = () =>
  Object.fromEntries(
    ([nodes.takeOperation, nodes.listOperations, nodes.directOperation] as unknown as readonly AnyRoute[]).map((route) => [
      route.name,
      {
        [route.method.toLowerCase()]: {
          operationId: route.name,
          tags: [route.tag],
          summary: route.summary,
          description: `The server calls ${route.path} below the \`url\` of the node, signed as webhooks are with the secret that its \`secretEnv\` names. It may arrive twice.`,
          parameters: parametersOf(route),
          ...requestBody(route),
          responses: nodeAnswers(route),
        },
      },
    ]),
  )

/** The whole document. */
export const openApiDocument = (version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'Stint',
    version,
    summary: 'An event-sourced workflow engine: job proxies, task queues, exactly-once requests and long tasks on one log.',
    description: `Roles of principals: ${roles.join(', ')}. An administrator has all of them. Unknown fields and parameters are refused. Times are RFC 3339 in UTC with milliseconds.`,
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  security: [{ bearer: [] }],
  tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  paths: pathItems(),
  webhooks: nodeCalls(),
  components: {
    securitySchemes: {
      bearer: { type: 'http', scheme: 'bearer', description: 'A token of `stint tokens add`, or a JWT where one is configured. A server without auth asks for none.' },
    },
    schemas: {
      ...Object.fromEntries(Object.entries(named).map(([name, codec]) => [name, definitionOf(codec, names)])),
      Problem: problemSchema,
      ItemProblem: {
        description: 'Why one of many items was refused',
        allOf: [
          { $ref: '#/components/schemas/Problem' },
          { type: 'object', properties: { id: { type: 'string' }, retryAfter: { type: 'integer', description: 'Of a call: seconds after which a repeat makes sense' } } },
        ],
      },
    },
  },
})
