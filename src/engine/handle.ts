// Load, decide, append, retry: the one way in which anything happens to a work item, and the only caller of `append` for work-item streams.
//
// Commands on one item run one after another in its lane, so that on a single server a conflict never comes from within. What is decided is decided on `live`
// or, when the item is not there, on its stream; `live` is changed only after the append was acknowledged (rules 8). A birth is sent without looking first:
// most ids are new, and the expected revision finds out the others.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import type { Command } from '../domain/work-item/commands.ts'
import { decide, timeOf } from '../domain/work-item/decide.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import { isRecorded } from '../domain/work-item/holding.ts'
import { evolve, evolveAll } from '../domain/work-item/evolve.ts'
import { absent, isHeld, type WorkItem } from '../domain/work-item/state.ts'
import { readEvent } from '../projections/fold.ts'
import { ERASED_DATA, StoreFault, type EventStore, type Position, type RecordedEvent } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Busy, CommandToDo, Context, Done, Engine, Refusal } from './engine.ts'
import { toAppend } from './envelope.ts'
import type { Live } from './live.ts'
import { tellsNews } from './long-tasks/news.ts'
import type { PresenceTable } from './presence.ts'

/** Decisions tried before a command gives up; on one server the second always succeeds. */
const ATTEMPTS_MAX = 5

/** Events read at once from one stream. */
const STREAM_PAGE = 1_000

export interface Loaded {
  readonly item: WorkItem
  /** Position of the last event; empty for an absent item. */
  readonly position: Position
}

/** What time wanted to say has been overtaken; only timers ask for that. */
export interface Moot {
  readonly type: 'moot'
}

export interface Handler {
  readonly execute: Engine['execute']
  /** For timers: `isMoot` is asked when its turn has come, since a command ahead of it in the lane may have overtaken it. */
  readonly executeUnless: (isMoot: () => boolean, workItem: WorkItemId, command: CommandToDo, context: Context) => Promise<E.Either<Refusal | Moot, Done>>
  /** The item as `live` or its stream has it. */
  readonly load: (workItem: WorkItemId) => Promise<E.Either<StoreFault, Loaded>>
  /** Resolves when no command is under way. */
  readonly idle: () => Promise<void>
  readonly inFlight: () => number
}

const isBirth = (command: CommandToDo): boolean =>
  command.type === 'RegisterJob' || command.type === 'InsertTask' || command.type === 'AcceptRequest' || command.type === 'DispatchOperation'

/** Only what carries the current lease is a sign of life (rules 30); a registration is one when it gives the lease, not when it is repeated. */
const carriesLease = (command: CommandToDo): boolean => command.type === 'Report' || command.type === 'AskDirective' || command.type === 'ExtendLease'
const isFromHolder = (command: CommandToDo): boolean => carriesLease(command) || command.type === 'RegisterJob' || command.type === 'TakeOperation'

