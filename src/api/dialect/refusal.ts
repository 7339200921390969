// Refusals in the shape of the v1beta2 Task Queue API: every problem of the native surface and every refusal of the engine in the words that its clients know.
import type { Refusal } from '../../engine/command.ts'
import { fromRefusal, problemDocument, retryAfterSeconds, statusOf, type Problem } from '../problem.ts'

/** `taskqueue`: what the service refuses · `usageLimits`: too much · `global`: what any service would say. */
type Domain = 'global' | 'taskqueue' | 'usageLimits'

export interface DialectError {
  readonly status: number
  readonly domain: Domain
  readonly reason: string
  /** A sentence. */
  readonly message: string
  /** The parameter or header that is wrong. */
  readonly location?: { readonly type: 'parameter' | 'header'; readonly name: string } | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Reasons that the service itself has for a 400. */
export type Reason =
  | 'INVALID_ETA'
  | 'INVALID_QUEUE_MODE'
  | 'INVALID_REQUEST'
  | 'INVALID_TAG'
  | 'INVALID_TASK_NAME'
  | 'QUEUE_PAUSED'
  | 'TASK_ALREADY_EXISTS'
  | 'TASK_LEASE_EXPIRED'
  | 'TASK_TOO_LARGE'
  | 'TOMBSTONED_TASK'

export const badRequest = (reason: Reason, message: string): DialectError => ({ status: 400, domain: 'taskqueue', reason, message })

export const badParameter = (name: string, message: string): DialectError => ({ ...badRequest('INVALID_REQUEST', message), location: { type: 'parameter', name } })

export const unknownTask = (task: string): DialectError => ({
  status: 404,
  domain: 'taskqueue',
  reason: 'UNKNOWN_TASK',
  message: `There is no task ${task.slice(0, 500)} in this queue.`,
})

export const unknownQueue = (message: string): DialectError => ({ status: 404, domain: 'taskqueue', reason: 'UNKNOWN_QUEUE', message })

export const notAllowed = (message: string): DialectError => ({ status: 403, domain: 'taskqueue', reason: 'PERMISSION_DENIED', message })

export const notFound = (message: string): DialectError => ({ status: 404, domain: 'global', reason: 'notFound', message })

export const leaseExpired = (): DialectError => badRequest('TASK_LEASE_EXPIRED', 'The task lease has expired.')

export const tombstoned = (task: string): DialectError => badRequest('TOMBSTONED_TASK', `The task ${task} has been deleted, and its name stays taken.`)

export const loginRequired: DialectError = {
  status: 401,
  domain: 'global',
  reason: 'required',
  message: 'Login Required',
  location: { type: 'header', name: 'Authorization' },
  headers: { 'WWW-Authenticate': 'Bearer' },
}

const byStatus = (status: number): Pick<DialectError, 'domain' | 'reason'> => {
  switch (status) {
    case 401:
      return { domain: 'global', reason: 'authError' }
    case 403:
      return { domain: 'global', reason: 'forbidden' }
    case 404:
      return { domain: 'global', reason: 'notFound' }
    case 429:
      return { domain: 'usageLimits', reason: 'rateLimitExceeded' }
    default:
      return status < 500 ? { domain: 'taskqueue', reason: 'INVALID_REQUEST' } : { domain: 'global', reason: 'backendError' }
  }
}

/** A problem of the native surface that has no name of its own here. */
export const fromProblem = (problem: Problem): DialectError => {
  const status = statusOf(problem)
  const retryAfter = retryAfterSeconds(problem.code)
  const message = status === 401 ? 'Invalid Credentials' : (problem.detail ?? problem.errors?.[0]?.detail ?? problemDocument(problem).title)
  return {
    status: status === 409 || status === 413 || status === 415 || status === 422 ? 400 : status,
    ...byStatus(status),
    message,
    ...(status === 401 ? { location: { type: 'header', name: 'Authorization' } } : {}),
    headers: { ...problem.headers, ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }) },
  }
}

/** What the engine would not do to a task of this name, or to its queue. */
export const fromEngine = (refusal: Refusal, task = ''): DialectError => {
  if (!('type' in refusal))
    return refusal.kind === 'tooLarge' ? badRequest('TASK_TOO_LARGE', `The task is larger than ${refusal.limitBytes} bytes when it is stored.`) : fromProblem(fromRefusal(refusal))
  switch (refusal.type) {
    case 'not-found':
      return unknownTask(task)
    case 'forbidden':
      return notAllowed(refusal.detail)
    case 'id-in-use':
    case 'exists-with-other-content':
      return badRequest('TASK_ALREADY_EXISTS', `A task ${task} exists in this queue.`)
    case 'stale-lease':
      return leaseExpired()
    case 'settled':
      return tombstoned(task)
    case 'over-quota':
      return { ...fromProblem(fromRefusal(refusal)), reason: 'quotaExceeded' }
    case 'queue-removed':
      return unknownQueue('The queue is no longer in the queue.yaml of its application.')
    case 'queue-paused':
      return badRequest('QUEUE_PAUSED', 'The queue is paused.')
    case 'not-served':
      return pushQueue
    default:
      return fromProblem(fromRefusal(refusal))
  }
}

export const pushQueue: DialectError = badRequest('INVALID_QUEUE_MODE', 'This API serves pull queues only, and the mode of this queue is push.')

/** The body of a refusal. */
export const errorBody = ({ status, domain, reason, message, location }: DialectError) => ({
  error: { errors: [{ domain, reason, message, ...(location === undefined ? {} : { locationType: location.type, location: location.name }) }], code: status, message },
})
