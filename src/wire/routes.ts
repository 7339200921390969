// The whole surface: every route, in the order in which a server should try them (the most frequent first).
import * as calls from './calls.ts'
import * as contracts from './contracts.ts'
import * as audit from './audit.ts'
import * as jobs from './jobs.ts'
import * as longTasks from './long-tasks.ts'
import * as nodes from './nodes.ts'
import * as queues from './queues.ts'
import * as replies from './replies.ts'
import * as requests from './requests.ts'
import type { Route } from './route.ts'
import * as service from './service.ts'
import * as tasks from './tasks.ts'

export const routes = {
  askJobDirective: jobs.askJobDirective,
  reportJobs: jobs.reportJobs,
  reportJob: jobs.reportJob,
  reportLongTasks: longTasks.reportLongTasks,
  leaseTasks: tasks.leaseTasks,
  completeTask: tasks.completeTask,
  insertTask: tasks.insertTask,
  callRequest: requests.callRequest,
  callRequests: calls.callRequests,
  beginExecution: requests.beginExecution,
  leaseRequests: requests.leaseRequests,
  replyToRequests: replies.replyToRequests,
  replyToRequest: requests.replyToRequest,
  callRequestByKey: requests.callRequestByKey,
  releaseReply: requests.releaseReply,
  registerJob: jobs.registerJob,
  listJobs: jobs.listJobs,
  showJob: jobs.showJob,
  directJob: jobs.directJob,
  jobHistory: jobs.jobHistory,
  jobWhy: jobs.jobWhy,
  failTask: tasks.failTask,
  releaseTask: tasks.releaseTask,
  extendTask: tasks.extendTask,
  reportTask: tasks.reportTask,
  listTasks: tasks.listTasks,
  showTask: tasks.showTask,
  deleteTask: tasks.deleteTask,
  askTaskDirective: tasks.askTaskDirective,
  directTask: tasks.directTask,
  taskHistory: tasks.taskHistory,
  taskWhy: tasks.taskWhy,
  redriveTask: tasks.redriveTask,
  showRequest: requests.showRequest,
  showReply: requests.showReply,
  listRequests: requests.listRequests,
  failRequest: requests.failRequest,
  releaseRequest: requests.releaseRequest,
  extendRequest: requests.extendRequest,
  reportRequest: requests.reportRequest,
  askRequestDirective: requests.askRequestDirective,
  directRequest: requests.directRequest,
  requestHistory: requests.requestHistory,
  requestWhy: requests.requestWhy,
  dispatchOperation: longTasks.dispatchOperation,
  listLongTasks: longTasks.listLongTasks,
  showLongTask: longTasks.showLongTask,
  reportLongTask: longTasks.reportLongTask,
  askLongTaskDirective: longTasks.askLongTaskDirective,
  directLongTask: longTasks.directLongTask,
  longTaskHistory: longTasks.longTaskHistory,
  longTaskWhy: longTasks.longTaskWhy,
  registerNode: nodes.registerNode,
  listNodes: nodes.listNodes,
  showNode: nodes.showNode,
  removeNode: nodes.removeNode,
  putContract: contracts.putContract,
  listContracts: contracts.listContracts,
  showContract: contracts.showContract,
  listCallers: requests.listCallers,
  listQueues: queues.listQueues,
  showQueue: queues.showQueue,
  listenToQueue: queues.listenToQueue,
  pauseQueue: queues.pauseQueue,
  resumeQueue: queues.resumeQueue,
  purgeQueue: queues.purgeQueue,
  redriveQueue: queues.redriveQueue,
  showBulk: queues.showBulk,
  showWorkItem: service.showWorkItem,
  workItemHistory: service.workItemHistory,
  workItemWhy: service.workItemWhy,
  askDirective: service.askDirective,
  reportWorkItem: service.reportWorkItem,
  giveDirective: service.giveDirective,
  eraseWorkItem: service.eraseWorkItem,
  watchEvents: service.watchEvents,
  statistics: service.statistics,
  listAudit: audit.listAudit,
  addToken: service.addToken,
  listTokens: service.listTokens,
  revokeToken: service.revokeToken,
  whoAmI: service.whoAmI,
  health: service.health,
  readiness: service.readiness,
  metrics: service.metrics,
  openapi: service.openapi,
  listProblems: service.listProblems,
  showProblem: service.showProblem,
} as const

export type RouteName = keyof typeof routes

/** For those that only walk over the routes: servers, documents, tests. */
export const routeList: readonly Route<never, never, never, unknown>[] = Object.values(routes) as unknown as readonly Route<never, never, never, unknown>[]
