// Which handler serves which route. A route without one does not compile.
import type { World } from '../world.ts'
import type { RouteName, routes } from '../wire/routes.ts'
import type { Handle, HandleBeside } from './call.ts'
import { callRequests } from './calls.ts'
import * as contracts from './contracts.ts'
import * as audit from './audit.ts'
import { createSeats } from './event-stream.ts'
import { createWatchEvents } from './events.ts'
import * as jobs from './jobs.ts'
import type { LeaseAnswers } from './lease-answers.ts'
import * as longTasks from './long-tasks.ts'
import * as nodes from './nodes.ts'
import type { Metrics } from './metrics.ts'
import { createListenToQueue } from './notifications.ts'
import { openApiDocument } from './openapi.ts'
import * as queues from './queues.ts'
import * as replies from './replies.ts'
import * as requestWork from './request-work.ts'
import * as requests from './requests.ts'
import * as service from './service.ts'
import type { ApiSettings } from './settings.ts'
import * as work from './task-work.ts'
import * as tasks from './tasks.ts'
import * as tokens from './tokens.ts'
import * as workItems from './work-items.ts'

export type Handlers = { readonly [Name in RouteName]: Handle<(typeof routes)[Name]> }

/** What stands beside the items of a route that knows something to. */
export const createBesides = (answers: LeaseAnswers): Readonly<Partial<Record<RouteName, HandleBeside>>> => ({
  completeTask: work.createCompleteBeside(answers),
  replyToRequests: replies.createReplyBeside(answers),
})

export const createHandlers = (world: World, settings: ApiSettings, metrics: Metrics, answers: LeaseAnswers): Handlers => {
  const seats = createSeats(settings.eventClientsMax, metrics)
  return {
    ...jobs,
    ...tasks,
    ...work,
    ...queues,
    ...contracts,
    ...longTasks,
    ...nodes,
    ...requestWork,
    ...replies,
    callRequest: requests.callRequest,
    callRequestByKey: requests.callRequestByKey,
    callRequests,
    listRequests: requests.listRequests,
    listCallers: requests.listCallers,
    showRequest: requests.showRequest,
    showReply: requests.showReply,
    releaseReply: requests.releaseReply,
    requestHistory: requests.requestHistory,
    requestWhy: requests.requestWhy,
    askRequestDirective: requests.askRequestDirective,
    directRequest: requests.directRequest,
    leaseTasks: work.createLeaseTasks(answers),
    leaseRequests: requestWork.createLeaseRequests(answers),
    ...workItems,
    listAudit: audit.listAudit,
    addToken: tokens.addToken,
    listTokens: tokens.listTokens,
    revokeToken: tokens.createRevokeToken(settings.auth),
    whoAmI: tokens.whoAmI,
    watchEvents: createWatchEvents(seats),
    listenToQueue: createListenToQueue(seats),
    statistics: service.statistics,
    health: service.createHealth(world, settings.version),
    readiness: service.readiness,
    metrics: service.createMetricsPage(metrics),
    openapi: service.createOpenApiPage(() => JSON.stringify(openApiDocument(settings.version))),
    listProblems: service.listProblems,
    showProblem: service.showProblem,
  }
}
