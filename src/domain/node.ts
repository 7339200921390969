// An implementation node (D): where it listens and which operations it can run. Events, state and decision of the aggregate; what it runs are work items.
import * as t from 'io-ts'
import { aggregateCodec, type AggregateCodec } from './aggregate-codec.ts'
import { accept, reject, type Decision } from './decider.ts'
import type { At } from './work-item/evolve.ts'

/** What a node says of a class of operations. */
export const DeclaredOperation = t.intersection([
  t.type({
    operation: t.string,
    /** It goes on the node's list and is reported on; else it is answered at once. */
    long: t.boolean,
  }),
  t.partial({ timeoutMs: t.number, progressEveryMs: t.number, stalledAfterMs: t.number }),
])
export type DeclaredOperation = t.TypeOf<typeof DeclaredOperation>

export const NodeFacts = t.intersection([
  t.type({ url: t.string, operations: t.array(DeclaredOperation) }),
  t.partial({
    /** Made once per process: tells a restarted node from the one before. */
    instance: t.string,
    /** Variable of the server's environment that holds the secret with which calls to the node are signed: no secret stands in the log. */
    secretEnv: t.string,
  }),
])
export type NodeFacts = t.TypeOf<typeof NodeFacts>

const STREAM_PREFIX = 'node-'

/** The stream of what happens to a node itself; its long tasks have streams of their own. */
export const nodeStream = (node: string): string => STREAM_PREFIX + node

/** The node whose stream this is; undefined for every other stream. */
export const nodeOfStream = (stream: string): string | undefined => (stream.startsWith(STREAM_PREFIX) ? stream.slice(STREAM_PREFIX.length) : undefined)

/**
 * What is signed in place of the body that a question for the list has not: a signature over nothing would open the list of every node with the same secret to whoever was asked
 * once.
 */
export const askedForList = (node: string): string => `GET /v1/node/operations ${node}`

// ---- events ----

const nodeEvents = {
  /** `subject` is whoever reports for it, and nobody else may. */
  NodeRegistered: t.type({ type: t.literal('NodeRegistered'), facts: NodeFacts, digest: t.string, subject: t.string, by: t.string }),
  NodeRemoved: t.type({ type: t.literal('NodeRemoved'), by: t.string }),
} as const
export type NodeEvent = t.TypeOf<(typeof nodeEvents)[keyof typeof nodeEvents]>

/** Version that is written now (rules 15). */
export const NODE_EVENT_VERSION = 1

const codec = aggregateCodec<NodeEvent>('node', NODE_EVENT_VERSION, nodeEvents)

/** What is stored of an event. */
export const encodeNodeEvent = codec.encode

/** The event that was stored as this type, version and (already parsed) data. */
export const decodeNodeEvent: AggregateCodec<NodeEvent>['decode'] = codec.decode

// ---- state ----

export interface AbsentNode {
  readonly status: 'absent'
  readonly revision: -1
}

export interface ExistingNode {
  readonly status: 'registered' | 'removed'
  readonly revision: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly facts: NodeFacts
  readonly digest: string
  /** Whoever reports for it. */
  readonly subject: string
}

export type Node = AbsentNode | ExistingNode

export const absentNode: AbsentNode = { status: 'absent', revision: -1 }

/** The node after one more fact. */
export const evolveNode = (node: Node, event: NodeEvent, { revision, time }: At): Node => {
  switch (event.type) {
    case 'NodeRegistered': {
      const { facts, digest, subject } = event
      return { status: 'registered', revision, createdAt: node.status === 'absent' ? time : node.createdAt, updatedAt: time, facts, digest, subject }
    }
    case 'NodeRemoved':
      return node.status === 'absent' ? absentNode : { ...node, status: 'removed', revision, updatedAt: time }
  }
}

// ---- decision ----

export type NodeCommand =
  | {
      readonly type: 'RegisterNode'
      readonly by: string
      readonly subject: string
      readonly facts: NodeFacts
      /** SHA-256 of the facts in canonical JSON. */
      readonly digest: string
    }
  | { readonly type: 'RemoveNode'; readonly by: string }

export type NodeRejection = { readonly type: 'not-found' } | { readonly type: 'id-in-use' } | { readonly type: 'twice'; readonly operation: string }

const repeated = (names: readonly string[]): string | undefined => {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) return name
    seen.add(name)
  }
  return undefined
}

/** What is in force already is no news. A name belongs to whoever registered it first, until an administrator removes the node. */
export const decideNode = (c: NodeCommand, node: Node): Decision<NodeEvent, NodeRejection> => {
  switch (c.type) {
    case 'RegisterNode': {
      if (node.status === 'registered' && node.subject !== c.subject) return reject({ type: 'id-in-use' })
      const operation = repeated(c.facts.operations.map((declared) => declared.operation))
      if (operation !== undefined) return reject({ type: 'twice', operation })
      const { facts, digest, subject, by } = c
      return node.status === 'registered' && node.digest === digest ? accept() : accept<NodeEvent>({ type: 'NodeRegistered', facts, digest, subject, by })
    }
    case 'RemoveNode':
      if (node.status === 'absent') return reject({ type: 'not-found' })
      return node.status === 'removed' ? accept() : accept<NodeEvent>({ type: 'NodeRemoved', by: c.by })
  }
}
