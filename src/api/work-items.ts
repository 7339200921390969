// Any work item by its global ID, for those who look at all doors at once.
import * as E from 'fp-ts/lib/Either.js'
import type * as wire from '../wire/service.ts'
import { contractOfRequest, parseWorkItemId, queueOfTask, type ParsedWorkItemId, type WorkItemId } from '../wire/words.ts'
import { execute, ok, type Call, type Handle } from './call.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, showHistory, showItem, showWhy } from './items.ts'
import { reportJob } from './jobs.ts'
import { longTaskView } from './long-task-views.ts'
import { reportLongTask, sendingFor } from './long-tasks.ts'
import { hasRole } from './principal.ts'
import { invalid, problem, type Problem } from './problem.ts'
import { reportRequest } from './request-work.ts'
import { requestView } from './request-views.ts'
import { reportTask } from './task-work.ts'
import { jobView, taskView, type Shown } from './views.ts'

const parsedOf = (params: { readonly workItem: string }): E.Either<Problem, ParsedWorkItemId> => {
  const parsed = parseWorkItemId(params.workItem)
  return E.isLeft(parsed) ? E.left(invalid([{ path: '/params/workItem', code: 'pattern', detail: `${parsed.left}.` }])) : parsed
}

const idOf = (params: { readonly workItem: string }): E.Either<Problem, WorkItemId> => {
  const parsed = parsedOf(params)
  return E.isLeft(parsed) ? parsed : E.right(params.workItem)
}

const itemView = (call: Call, one: Shown) => {
  switch (one.item.kind) {
    case 'job':
      return jobView(one)
    case 'task':
      return taskView(one)
    case 'request':
      return requestView(one)
    case 'long-task':
      return longTaskView(one, { sending: sendingFor(call, one) })
  }
}

export const showWorkItem: Handle<typeof wire.showWorkItem> = ({ params }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : showItem(call, id.right, (one) => itemView(call, one))
}

export const workItemHistory: Handle<typeof wire.workItemHistory> = ({ params, query }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : showHistory(call, id.right, query)
}

export const workItemWhy: Handle<typeof wire.workItemWhy> = ({ params }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : showWhy(call, id.right)
}

export const askDirective: Handle<typeof wire.askDirective> = ({ params }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : pollDirective(call, id.right)
}

/** What the door of the item asks for holds here too. */
export const reportWorkItem: Handle<typeof wire.reportWorkItem> = ({ params, body }, call) => {
  const parsed = parsedOf(params)
  if (E.isLeft(parsed)) return parsed
  const { kind, id } = parsed.right
  switch (kind) {
    case 'job':
      if (!hasRole(call.principal, ['jobServer'])) return E.left(problem('forbidden', 'Reports on jobs come from those with the role jobServer.'))
      return reportJob({ params: { id }, query: {}, body }, call)
    case 'task':
      return reportTask({ params: { app: '', queue: '', ...queueOfTask(params.workItem), id }, query: {}, body }, call)
    case 'request': {
      const { contract = '', caller } = contractOfRequest(params.workItem) ?? {}
      return reportRequest({ params: { contract, id }, query: { caller }, body }, call)
    }
    case 'long-task':
      if (!hasRole(call.principal, ['node'])) return E.left(problem('forbidden', 'Reports on long tasks come from those with the role node.'))
      return reportLongTask({ params: { id }, query: {}, body }, call)
  }
}

export const giveDirective: Handle<typeof wire.giveDirective> = ({ params, body }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : direct(call, id.right, body)
}

/** For good, and so an administrator's deed that is kept in the audit stream. */
export const eraseWorkItem: Handle<typeof wire.eraseWorkItem> = async ({ params, body }, call) => {
  const id = idOf(params)
  if (E.isLeft(id)) return id
  const done = await execute(call, id.right, { type: 'Erase', by: call.principal.email, reason: body.reason })
  if (E.isLeft(done)) return done
  if (done.right.events.length > 0) call.engine.audit({ code: 'erased', route: 'eraseWorkItem', target: id.right, detail: body.reason }, call.context)
  return ok({ workItem: id.right, erased: true })
}
