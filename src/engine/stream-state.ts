// What a stream says of its work item, read from the store: all of it, or what has come on top of what is known.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import { evolve } from '../domain/work-item/evolve.ts'
import { absent, type WorkItem } from '../domain/work-item/state.ts'
import { readEvent } from '../projections/fold.ts'
import { ERASED_DATA, StoreFault, type EventReader, type Position, type RecordedEvent } from '../store/port.ts'

/** Events read at once from one stream. */
const STREAM_PAGE = 1_000

export interface Loaded {
  readonly item: WorkItem
  /** Position of the last event; empty for an absent item. */
  readonly position: Position
}

export const NOTHING_LOADED: Loaded = { item: absent, position: '' }

/** More events of the item's stream on top of what is known of it. What is erased is passed over; the tombstone behind it is the item's birth. */
export const foldOn = (events: readonly RecordedEvent[], from: Loaded): E.Either<StoreFault, Loaded> => {
  let { item, position } = from
  for (const recorded of events) {
    if (recorded.data === ERASED_DATA) continue
    const event = readEvent(recorded)
    if (E.isLeft(event)) return E.left(new StoreFault('damaged', event.left.detail))
    item = evolve(item, event.right, recorded)
    position = recorded.position
  }
  return E.right({ item, position })
}

/** What is known of the item, brought up to its stream's head, or to the revision before `end`. */
export const readOn = async (reader: EventReader, workItem: WorkItemId, known: Loaded = NOTHING_LOADED, end = Infinity): Promise<E.Either<StoreFault, Loaded>> => {
  let loaded = known
  for (let from = known.item.revision + 1; from < end;) {
    const max = Math.min(STREAM_PAGE, end - from)
    const page = await reader.readStream(streamOf(workItem), { from, max })()
    if (E.isLeft(page)) return page
    // Where events were pruned the read begins behind them, and may reach further than was meant.
    const folded = foldOn(
      page.right.filter(({ revision }) => revision < end),
      loaded,
    )
    if (E.isLeft(folded)) return folded
    loaded = folded.right
    const last = page.right[page.right.length - 1]
    if (last === undefined || page.right.length < max) break
    from = last.revision + 1
  }
  return E.right(loaded)
}
