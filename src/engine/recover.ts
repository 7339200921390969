// Brings `live` back after a start: the live items that the tables kept, then every event after them; without tables, every event there is.
// Nothing is skipped: an event that this version does not know stops the start and is named (rules 15).
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, workItemOf, type WorkItemId } from '../domain/ids.ts'
import { decodeEvent } from '../domain/work-item/codec.ts'
import { evolve } from '../domain/work-item/evolve.ts'
import { absent, isLive, type WorkItem } from '../domain/work-item/state.ts'
import { StoreFault, type EventReader, type Position, type RecordedEvent } from '../store/port.ts'
import type { Tables } from '../projections/tables.ts'
import { foldStream, type Loaded } from './handle.ts'
import type { Live } from './live.ts'

/** Events read and folded at once. */
const PAGE = 5_000

export interface Recovered {
  /** Items that came from the tables. */
  readonly kept: number
  /** Events folded after them. */
  readonly folded: number
  readonly position: Position
}

/** One event on top of what is known. A redriven dead letter was not live, so its stream is read up to here. */
const applyOne = async (reader: EventReader, items: Map<WorkItemId, Loaded>, workItem: WorkItemId, recorded: RecordedEvent): Promise<E.Either<StoreFault, void>> => {
  const known = items.get(workItem)
  if (known === undefined && recorded.type === 'Redriven') {
    let loaded: Loaded = { item: absent, position: '' }
    while (loaded.item.revision < recorded.revision) {
      const page = await reader.readStream(streamOf(workItem), { from: loaded.item.revision + 1, max: Math.min(PAGE, recorded.revision - loaded.item.revision) })()
      if (E.isLeft(page)) return page
      if (page.right.length === 0) return E.left(new StoreFault('damaged', `The stream of ${workItem} ends before revision ${recorded.revision}`))
      const folded = foldStream(page.right, loaded)
      if (E.isLeft(folded)) return folded
      loaded = folded.right
    }
    items.set(workItem, loaded)
    return E.right(undefined)
  }
  const decoded = decodeEvent(recorded.type, recorded.v, JSON.parse(recorded.data))
  if (E.isLeft(decoded)) return E.left(new StoreFault('damaged', `Event ${recorded.position} (${recorded.type} v${recorded.v}) cannot be read by this version of Stint: ${decoded.left.detail}`))
  const item: WorkItem = evolve(known?.item ?? absent, decoded.right, { time: recorded.time, revision: recorded.revision })
  if (isLive(item)) items.set(workItem, { item, position: recorded.position })
  else items.delete(workItem)
  return E.right(undefined)
}

/** Fills `live`. Left when the log cannot be read or holds what this version does not know. */
export const recover = async (options: {
  readonly reader: EventReader
  readonly tables: Tables
  readonly live: Live
  readonly onProgress?: ((folded: number, position: Position) => void) | undefined
}): Promise<E.Either<StoreFault, Recovered>> => {
  const { reader, tables, live } = options
  const head = await reader.head()()
  if (E.isLeft(head)) return head
  const kept = await tables.liveItems()
  const items = new Map<WorkItemId, Loaded>()
  if (kept.position !== undefined) for (const { workItem, item, position } of kept.items) items.set(workItem, { item, position })
  const fromTables = items.size
  let position = kept.position
  let folded = 0
  for (;;) {
    const page = await reader.readAll({ ...(position === undefined ? {} : { after: position }), max: PAGE })()
    if (E.isLeft(page)) return page
    for (const recorded of page.right) {
      const workItem = workItemOf(recorded.stream)
      if (workItem === undefined) continue
      const applied = await applyOne(reader, items, workItem, recorded)
      if (E.isLeft(applied)) return applied
    }
    position = page.right[page.right.length - 1]?.position ?? position
    folded += page.right.length
    if (page.right.length < PAGE) break
    options.onProgress?.(folded, position ?? head.right.position)
  }
  for (const [workItem, loaded] of items) if (loaded.item.status !== 'absent') live.put(workItem, absent, loaded.item, loaded.position)
  return E.right({ kept: fromTables, folded, position: position ?? head.right.position })
}
