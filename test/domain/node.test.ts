// The aggregate of an implementation node: registered, registered anew, removed, and read back from what was stored.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import {
  absentNode,
  decideNode,
  decodeNodeEvent,
  encodeNodeEvent,
  evolveNode,
  nodeOfStream,
  nodeStream,
  type Node,
  type NodeCommand,
  type NodeEvent,
  type NodeFacts,
} from '../../src/domain/node.ts'

const FACTS: NodeFacts = {
  url: 'https://node-1.example',
  operations: [
    { operation: 'CopyImage', long: true, timeoutMs: 900_000, progressEveryMs: 2_000, stalledAfterMs: 60_000 },
    { operation: 'Ping', long: false },
  ],
  instance: 'first',
  secretEnv: 'NODE_1_SECRET',
}
const register = (facts: Partial<Extract<NodeCommand, { type: 'RegisterNode' }>> = {}): NodeCommand => ({
  type: 'RegisterNode',
  by: 'node-1@example.com',
  subject: 'node-1',
  facts: FACTS,
  digest: 'first',
  ...facts,
})
const remove: NodeCommand = { type: 'RemoveNode', by: 'admin@example.com' }
const registered: NodeEvent = { type: 'NodeRegistered', facts: FACTS, digest: 'first', subject: 'node-1', by: 'node-1@example.com' }
const removed: NodeEvent = { type: 'NodeRemoved', by: 'admin@example.com' }

const after = (...events: readonly NodeEvent[]): Node =>
  events.reduce<Node>((node, event, index) => evolveNode(node, event, { time: 1_000 * (index + 1), revision: node.revision + 1 }), absentNode)

describe('registering a node', () => {
  it('is a fact the first time, and nothing when it is in force already', () => {
    expect(decideNode(register(), absentNode)).toEqual(E.right([registered]))
    expect(decideNode(register(), after(registered))).toEqual(E.right([]))
  })

  it('is a fact again when it listens elsewhere, can do something else or has started again', () => {
    const facts = { ...FACTS, instance: 'second' }
    const again = { ...registered, facts, digest: 'second' }
    expect(decideNode(register({ facts, digest: 'second' }), after(registered))).toEqual(E.right([again]))
    expect(after(registered, again)).toEqual({ status: 'registered', revision: 1, createdAt: 1_000, updatedAt: 2_000, facts, digest: 'second', subject: 'node-1' })
    // Back to what it was before is a change too.
    expect(decideNode(register(), after(registered, again))).toEqual(E.right([registered]))
  })

  it('under a name that is somebody else’s is refused, whatever they say of it, until an administrator removes theirs', () => {
    for (const digest of ['first', 'second']) expect(decideNode(register({ subject: 'node-2', digest }), after(registered))).toEqual(E.left({ type: 'id-in-use' }))
    expect(decideNode(register({ subject: 'node-2' }), after(registered, removed))).toEqual(E.right([{ ...registered, subject: 'node-2' }]))
  })

  it('with two classes of one name is refused, and the name is told', () => {
    const facts = { ...FACTS, operations: [...FACTS.operations, { operation: 'CopyImage', long: false }] }
    for (const node of [absentNode, after(registered), after(registered, removed)])
      expect(decideNode(register({ facts }), node)).toEqual(E.left({ type: 'twice', operation: 'CopyImage' }))
  })

  it('with no operation at all is sound: it can do nothing yet', () => {
    expect(E.isRight(decideNode(register({ facts: { url: FACTS.url, operations: [] } }), absentNode))).toBe(true)
  })
})

describe('removing a node', () => {
  it('is a fact once', () => {
    expect(decideNode(remove, after(registered))).toEqual(E.right([removed]))
    expect(decideNode(remove, after(registered, removed))).toEqual(E.right([]))
    expect(decideNode(remove, absentNode)).toEqual(E.left({ type: 'not-found' }))
  })

  it('leaves what it was, and it may be registered again as if nothing had happened', () => {
    expect(after(registered, removed)).toEqual({ status: 'removed', revision: 1, createdAt: 1_000, updatedAt: 2_000, facts: FACTS, digest: 'first', subject: 'node-1' })
    expect(decideNode(register(), after(registered, removed))).toEqual(E.right([registered]))
    expect(after(registered, removed, registered)).toMatchObject({ status: 'registered', revision: 2, createdAt: 1_000, updatedAt: 3_000 })
  })

  it('of what never was leaves it absent', () => expect(after(removed)).toBe(absentNode))
})

describe('the stream of a node', () => {
  it('is named after it, and is the stream of nothing else', () => {
    for (const name of ['nas-1', 'node-1', 'rack.7~b']) expect(nodeOfStream(nodeStream(name))).toBe(name)
    for (const stream of ['workItem-long-task/node-1', 'queue-shop/node-1', 'contract-node-1', 'audit-2026-01-01', 'tokens', 'servers'])
      expect(nodeOfStream(stream)).toBeUndefined()
  })

  it('holds each fact as it has always been stored, and gives it back', () => {
    const stored = { facts: FACTS, digest: 'first', subject: 'node-1', by: 'node-1@example.com' }
    expect(encodeNodeEvent(registered)).toEqual({ type: 'NodeRegistered', v: 1, data: JSON.stringify(stored) })
    expect(encodeNodeEvent(removed)).toEqual({ type: 'NodeRemoved', v: 1, data: '{"by":"admin@example.com"}' })
    for (const event of [registered, removed, { ...registered, facts: { url: FACTS.url, operations: [] } }]) {
      const { type, v, data } = encodeNodeEvent(event)
      expect(decodeNodeEvent(type, v, JSON.parse(data))).toEqual(E.right(event))
    }
  })

  it('names what cannot be read, and skips nothing', () => {
    const { type: _type, ...data } = registered
    for (const type of ['NodeRenamed', 'constructor', '']) expect(decodeNodeEvent(type, 1, data)).toMatchObject(E.left({ reason: 'unknown-type' }))
    expect(decodeNodeEvent('NodeRegistered', 2, data)).toMatchObject(E.left({ reason: 'newer-version' }))
    for (const v of [0, -1, 0.5, Number.NaN]) expect(decodeNodeEvent('NodeRegistered', v, data)).toMatchObject(E.left({ reason: 'invalid' }))
    const operations = [{ operation: 'CopyImage', long: 'very' }]
    for (const wrong of [null, 7, [], {}, { ...data, digest: 1 }, { ...data, facts: { url: FACTS.url } }, { ...data, facts: { url: FACTS.url, operations } }])
      expect(decodeNodeEvent('NodeRegistered', 1, wrong)).toMatchObject(E.left({ reason: 'invalid' }))
    expect(decodeNodeEvent('NodeRemoved', 1, {})).toMatchObject(E.left({ reason: 'invalid' }))
  })
})
