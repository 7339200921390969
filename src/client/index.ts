/**
 * The client of Stint, for Node ≥ 20 and browsers.
 *
 * ```ts
 * import { connect } from 'stint'
 *
 * await using stint = connect({ url: 'http://127.0.0.1:7070' })
 * const jobs = stint.jobServer({ service: 'indexer', server: 'indexer-1' })
 * const words = await jobs.run('index the manual', async (job) => {
 *   for (let done = 0; done < 10; done += 1) {
 *     await job.checkpoint()
 *     job.progress({ done, total: 10, unit: 'pages' })
 *   }
 *   return { words: 4_711 }
 * })
 * ```
 *
 * @module
 */
export { connect, type ConnectOptions, type Stint, type Tokens } from './connect.ts'
export {
  AbortRequested,
  AlreadyRunning,
  AlreadySettled,
  Closed,
  GiveBack,
  LeaseLost,
  NotCompleted,
  PermanentFailure,
  StintError,
  Unanswered,
  UnexpectedAnswer,
  Unreachable,
  type NotCompletedOutcome,
  type ProblemDocument,
} from './errors.ts'
export { isOverloaded, type Load } from './load.ts'
export { memoryRequestStore, type PendingRequest, type RequestStore } from './request-store.ts'
export type { Exchange, ManyAnswer } from './answer.ts'
export type { CallerUsage, Contracts } from './contracts.ts'
export type { EventFilter } from './events.ts'
export type { CallOptions, Fetch } from './http.ts'
export type { Job } from './job.ts'
export type { CloseMode, JobServer, JobServerOptions } from './job-server.ts'
export type { RunOptions, Started } from './run.ts'
export type { Ended, Given, JobFilter, Jobs, Page, Why } from './jobs.ts'
export type { Duration } from './duration.ts'
export { longTask, type Before, type LongTask, type Operation, type OperationClass, type OperationContext } from './long-task-class.ts'
export type { LongTaskFilter, LongTasks } from './long-tasks.ts'
export type { Dispatched, DispatchOptions, Management, ManagementOptions, NamedOperation, ResultOf } from './management.ts'
export type { Handler, Middleware, MiddlewareOptions, RequestLike, ResponseLike } from './middleware.ts'
export type { NewTask, TaskOptions } from './new-task.ts'
export type { Nodes } from './nodes.ts'
export type { Producer, ProducerOptions, Put, PutOptions } from './producer.ts'
export type { Queues } from './queues.ts'
export type { GivenReply, ReleasePolicy } from './reply.ts'
export type { AskOptions, ReleaseMode, Reply, Requester, RequesterOptions, RequestOptions, Resumed } from './requester.ts'
export type { Released, RequestFilter, RequestName, Requests } from './requests.ts'
export type { SendingOptions } from './sender.ts'
export type { QueueName, TaskEnd, TaskFilter, TaskName, Tasks } from './tasks.ts'
export type { Directive } from './wish.ts'
export type { RequestHandler, RequestWorkerOptions, TaskHandler, Worker, WorkerFigures, WorkerOptions, WorkingOptions } from './worker.ts'
export type { Effect, HandlerReply, WorkerRequest } from './request-source.ts'
export type { WorkerTask } from './task-source.ts'
export { verifyWebhook, WebhookRejected, type VerifiedWebhook, type VerifyOptions, type WebhookFault, type WebhookHeaders } from './webhook.ts'
export type { HistoryEvent, Outcome, Progress, Receipt, State } from '../wire/items.ts'
export type { JobProxy } from '../wire/jobs.ts'
export type { LongTaskShown } from '../wire/long-tasks.ts'
export type { NodeShown } from '../wire/nodes.ts'
export type { ContractBody, ContractShown } from '../wire/contracts.ts'
export type { Bulk, Queue } from '../wire/queues.ts'
export type { RequestShown } from '../wire/requests.ts'
export type { Task, TaskWithPayload } from '../wire/tasks.ts'
export { routes } from '../wire/routes.ts'
export type { World } from '../world.ts'
