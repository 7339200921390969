// Reading one work item: its state from `live`, and what state does not keep (birth, ending, late result) from its stream.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import { isTombstone, type WorkItemEvent } from '../domain/work-item/events.ts'
import { readEvent } from '../projections/fold.ts'
import type { Birth, Ending, ItemRow } from '../projections/tables.ts'
import { ERASED_DATA, StoreFault, type EventStore, type RecordedEvent } from '../store/port.ts'
import type { Engine } from './engine.ts'
import type { Handler } from './handle.ts'

/** Events at the end of a settled stream among which its ending is: after it at most a late result and three more facts follow (rules 22). */
const TAIL = 8

const decodeAll = (events: readonly RecordedEvent[]): E.Either<StoreFault, readonly WorkItemEvent[]> => {
  const decoded: WorkItemEvent[] = []
  for (const recorded of events) {
    if (recorded.data === ERASED_DATA) continue
    const event = readEvent(recorded)
    if (E.isLeft(event)) return E.left(new StoreFault('damaged', event.left.detail))
    decoded.push(event.right)
  }
  return E.right(decoded)
}

/** A tombstone stands for the birth that was erased with everything else. */
const isBirth = (event: WorkItemEvent): event is Birth => event.type === 'JobRegistered' || event.type === 'TaskInserted' || isTombstone(event)
const isEnding = (event: WorkItemEvent): event is Ending => event.type === 'Completed' || event.type === 'Failed' || event.type === 'Aborted' || event.type === 'Cancelled'

export const createRead = (store: EventStore, handler: Handler): Engine['read'] => {
  const part = async (workItem: WorkItemId, from: number, max: number) => {
    const events = await store.readStream(streamOf(workItem), { from, max })()
    return E.isLeft(events) ? events : decodeAll(events.right)
  }

  return async (workItem) => {
    const loaded = await handler.load(workItem)
    if (E.isLeft(loaded)) return loaded
    const { item, position } = loaded.right
    if (item.status === 'absent') return E.left({ type: 'not-found' })
    const head = await part(workItem, 0, 1)
    if (E.isLeft(head)) return head
    // The tombstone of an item that was erased is near the end of its stream, and the first of what is left when all before it is pruned.
    const tail = item.status === 'settled' || head.right.length === 0 ? await part(workItem, Math.max(0, item.revision + 1 - TAIL), TAIL) : E.right([])
    if (E.isLeft(tail)) return tail
    const birth = head.right.find(isBirth) ?? tail.right.findLast(isBirth)
    if (birth === undefined) return E.left(new StoreFault('damaged', `The stream of ${workItem} does not begin with its birth`))
    const row: ItemRow = { workItem, item, birth, position }
    if (item.status !== 'settled') return E.right(row)
    const late = tail.right.find((event) => event.type === 'LateResultRecorded')
    return E.right({ ...row, ending: tail.right.find(isEnding), ...(late === undefined ? {} : { late }) })
  }
}

/** Events of one item, from a revision on. */
export const createHistory =
  (store: EventStore): Engine['history'] =>
  async (workItem, { from, max }) => {
    const events = await store.readStream(streamOf(workItem), { from, max })()
    return E.isRight(events) && events.right.length === 0 && from === 0 ? E.left({ type: 'not-found' }) : events
  }
