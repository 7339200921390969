// Tasks (B) over HTTP, as producers and onlookers meet them: inserted, listed, shown, deleted, directed. What workers do with them is in task-work.ts.
import * as E from 'fp-ts/lib/Either.js'
import { contentDigest } from '../engine/digest.ts'
import type * as wire from '../wire/tasks.ts'
import { taskId, type WorkItemId } from '../wire/words.ts'
import { newId, ok, type Call, type Handle } from './call.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, limitOf, pageAnswer, readVisible, showHistory, showItem, shown, showWhy } from './items.ts'
import { payloadOf } from './payload.ts'
import { mayDo, queueFor } from './permission.ts'
import { fromRefusal, problem, type Problem } from './problem.ts'
import { concerning, inQueue, msOf } from './task-commands.ts'
import { taskView, taskWithPayloadView } from './views.ts'

export const insertTask: Handle<typeof wire.insertTask> = async ({ params, body }, call) => {
  const allowed = queueFor(call, params, 'insert')
  if (E.isLeft(allowed)) return allowed
  const payload = payloadOf(body)
  if (E.isLeft(payload)) return payload
  const { app, queue } = params
  const { tag, priority, key, delaySeconds = 0 } = body
  const name = body.id ?? (call.isNamed ? call.context.commandId : newId(call.world))
  const workItem = taskId(app, queue, name)
  const { mediaType, bytes, text } = payload.right
  const command = {
    type: 'InsertTask',
    by: call.principal.subject,
    task: { app, queue, tag, priority, key, bytes: bytes?.byteLength ?? 0, dueAt: call.engine.now() + msOf(delaySeconds) },
    mediaType,
    // In the order in which they are digested.
    digest: contentDigest({ delaySeconds, key, mediaType, priority, tag }, text ?? bytes),
  } as const
  const done = await call.engine.insertTask(workItem, command, call.context, bytes)
  if (E.isLeft(done)) return E.left(fromRefusal(done.left))
  const { item, before, position } = done.right
  const headers = { Location: `/v1/queues/${encodeURIComponent(app)}/${queue}/tasks/${name}` }
  if (item.status !== 'settled')
    return E.right({ status: before.status === 'absent' ? 201 : 200, body: taskView({ workItem, item, position, presence: call.engine.presence(workItem) }), headers })
  const row = await call.engine.read(workItem)
  return E.isLeft(row) ? E.left(fromRefusal(row.left)) : ok(taskView(shown(call, row.right)), headers)
}

/** Those who may look see every task, those who may only insert see their own. */
export const listTasks: Handle<typeof wire.listTasks> = async ({ params, query }, call) => {
  const isOwnOnly = E.isLeft(queueFor(call, params, 'look'))
  const allowed = isOwnOnly ? queueFor(call, params, 'insert') : undefined
  if (allowed !== undefined && E.isLeft(allowed)) return allowed
  const { state, tag, key, after } = query
  const filter = {
    kind: 'task',
    scope: `${params.app}/${params.queue}`,
    state,
    tag,
    key,
    deadLetter: query.deadLetter === undefined ? undefined : query.deadLetter === 'true',
    by: isOwnOnly ? call.principal.subject : undefined,
    order: 'queue',
    limit: limitOf(query),
    after,
  } as const
  return pageAnswer(call, await call.engine.tables.list(filter), taskView)
}

/** The payload as it was inserted, for those who may lease the task and for whoever made it. */
const payloadFor = async (
  call: Call,
  workItem: WorkItemId,
  by: string,
  params: { readonly app: string; readonly queue: string },
): Promise<E.Either<Problem, Uint8Array | undefined>> => {
  const config = call.engine.queues.configOf(params)
  const isMaker = by === call.principal.subject && mayDo(config, call.principal, 'insert')
  if (!isMaker && !mayDo(config, call.principal, 'consume'))
    return E.left(problem('forbidden', 'Expected a `user_email` of the queue, or whoever made the task: the payload is theirs.'))
  const [first] = await call.engine.history(workItem, { from: 0, max: 1 }).then((events) => (E.isLeft(events) ? [] : events.right))
  return E.right(first?.payload)
}

export const showTask: Handle<typeof wire.showTask> = async ({ params, query }, call) => {
  const workItem = inQueue(params, params)
  if (query.payload !== 'true') return showItem(call, workItem, taskView)
  const row = await readVisible(call, workItem)
  if (E.isLeft(row)) return row
  const payload = await payloadFor(call, workItem, row.right.item.by, params)
  return E.isLeft(payload) ? payload : showItem(call, workItem, (one) => taskWithPayloadView(one, payload.right))
}

/** Completed for the holder, cancelled for everybody else who may work the queue, in any state (rules 22). */
export const deleteTask: Handle<typeof wire.deleteTask> = async ({ params }, call) => {
  const allowed = queueFor(call, params, 'consume')
  if (E.isLeft(allowed)) return allowed
  const lease = call.headers['stint-lease']
  return concerning(call, inQueue(params, params), params.id, { type: 'DeleteTask', by: call.principal.subject, ...(typeof lease === 'string' ? { lease } : {}) })
}

/** Administrators look after the queue, so a task may be told to stop by them too. */
export const directTask: Handle<typeof wire.directTask> = ({ params, body }, call) => direct(call, inQueue(params, params), body)

export const redriveTask: Handle<typeof wire.redriveTask> = async ({ params, body }, call) => {
  const allowed = queueFor(call, params, 'manage')
  return E.isLeft(allowed) ? allowed : concerning(call, inQueue(params, body), body.id, { type: 'Redrive', by: call.principal.email })
}

export const askTaskDirective: Handle<typeof wire.askTaskDirective> = ({ params }, call) => pollDirective(call, inQueue(params, params))

export const taskHistory: Handle<typeof wire.taskHistory> = ({ params, query }, call) => showHistory(call, inQueue(params, params), query)

export const taskWhy: Handle<typeof wire.taskWhy> = ({ params }, call) => showWhy(call, inQueue(params, params))
