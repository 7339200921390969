// The server about itself: is it alive, is it ready, what does it measure, what can it do, and what do its refusals mean.
import * as E from 'fp-ts/lib/Either.js'
import type { ScopeStatistics } from '../projections/tables.ts'
import { problems, type ProblemCode } from '../wire/problems.ts'
import type * as wire from '../wire/service.ts'
import type { World } from '../world.ts'
import { ok, type Handle } from './call.ts'
import type { Metrics } from './metrics.ts'
import { seesAll } from './permission.ts'
import { problem } from './problem.ts'
import { quantilesView } from './queue-views.ts'

export const createHealth = (world: World, version: string): Handle<typeof wire.health> => {
  const startedAt = world.monotonic()
  return () => ok({ status: 'ok', version, uptimeSeconds: (world.monotonic() - startedAt) / 1_000 })
}

export const readiness: Handle<typeof wire.readiness> = (_input, call) => {
  const { status, checks, position } = call.engine.status()
  const isReady = status !== 'not-ready' && !call.isStopping()
  const body = { status: isReady ? status : ('not-ready' as const), position, checks: [...checks] }
  return E.right(isReady ? { status: 200, body } : { status: 503, body, headers: { 'Retry-After': '1' } })
}

export const createMetricsPage =
  (metrics: Metrics): Handle<typeof wire.metrics> =>
  async () =>
    E.right({ status: 200, text: await metrics.text(), headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' } })

/** The document does not change while the server runs, so it is written once. */
export const createOpenApiPage = (write: () => string): Handle<typeof wire.openapi> => {
  let text: string | undefined
  return () => E.right({ status: 200, text: (text ??= write()) })
}

const problemPage = (code: ProblemCode) => ({ code, type: `/problems/${code}`, ...problems[code] })

export const listProblems: Handle<typeof wire.listProblems> = () => ok({ items: (Object.keys(problems) as ProblemCode[]).map(problemPage) })

const isCode = (text: string): text is ProblemCode => Object.hasOwn(problems, text)

export const showProblem: Handle<typeof wire.showProblem> = ({ params }) => (isCode(params.code) ? ok(problemPage(params.code)) : E.left(problem('not-found')))

export const statistics: Handle<typeof wire.statistics> = async ({ query }, call) => {
  const { items, position } = await call.engine.tables.statistics({ kind: query.kind, now: call.engine.now() })
  const isVisible = ({ kind, scope }: ScopeStatistics): boolean => {
    const [app = '', queue = ''] = scope.split('/')
    return kind === 'job' || seesAll(call, kind, { app, queue })
  }
  const body = {
    items: items.filter(isVisible).map(({ kind, scope, states, runMs, waitMs }) => ({
      kind,
      scope,
      states: { ...states } as Record<string, number>,
      runSeconds: quantilesView(runMs),
      waitSeconds: quantilesView(waitMs),
    })),
  }
  return E.right({ status: 200, body, position })
}
