// The one fold under all projections: recorded events become the changes of work items, each event decoded and evolved once.
// Items that can still change stay at hand; one that is not is loaded from tables that keep it, else from its own stream in the log, so a fold is right wherever it begins.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, workItemOf, type WorkItemId } from '../domain/ids.ts'
import { decodeEvent } from '../domain/work-item/codec.ts'
import { SETTLING, isTombstone, type WorkItemEvent } from '../domain/work-item/events.ts'
import { contractOfStream } from '../domain/contract.ts'
import { nodeOfStream } from '../domain/node.ts'
import { queueOfStream } from '../domain/queue/config.ts'
import { evolve } from '../domain/work-item/evolve.ts'
import { absent, isLive, type Held, type Owing, type Waiting, type WorkItem } from '../domain/work-item/state.ts'
import { ERASED_DATA, StoreFault, type EventReader, type Position, type RecordedEvent } from '../store/port.ts'
import type { Batch, Fact, ItemChange, Known } from './projection.ts'
import { sequenceOf } from './sequence.ts'

/** Raised when `evolve` makes something else of the same events, or another kind of stream has a book: states that were kept under another number are folded anew (rules 12). */
export const FOLD_VERSION = 4

/** An event that this version cannot read; it is never skipped (rules 15). */
export interface UnreadableEvent {
  readonly kind: 'unreadable'
  /** Names the event's position, type and version. */
  readonly detail: string
}

export type FoldFailure = StoreFault | UnreadableEvent

export interface Fold {
  /** What these events, the next in the log, change. At an event that cannot be read it ends before it; Left if that is the first. */
  readonly take: (events: readonly RecordedEvent[]) => Promise<E.Either<FoldFailure, Batch>>
  /** Makes a taken batch part of what is known. Until then the fold stands where it stood. */
  readonly keep: (batch: Batch) => void
  /** Lets go of the items that have been quiet longest, until at most `max` are at hand. */
  readonly trim: (max: number) => void
  readonly live: ReadonlyMap<WorkItemId, Known>
}

const EVENTS_OF_A_STREAM = 1_000

/** Streams of queues, contracts and nodes: whoever starts on the log has to read them. */
const isBookStream = (stream: string): boolean => queueOfStream(stream) !== undefined || contractOfStream(stream) !== undefined || nodeOfStream(stream) !== undefined

/** The work-item event that was recorded; Left with a sentence that names it when this version cannot read it. */
export const readEvent = (recorded: RecordedEvent): E.Either<UnreadableEvent, WorkItemEvent> => {
  const unreadable = (why: string): E.Either<UnreadableEvent, never> =>
    E.left({ kind: 'unreadable', detail: `Event ${recorded.position} (${recorded.type} v${recorded.v}) cannot be read by this version of Stint: ${why}` })
  let data: unknown
  try {
    data = JSON.parse(recorded.data)
  } catch {
    return unreadable('its data is not JSON.')
  }
  const decoded = decodeEvent(recorded.type, recorded.v, data)
  return E.isLeft(decoded) ? unreadable(decoded.left.detail) : decoded
}

/** The events of a stream that are left before `revision`; pruned ones are passed over. */
const eventsBefore = async (reader: EventReader, workItem: WorkItemId, revision: number): Promise<E.Either<StoreFault, readonly RecordedEvent[]>> => {
  const events: RecordedEvent[] = []
  for (let from = 0; from < revision;) {
    const page = await reader.readStream(streamOf(workItem), { from, max: Math.min(EVENTS_OF_A_STREAM, revision - from) })()
    if (E.isLeft(page)) return page
    const last = page.right[page.right.length - 1]
    if (last === undefined) return E.left(new StoreFault('damaged', `The stream of ${workItem} ends before revision ${revision}`))
    for (const recorded of page.right) if (recorded.revision < revision) events.push(recorded)
    from = last.revision + 1
  }
  return E.right(events)
}

