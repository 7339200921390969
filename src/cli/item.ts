// A work item of any kind as the command line handles it: what it is called, where it is, and how its kind is spoken to.
import * as E from 'fp-ts/lib/Either.js'
import type { JobProxy } from '../wire/jobs.ts'
import type { LongTaskShown } from '../wire/long-tasks.ts'
import type { RequestShown } from '../wire/requests.ts'
import type { Task } from '../wire/tasks.ts'
import { contractOfRequest, parseWorkItemId, queueOfTask, type Kind } from '../wire/words.ts'

/** Any work item as the surface shows it. */
export type Item = JobProxy | Task | RequestShown | LongTaskShown

/** What people call a work item of the kind. */
export const KIND_TEXT: Readonly<Record<Kind, string>> = { job: 'job', task: 'task', request: 'request', 'long-task': 'long task' }

/** The work item that a person means. */
export interface Meant {
  readonly kind: Kind
  readonly id: string
  /** Its global ID. */
  readonly workItem: string
}

/** The words behind a verb that name an item: `order-7 -q shop/mails`. */
export const wordsOf = ({ id, workItem }: Pick<Meant, 'id' | 'workItem'>): string => {
  const queue = queueOfTask(workItem)
  if (queue !== undefined) return `${id} -q ${queue.app}/${queue.queue}`
  const request = contractOfRequest(workItem)
  return request === undefined ? id : `${id} -c ${request.contract} --caller ${request.caller}`
}

/** The kind and the id that a global ID holds; undefined for what is none. */
export const meantBy = (workItem: string): Meant | undefined => {
  const parsed = parseWorkItemId(workItem)
  return E.isLeft(parsed) ? undefined : { kind: parsed.right.kind, id: parsed.right.id, workItem }
}

/** What people know it by. */
export const titleOf = (item: Item): string => ('label' in item ? (item.label ?? item.id) : item.id)

/** Where it is: a job at its service and server, a task with its holder, or under its tag while nobody holds it, a request with its contract and caller, a long task by its operation on its node. */
export const placeOf = (item: Item): string => {
  if ('service' in item) return `${item.service}@${item.server}`
  if ('operation' in item) return `${item.operation}@${item.node}`
  return 'contract' in item ? `${item.contract} for ${item.caller}` : (item.holder?.name ?? item.tag ?? '')
}
