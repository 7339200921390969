// Queues, looked at and directed from outside: thin, typed calls, as an application's tools and the command line make them.
import { listQueues, pauseQueue, purgeQueue, redriveQueue, resumeQueue, showBulk, showQueue, type Bulk, type Queue } from '../wire/queues.ts'
import type { AnswerOf, BodyOf, QueryOf } from '../wire/route.ts'
import type { Http } from './http.ts'
import type { Ended } from './jobs.ts'
import type { QueueName } from './tasks.ts'

export interface Queues {
  /** One page of the queues that the caller may look at, by name; administrators also see which queue files are not in force. */
  readonly list: (filter?: QueryOf<typeof listQueues>, options?: Ended) => Promise<AnswerOf<typeof listQueues>>
  /** Settings, how full it is, and statistics. */
  readonly show: (queue: QueueName, options?: Ended) => Promise<Queue>
  /** Gives no more leases; inserts are taken, and holders may finish. */
  readonly pause: (queue: QueueName, reason?: string, options?: Ended) => Promise<Queue>
  readonly resume: (queue: QueueName, options?: Ended) => Promise<Queue>
  /** Begins to cancel the tasks that wait now, all or those that the filter names. */
  readonly purge: (queue: QueueName, filter?: BodyOf<typeof purgeQueue>, options?: Ended) => Promise<Bulk>
  /** Begins to give the dead letters of now another life, all or those that the filter names. */
  readonly redrive: (queue: QueueName, filter?: BodyOf<typeof redriveQueue>, options?: Ended) => Promise<Bulk>
  /** How far a purge or redrive is. */
  readonly bulk: (queue: QueueName, id: string, options?: Ended) => Promise<Bulk>
}

const named = ({ app, queue }: QueueName): QueueName => ({ app, queue })

export const createQueues = (http: Http): Queues => ({
  list: (query = {}, { signal } = {}) => http.call(listQueues, { query, signal }),
  show: (queue, { signal } = {}) => http.call(showQueue, { params: named(queue), signal }),
  pause: (queue, reason, { signal } = {}) => http.call(pauseQueue, { params: named(queue), body: reason === undefined ? {} : { reason }, signal }),
  resume: (queue, { signal } = {}) => http.call(resumeQueue, { params: named(queue), body: {}, signal }),
  purge: (queue, body = {}, { signal } = {}) => http.call(purgeQueue, { params: named(queue), body, signal }),
  redrive: (queue, body = {}, { signal } = {}) => http.call(redriveQueue, { params: named(queue), body, signal }),
  bulk: (queue, id, { signal } = {}) => http.call(showBulk, { params: { ...named(queue), id }, signal }),
})
