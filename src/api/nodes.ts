// Implementation nodes (D) over HTTP: they register, everybody concerned looks, administrators remove. What they run is in long-tasks.ts.
import * as E from 'fp-ts/lib/Either.js'
import type { Engine } from '../engine/engine.ts'
import * as wire from '../wire/nodes.ts'
import { ok, type Handle } from './call.ts'
import { limitOf } from './items.ts'
import { nodeView } from './long-task-views.ts'
import { fromRefusal, invalid, problem, type Problem } from './problem.ts'
import { msOf } from './task-commands.ts'

type Nodes = Engine['longTasks']
type Facts = Parameters<Nodes['register']>[1]
type Refused = Awaited<ReturnType<Nodes['register']>> extends E.Either<infer Refusal, unknown> ? Refusal : never

/** What was left out stays out: it is stored, and its digest tells a repeat. */
const factsOf = ({ url, operations, instance, secretEnv }: wire.RegisterNodeBody): Facts => ({
  url,
  operations: operations.map(({ operation, long, timeoutSeconds, progressEverySeconds, stalledAfterSeconds }) => ({
    operation,
    long,
    ...(timeoutSeconds === undefined ? {} : { timeoutMs: msOf(timeoutSeconds) }),
    ...(progressEverySeconds === undefined ? {} : { progressEveryMs: msOf(progressEverySeconds) }),
    ...(stalledAfterSeconds === undefined ? {} : { stalledAfterMs: msOf(stalledAfterSeconds) }),
  })),
  ...(instance === undefined ? {} : { instance }),
  ...(secretEnv === undefined ? {} : { secretEnv }),
})

const notRegistered = (refused: Refused): Problem => {
  if (!('type' in refused)) return fromRefusal(refused)
  switch (refused.type) {
    case 'not-callable':
      return invalid([{ path: `/${refused.fact}`, code: 'pattern', detail: `Expected a node that this server may call. ${refused.detail}` }])
    case 'twice':
      return invalid([{ path: '/operations', code: 'choice', detail: `Expected each operation once, but "${refused.operation}" comes twice.` }])
    case 'id-in-use':
      return problem('id-in-use', 'A node of this name was registered by somebody else. An administrator can remove it.')
    case 'not-found':
      return problem('not-found')
  }
}

export const registerNode: Handle<typeof wire.registerNode> = async ({ body }, call) => {
  const { length } = body.operations
  if (length > wire.OPERATIONS_MAX)
    return E.left(invalid([{ path: '/operations', code: 'length', detail: `Expected at most ${wire.OPERATIONS_MAX} operations, but there are ${length}.` }]))
  const done = await call.engine.longTasks.register(body.id, factsOf(body), call.context)
  if (E.isLeft(done)) return E.left(notRegistered(done.left))
  return E.right({ status: done.right.isNew ? 201 : 200, body: nodeView(done.right.view), headers: { Location: `/v1/nodes/${body.id}` } })
}

export const listNodes: Handle<typeof wire.listNodes> = ({ query }, call) => {
  const { after = '' } = query
  const rest = call.engine.longTasks.nodes().filter(({ name }) => name > after)
  const shown = rest.slice(0, limitOf(query))
  return ok({ items: shown.map(nodeView), next: shown.length < rest.length ? shown.at(-1)?.name : undefined })
}

export const showNode: Handle<typeof wire.showNode> = ({ params }, call) => {
  const node = call.engine.longTasks.node(params.node)
  return node === undefined ? E.left(problem('not-found', `No node ${params.node} is registered.`)) : ok(nodeView(node))
}

export const removeNode: Handle<typeof wire.removeNode> = async ({ params }, call) => {
  const done = await call.engine.longTasks.remove(params.node, call.context)
  return E.isLeft(done) ? E.left(notRegistered(done.left)) : ok(nodeView(done.right))
}
