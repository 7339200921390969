// Tasks of the v1beta2 Task Queue API, apart from their leases: insert, get, list, delete.
import * as E from 'fp-ts/lib/Either.js'
import { contentDigest } from '../../engine/digest.ts'
import type { ItemRow } from '../../projections/tables.ts'
import { PAYLOAD_BYTES_MAX } from '../../wire/tasks.ts'
import { nameIn } from '../../wire/words.ts'
import { newId } from '../call.ts'
import type { TaskBody } from './body.ts'
import { isName, isQueueOf, payloadOf, workItemOf, type DialectCall, type Handle } from './call.ts'
import { shows } from './fields.ts'
import { ETA_AHEAD_MS_MAX, LISTED_TASKS_MAX, TAG_CHARACTERS_MAX } from './methods.ts'
import { decodePayload } from './payload.ts'
import { badRequest, fromEngine, fromProblem, tombstoned, unknownTask, type DialectError } from './refusal.ts'
import { bornTask, isInQueue, taskResource } from './task-resource.ts'

const MEDIA_TYPE = 'application/octet-stream'

interface NewTask {
  readonly id: string
  readonly payload: Buffer
  readonly dueAt: number
  readonly tag: string | undefined
}

/** From when the task may be leased, in milliseconds: never before now, never over a month ahead. */
const dueAtOf = (call: DialectCall, leaseTimestamp = 0): E.Either<DialectError, number> => {
  const now = call.engine.now()
  const eta = Math.ceil(leaseTimestamp / 1_000)
  return eta > now + ETA_AHEAD_MS_MAX
    ? E.left(badRequest('INVALID_ETA', `leaseTimestamp must be at most ${ETA_AHEAD_MS_MAX / 86_400_000} days ahead, in microseconds since 1970.`))
    : E.right(Math.max(now, eta))
}

const newTask = (call: DialectCall, body: TaskBody): E.Either<DialectError, NewTask> => {
  const { id, queueName, payloadBase64, tag = '' } = body
  if (queueName !== undefined && !isQueueOf(call, queueName)) return E.left(badRequest('INVALID_REQUEST', 'queueName must be the queue of the path.'))
  if (id !== undefined && !isName(id)) return E.left(badRequest('INVALID_TASK_NAME', 'id must have 1 to 500 of the characters a-z, A-Z, 0-9, "_" and "-".'))
  if (tag.length > TAG_CHARACTERS_MAX) return E.left(badRequest('INVALID_TAG', `tag must have at most ${TAG_CHARACTERS_MAX} characters, but has ${tag.length}.`))
  if (payloadBase64 === undefined) return E.left(badRequest('INVALID_REQUEST', 'payloadBase64 must be given.'))
  const payload = decodePayload(payloadBase64)
  if (payload === undefined) return E.left(badRequest('INVALID_REQUEST', 'payloadBase64 must be base64 in the URL-safe alphabet.'))
  if (payload.length > PAYLOAD_BYTES_MAX) return E.left(badRequest('TASK_TOO_LARGE', `The payload must have at most ${PAYLOAD_BYTES_MAX} bytes, but has ${payload.length}.`))
  const dueAt = dueAtOf(call, body.leaseTimestamp)
  return E.isLeft(dueAt) ? dueAt : E.right({ id: id ?? newId(call.world), payload, dueAt: dueAt.right, tag: tag === '' ? undefined : tag })
}

/** Why a name is taken: by a task, or by what is left of one. */
const taken = async (call: DialectCall, id: string): Promise<E.Either<DialectError, never>> => {
  const row = await call.engine.read(workItemOf(call, id))
  if (E.isRight(row) && !isInQueue(row.right.item)) return E.left(tombstoned(id))
  return E.left(badRequest('TASK_ALREADY_EXISTS', `A task ${id} exists in this queue.`))
}

/** Unlike the native insert, the same task again is refused here: clients of this API take that for the news that it is there already. */
export const insert: Handle = async (call) => {
  const body = await call.body()
  if (E.isLeft(body)) return body
  const task = newTask(call, body.right)
  if (E.isLeft(task)) return task
  const { app, queue } = call.queue.config
  const { id, payload, dueAt, tag } = task.right
  const command = {
    type: 'InsertTask',
    by: call.principal.subject,
    task: { app, queue, tag, dueAt, bytes: payload.length },
    mediaType: MEDIA_TYPE,
    digest: contentDigest({ tag, mediaType: MEDIA_TYPE }, payload),
  } as const
  const done = await call.engine.insertTask(workItemOf(call, id), command, call.context, payload)
  if (E.isRight(done) && done.right.before.status === 'absent') return E.right(bornTask(id, queue, { createdAt: done.right.item.createdAt, dueAt, tag }, payload))
  if (E.isRight(done) || ('type' in done.left && (done.left.type === 'id-in-use' || done.left.type === 'exists-with-other-content'))) return taken(call, id)
  return E.left(fromEngine(done.left, id))
}

export const get: Handle = async (call) => {
  if (!isName(call.task)) return E.left(unknownTask(call.task))
  const workItem = workItemOf(call, call.task)
  const row = await call.engine.read(workItem)
  if (E.isLeft(row)) return E.left(fromEngine(row.left, call.task))
  if (!isInQueue(row.right.item)) return E.left(unknownTask(call.task))
  const payload = shows(call.mask, 'payloadBase64') ? await payloadOf(call, workItem, call.task) : E.right(undefined)
  return E.isLeft(payload) ? payload : E.right(taskResource(call.task, call.queue.config.queue, row.right.item, payload.right))
}

/** How long a list waits for the tables to show what was done before. */
const TABLES_WAIT_MS = 5_000

/** The tasks of the queue that were inserted first, as of now. Left: the tables are too far behind. */
export const oldestTasks = async ({ engine, queue: { key } }: DialectCall, limit: number): Promise<E.Either<DialectError, readonly ItemRow[]>> => {
  if ((await engine.reached(engine.position(), TABLES_WAIT_MS, 'tables')) !== 'reached') return E.left(fromProblem({ code: 'behind' }))
  const page = await engine.tables.list({ kind: 'task', scope: key, live: true, order: 'oldest', limit })
  return E.right('invalid' in page ? [] : page.items)
}

export const list: Handle = async (call) => {
  const rows = await oldestTasks(call, LISTED_TASKS_MAX)
  if (E.isLeft(rows)) return rows
  const items = rows.right.map(({ workItem, item }) => taskResource(nameIn(workItem), call.queue.config.queue, item, undefined))
  return E.right({ kind: 'taskqueues#tasks', items: items.length === 0 ? undefined : items })
}

/** No lease is named, so whoever may work the queue ends the task: as done if it is theirs, else as cancelled. One that is not there is gone already. */
export const remove: Handle = async (call) => {
  if (!isName(call.task)) return E.right(undefined)
  const done = await call.engine.execute(workItemOf(call, call.task), { type: 'DeleteTask', by: call.principal.subject }, call.context)
  if (E.isLeft(done) && !('type' in done.left && done.left.type === 'not-found')) return E.left(fromEngine(done.left, call.task))
  return E.right(undefined)
}
