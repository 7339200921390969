// Which long tasks wait for a node, and which it holds: an index over `live`. Those that an implementation node runs from its own log are in nobody's.
import type { WorkItemId } from '../../domain/ids.ts'
import { isRunHere } from '../../domain/work-item/operations.ts'
import { isHeld, type Existing, type OperationFacts } from '../../domain/work-item/state.ts'

/** Over a shared log one server deals with a node: this names what it does. */
export const nodeDuty = (node: string): string => `node ${node}`

/** A long task that this server has given out, or will. */
export type GivenOut = Existing & { readonly operation: OperationFacts }

export const isGivenOut = (item: Existing | undefined): item is GivenOut => item?.operation !== undefined && !isRunHere(item)

export interface NodeIndex {
  readonly changed: (workItem: WorkItemId, after: GivenOut) => void
  /** Not taken yet, paused ones too; in the order in which they came. */
  readonly waitingFor: (node: string) => ReadonlySet<WorkItemId>
  readonly heldBy: (node: string) => ReadonlySet<WorkItemId>
  /** Nodes for which anything waits, or that hold anything. */
  readonly nodes: () => Iterable<string>
}

const NONE: ReadonlySet<WorkItemId> = new Set()

export const createNodeIndex = (): NodeIndex => {
  const waiting = new Map<string, Set<WorkItemId>>()
  const held = new Map<string, Set<WorkItemId>>()

  const put = (sets: Map<string, Set<WorkItemId>>, node: string, workItem: WorkItemId, isIn: boolean): void => {
    const items = sets.get(node)
    if (isIn) sets.set(node, (items ?? new Set()).add(workItem))
    else if (items?.delete(workItem) === true && items.size === 0) sets.delete(node)
  }

  return {
    changed: (workItem, after) => {
      const { node } = after.operation
      put(waiting, node, workItem, after.status === 'waiting')
      put(held, node, workItem, isHeld(after))
    },
    waitingFor: (node) => waiting.get(node) ?? NONE,
    heldBy: (node) => held.get(node) ?? NONE,
    nodes: () => new Set([...waiting.keys(), ...held.keys()]),
  }
}
