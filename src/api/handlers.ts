// Which handler serves which route. A route without one does not compile.
import type { World } from '../world.ts'
import type { RouteName, routes } from '../wire/routes.ts'
import type { Handle } from './call.ts'
import { createWatchEvents } from './events.ts'
import * as jobs from './jobs.ts'
import type { Metrics } from './metrics.ts'
import { openApiDocument } from './openapi.ts'
import * as service from './service.ts'
import type { ApiSettings } from './settings.ts'
import * as tasks from './tasks.ts'
import * as tokens from './tokens.ts'
import * as workItems from './work-items.ts'

export type Handlers = { readonly [Name in RouteName]: Handle<(typeof routes)[Name]> }

export const createHandlers = (world: World, settings: ApiSettings, metrics: Metrics): Handlers => ({
  ...jobs,
  ...tasks,
  ...workItems,
  ...tokens,
  watchEvents: createWatchEvents({ max: settings.eventClientsMax, metrics }),
  statistics: service.statistics,
  health: service.createHealth(world, settings.version),
  readiness: service.readiness,
  metrics: service.createMetricsPage(metrics),
  openapi: service.createOpenApiPage(() => JSON.stringify(openApiDocument(settings.version))),
  listProblems: service.listProblems,
  showProblem: service.showProblem,
})
