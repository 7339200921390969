// What workers do with tasks: lease, report, extend, give back and settle. Only a `user_email` of the queue may, and each item of many is asked about by itself.
import * as E from 'fp-ts/lib/Either.js'
import type { CommandToDo } from '../engine/command.ts'
import type * as wire from '../wire/tasks.ts'
import type { ReportBody } from '../wire/items.ts'
import { taskId, type WorkItemId } from '../wire/words.ts'
import { execute, ok, type Call, type Handle, type HandleBeside } from './call.ts'
import { waitHeaders } from './change-wait.ts'
import { reportCommand, reportView } from './items.ts'
import { leasedBeside, type LeaseAnswers } from './lease-answers.ts'
import { queueFor } from './permission.ts'
import { invalid, type Problem } from './problem.ts'
import { concerning, extendCommand, extending, inQueue, releaseCommand } from './task-commands.ts'

interface InQueue {
  readonly app: string
  readonly queue: string
}

/** A tag is named, or that of the oldest is taken. */
const oneTag = ({ tag, sameTag }: wire.LeaseBody): Problem | undefined =>
  tag !== undefined && sameTag === true ? invalid([{ path: '/sameTag', code: 'choice', detail: 'Expected tag or sameTag, not both.' }]) : undefined

export const createLeaseTasks =
  (answers: LeaseAnswers): Handle<typeof wire.leaseTasks> =>
  async ({ params, body }, call) => {
    const allowed = queueFor(call, params, 'consume')
    if (E.isLeft(allowed)) return allowed
    const bad = oneTag(body)
    if (bad !== undefined) return E.left(bad)
    const waitMs = call.waitMs === undefined ? undefined : Math.min(call.waitMs, allowed.right.stint.maxWaitMs)
    const leased = await answers.lease(call, allowed.right, body, waitMs ?? 0)
    return E.isLeft(leased) ? leased : ok(leased.right, waitHeaders(call, waitMs))
  }

/** The next lease beside completions. It never waits, since the completions are answered with it; what they have freed (a key) it takes. */
export const createCompleteBeside =
  (answers: LeaseAnswers): HandleBeside =>
  async ({ params, body, items }, call) => {
    const { lease } = body as wire.CompleteBeside
    if (lease === undefined) return {}
    const next = async (): Promise<E.Either<Problem, wire.LeaseAnswer>> => {
      const allowed = queueFor(call, params as InQueue, 'consume')
      if (E.isLeft(allowed)) return allowed
      const bad = oneTag(lease)
      return bad === undefined ? answers.lease(call, allowed.right, lease, 0) : E.left(bad)
    }
    const answer: wire.CompletedBeside = { leased: await leasedBeside(next, items) }
    return answer
  }

/** A command of the holder; who may not work the queue is refused before the lease is looked at. */
const underLease = async (call: Call, params: InQueue, id: string, command: (workItem: WorkItemId) => CommandToDo & { readonly digest?: string | undefined }) => {
  const allowed = queueFor(call, params, 'consume')
  if (E.isLeft(allowed)) return allowed
  const workItem = inQueue(params, { id })
  const made = command(workItem)
  return concerning(call, workItem, id, made, made.digest)
}

/** The report as a command; whether and when a failure is tried again is for the queue's settings to say. */
const reported = (call: Call, workItem: WorkItemId, body: ReportBody) => {
  const item = call.engine.live(workItem)
  const command = reportCommand(call.principal.subject, body)
  return item === undefined ? command : { ...command, retry: call.engine.retryFor(item) }
}

export const completeTask: Handle<typeof wire.completeTask> = ({ params, body }, call) =>
  underLease(call, params, body.id, (workItem) => reported(call, workItem, { lease: body.lease, outcome: { completed: body.result === undefined ? {} : { result: body.result } } }))

export const failTask: Handle<typeof wire.failTask> = ({ params, body }, call) =>
  underLease(call, params, body.id, (workItem) => reported(call, workItem, { lease: body.lease, outcome: { failed: body.failed } }))

export const releaseTask: Handle<typeof wire.releaseTask> = ({ params, body }, call) => underLease(call, params, body.id, () => releaseCommand(call.principal.subject, body))

export const extendTask: Handle<typeof wire.extendTask> = async ({ params, body }, call) => {
  const allowed = queueFor(call, params, 'consume')
  if (E.isLeft(allowed)) return allowed
  return extending(call, inQueue(params, body), body.id, extendCommand(call.principal.subject, body))
}

export const reportTask: Handle<typeof wire.reportTask> = async ({ params, body }, call) => {
  const allowed = queueFor(call, params, 'consume')
  if (E.isLeft(allowed)) return allowed
  const workItem = taskId(params.app, params.queue, params.id)
  const command = reported(call, workItem, body)
  const done = await execute(call, workItem, command)
  return E.isLeft(done) ? done : ok(reportView(workItem, done.right, command.digest))
}
