// The one resident structure: every work item that can still change, folded from acknowledged events only (rules 7, 8).
// Over it stand small indexes, each told of every change; settled items leave, and a few of them stay in reach for their duplicates.
import type { WorkItemId } from '../domain/ids.ts'
import { isHeld, isLive, type Existing, type Held, type Owing, type Waiting, type WorkItem } from '../domain/work-item/state.ts'
import type { Position } from '../store/port.ts'

export interface Entry<Item extends Existing = Existing> {
  readonly item: Item
  /** Position of the item's last event. */
  readonly position: Position
}

/** Told of every change after it happened; `after` may be settled, and `position` is that of its last event. */
export type ChangeListener = (workItem: WorkItemId, before: WorkItem, after: Existing, position: Position) => void

export interface Live {
  /** The entry, live or lately settled. */
  readonly get: (workItem: WorkItemId) => Entry | undefined
  readonly put: (workItem: WorkItemId, before: WorkItem, after: Existing, position: Position) => void
  /** Drops what is remembered of an item that is not where it was believed; a live one has to be loaded again. */
  readonly forget: (workItem: WorkItemId) => void
  readonly onChange: (listener: ChangeListener) => void
  readonly entries: () => IterableIterator<[WorkItemId, Entry<Waiting | Held | Owing>]>
  readonly size: () => number
  readonly heldCount: () => number
  /** Requests that are not settled. */
  readonly pendingCount: () => number
}

/** Settled items whose state stays at hand, so that a repeated last report costs no read. */
const SETTLED_KEPT = 10_000

export const createLive = (): Live => {
  const live = new Map<WorkItemId, Entry<Waiting | Held | Owing>>()
  const settled = new Map<WorkItemId, Entry>()
  const listeners: ChangeListener[] = []
  let held = 0
  let pending = 0

  const remember = (workItem: WorkItemId, entry: Entry): void => {
    settled.delete(workItem)
    settled.set(workItem, entry)
    if (settled.size <= SETTLED_KEPT) return
    const oldest = settled.keys().next()
    if (!oldest.done) settled.delete(oldest.value)
  }

  /** 1 if it is among the live items and held. */
  const heldAt = (workItem: WorkItemId): number => {
    const entry = live.get(workItem)
    return entry !== undefined && isHeld(entry.item) ? 1 : 0
  }

  const isPending = ({ kind, status }: Existing): boolean => kind === 'request' && status !== 'settled'
  const pendingAt = (workItem: WorkItemId): number => {
    const entry = live.get(workItem)
    return entry !== undefined && isPending(entry.item) ? 1 : 0
  }

  const put: Live['put'] = (workItem, before, after, position) => {
    held += Number(isHeld(after)) - heldAt(workItem)
    pending += Number(isPending(after)) - pendingAt(workItem)
    if (isLive(after)) live.set(workItem, { item: after, position })
    else {
      live.delete(workItem)
      remember(workItem, { item: after, position })
    }
    if (isLive(after)) settled.delete(workItem)
    for (const listener of listeners) listener(workItem, before, after, position)
  }

  return {
    get: (workItem) => live.get(workItem) ?? settled.get(workItem),
    put,
    forget: (workItem) => {
      held -= heldAt(workItem)
      pending -= pendingAt(workItem)
      live.delete(workItem)
      settled.delete(workItem)
    },
    onChange: (listener) => void listeners.push(listener),
    entries: () => live.entries(),
    size: () => live.size,
    heldCount: () => held,
    pendingCount: () => pending,
  }
}