/** The item as these events leave it; undefined when its birth is erased or gone. */
const foldStream = (events: readonly RecordedEvent[]): E.Either<FoldFailure, Known | undefined> => {
  let item: WorkItem = absent
  let created = 0
  let position = ''
  for (const recorded of events) {
    if (recorded.data === ERASED_DATA) continue
    const event = readEvent(recorded)
    if (E.isLeft(event)) return event
    if (item.status === 'absent' || isTombstone(event.right)) created = sequenceOf(recorded.position)
    item = evolve(item, event.right, recorded)
    position = recorded.position
  }
  return E.right(item.status === 'absent' ? undefined : { item, created, position })
}

/** The item as its stream has it before `revision`; undefined when its birth is erased or gone. */
export const loadFromLog = async (reader: EventReader, workItem: WorkItemId, revision: number): Promise<E.Either<FoldFailure, Known | undefined>> => {
  const events = await eventsBefore(reader, workItem, revision)
  return E.isLeft(events) ? events : foldStream(events.right)
}

interface Draft {
  readonly workItem: WorkItemId
  readonly before: WorkItem
  readonly facts: Fact[]
  /** Of the stream's first event, as far as anybody knows. */
  readonly born: number | undefined
  created: number
  replaces: number | undefined
  after: WorkItem
  position: Position
}

/** What is known of these items; those that nobody knows are not in it. */
export type LoadItems = (workItems: readonly WorkItemId[]) => Promise<E.Either<StoreFault, ReadonlyMap<WorkItemId, Omit<Known, 'position'>>>>

export interface FoldOptions {
  readonly reader: EventReader
  /** Looks items up in tables that stand exactly where this fold stands. */
  readonly load?: LoadItems | undefined
  /** Live items to begin with. */
  readonly live?: Iterable<readonly [WorkItemId, Known]> | undefined
}

const takeInto = (draft: Draft, event: WorkItemEvent, recorded: RecordedEvent): void => {
  const begins = isTombstone(event)
  if (begins) {
    draft.replaces ??= draft.born
    draft.created = sequenceOf(recorded.position)
  }
  draft.after = evolve(draft.after, event, recorded)
  draft.facts.push({ event, time: recorded.time, position: recorded.position, ...(begins ? { begins } : {}) })
  draft.position = recorded.position
}

/** Items that these events go on with and that are not at hand. */
const missingIn = (events: readonly RecordedEvent[], live: ReadonlyMap<WorkItemId, unknown>): readonly WorkItemId[] => {
  const missing = new Set<WorkItemId>()
  for (const { stream, revision } of events) {
    const workItem = revision === 0 ? undefined : workItemOf(stream)
    if (workItem !== undefined && !live.has(workItem)) missing.add(workItem)
  }
  if (missing.size > 0) for (const { stream, revision } of events) if (revision === 0) missing.delete(workItemOf(stream) ?? '')
  return [...missing]
}

const draftOf = (workItem: WorkItemId, known: Omit<Known, 'position'> | undefined, recorded: RecordedEvent, born?: number): Draft => {
  const before = known?.item ?? absent
  const created = known?.created ?? sequenceOf(recorded.position)
  return {
    workItem,
    before,
    after: before,
    facts: [],
    born: known?.created ?? born ?? (recorded.revision === 0 ? created : undefined),
    created,
    replaces: undefined,
    position: recorded.position,
  }
}

