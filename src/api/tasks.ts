// Tasks (B) over HTTP: producers insert, workers lease, extend, give back and settle.
import * as E from 'fp-ts/lib/Either.js'
import { contentDigest } from '../engine/digest.ts'
import type { CommandToDo, LeasedTask } from '../engine/engine.ts'
import type { AnswerOf } from '../wire/route.ts'
import type { FieldError } from '../wire/schema.ts'
import * as wire from '../wire/tasks.ts'
import { surfaceState, taskId, type WorkItemId } from '../wire/words.ts'
import { execute, newId, ok, type Call, type Handle, type Handled } from './call.ts'
import { waitHeaders } from './change-wait.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, isLate, limitOf, pageAnswer, reportCommand, reportView, showHistory, showItem, shown, showWhy } from './items.ts'
import { seesAll } from './permission.ts'
import { fromRefusal, invalid, type Problem } from './problem.ts'
import { isJsonMediaType, leasedTaskView, leaseView, taskView } from './views.ts'

/** Seconds of a lease, unless the worker says otherwise. */
const LEASE_SECONDS = 60
/** Pause before the second attempt; it doubles with each further one. */
const RETRY_FIRST_MS = 1_000
const RETRY_LONGEST_MS = 60_000

const msOf = (seconds: number): number => Math.round(seconds * 1_000)

interface Payload {
  readonly mediaType: string
  readonly bytes: Uint8Array | undefined
}

const bad = (path: string, code: FieldError['code'], detail: string): E.Either<Problem, never> => E.left(invalid([{ path, code, detail }]))

/** The payload as raw bytes with their media type (rules 2). */
const payloadOf = (body: wire.InsertBody): E.Either<Problem, Payload> => {
  const { payload, payloadBase64, mediaType } = body
  if (payload !== undefined && payloadBase64 !== undefined) return bad('/payloadBase64', 'choice', 'Expected payload or payloadBase64, not both.')
  if (payloadBase64 !== undefined) {
    const bytes = Buffer.from(payloadBase64, 'base64')
    if (bytes.toString('base64') !== payloadBase64) return bad('/payloadBase64', 'pattern', 'Expected padded base64.')
    if (mediaType !== undefined && isJsonMediaType(mediaType)) return bad('/payloadBase64', 'choice', 'Expected JSON to come in payload, not in payloadBase64.')
    return E.right({ mediaType: mediaType ?? 'application/octet-stream', bytes })
  }
  if (payload === undefined) return E.right({ mediaType: mediaType ?? 'application/json', bytes: undefined })
  if (mediaType !== undefined && !isJsonMediaType(mediaType)) return bad('/mediaType', 'choice', 'Expected a JSON media type; send other payloads in payloadBase64.')
  const bytes = Buffer.from(JSON.stringify(payload))
  if (bytes.length > wire.PAYLOAD_BYTES_MAX) return bad('/payload', 'length', `Expected at most ${wire.PAYLOAD_BYTES_MAX} bytes, but there are ${bytes.length}.`)
  return E.right({ mediaType: mediaType ?? 'application/json', bytes })
}

export const insertTask: Handle<typeof wire.insertTask> = async ({ params, body }, call) => {
  const payload = payloadOf(body)
  if (E.isLeft(payload)) return payload
  const { app, queue } = params
  const { tag, priority, key, delaySeconds = 0 } = body
  const name = body.id ?? (call.isNamed ? call.context.commandId : newId(call.world))
  const workItem = taskId(app, queue, name)
  const { mediaType, bytes } = payload.right
  const command = {
    type: 'InsertTask',
    by: call.principal.subject,
    task: { app, queue, tag, priority, key, dueAt: call.engine.now() + msOf(delaySeconds) },
    mediaType,
    digest: contentDigest({ tag, priority, key, delaySeconds, mediaType }, bytes),
  } as const
  const done = await execute(call, workItem, command, bytes)
  if (E.isLeft(done)) return done
  const { item, before, position } = done.right
  const headers = { Location: `/v1/queues/${encodeURIComponent(app)}/${queue}/tasks/${name}` }
  if (item.status !== 'settled')
    return E.right({ status: before.status === 'absent' ? 201 : 200, body: taskView({ workItem, item, position, presence: call.engine.presence(workItem) }), headers })
  const row = await call.engine.read(workItem)
  return E.isLeft(row) ? E.left(fromRefusal(row.left)) : ok(taskView(shown(call, row.right)), headers)
}

export const listTasks: Handle<typeof wire.listTasks> = async ({ params, query }, call) => {
  const by = seesAll(call.principal, 'task') ? undefined : call.principal.subject
  const { state, after } = query
  return pageAnswer(
    call,
    await call.engine.tables.list({ kind: 'task', scope: `${params.app}/${params.queue}`, state, by, order: 'oldest', limit: limitOf(query), after }),
    taskView,
  )
}

/** Payload bytes of one lease answer, at most; the first task always fits (rules 13). */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024

/** How many of the tasks fit into one answer. */
const fitting = (leased: readonly LeasedTask[]): number => {
  let bytes = 0
  const over = leased.findIndex(({ payload }, index) => (bytes += payload?.length ?? 0) > ANSWER_BYTES_MAX && index > 0)
  return over === -1 ? leased.length : over
}

