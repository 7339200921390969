// Implementation nodes (D): what one says of itself to the management side, and what it is asked itself.
import * as t from 'io-ts'
import { directive, itemId, lease, outcome, page, pageQuery, progress, reason, route } from './items.ts'
import { nodeName, operationName, sentOperation, timing } from './long-tasks.ts'
import { fields, instant, number, oneOf, text } from './schema.ts'

/** Classes of operations that one node may know. */
export const OPERATIONS_MAX = 1_000

/** `long`: it goes on the node's list and is reported on; else it is answered at once. */
export const declaredOperation = fields({ operation: operationName, long: t.boolean }, timing)
export type DeclaredOperation = t.TypeOf<typeof declaredOperation>

const nodeFacts = {
  id: nodeName,
  url: text({ min: 1, max: 2_000, description: 'where it listens; has to match the setting allowUrls' }),
  operations: t.array(declaredOperation),
}
const instance = text({ min: 1, max: 100, description: 'made once per process' })

export const registerNodeBody = fields(nodeFacts, {
  instance,
  secretEnv: text({
    min: 1,
    max: 100,
    pattern: /^[A-Za-z_][A-Za-z0-9_]*$/,
    description: "variable of the server's environment with the secret that calls to the node are signed with",
  }),
})
export type RegisterNodeBody = t.TypeOf<typeof registerNodeBody>

/** `health` and what stands with it are volatile: what this server found when it last called the node. */
export const node = fields(
  {
    ...nodeFacts,
    health: oneOf('unknown', 'up', 'down'),
    running: number({ min: 0, integer: true, description: 'long tasks that it holds' }),
    waiting: number({ min: 0, integer: true, description: 'long tasks that it has not taken yet' }),
    createdAt: instant,
    updatedAt: instant,
  },
  { instance, secretEnv: text({ max: 100 }), healthSince: instant, lastAnsweredAt: instant, lastFailure: text({ max: 1_000 }) },
)
export type NodeShown = t.TypeOf<typeof node>

const oneNode = fields({ node: nodeName })

export const registerNode = route({
  name: 'registerNode',
  method: 'POST',
  path: '/v1/nodes',
  tag: 'nodes',
  summary: 'Register an implementation node, or say where it is now and what it can do',
  roles: ['node'],
  body: registerNodeBody,
  answers: { 201: node, 200: node },
  headers: ['Idempotency-Key'],
  problems: ['id-in-use'],
})

export const listNodes = route({
  name: 'listNodes',
  method: 'GET',
  path: '/v1/nodes',
  tag: 'nodes',
  summary: 'List implementation nodes, by name',
  roles: ['viewer', 'management', 'node'],
  query: fields({}, pageQuery),
  answers: { 200: page(node) },
})

export const showNode = route({
  name: 'showNode',
  method: 'GET',
  path: '/v1/nodes/{node}',
  tag: 'nodes',
  summary: 'Show an implementation node and whether it answers',
  roles: ['viewer', 'management', 'node'],
  params: oneNode,
  answers: { 200: node },
  problems: ['not-found'],
})

export const removeNode = route({
  name: 'removeNode',
  method: 'DELETE',
  path: '/v1/nodes/{node}',
  tag: 'nodes',
  summary: 'Forget an implementation node; its long tasks wait for it until their timeout',
  roles: [],
  params: oneNode,
  answers: { 200: node },
  problems: ['not-found'],
})

// ---- what an implementation node answers itself: no routes of a Stint server ----

export const takenAnswer = fields({ id: itemId }, { outcome })
export type TakenAnswer = t.TypeOf<typeof takenAnswer>

export const entity = fields(
  { id: itemId, lease, operation: operationName, state: oneOf('waiting', 'running', 'paused', 'ended'), attempt: number({ min: 0, integer: true }) },
  { phase: text({ max: 200 }), progress, outcome },
)
export type Entity = t.TypeOf<typeof entity>

export const takeOperation = route({
  name: 'takeOperation',
  method: 'POST',
  path: '/v1/node/operations',
  tag: 'node',
  summary: 'Take an operation: 202 when it goes on the list, 200 with its outcome when it is short',
  roles: 'anyone',
  body: sentOperation,
  answers: { 200: takenAnswer, 202: takenAnswer },
  problems: ['forbidden', 'unknown-operation', 'exists-with-other-content'],
})

/** Everything that it was given and whose end has not been acknowledged, in one answer. */
export const listOperations = route({
  name: 'listOperations',
  method: 'GET',
  path: '/v1/node/operations',
  tag: 'node',
  summary: "The node's long-operation list",
  roles: 'anyone',
  answers: { 200: fields({ node: nodeName, instance, items: t.array(entity) }) },
})

export const directOperation = route({
  name: 'directOperation',
  method: 'POST',
  path: '/v1/node/operations/{id}/directives',
  tag: 'node',
  summary: 'Abort, pause or resume an operation that runs on this node',
  roles: 'anyone',
  params: fields({ id: itemId }),
  body: fields({ lease, number: number({ min: 1, integer: true }), directive: oneOf('abort', 'pause', 'resume') }, { reason }),
  answers: { 200: fields({ id: itemId, directive }) },
  problems: ['not-found', 'stale-lease', 'settled'],
})
