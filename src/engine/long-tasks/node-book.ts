// The nodes themselves: what the log says of each, and the one way in which their streams grow. What they run is not here; those are work items.
import { absentNode, decideNode, decodeNodeEvent, encodeNodeEvent, evolveNode, nodeStream, type ExistingNode } from '../../domain/node.ts'
import type { Node, NodeCommand, NodeEvent, NodeRejection } from '../../domain/node.ts'
import { createBook, type Aggregate, type Book } from '../book.ts'

export type NodeBook = Book<NodeCommand, Node, NodeEvent, NodeRejection>

/** A node that is registered now. */
export type RegisteredNode = ExistingNode & { readonly status: 'registered' }

const aggregate: Aggregate<NodeCommand, Node, NodeEvent, NodeRejection> = {
  noun: 'node',
  streamOf: nodeStream,
  absent: absentNode,
  decide: decideNode,
  evolve: evolveNode,
  encode: encodeNodeEvent,
  decode: decodeNodeEvent,
}

export const createNodeBook = (options: Parameters<typeof createBook>[1]): NodeBook => createBook(aggregate, options)

export const isRegistered = (node: Node): node is RegisteredNode => node.status === 'registered'

export const registeredIn = (book: NodeBook, name: string): RegisteredNode | undefined => {
  const node = book.get(name)
  return isRegistered(node) ? node : undefined
}
