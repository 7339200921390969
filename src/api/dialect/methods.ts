// The eight methods of the v1beta2 Task Queue API as data: the endpoint finds and checks calls by it, and the discovery document is made from it.
// It stands apart from the routes of the native surface, whose grammar it does not share.
import type { Deed } from '../../wire/words.ts'
import type { SchemaName } from './schemas.ts'

export interface Parameter {
  readonly type: 'string' | 'integer' | 'boolean'
  readonly format?: 'int32'
  readonly location: 'path' | 'query'
  readonly required: boolean
  readonly minimum?: number
  readonly maximum?: number
  readonly description: string
}

export interface Method {
  /** `tasks.insert`: resource and method. */
  readonly name: string
  readonly httpMethod: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below `BASE_PATH`. */
  readonly path: string
  readonly description: string
  /** What the queue's lists must let the caller do. */
  readonly deed: Extract<Deed, 'insert' | 'consume'>
  /** Required ones in the order in which clients name them. */
  readonly parameters: Readonly<Record<string, Parameter>>
  readonly request?: SchemaName
  /** None: the answer has no body. */
  readonly response?: SchemaName
}

export const BASE_PATH = '/taskqueue/v1beta2/projects/'

/** Tasks that one lease call may ask for. */
export const LEASED_TASKS_MAX = 1_000
/** Seconds of a lease, at most: a week. */
export const LEASE_SECONDS_MAX = 604_800
/** Characters of a tag, at most. */
export const TAG_CHARACTERS_MAX = 500
/** Tasks that a list shows, at most; there are no pages. */
export const LISTED_TASKS_MAX = 100
/** How far ahead a task may be put off, in milliseconds: 30 days. */
export const ETA_AHEAD_MS_MAX = 30 * 86_400_000

const inPath = (description: string): Parameter => ({ type: 'string', location: 'path', required: true, description })
const seconds = (description: string): Parameter => ({
  type: 'integer',
  format: 'int32',
  location: 'query',
  required: true,
  minimum: 0,
  maximum: LEASE_SECONDS_MAX,
  description,
})
const flag = (description: string): Parameter => ({ type: 'boolean', location: 'query', required: false, description })

const inQueue = {
  project: inPath('The application that owns the queue; a prefix such as `s~` is ignored.'),
  taskqueue: inPath('The name of the queue.'),
}
const oneTask = { ...inQueue, task: inPath('The name of the task.') }
const newLeaseSeconds = seconds('How long the lease shall last from now; 0 gives the task back at once.')

const QUEUE = '{project}/taskqueues/{taskqueue}'
const TASKS = `${QUEUE}/tasks`
const TASK = `${TASKS}/{task}`

/** In the order in which a path is looked up: `tasks/lease` before a task of that name. */
export const methods = {
  'tasks.lease': {
    name: 'tasks.lease',
    httpMethod: 'POST',
    path: `${TASKS}/lease`,
    description: 'Leases the tasks of a queue that have waited longest.',
    deed: 'consume',
    parameters: {
      ...inQueue,
      numTasks: { type: 'integer', format: 'int32', location: 'query', required: true, minimum: 1, maximum: LEASED_TASKS_MAX, description: 'How many tasks to lease, at most.' },
      leaseSecs: seconds('How long the leases shall last.'),
      groupByTag: flag('Lease only tasks of one tag: the one that tag names, else that of the task that has waited longest.'),
      tag: { type: 'string', location: 'query', required: false, description: 'The tag to lease by; only together with groupByTag.' },
    },
    response: 'Tasks',
  },
  'tasks.delete': { name: 'tasks.delete', httpMethod: 'DELETE', path: TASK, description: 'Deletes a task, whoever holds it.', deed: 'consume', parameters: oneTask },
  'tasks.update': {
    name: 'tasks.update',
    httpMethod: 'POST',
    path: TASK,
    description: 'Changes how long a lease lasts. The task in the body names its id and its leaseTimestamp.',
    deed: 'consume',
    parameters: { ...oneTask, newLeaseSeconds },
    request: 'Task',
    response: 'Task',
  },
  'tasks.patch': {
    name: 'tasks.patch',
    httpMethod: 'PATCH',
    path: TASK,
    description: 'Changes how long a lease lasts. The task in the body names its queueName.',
    deed: 'consume',
    parameters: { ...oneTask, newLeaseSeconds },
    request: 'Task',
    response: 'Task',
  },
  'tasks.get': { name: 'tasks.get', httpMethod: 'GET', path: TASK, description: 'Shows a task without leasing it.', deed: 'consume', parameters: oneTask, response: 'Task' },
  'tasks.insert': {
    name: 'tasks.insert',
    httpMethod: 'POST',
    path: TASKS,
    description: 'Puts a task into a queue.',
    deed: 'insert',
    parameters: inQueue,
    request: 'Task',
    response: 'Task',
  },
  'tasks.list': {
    name: 'tasks.list',
    httpMethod: 'GET',
    path: TASKS,
    description: 'Shows the tasks of a queue, oldest first, without their payloads.',
    deed: 'consume',
    parameters: inQueue,
    response: 'Tasks2',
  },
  'taskqueues.get': {
    name: 'taskqueues.get',
    httpMethod: 'GET',
    path: QUEUE,
    description: 'Shows a queue.',
    deed: 'consume',
    parameters: { ...inQueue, getStats: flag('Whether to show the figures of the queue too.') },
    response: 'TaskQueue',
  },
} as const satisfies Readonly<Record<string, Method>>

export type MethodName = keyof typeof methods
export const methodNames = Object.keys(methods) as readonly MethodName[]

export interface GeneralParameter {
  readonly type: 'string' | 'boolean'
  readonly default?: string
  readonly enum?: readonly string[]
  readonly description: string
}

/** Taken by every method. */
export const generalParameters: Readonly<Record<string, GeneralParameter>> = {
  alt: { type: 'string', default: 'json', enum: ['json'], description: 'The form of the answer.' },
  fields: { type: 'string', description: 'Which fields the answer shall have: names separated by commas, parts of one in brackets or behind a slash, * for all.' },
  key: { type: 'string', description: 'Taken and not looked at: it names a project elsewhere, and no caller.' },
  oauth_token: { type: 'string', description: 'The bearer token, for callers that cannot send it in a header.' },
  prettyPrint: { type: 'boolean', default: 'false', description: 'Whether to write the answer with line breaks.' },
  quotaUser: { type: 'string', description: 'Taken and not looked at.' },
  userIp: { type: 'string', description: 'Taken and not looked at.' },
}
