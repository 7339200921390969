// Leases of the v1beta2 Task Queue API: lease, and the two ways to change how long a lease lasts. A lease is known by the timestamp of its end.
import * as E from 'fp-ts/lib/Either.js'
import type { CommandToDo, LeasedItem } from '../../engine/command.ts'
import { isHeld, nameIn, type Existing, type Held } from '../../wire/words.ts'
import type { TaskBody } from './body.ts'
import { isName, isQueueOf, payloadOf, workItemOf, type DialectCall, type Handle, type Handled } from './call.ts'
import { shows } from './fields.ts'
import { TAG_CHARACTERS_MAX } from './methods.ts'
import { badParameter, badRequest, fromEngine, leaseExpired, tombstoned, unknownTask, type DialectError } from './refusal.ts'
import { isInQueue, leaseTimestampOf, taskResource } from './task-resource.ts'

/** Payload bytes of one answer, at most, so that in base64 they stay within 32 MiB; the first task always fits. */
const ANSWER_BYTES_MAX = 23 * 1024 * 1024

/** Leases of which nobody will hear go back at once, and burn no attempt (rules 27). */
const giveBack = async ({ engine, context, world }: DialectCall, leased: readonly LeasedItem[]): Promise<void> => {
  await Promise.all(leased.map(({ workItem, item }) => engine.takeBack(workItem, item.lease.token, { ...context, commandId: world.uuid() })))
}

/** By which tag to lease: of one name, that of the oldest task, or any. */
const grouping = ({ groupByTag = false, tag }: DialectCall['values']): E.Either<DialectError, { readonly tag?: string; readonly sameTag?: boolean }> => {
  if (tag !== undefined && tag.length > TAG_CHARACTERS_MAX)
    return E.left(badRequest('INVALID_TAG', `tag must have at most ${TAG_CHARACTERS_MAX} characters, but has ${tag.length}.`))
  if (!groupByTag) return tag === undefined ? E.right({}) : E.left(badParameter('tag', 'tag can be given only together with groupByTag=true.'))
  return E.right(tag === undefined || tag === '' ? { sameTag: true } : { tag })
}

export const lease: Handle = async (call) => {
  const { engine, principal, context, values } = call
  const { app, queue } = call.queue.config
  const by = grouping(values)
  if (E.isLeft(by)) return by
  const holder = { subject: principal.subject, name: '' }
  const request = { app, queue, max: values.numTasks ?? 1, termMs: (values.leaseSecs ?? 0) * 1_000, holder, bytesMax: ANSWER_BYTES_MAX, waitMs: 0, ...by.right }
  const leased = await engine.leaseTasks(request, context)
  if (E.isLeft(leased)) return E.left(fromEngine(leased.left))
  if (leased.right.length === 0) return E.right({ kind: 'taskqueues#tasks' })
  call.onEnd((isWritten) => (isWritten ? undefined : giveBack(call, leased.right)))
  const queueName = `projects/${app}/taskqueues/${queue}`
  return E.right({ kind: 'taskqueues#tasks', items: leased.right.map(({ workItem, item, payload }) => taskResource(nameIn(workItem), queueName, item, payload)) })
}

/** The task as it stands. Left: there is none, or it has left the queue. */
const find = async (call: DialectCall, task: string): Promise<E.Either<DialectError, Existing>> => {
  if (!isName(task)) return E.left(unknownTask(task))
  const workItem = workItemOf(call, task)
  const known = call.engine.live(workItem)
  const row = known === undefined ? await call.engine.read(workItem) : E.right({ item: known })
  if (E.isLeft(row)) return E.left(fromEngine(row.left, task))
  return isInQueue(row.right.item) ? E.right(row.right.item) : E.left(tombstoned(task))
}

/** The task if it is held under the lease that the timestamp tells, or under any if there is none, and that lease still runs. */
const findHeld = async (call: DialectCall, task: string, timestamp: number | undefined): Promise<E.Either<DialectError, Held>> => {
  const found = await find(call, task)
  if (E.isLeft(found)) return found
  const item = found.right
  // The engine lets a holder who is late give back or complete; here only a lease that the server has not let end counts (rules 17).
  if (!isHeld(item) || !call.engine.leaseStands(workItemOf(call, task))) return E.left(leaseExpired())
  return timestamp === undefined || timestamp === leaseTimestampOf(item.lease) ? E.right(item) : E.left(leaseExpired())
}

/** Ends the lease so many seconds from now; at once, without burning an attempt, if that is none. */
const change = async (call: DialectCall, task: string, timestamp: number | undefined): Promise<Handled> => {
  const held = await findHeld(call, task, timestamp)
  if (E.isLeft(held)) return held
  const { newLeaseSeconds: seconds = 0 } = call.values
  const workItem = workItemOf(call, task)
  const under = { by: call.principal.subject, lease: held.right.lease.token }
  const command: CommandToDo = seconds === 0 ? { type: 'ReleaseLease', ...under, busy: true, delayMs: 0 } : { type: 'ExtendLease', ...under, termMs: seconds * 1_000 }
  const done = await call.engine.execute(workItem, command, call.context)
  if (E.isLeft(done)) return E.left(fromEngine(done.left, task))
  const payload = shows(call.mask, 'payloadBase64') ? await payloadOf(call, workItem, task) : E.right(undefined)
  return E.isLeft(payload) ? payload : E.right(taskResource(task, call.queue.config.queue, done.right.item, payload.right))
}

const isForeign = (call: DialectCall, { queueName }: TaskBody): boolean => queueName !== undefined && !isQueueOf(call, queueName)

/** Takes the whole task; the id in the body counts, not that of the path. */
export const update: Handle = async (call) => {
  const body = await call.body()
  if (E.isLeft(body)) return body
  const { id, leaseTimestamp } = body.right
  if (id === undefined) return E.left(badRequest('INVALID_REQUEST', 'The task in the body must have an id.'))
  if (leaseTimestamp === undefined) return E.left(badRequest('INVALID_REQUEST', 'The task in the body must have its leaseTimestamp.'))
  if (isForeign(call, body.right)) return E.left(badRequest('INVALID_REQUEST', 'queueName must be the queue of the path.'))
  return change(call, id, leaseTimestamp)
}

/** Takes a part of the task: queueName must be there, a leaseTimestamp is checked if it is. */
export const patch: Handle = async (call) => {
  const body = await call.body()
  if (E.isLeft(body)) return body
  const { id, queueName, leaseTimestamp } = body.right
  if (queueName === undefined || isForeign(call, body.right)) return E.left(badRequest('INVALID_REQUEST', 'The task in the body must have the queueName of the path.'))
  if (id !== undefined && id !== call.task) return E.left(badRequest('INVALID_REQUEST', 'The id in the body must be that of the path.'))
  return change(call, call.task, leaseTimestamp)
}
