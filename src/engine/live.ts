// The one resident structure: every work item that can still change, folded from acknowledged events only (rules 7, 8).
// Over it stand small indexes, each told of every change; settled items leave, and a few of them stay in reach for their duplicates.
import type { WorkItemId } from '../domain/ids.ts'
import { isHeld, isLive, type Existing, type Held, type Owing, type Waiting, type WorkItem } from '../domain/work-item/state.ts'
import type { Position } from '../store/port.ts'
import { createOldestFirst } from './oldest-first.ts'

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

/** Requests are called again long after they settled, and each that is not at hand is read from its stream: as many as have small replies on the shelf. */
const REQUESTS_KEPT = 40_000

export const createLive = (): Live => {
  const live = new Map<WorkItemId, Entry<Waiting | Held | Owing>>()
  const settled = createOldestFirst<WorkItemId, Entry>()
  const requests = createOldestFirst<WorkItemId, Entry>()
  const listeners: ChangeListener[] = []
  let held = 0
  let pending = 0

  const remember = (workItem: WorkItemId, entry: Entry): void => {
    const isRequest = entry.item.kind === 'request'
    const kept = isRequest ? requests : settled
    kept.set(workItem, entry)
    kept.trim(isRequest ? REQUESTS_KEPT : SETTLED_KEPT)
  }

  const forgetSettled = (workItem: WorkItemId): void => {
    settled.delete(workItem)
    requests.delete(workItem)
  }

  const isPending = ({ kind, status }: Existing): boolean => kind === 'request' && status !== 'settled'

  /** What was among the live items until now counts no longer. */
  const uncount = (entry: Entry | undefined): void => {
    if (entry === undefined) return
    if (isHeld(entry.item)) held -= 1
    if (isPending(entry.item)) pending -= 1
  }

  const put: Live['put'] = (workItem, before, after, position) => {
    const standing = live.get(workItem)
    uncount(standing)
    if (isHeld(after)) held += 1
    if (isPending(after)) pending += 1
    if (isLive(after)) {
      live.set(workItem, { item: after, position })
      if (standing === undefined && before.status !== 'absent') forgetSettled(workItem)
    } else {
      if (standing !== undefined) live.delete(workItem)
      remember(workItem, { item: after, position })
    }
    for (const listener of listeners) listener(workItem, before, after, position)
  }

  return {
    get: (workItem) => live.get(workItem) ?? settled.get(workItem) ?? requests.get(workItem),
    put,
    forget: (workItem) => {
      uncount(live.get(workItem))
      live.delete(workItem)
      forgetSettled(workItem)
    },
    onChange: (listener) => void listeners.push(listener),
    entries: () => live.entries(),
    size: () => live.size,
    heldCount: () => held,
    pendingCount: () => pending,
  }
}
