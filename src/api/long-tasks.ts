// Long tasks (D) over HTTP: management nodes give operations out, look and direct; implementation nodes report. Each report of many is authorised by itself.
import * as E from 'fp-ts/lib/Either.js'
import { contentDigest } from '../engine/digest.ts'
import type { Done } from '../engine/command.ts'
import type { Engine } from '../engine/engine.ts'
import type { ReportBody } from '../wire/items.ts'
import * as wire from '../wire/long-tasks.ts'
import type { AnswerOf } from '../wire/route.ts'
import { longTaskId, type Existing, type WorkItemId } from '../wire/words.ts'
import { execute, newId, ok, type Call, type Handle, type Handled } from './call.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, limitOf, pageAnswer, readVisible, reportCommand, reportView, showHistory, showItem, shown, showWhy, visible, visibleIfOwn } from './items.ts'
import { longTaskView } from './long-task-views.ts'
import { seesAll } from './permission.ts'
import { hasRole } from './principal.ts'
import { fromRefusal, problem, type Problem } from './problem.ts'
import { msOf } from './task-commands.ts'
import type { Shown } from './views.ts'

const LEASE_TOKEN_LENGTH = 8

type NodeView = NonNullable<ReturnType<Engine['longTasks']['node']>>

/** The item as it stands, whoever asks. */
const itemOf = async (call: Call, workItem: WorkItemId): Promise<E.Either<Problem, Existing>> => {
  const live = call.engine.live(workItem)
  if (live !== undefined) return live.status === 'settled' && live.erased === true ? E.left(problem('erased')) : E.right(live)
  const row = await call.engine.read(workItem)
  return E.isLeft(row) ? E.left(fromRefusal(row.left)) : E.right(row.right.item)
}

/** How far sending it has got, while its node has not taken it. */
export const sendingFor = (call: Call, { workItem, item }: Shown) => call.engine.longTasks.sendingOf(workItem, item)

const viewFor =
  (call: Call, args?: unknown) =>
  (one: Shown): wire.LongTaskShown =>
    longTaskView(one, { sending: sendingFor(call, one), args })

// ---- management nodes ----

/** Operations that a refusal lists, at most. */
const LISTED_MAX = 100

const unknownOperation = ({ name, facts }: NodeView, operation: string): Problem => {
  const known = facts.operations.map((declared) => declared.operation)
  const more = known.length > LISTED_MAX ? ` and ${known.length - LISTED_MAX} more` : ''
  const list = known.length === 0 ? 'none' : `${known.slice(0, LISTED_MAX).join(', ')}${more}`
  return problem('unknown-operation', `The node ${name} does not know ${operation}. It knows ${list}.`)
}

/** What the call does not say its class does, and what neither says is the same for all. */
const timesOf = (body: wire.DispatchBody, declared: NodeView['facts']['operations'][number] | undefined) => {
  const msIf = (seconds: number | undefined): number | undefined => (seconds === undefined ? undefined : msOf(seconds))
  const stalledAfterMs = msIf(body.stalledAfterSeconds) ?? declared?.stalledAfterMs
  return {
    timeoutMs: msIf(body.timeoutSeconds) ?? declared?.timeoutMs ?? msOf(wire.TIMEOUT_SECONDS),
    progressEveryMs: msIf(body.progressEverySeconds) ?? declared?.progressEveryMs ?? msOf(wire.PROGRESS_EVERY_SECONDS),
    ...(stalledAfterMs === undefined ? {} : { stalledAfterMs }),
  }
}

const dispatched = async (call: Call, workItem: WorkItemId, { item, position }: Done): Promise<E.Either<Problem, wire.LongTaskShown>> => {
  if (item.status !== 'settled') return E.right(viewFor(call)({ workItem, item, position, presence: call.engine.presence(workItem) }))
  const row = await call.engine.read(workItem)
  return E.isLeft(row) ? E.left(fromRefusal(row.left)) : E.right(viewFor(call)(shown(call, row.right)))
}

export const dispatchOperation: Handle<typeof wire.dispatchOperation> = async ({ body }, call) => {
  const { operation, node: nodeName, args } = body
  const name = body.id ?? (call.isNamed ? call.context.commandId : newId(call.world))
  const workItem = longTaskId(name)
  const node = call.engine.longTasks.node(nodeName)
  const declared = node?.facts.operations.find((one) => one.operation === operation)
  // A repeat is answered as the first was, whatever its node knows by now.
  if (node !== undefined && declared === undefined && E.isLeft(await itemOf(call, workItem))) return E.left(unknownOperation(node, operation))
  const { id: _id, ...content } = body
  const done = await execute(
    call,
    workItem,
    {
      type: 'DispatchOperation',
      by: call.principal.subject,
      operation: { operation, node: nodeName, lease: `1.${call.world.token(LEASE_TOKEN_LENGTH)}`, ...timesOf(body, declared) },
      mediaType: 'application/json',
      digest: contentDigest(content),
    },
    args === undefined ? undefined : Buffer.from(JSON.stringify(args)),
  )
  if (E.isLeft(done)) return done
  const view = await dispatched(call, workItem, done.right)
  if (E.isLeft(view)) return view
  return E.right({ status: done.right.before.status === 'absent' ? 201 : 200, body: view.right, headers: { Location: `/v1/long-tasks/${name}` } })
}