export const createFold = ({ reader, load, live: initial = [] }: FoldOptions): Fold => {
  const live = new Map<WorkItemId, Known>(initial)

  /** The item as its stream says, or as little as is left of it there. */
  const fromStream = async (workItem: WorkItemId, recorded: RecordedEvent): Promise<E.Either<FoldFailure, Draft>> => {
    const events = await eventsBefore(reader, workItem, recorded.revision)
    if (E.isLeft(events)) return events
    const found = foldStream(events.right)
    if (E.isLeft(found)) return found
    const [first] = events.right
    return E.right(draftOf(workItem, found.right, recorded, first?.revision === 0 ? sequenceOf(first.position) : undefined))
  }

  const take: Fold['take'] = async (events) => {
    const drafts = new Map<WorkItemId, Draft>()
    const bookStreams: string[] = []
    let count = 0
    let failure: FoldFailure | undefined
    const missing = load === undefined ? [] : missingIn(events, live)
    const loaded = load === undefined || missing.length === 0 ? undefined : await load(missing)
    if (loaded !== undefined && E.isLeft(loaded)) return loaded
    for (const recorded of events) {
      const workItem = recorded.data === ERASED_DATA ? undefined : workItemOf(recorded.stream)
      if (workItem !== undefined) {
        const event = readEvent(recorded)
        if (E.isLeft(event)) {
          failure = event.left
          break
        }
        let draft = drafts.get(workItem)
        if (draft === undefined) {
          const known = live.get(workItem) ?? loaded?.right.get(workItem)
          if (known !== undefined || recorded.revision === 0) draft = draftOf(workItem, known, recorded)
          else {
            const begun = await fromStream(workItem, recorded)
            if (E.isLeft(begun)) {
              failure = begun.left
              break
            }
            draft = begun.right
          }
          drafts.set(workItem, draft)
        }
        takeInto(draft, event.right, recorded)
      }
      if (recorded.revision === 0 && isBookStream(recorded.stream)) bookStreams.push(recorded.stream)
      count += 1
    }
    if (failure !== undefined && count === 0) return E.left(failure)
    const changes = [...drafts.values()].filter((draft): draft is Draft & ItemChange => draft.after.status !== 'absent')
    return E.right({ changes, bookStreams, events: count, position: events[count - 1]?.position ?? '' })
  }

  return {
    take,
    keep: ({ changes }) => {
      for (const { workItem, after, created, position } of changes) {
        live.delete(workItem)
        if (isLive(after)) live.set(workItem, { item: after, created, position })
      }
    },
    trim: (max) => {
      if (live.size <= max) return
      let left = live.size - max
      for (const workItem of live.keys()) {
        if (left-- <= 0) break
        live.delete(workItem)
      }
    },
    live,
  }
}

const EVENTS_A_PAGE = 2_000

/** What `foldLive` found: every item that can still change, and how many can not. */
export interface Folded {
  readonly live: ReadonlyMap<WorkItemId, Known & { readonly item: Waiting | Held | Owing }>
  readonly settled: number
  readonly events: number
  /** Of the last event folded; undefined when there is none. */
  readonly position: Position | undefined
}

/** Folds the log in memory from its first event, up to and with `upTo` (its end). Left when it cannot be read or holds what this version does not know. */
export const foldLive = async (
  reader: EventReader,
  options: { readonly upTo?: Position | undefined; readonly onProgress?: ((events: number, position: Position) => void) | undefined } = {},
): Promise<E.Either<FoldFailure, Folded>> => {
  const fold = createFold({ reader })
  let settled = 0
  let events = 0
  let position: Position | undefined
  for (;;) {
    const page = await reader.readAll({ ...(position === undefined ? {} : { after: position }), max: EVENTS_A_PAGE })()
    if (E.isLeft(page)) return page
    const due = upTo(page.right, options.upTo)
    if (due.length === 0) break
    const batch = await fold.take(due)
    if (E.isLeft(batch)) return batch
    fold.keep(batch.right)
    for (const { facts } of batch.right.changes) for (const { event } of facts) if (SETTLING.has(event.type)) settled += 1
    events += batch.right.events
    position = batch.right.position
    options.onProgress?.(events, position)
  }
  return E.right({ live: fold.live as Folded['live'], settled, events, position })
}

/** The events of a page that do not lie beyond a position. */
export const upTo = (page: readonly RecordedEvent[], limit: Position | undefined): readonly RecordedEvent[] => {
  const last = page[page.length - 1]
  if (limit === undefined || last === undefined || last.position <= limit) return page
  return page.filter((event) => event.position <= limit)
}
