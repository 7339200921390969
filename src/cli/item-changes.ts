// Which events belong to the items that are watched: an event names only its work item, so what the filters ask about is remembered for each.
import type { Http } from '../client/http.ts'
import type { HistoryEvent } from '../wire/items.ts'
import { showWorkItem } from '../wire/service.ts'
import type { NodeShown } from '../wire/nodes.ts'
import type { Kind } from '../wire/words.ts'
import { meantBy, type Item } from './item.ts'
import type { BoardSize, BoardView, Counts } from './item-board.ts'
import { isSettled } from './look.ts'
import type { Paint } from './terminal/text.ts'

export interface Looked {
  readonly items: readonly Item[]
  readonly more: boolean
  readonly counts?: Counts | undefined
  readonly nodes?: readonly NodeShown[] | undefined
  /** The log up to here is in what was looked at. */
  readonly position: string | undefined
}

/** What does not change about an item, by the names that the surface and the event of its birth have for it. */
export type Facts = Readonly<Partial<Record<'service' | 'server' | 'label' | 'app' | 'queue' | 'tag' | 'contract' | 'caller' | 'operation' | 'node', string | undefined>>>

export interface Watched {
  readonly kind: Kind
  /** Global IDs; none: what the filter lets through. */
  readonly workItems: readonly string[]
  /** What an item must have been born with. State cannot be told from an event, so it narrows what is listed, but not the changes. */
  readonly filter: Facts
  /** Global IDs begin so, as far as the filter says. */
  readonly prefix: string
  /** What the filter lets through, as it is now. */
  readonly list: (http: Http) => Promise<Looked>
  /** The nodes on which its items run, as far as the reader may look at them. */
  readonly nodes?: (http: Http) => Promise<readonly NodeShown[] | undefined>
  /** How it is drawn, where one line an item under each other is not enough. */
  readonly draw?: (view: BoardView, size: BoardSize, paint: Paint) => readonly string[]
}

export interface Seen {
  readonly id: string
  readonly workItem: string
  readonly facts: Facts
}

const BIRTHS = new Set(['JobRegistered', 'TaskInserted', 'RequestAccepted', 'OperationDispatched'])
const ENDINGS = new Set(['Completed', 'Failed', 'Aborted', 'Cancelled', 'TimedOut', 'DeadLettered'])

const fits = ({ workItems, filter }: Watched, { workItem, facts }: Seen): boolean => {
  if (workItems.length > 0) return workItems.includes(workItem)
  return Object.entries(filter).every(([name, wanted]) => wanted === undefined || facts[name as keyof Facts] === wanted)
}

/** Whether an item could be watched, before anything is asked about it. */
const mayFit = ({ workItems, prefix }: Watched, workItem: string): boolean => (workItems.length > 0 ? workItems.includes(workItem) : workItem.startsWith(prefix))

export interface ItemsSeen {
  /** The item that the event is about, if it is one of those watched. */
  readonly matching: (event: HistoryEvent) => Promise<Seen | undefined>
  /** Every item that was named has ended. */
  readonly allEnded: () => boolean
}

export const seenOf = (item: Item): Seen => ({ id: item.id, workItem: item.workItem, facts: item })

export const itemsSeen = (http: Http, watched: Watched, first: readonly Item[]): ItemsSeen => {
  const known = new Map<string, Seen>(first.map((item) => [item.workItem, seenOf(item)]))
  const ended = new Set(first.filter((item) => isSettled(item.state)).map((item) => item.workItem))

  const find = async (workItem: string, id: string, event: HistoryEvent): Promise<Seen> => {
    if (BIRTHS.has(event.type)) return { id, workItem, facts: event.data as Facts }
    return known.get(workItem) ?? seenOf(await http.call(showWorkItem, { params: { workItem } }))
  }

  return {
    matching: async (event) => {
      const meant = meantBy(event.workItem ?? '')
      if (meant?.kind !== watched.kind || !mayFit(watched, meant.workItem)) return undefined
      const { workItem } = meant
      const seen = await find(workItem, meant.id, event)
      known.set(workItem, seen)
      const isWatched = fits(watched, seen)
      if (ENDINGS.has(event.type)) {
        // A watch may go on for months: what has ended is asked for again if it is ever heard of.
        known.delete(workItem)
        if (isWatched && watched.workItems.length > 0) ended.add(workItem)
      }
      if (event.type === 'Redriven') ended.delete(workItem)
      return isWatched ? seen : undefined
    },
    allEnded: () => watched.workItems.every((workItem) => ended.has(workItem)),
  }
}
