// Reads a log from its first event and says what it comes to: the same fold that a server makes at its start, without one.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, workItemOf, type Kind, type WorkItemId } from '../domain/ids.ts'
import { decodeEvent } from '../domain/work-item/codec.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import { evolve } from '../domain/work-item/evolve.ts'
import { absent, surfaceState, type SurfaceState, type WorkItem } from '../domain/work-item/state.ts'
import { ERASED_DATA, StoreFault, type EventReader, type Position, type RecordedEvent } from '../store/port.ts'
import type { World } from '../world.ts'

export interface Replayed {
  readonly events: number
  readonly erased: number
  readonly position: Position | undefined
  readonly firstAt: number | undefined
  readonly lastAt: number | undefined
  /** Work items by kind and the state in which the log leaves them. */
  readonly items: Readonly<Partial<Record<Kind, Partial<Record<SurfaceState, number>>>>>
  /** Events by type. */
  readonly types: Readonly<Record<string, number>>
  readonly ms: number
}

export interface ReplayedEvent {
  readonly position: Position
  readonly revision: number
  readonly type: string
  readonly time: number
  readonly data: unknown
  readonly actor: string | undefined
  /** State of the item after it; undefined where erased events left none. */
  readonly state: SurfaceState | undefined
}

export interface ReplayOptions {
  readonly world: World
  readonly onProgress?: (progress: { readonly events: number; readonly position: Position }) => void
}

const PAGE = 5_000

const read = (recorded: RecordedEvent): E.Either<StoreFault, WorkItemEvent> => {
  const event = decodeEvent(recorded.type, recorded.v, JSON.parse(recorded.data))
  return E.isLeft(event) ? E.left(new StoreFault('damaged', `Event ${recorded.position} cannot be read by this version of Stint: ${event.left.detail}`)) : event
}

/** Items that can still change, and how many have settled in each way: what the fold of a log of any length keeps. */
const tally = () => {
  const open = new Map<WorkItemId, WorkItem>()
  const settled = new Map<Kind, Map<SurfaceState, number>>()
  const add = (counts: Map<Kind, Map<SurfaceState, number>>, kind: Kind, state: SurfaceState): void => {
    const ofKind = counts.get(kind) ?? new Map<SurfaceState, number>()
    counts.set(kind, ofKind.set(state, (ofKind.get(state) ?? 0) + 1))
  }
  return {
    take: (workItem: WorkItemId, recorded: RecordedEvent, event: WorkItemEvent): void => {
      const item = evolve(open.get(workItem) ?? absent, event, { time: recorded.time, revision: recorded.revision })
      if (item.status === 'settled') {
        open.delete(workItem)
        add(settled, item.kind, surfaceState(item))
      } else if (item.status !== 'absent') open.set(workItem, item)
    },
    items: (): Replayed['items'] => {
      const counts = new Map([...settled].map(([kind, states]) => [kind, new Map(states)] as const))
      for (const item of open.values()) if (item.status !== 'absent') add(counts, item.kind, surfaceState(item))
      return Object.fromEntries([...counts].map(([kind, states]) => [kind, Object.fromEntries(states)]))
    },
  }
}

/** Folds the whole log. Left when it cannot be read or holds an event that this version does not know. */
export const replayLog = async (reader: EventReader, { world, onProgress }: ReplayOptions): Promise<E.Either<StoreFault, Replayed>> => {
  const startedAt = world.monotonic()
  const { take, items } = tally()
  const types = new Map<string, number>()
  let events = 0
  let erased = 0
  let position: Position | undefined
  let firstAt: number | undefined
  let lastAt: number | undefined
  for (;;) {
    const page = await reader.readAll({ ...(position === undefined ? {} : { after: position }), max: PAGE })()
    if (E.isLeft(page)) return page
    for (const recorded of page.right) {
      types.set(recorded.type, (types.get(recorded.type) ?? 0) + 1)
      firstAt ??= recorded.time
      lastAt = recorded.time
      const workItem = workItemOf(recorded.stream)
      if (recorded.data === ERASED_DATA) erased += 1
      else if (workItem !== undefined) {
        const event = read(recorded)
        if (E.isLeft(event)) return event
        take(workItem, recorded, event.right)
      }
    }
    events += page.right.length
    position = page.right[page.right.length - 1]?.position ?? position
    if (page.right.length < PAGE) break
    onProgress?.({ events, position: position ?? '' })
  }
  const sorted = Object.fromEntries([...types].toSorted(([, a], [, b]) => b - a))
  return E.right({ events, erased, position, firstAt, lastAt, items: items(), types: sorted, ms: world.monotonic() - startedAt })
}

const actorOf = (meta: string): string | undefined => (JSON.parse(meta) as { readonly actor?: string }).actor

/** Leases are their holder's secret, also here. */
const shownData = ({ type, data }: RecordedEvent): unknown => JSON.parse(data, (key, value: unknown) => (type === 'Leased' && key === 'token' ? undefined : value)) as unknown

/** One item's events with the state after each; none when the log does not know it. */
export const replayItem = async (reader: EventReader, workItem: WorkItemId): Promise<E.Either<StoreFault, readonly ReplayedEvent[]>> => {
  const replayed: ReplayedEvent[] = []
  let item: WorkItem = absent
  for (let from = 0; ;) {
    const page = await reader.readStream(streamOf(workItem), { from, max: PAGE })()
    if (E.isLeft(page)) return page
    for (const recorded of page.right) {
      const { position, revision, type, time } = recorded
      if (recorded.data !== ERASED_DATA) {
        const event = read(recorded)
        if (E.isLeft(event)) return event
        item = evolve(item, event.right, { time, revision })
      }
      replayed.push({ position, revision, type, time, data: shownData(recorded), actor: actorOf(recorded.meta), state: item.status === 'absent' ? undefined : surfaceState(item) })
    }
    const last = page.right[page.right.length - 1]
    if (last === undefined || page.right.length < PAGE) return E.right(replayed)
    from = last.revision + 1
  }
}