export const listLongTasks: Handle<typeof wire.listLongTasks> = async ({ query }, call) => {
  const by = seesAll(call, 'long-task', undefined) ? undefined : call.principal.subject
  const { node, operation, state, after } = query
  const filter = { kind: 'long-task', scope: node, operation, state, by, order: 'newest', limit: limitOf(query), after } as const
  return pageAnswer(call, await call.engine.tables.list(filter), viewFor(call))
}

const isNodeOf = (call: Call, item: Existing): boolean => {
  const name = item.operation?.node
  return name !== undefined && hasRole(call.principal, ['node']) && call.engine.longTasks.node(name)?.subject === call.principal.subject
}

/** Arguments go to whoever gave them, and to the node that runs it (rules 30). */
const argsFor = async (call: Call, workItem: WorkItemId): Promise<unknown> => {
  const item = await itemOf(call, workItem)
  if (E.isLeft(item)) return undefined
  const isMaker = item.right.by === call.principal.subject && hasRole(call.principal, ['management'])
  if (!isMaker && !isNodeOf(call, item.right)) return undefined
  const birth = await call.engine.history(workItem, { from: 0, max: 1 })
  const payload = E.isLeft(birth) ? undefined : birth.right[0]?.payload
  return payload === undefined ? undefined : (JSON.parse(Buffer.from(payload).toString('utf8')) as unknown)
}

export const showLongTask: Handle<typeof wire.showLongTask> = async ({ params }, call) => {
  const workItem = longTaskId(params.id)
  const row = await readVisible(call, workItem)
  return E.isLeft(row) ? row : showItem(call, workItem, viewFor(call, await argsFor(call, workItem)))
}

export const longTaskHistory: Handle<typeof wire.longTaskHistory> = ({ params, query }, call) => showHistory(call, longTaskId(params.id), query)

export const longTaskWhy: Handle<typeof wire.longTaskWhy> = ({ params }, call) => showWhy(call, longTaskId(params.id))

/** Whoever gave it out directs it, and administrators do. */
export const directLongTask: Handle<typeof wire.directLongTask> = async ({ params, body }, call) => {
  const workItem = longTaskId(params.id)
  const item = await itemOf(call, workItem)
  if (E.isLeft(item)) return item
  if (item.right.by !== call.principal.subject && !call.principal.roles.has('admin')) return E.left(problem('forbidden', 'This long task was given out by somebody else.'))
  return direct(call, workItem, body)
}

/** Whoever may see it, and the node that has it. */
export const askLongTaskDirective: Handle<typeof wire.askLongTaskDirective> = ({ params }, call) => {
  const workItem = longTaskId(params.id)
  return pollDirective(call, workItem, {
    atAll: () => (hasRole(call.principal, ['node']) ? E.right(undefined) : visibleIfOwn(call, workItem)),
    one: (item) => (isNodeOf(call, item) ? E.right(undefined) : visible(call, workItem, item)),
  })
}

// ---- implementation nodes ----

/** The node, if the caller reports for it. */
const reporting = (call: Call, name: string): E.Either<Problem, NodeView> => {
  const node = call.engine.longTasks.node(name)
  if (node === undefined) return E.left(problem('not-found', `No node ${name} is registered.`))
  return node.subject === call.principal.subject ? E.right(node) : E.left(problem('forbidden', 'This node was registered by somebody else, who alone reports for it.'))
}

const report = async (call: Call, { name, subject, facts }: NodeView, workItem: WorkItemId, body: ReportBody): Promise<Handled<AnswerOf<typeof wire.reportLongTask>>> => {
  const { instance } = facts
  const command = { ...reportCommand(subject, body), takenBy: { subject, name, ...(instance === undefined ? {} : { instance }) } }
  const done = await execute(call, workItem, command)
  return E.isLeft(done) ? done : ok(reportView(workItem, done.right, command.digest))
}

export const reportLongTasks: Handle<typeof wire.reportLongTasks> = async ({ params, body }, call) => {
  const node = reporting(call, params.node)
  if (E.isLeft(node)) return node
  const workItem = longTaskId(body.id)
  const item = await itemOf(call, workItem)
  if (E.isLeft(item)) return item
  if (item.right.operation?.node !== params.node) return E.left(problem('not-found', `No long task ${body.id} was given to the node ${params.node}.`))
  return report(call, node.right, workItem, body)
}

export const reportLongTask: Handle<typeof wire.reportLongTask> = async ({ params, body }, call) => {
  const workItem = longTaskId(params.id)
  const item = await itemOf(call, workItem)
  if (E.isLeft(item)) return item
  const name = item.right.operation?.node
  if (name === undefined) return E.left(problem('not-found'))
  const node = reporting(call, name)
  return E.isLeft(node) ? node : report(call, node.right, workItem, body)
}
