// Any work item by its global ID, for those who look at all doors at once.
import * as E from 'fp-ts/lib/Either.js'
import type * as wire from '../wire/service.ts'
import { parseWorkItemId, type WorkItemId } from '../wire/words.ts'
import type { Handle } from './call.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, showHistory, showItem, showWhy } from './items.ts'
import { invalid, type Problem } from './problem.ts'
import { requestView } from './request-views.ts'
import { jobView, taskView, type Shown } from './views.ts'

const idOf = (params: { readonly workItem: string }): E.Either<Problem, WorkItemId> => {
  const parsed = parseWorkItemId(params.workItem)
  return E.isLeft(parsed) ? E.left(invalid([{ path: '/params/workItem', code: 'pattern', detail: `${parsed.left}.` }])) : E.right(params.workItem)
}

const itemView = (one: Shown) => {
  switch (one.item.kind) {
    case 'job':
      return jobView(one)
    case 'task':
      return taskView(one)
    case 'request':
      return requestView(one)
  }
}

export const showWorkItem: Handle<typeof wire.showWorkItem> = ({ params }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : showItem(call, id.right, itemView)
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

export const giveDirective: Handle<typeof wire.giveDirective> = ({ params, body }, call) => {
  const id = idOf(params)
  return E.isLeft(id) ? id : direct(call, id.right, body)
}
