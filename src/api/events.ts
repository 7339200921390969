// The log as server-sent events: pulled as fast as the reader reads, so that a slow one holds up nobody and keeps nothing in memory (surface 15).
import type { ServerResponse } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import type { Engine } from '../engine/engine.ts'
import type * as wire from '../wire/service.ts'
import { isTombstone, parseWorkItemId, kindOf, queueOfTask, workItemOf, type WorkItemId } from '../wire/words.ts'
import { POSITION_WAIT_MS, type Call, type Handle } from './call.ts'
import { createWarden, createWriter, STREAM_HEADERS, type Seats } from './event-stream.ts'
import { maySee, seesAll } from './permission.ts'
import { invalid, problem } from './problem.ts'
import { eventView } from './views.ts'

type Followed = ReturnType<Engine['follow']> extends AsyncIterable<infer Entry> ? Entry : never
type StoredEvent = Extract<Followed, { type: 'event' }>['event']

/** Makers of items that are remembered, so that a filtered stream does not read each item for each of its events. */
const MAKERS_MAX = 10_000

/** From the first event on, instead of a position. */
export const FROM_START = 'start'

/** Whether the caller may see the item behind an event. Events of other streams (tokens, audit) are nobody's to watch. */
const visibility = (call: Call): ((event: StoredEvent, workItem: WorkItemId) => Promise<boolean>) => {
  const makers = new Map<WorkItemId, string>()
  const remember = (workItem: WorkItemId, by: string): string => {
    if (makers.size >= MAKERS_MAX) makers.clear()
    makers.set(workItem, by)
    return by
  }
  const makerOf = async (event: StoredEvent, workItem: WorkItemId): Promise<string | undefined> => {
    const known = makers.get(workItem)
    if (known !== undefined) return known
    // Of an item that was erased meanwhile the birth says nothing any more, but its state does.
    const birth = event.revision === 0 ? (JSON.parse(event.data) as { readonly by?: string } | null) : null
    if (birth !== null) return remember(workItem, String(birth.by))
    const live = call.engine.live(workItem)
    if (live !== undefined) return remember(workItem, live.by)
    const row = await call.engine.read(workItem)
    return E.isLeft(row) ? undefined : remember(workItem, row.right.item.by)
  }
  return async (event, workItem) => {
    if (seesAll(call, kindOf(workItem), queueOfTask(workItem))) return true
    const by = await makerOf(event, workItem)
    return by !== undefined && maySee(call, workItem, by)
  }
}

/** What is left of the data of an erased event, as stores have it that take it where it lies. */
const ERASED = 'null'

/**
 * Hides what was erased where the log still has it: a log that several servers share shows all its events until it is scavenged, and only the streams of what was erased are cut. So the
 * stream of an item that is not at hand is asked whether it begins with its birth. Rejects when it cannot be read.
 */
const erasure = (call: Call): ((event: StoredEvent, workItem: WorkItemId) => Promise<StoredEvent>) => {
  const known = new Map<WorkItemId, boolean>()
  const isErased = async (workItem: WorkItemId): Promise<boolean> => {
    const item = call.engine.live(workItem)
    if (item !== undefined) return item.status === 'settled' && item.erased === true
    const before = known.get(workItem)
    if (before !== undefined) return before
    const first = await call.engine.history(workItem, { from: 0, max: 1 })
    if (E.isLeft(first) && first.left instanceof Error) throw first.left
    const is = E.isLeft(first) || first.right[0]?.revision !== 0
    if (known.size >= MAKERS_MAX) known.clear()
    known.set(workItem, is)
    return is
  }
  return async (event, workItem) => (!call.engine.isShared || isTombstone(event) || !(await isErased(workItem)) ? event : { ...event, data: ERASED })
}

interface Filter {
  readonly workItem?: string | undefined
  readonly kind?: string | undefined
  readonly types: ReadonlySet<string> | undefined
}

const passes = (filter: Filter, event: StoredEvent, workItem: WorkItemId): boolean =>
  (filter.workItem === undefined || filter.workItem === workItem) &&
  (filter.kind === undefined || workItem.startsWith(`${filter.kind}/`)) &&
  (filter.types === undefined || filter.types.has(event.type))

const eventText = (event: StoredEvent): string => `id: ${event.position}\ndata: ${JSON.stringify(eventView(event))}\n\n`
const caughtUpText = (position: string): string => `id: ${position}\nevent: caughtUp\ndata: ${JSON.stringify({ position })}\n\n`

const pump = async (call: Call, filter: Filter, after: string | undefined, res: ServerResponse): Promise<void> => {
  const warden = createWarden(call)
  const writer = createWriter(call, res, warden.check)
  const isVisible = visibility(call)
  const shown = erasure(call)
  // After the first time, the end is only news if something was sent before it.
  let isNews = true
  try {
    for await (const entry of call.engine.follow({ ...(after === undefined ? {} : { after }), signal: warden.signal })) {
      if (res.destroyed || !(await warden.mayGoOn())) return
      if (entry.type === 'caughtUp') {
        if (isNews) await writer.write(caughtUpText(entry.position))
        isNews = false
        continue
      }
      const workItem = workItemOf(entry.event.stream)
      if (workItem === undefined || !passes(filter, entry.event, workItem)) continue
      const event = await shown(entry.event, workItem)
      if (!(await isVisible(event, workItem))) continue
      isNews = true
      await writer.write(eventText(event))
    }
  } finally {
    writer.end()
  }
}

export const createWatchEvents =
  (seats: Seats): Handle<typeof wire.watchEvents> =>
  async ({ query }, call) => {
    const lastEventId = call.headers['last-event-id']
    // A reader that comes back knows better where it was than the address it first came with.
    const wanted = typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : query.after
    const reached = wanted === undefined || wanted === FROM_START ? 'reached' : await call.engine.reached(wanted, POSITION_WAIT_MS, 'live')
    if (reached !== 'reached') return E.left(problem(reached))
    if (query.workItem !== undefined) {
      const parsed = parseWorkItemId(query.workItem)
      if (E.isLeft(parsed)) return E.left(invalid([{ path: '/query/workItem', code: 'pattern', detail: `${parsed.left}.` }]))
    }
    if (!seats.take(call)) return E.left(problem('overloaded', `There are ${seats.max} readers of event streams already.`))
    const after = wanted === FROM_START ? undefined : (wanted ?? call.engine.position())
    const filter = { workItem: query.workItem, kind: query.kind, types: query.type === undefined ? undefined : new Set(query.type.split(',').map((type) => type.trim())) }
    const stream = async (res: ServerResponse): Promise<void> => {
      res.flushHeaders()
      await pump(call, filter, after, res)
    }
    return E.right({ status: 200, stream, headers: STREAM_HEADERS })
  }