/** Leases that nobody will hear of go back at once, and burn no attempt (rules 27). */
const giveBack = async (call: Call, leased: readonly LeasedTask[]): Promise<void> => {
  await Promise.all(
    leased.map(({ workItem, item }) => {
      const command: CommandToDo = {
        type: 'ReleaseLease',
        by: call.principal.subject,
        lease: item.lease.token,
        busy: false,
        delayMs: 0,
        reason: 'The answer could not carry it.',
      }
      return call.engine.execute(workItem, command, { ...call.context, commandId: call.world.uuid() })
    }),
  )
}

export const leaseTasks: Handle<typeof wire.leaseTasks> = async ({ params, body }, call) => {
  const { subject, email } = call.principal
  const { max = 1, leaseSeconds = LEASE_SECONDS, worker } = body
  const { waitMs } = call
  const holder = { subject, name: worker ?? email, ...(worker === undefined ? {} : { instance: worker }) }
  const leased = await call.engine.leaseTasks(
    { ...params, max, termMs: msOf(leaseSeconds), holder, waitMs: waitMs ?? 0, ...(waitMs === undefined ? {} : { signal: call.signal }) },
    call.context,
  )
  if (E.isLeft(leased)) return E.left(fromRefusal(leased.left))
  const answered = call.isGone() ? 0 : fitting(leased.right)
  const rest = leased.right.slice(answered)
  if (rest.length > 0) await giveBack(call, rest)
  const items = leased.right.slice(0, answered).map((task) => leasedTaskView(task, task.payload))
  return ok({ items, more: rest.length > 0 ? true : undefined }, waitHeaders(call, waitMs))
}

type Ending = AnswerOf<typeof wire.completeTask>

const inQueue = (params: { readonly app: string; readonly queue: string }, body: { readonly id: string }): WorkItemId => taskId(params.app, params.queue, body.id)

/** Carries out a command under a lease and tells what became of the task. */
const underLease = async (call: Call, workItem: WorkItemId, id: string, command: CommandToDo, digest?: string): Promise<Handled<Ending>> => {
  const done = await execute(call, workItem, command)
  if (E.isLeft(done)) return done
  const { item, recorded } = done.right
  return ok({ id, state: surfaceState(item), recorded, late: isLate(item, digest) ? true : undefined, leaseUntil: leaseView(item)?.leaseUntil })
}

/** Doubles with each attempt, half of it by chance, so that tasks that failed together do not return together. */
const retryPauseMs = (call: Call, workItem: WorkItemId): number => {
  const attempt = call.engine.live(workItem)?.attempt ?? 1
  const whole = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** Math.min(30, Math.max(0, attempt - 1)))
  return Math.round(whole * (0.5 + call.world.random() / 2))
}

export const completeTask: Handle<typeof wire.completeTask> = ({ params, body }, call) => {
  const workItem = inQueue(params, body)
  const command = reportCommand(call.principal.subject, { lease: body.lease, outcome: { completed: body.result === undefined ? {} : { result: body.result } } })
  return underLease(call, workItem, body.id, command, command.digest)
}

export const failTask: Handle<typeof wire.failTask> = ({ params, body }, call) => {
  const workItem = inQueue(params, body)
  const command = reportCommand(call.principal.subject, { lease: body.lease, outcome: { failed: body.failed } }, retryPauseMs(call, workItem))
  return underLease(call, workItem, body.id, command, command.digest)
}

const release = (
  subject: string,
  body: { readonly lease: string; readonly reason?: string | undefined; readonly busy?: boolean | undefined; readonly delaySeconds?: number | undefined },
): CommandToDo => ({
  type: 'ReleaseLease',
  by: subject,
  lease: body.lease,
  busy: body.busy ?? false,
  delayMs: msOf(body.delaySeconds ?? 0),
  reason: body.reason,
})

export const releaseTask: Handle<typeof wire.releaseTask> = ({ params, body }, call) => underLease(call, inQueue(params, body), body.id, release(call.principal.subject, body))

/** A lease of no time is given back (rules 21). */
export const extendTask: Handle<typeof wire.extendTask> = ({ params, body }, call) => {
  const by = call.principal.subject
  const command: CommandToDo = body.leaseSeconds === 0 ? release(by, { lease: body.lease }) : { type: 'ExtendLease', by, lease: body.lease, termMs: msOf(body.leaseSeconds) }
  return underLease(call, inQueue(params, body), body.id, command)
}

export const redriveTask: Handle<typeof wire.redriveTask> = ({ params, body }, call) =>
  underLease(call, inQueue(params, body), body.id, { type: 'Redrive', by: call.principal.email })

export const reportTask: Handle<typeof wire.reportTask> = async ({ params, body }, call) => {
  const workItem = inQueue(params, params)
  const command = reportCommand(call.principal.subject, body, body.outcome !== undefined && 'failed' in body.outcome ? retryPauseMs(call, workItem) : 0)
  const done = await execute(call, workItem, command)
  return E.isLeft(done) ? done : ok(reportView(workItem, done.right, command.digest))
}

export const showTask: Handle<typeof wire.showTask> = ({ params }, call) => showItem(call, inQueue(params, params), taskView)

export const askTaskDirective: Handle<typeof wire.askTaskDirective> = ({ params }, call) => pollDirective(call, inQueue(params, params))

export const directTask: Handle<typeof wire.directTask> = ({ params, body }, call) => direct(call, inQueue(params, params), body)

export const taskHistory: Handle<typeof wire.taskHistory> = ({ params, query }, call) => showHistory(call, inQueue(params, params), query)

export const taskWhy: Handle<typeof wire.taskWhy> = ({ params }, call) => showWhy(call, inQueue(params, params))
