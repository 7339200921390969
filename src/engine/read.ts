// Reading one work item: its state from `live`, and what state does not keep (birth, ending, late result) from its stream.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import { readEvent } from '../projections/fold.ts'
import type { Birth, Ending, ItemRow } from '../projections/tables.ts'
import { StoreFault, type EventStore, type RecordedEvent } from '../store/port.ts'
import type { Engine } from './engine.ts'
import type { Handler } from './handle.ts'

/** Facts that may follow a settlement and are looked through for a late result. Others than that are of one reply's effects, and come after it seldom. */
const TAIL = 200

const decodeAll = (events: readonly RecordedEvent[]): E.Either<StoreFault, readonly WorkItemEvent[]> => {
  const decoded: WorkItemEvent[] = []
  for (const recorded of events) {
    const event = readEvent(recorded)
    if (E.isLeft(event)) return E.left(new StoreFault('damaged', event.left.detail))
    decoded.push(event.right)
  }
  return E.right(decoded)
}

const isBirth = (event: WorkItemEvent): event is Birth =>
  event.type === 'JobRegistered' || event.type === 'TaskInserted' || event.type === 'RequestAccepted' || event.type === 'OperationDispatched'
const isEnding = (event: WorkItemEvent): event is Ending =>
  event.type === 'Completed' || event.type === 'Failed' || event.type === 'Aborted' || event.type === 'Cancelled' || event.type === 'TimedOut'

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
    if (item.status === 'settled' && item.erased === true) return E.left({ type: 'erased' })
    const head = await part(workItem, 0, 1)
    if (E.isLeft(head)) return head
    const birth = head.right.find(isBirth)
    if (birth === undefined) return E.left(new StoreFault('damaged', `The stream of ${workItem} does not begin with its birth`))
    const row: ItemRow = { workItem, item, birth, position }
    if (item.status !== 'settled') return E.right(row)
    const tail = await part(workItem, item.endRevision, TAIL)
    if (E.isLeft(tail)) return tail
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
