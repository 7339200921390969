// Job proxies (A) over HTTP: job servers register and report, administrators look and direct.
import * as E from 'fp-ts/lib/Either.js'
import { contentDigest } from '../engine/digest.ts'
import type { Done } from '../engine/command.ts'
import * as wire from '../wire/jobs.ts'
import { jobId, type WorkItemId } from '../wire/words.ts'
import { execute, newId, ok, type Call, type Handle, type Handled } from './call.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, limitOf, pageAnswer, reportCommand, reportView, showHistory, showItem, shown, showWhy } from './items.ts'
import { seesAll } from './permission.ts'
import { fromRefusal, problem, type Problem } from './problem.ts'
import { jobView, leaseView } from './views.ts'
import type { ReportBody } from '../wire/items.ts'
import type { AnswerOf } from '../wire/route.ts'

const LEASE_TOKEN_LENGTH = 8
/** Reports or polls that may be missed before the job is lost. */
const SILENT_INTERVALS = 3

const msOf = (seconds: number): number => Math.round(seconds * 1_000)

const factsOf = (body: wire.RegisterBody) => {
  const reportEveryMs = msOf(body.reportEverySeconds ?? wire.REPORT_EVERY_SECONDS)
  return {
    service: body.service,
    server: body.server,
    label: body.label,
    expectedMs: body.expectedSeconds === undefined ? undefined : msOf(body.expectedSeconds),
    reportEveryMs,
    silenceMs: body.silenceSeconds === undefined ? SILENT_INTERVALS * reportEveryMs : msOf(body.silenceSeconds),
    lostAfterMs: msOf(body.lostAfterSeconds ?? wire.LOST_AFTER_SECONDS),
  }
}

/** What the job looks like to the server that registered it. A repeat after settlement shows how it ended. */
const registered = async (call: Call, workItem: WorkItemId, body: wire.RegisterBody, { item, position }: Done): Promise<E.Either<Problem, wire.RegisteredJob>> => {
  if (item.status === 'settled') {
    const row = await call.engine.read(workItem)
    return E.isLeft(row) ? E.left(fromRefusal(row.left)) : E.right(jobView(shown(call, row.right)))
  }
  return E.right({ ...jobView({ workItem, item, position, presence: call.engine.presence(workItem) }), attributes: body.attributes, ...leaseView(item) })
}

export const registerJob: Handle<typeof wire.registerJob> = async ({ body }, call) => {
  const { id, instance } = body
  const job = factsOf(body)
  const name = id ?? (call.isNamed ? call.context.commandId : newId(call.world))
  const workItem = jobId(name)
  const { subject } = call.principal
  const done = await execute(call, workItem, {
    type: 'RegisterJob',
    by: subject,
    job,
    attributes: body.attributes,
    // With its defaults, so that whoever takes over says the same by sending what the proxy shows.
    digest: contentDigest({ ...job, attributes: body.attributes }),
    holder: { subject, name: body.server, ...(instance === undefined ? {} : { instance }) },
    token: call.world.token(LEASE_TOKEN_LENGTH),
  })
  if (E.isLeft(done)) return done
  const view = await registered(call, workItem, body, done.right)
  if (E.isLeft(view)) return view
  return E.right({ status: done.right.before.status === 'absent' ? 201 : 200, body: view.right, headers: { Location: `/v1/jobs/${name}` } })
}

export const listJobs: Handle<typeof wire.listJobs> = async ({ query }, call) => {
  const by = seesAll(call, 'job', undefined) ? undefined : call.principal.subject
  const { service, server, label, state, after } = query
  return pageAnswer(call, await call.engine.tables.list({ kind: 'job', scope: service, server, label, state, by, order: 'newest', limit: limitOf(query), after }), jobView)
}

export const showJob: Handle<typeof wire.showJob> = ({ params }, call) => showItem(call, jobId(params.id), jobView)

/** Reports are for those who registered the job; the lease then tells whether they still hold it. */
const isForeign = async (call: Call, workItem: WorkItemId): Promise<E.Either<Problem, boolean>> => {
  const live = call.engine.live(workItem)
  if (live !== undefined) return E.right(live.by !== call.principal.subject)
  const row = await call.engine.read(workItem)
  return E.isLeft(row) ? E.left(fromRefusal(row.left)) : E.right(row.right.item.by !== call.principal.subject)
}

const report = async (call: Call, workItem: WorkItemId, body: ReportBody): Promise<Handled<AnswerOf<typeof wire.reportJob>>> => {
  const foreign = await isForeign(call, workItem)
  if (E.isLeft(foreign)) return foreign
  if (foreign.right) return E.left(problem('forbidden', 'This job was registered by somebody else.'))
  const command = reportCommand(call.principal.subject, body)
  const done = await execute(call, workItem, command)
  return E.isLeft(done) ? done : ok(reportView(workItem, done.right, command.digest))
}

export const reportJob: Handle<typeof wire.reportJob> = ({ params, body }, call) => report(call, jobId(params.id), body)

export const reportJobs: Handle<typeof wire.reportJobs> = ({ body }, call) => report(call, jobId(body.id), body)

export const askJobDirective: Handle<typeof wire.askJobDirective> = ({ params }, call) => pollDirective(call, jobId(params.id))

export const directJob: Handle<typeof wire.directJob> = ({ params, body }, call) => direct(call, jobId(params.id), body)

export const jobHistory: Handle<typeof wire.jobHistory> = ({ params, query }, call) => showHistory(call, jobId(params.id), query)

export const jobWhy: Handle<typeof wire.jobWhy> = ({ params }, call) => showWhy(call, jobId(params.id))