/** More events of the item's stream on top of what is known of it. What is erased is passed over; the tombstone behind it is the item's birth. */
const foldOn = (events: readonly RecordedEvent[], from: Loaded): E.Either<StoreFault, Loaded> => {
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

export const createHandler = (options: {
  readonly store: EventStore
  readonly live: Live
  readonly presence: PresenceTable
  readonly world: World
  readonly server: string
  /** Why no work item may be born now, if so. */
  readonly refuseBirth: () => Busy | undefined
  readonly isStopping: () => boolean
  /** Whether the lease of an item that is held has not come to its end on this server's clock. */
  readonly leaseStands: (workItem: WorkItemId) => boolean
  readonly onAppended: (position: Position, events: number) => void
}): Handler => {
  const { store, live, presence, world, server } = options
  const lanes = new Map<WorkItemId, Promise<unknown>>()
  let whenIdle: (() => void)[] = []

  const load: Handler['load'] = async (workItem) => {
    const known = live.get(workItem)
    if (known !== undefined) return E.right(known)
    let loaded: Loaded = { item: absent, position: '' }
    for (let from = 0; ;) {
      const page = await store.readStream(streamOf(workItem), { from, max: STREAM_PAGE })()
      if (E.isLeft(page)) return page
      const folded = foldOn(page.right, loaded)
      if (E.isLeft(folded)) return folded
      loaded = folded.right
      const last = page.right[page.right.length - 1]
      if (last === undefined || page.right.length < STREAM_PAGE) return E.right(loaded)
      from = last.revision + 1
    }
  }

  /** After a conflict the stream is the truth, and `live` is brought up to it. */
  const reload = async (workItem: WorkItemId): Promise<E.Either<StoreFault, Loaded>> => {
    const before = live.get(workItem)?.item ?? absent
    live.forget(workItem)
    const loaded = await load(workItem)
    if (E.isRight(loaded) && loaded.right.item.status !== 'absent') live.put(workItem, before, loaded.right.item, loaded.right.position)
    return loaded
  }

  const record = async (
    workItem: WorkItemId,
    before: Loaded,
    command: Command,
    events: readonly WorkItemEvent[],
    context: Context,
    payload?: Uint8Array,
  ): Promise<E.Either<Refusal | 'conflict', Omit<Done, 'recorded'>>> => {
    const expected = before.item.status === 'absent' ? 'noStream' : before.item.revision
    const write = command.type === 'Erase' && store.capabilities.erase ? store.erase : store.append
    const appended = await write(streamOf(workItem), expected, toAppend(events, command.time, context, server, payload))()
    if (E.isLeft(appended)) return E.left(!(appended.left instanceof StoreFault) && appended.left.kind === 'conflict' ? 'conflict' : appended.left)
    const item = evolveAll(before.item, events, command.time)
    const { position } = appended.right
    options.onAppended(position, events.length)
    if (item.status === 'absent') throw new Error(`${command.type} on ${workItem} was recorded but left the work item absent`)
    // First the signs of life: who looks at deadlines because of this change must not count a silence that is over.
    if (isFromHolder(command) && isHeld(item)) {
      if (tellsNews(command, before.item, events, presence.get(workItem)?.progress)) presence.moved(workItem)
      presence.seen(workItem)
    }
    live.put(workItem, before.item, item, position)
    return E.right({ item, before: before.item, events, position })
  }

  /** Progress that was only noted travels with the next sign of life, and is recorded when its time has come (rules 19). */
  const withNoted = (workItem: WorkItemId, toDo: CommandToDo): CommandToDo => {
    if ((toDo.type !== 'Report' && toDo.type !== 'AskDirective') || toDo.progress !== undefined) return toDo
    const noted = presence.get(workItem)?.progress
    return noted === undefined ? toDo : { ...toDo, progress: noted }
  }

  const once = async (workItem: WorkItemId, toDo: CommandToDo, context: Context, loaded: Loaded, payload?: Uint8Array): Promise<E.Either<Refusal | 'conflict', Done>> => {
    const stands = toDo.type === 'ExtendLease' ? { stands: options.leaseStands(workItem) } : {}
    const asked = { ...withNoted(workItem, toDo), ...stands, time: world.now() } as Command
    const command = { ...asked, time: timeOf(asked, loaded.item) }
    const decided = decide(command, loaded.item)
    if (E.isLeft(decided)) return decided
    const events = decided.right
    if (loaded.item.status === 'absent') {
      if (events.length === 0) return E.left({ type: 'not-found' })
      const busy = options.refuseBirth()
      if (busy !== undefined) return E.left(busy)
      const born = await record(workItem, loaded, command, events, context, payload)
      return E.isLeft(born) ? born : E.right({ ...born.right, recorded: true })
    }
    const done =
      events.length > 0 ? await record(workItem, loaded, command, events, context, payload) : E.right({ item: loaded.item, before: loaded.item, events, position: loaded.position })
    return E.isLeft(done) ? done : E.right({ ...done.right, recorded: toDo.type !== 'Report' || isRecorded(toDo, done.right.item) })
  }

  /** Notes the sign of life, and of its progress what was not recorded. */
  const heard = (workItem: WorkItemId, toDo: CommandToDo, { item, events, recorded: isRecordedNow }: Done): void => {
    const progress = toDo.type === 'Report' ? toDo.progress : undefined
    if (events.length === 0 && tellsNews(toDo, item, events, presence.get(workItem)?.progress)) presence.moved(workItem)
    if (progress !== undefined && isRecordedNow) presence.recorded(workItem)
    presence.seen(workItem, isRecordedNow ? undefined : progress)
  }

  const attempt = async (workItem: WorkItemId, toDo: CommandToDo, context: Context, payload?: Uint8Array): Promise<E.Either<Refusal, Done>> => {
    if (options.isStopping()) return E.left({ type: 'stopping' })
    for (let tried = 1; tried <= ATTEMPTS_MAX; tried++) {
      // While births are refused, those that are repeats must still be told from them.
      const known = live.get(workItem) ?? (isBirth(toDo) && options.refuseBirth() === undefined ? { item: absent, position: '' } : undefined)
      const found = tried === 1 ? (known === undefined ? await load(workItem) : E.right(known)) : await reload(workItem)
      if (E.isLeft(found)) return found
      const done = await once(workItem, toDo, context, found.right, payload)
      if (E.isRight(done)) {
        if (carriesLease(toDo) && isHeld(done.right.item)) heard(workItem, toDo, done.right)
        return done
      }
      if (done.left !== 'conflict') return E.left(done.left)
    }
    return E.left(new StoreFault('overloaded', `${workItem} is still in conflict after ${ATTEMPTS_MAX} attempts`))
  }

  /** Runs it when all that was asked of this item before is done. */
  const inLane = <Result>(workItem: WorkItemId, run: () => Promise<Result>): Promise<Result> => {
    const ahead = lanes.get(workItem)
    const result = ahead === undefined ? run() : ahead.then(run)
    // The lane must go on after a defect; whoever asked still sees it in the result.
    const settled: Promise<void> = result.then(
      () => leave(workItem, settled),
      () => leave(workItem, settled),
    )
    lanes.set(workItem, settled)
    return result
  }

  const leave = (workItem: WorkItemId, mine: Promise<unknown>): void => {
    if (lanes.get(workItem) === mine) lanes.delete(workItem)
    if (lanes.size > 0) return
    const waiting = whenIdle
    whenIdle = []
    for (const resolve of waiting) resolve()
  }

  return {
    execute: (workItem, command, context, payload) => inLane(workItem, () => attempt(workItem, command, context, payload)),
    executeUnless: (isMoot, workItem, command, context) =>
      inLane<E.Either<Refusal | Moot, Done>>(workItem, async () => (isMoot() ? E.left({ type: 'moot' }) : attempt(workItem, command, context))),
    load,
    idle: () => (lanes.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve))),
    inFlight: () => lanes.size,
  }
}
