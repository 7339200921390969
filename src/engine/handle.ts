// Load, decide, append, retry: the one way in which anything happens to a work item, and the only caller of `append` for work-item streams.
//
// Commands on one item run one after another in its lane, so that on a single server a conflict never comes from within. What is decided is decided on `live`
// or, when the item is not there, on its stream; `live` is changed only after the append was acknowledged (rules 8). A birth is sent without looking first:
// most ids are new, and the expected revision finds out the others. Over a shared store what others append is taken in as it comes, and a decision that appends nothing is
// final only at the stream's head (rules 11).
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import type { Command } from '../domain/work-item/commands.ts'
import { decide, timeOf } from '../domain/work-item/decide.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import { isRecorded } from '../domain/work-item/holding.ts'
import { evolveAll } from '../domain/work-item/evolve.ts'
import { absent, isHeld, type WorkItem } from '../domain/work-item/state.ts'
import { StoreFault, type AppendFailure, type Appended, type EventStore, type Position, type RecordedEvent } from '../store/port.ts'
import type { World } from '../world.ts'
import { carriesLease, isBirth, isFromHolder, needsNoHead } from './command-kinds.ts'
import type { Busy, CommandToDo, Context, Done, Execute, Refusal } from './command.ts'
import { toAppend } from './envelope.ts'
import type { Live } from './live.ts'
import { tellsNews } from './long-tasks/news.ts'
import type { PresenceTable } from './presence.ts'
import { foldOn, NOTHING_LOADED, readOn, type Loaded } from './stream-state.ts'

/**
 * Decisions tried before a command gives up; on one server the second always succeeds. Of several servers whoever got through decides its next command at once, while
 * the others read on first: who loses tends to lose again, and each loss is somebody's progress.
 */
const ATTEMPTS_MAX = 50

/** What time wanted to say has been overtaken; only timers ask for that. */
export interface Moot {
  readonly type: 'moot'
}

export interface Handler {
  readonly execute: Execute
  /** For timers: `isMoot` is asked when its turn has come, since a command ahead of it in the lane may have overtaken it. */
  readonly executeUnless: (isMoot: () => boolean, workItem: WorkItemId, command: CommandToDo, context: Context) => Promise<E.Either<Refusal | Moot, Done>>
  /** The item as `live` or its stream has it. */
  readonly load: (workItem: WorkItemId) => Promise<E.Either<StoreFault, Loaded>>
  /** Takes in events of one item's stream, in order, that may be another server's; those that are known are passed over. */
  readonly follow: (workItem: WorkItemId, events: readonly RecordedEvent[]) => Promise<E.Either<StoreFault, void>>
  /** Resolves when no command is under way. */
  readonly idle: () => Promise<void>
  readonly inFlight: () => number
}

/** One command on its way, with what its caller gave for it. */
interface Asked {
  readonly workItem: WorkItemId
  readonly toDo: CommandToDo
  readonly context: Context
  readonly payload: Uint8Array | undefined
}

/** What one decision, and the append that followed, came to. */
type Tried = E.Either<Refusal | 'conflict', Done>

const BUSY: ReadonlySet<string> = new Set<Busy['type']>(['too-many-live', 'lagging', 'stopping'])

/** Whether nothing was appended for a reason that a look at the stream's head could refute (rules 11). */
const isInDoubt = (command: CommandToDo, done: Tried): boolean => {
  if (E.isRight(done)) return done.right.events.length === 0 && !needsNoHead(command)
  return typeof done.left !== 'string' && 'type' in done.left && !BUSY.has(done.left.type)
}

/** Begins at once; a defect is its promise's, whenever it shows. */
const begun = <Result>(run: () => Result | Promise<Result>): Promise<Result> => {
  try {
    return Promise.resolve(run())
  } catch (defect) {
    return Promise.reject(defect instanceof Error ? defect : new Error(String(defect)))
  }
}

/** What may follow a settlement that has left `live`, or a dead letter, and brings it back or tells nobody anything. */
const REVIVES: ReadonlySet<string> = new Set<WorkItemEvent['type']>(['Redriven'])

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
  /** What happens to a settled item that is not at hand matters to somebody. */
  readonly isCounted?: (workItem: WorkItemId) => boolean
}): Handler => {
  const { store, live, presence, world, server } = options
  const isShared = store.capabilities.shared
  const lanes = new Map<WorkItemId, Promise<unknown>>()
  let whenIdle: (() => void)[] = []

  const load: Handler['load'] = async (workItem) => {
    const known = live.get(workItem)
    return known !== undefined ? E.right(known) : readOn(store, workItem)
  }

  /** Makes `live` know at least this much; what it knows beyond that stays. */
  const bring = (workItem: WorkItemId, before: WorkItem, { item, position }: Loaded): void => {
    const known = live.get(workItem)?.item
    if (item.status !== 'absent' && (known === undefined || known.revision < item.revision)) live.put(workItem, known ?? before, item, position)
  }

  /** After a conflict the stream is the truth, and `live` is brought up to it. */
  const reload = async (workItem: WorkItemId): Promise<E.Either<StoreFault, Loaded>> => {
    const loaded = await readOn(store, workItem, live.get(workItem) ?? NOTHING_LOADED)
    if (E.isRight(loaded)) bring(workItem, absent, loaded.right)
    return loaded
  }

  const follow: Handler['follow'] = async (workItem, events) => {
    const known = live.get(workItem)
    const fresh = events.filter(({ revision }) => revision > (known?.item.revision ?? absent.revision))
    const first = fresh[0]
    if (first === undefined) return E.right(undefined)
    // What is not at hand and was born before has settled or is a dead letter: only what brings it back counts.
    if (known === undefined && first.revision > 0 && !fresh.some(({ type }) => REVIVES.has(type)) && options.isCounted?.(workItem) !== true) return E.right(undefined)
    const isNext = first.revision === (known?.item.revision ?? absent.revision) + 1
    const before = isNext ? E.right(known ?? NOTHING_LOADED) : await readOn(store, workItem, known, first.revision)
    if (E.isLeft(before)) return before
    const after = foldOn(fresh, before.right)
    if (E.isLeft(after)) return after
    presence.told(workItem, fresh)
    bring(workItem, before.right.item, after.right)
    return E.right(undefined)
  }

  /** What follows once the append is answered. */
  const recorded = ({ workItem, toDo }: Asked, before: Loaded, command: Command, events: readonly WorkItemEvent[], appended: E.Either<AppendFailure, Appended>): Tried => {
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
    bring(workItem, before.item, { item, position })
    return E.right({ item, before: before.item, events, position, recorded: toDo.type !== 'Report' || isRecorded(toDo, item) })
  }

  /** Progress that was only noted travels with the next sign of life, and is recorded when its time has come (rules 19). */
  const withNoted = (workItem: WorkItemId, toDo: CommandToDo): CommandToDo => {
    if ((toDo.type !== 'Report' && toDo.type !== 'AskDirective') || toDo.progress !== undefined) return toDo
    const noted = presence.get(workItem)?.progress
    return noted === undefined ? toDo : { ...toDo, progress: noted }
  }

  const timed = (workItem: WorkItemId, toDo: CommandToDo, item: WorkItem): Command => {
    const time = timeOf({ time: world.now() }, item)
    if (toDo.type === 'ExtendLease') return { ...toDo, time, stands: options.leaseStands(workItem) }
    return { ...withNoted(workItem, toDo), time }
  }

  /** One decision, and its append. It is for `conclude` to say what follows, in the same turn: every promise less counts, since each command passes here. */
  const once = <Concluded>(asked: Asked, loaded: Loaded, conclude: (tried: Tried) => Concluded | Promise<Concluded>): Concluded | Promise<Concluded> => {
    const { workItem, toDo, context, payload } = asked
    const command = timed(workItem, toDo, loaded.item)
    const decided = decide(command, loaded.item)
    if (E.isLeft(decided)) return conclude(decided)
    const events = decided.right
    if (loaded.item.status === 'absent') {
      if (events.length === 0) return conclude(E.left({ type: 'not-found' }))
      const busy = options.refuseBirth()
      if (busy !== undefined) return conclude(E.left(busy))
    } else if (events.length === 0) {
      const { item, position } = loaded
      return conclude(E.right({ item, before: item, events, position, recorded: toDo.type !== 'Report' || isRecorded(toDo, item) }))
    }
    const expected = loaded.item.status === 'absent' ? 'noStream' : loaded.item.revision
    const write = command.type === 'Erase' && store.capabilities.erase ? store.erase : store.append
    const appending = write(streamOf(workItem), expected, toAppend(events, command.time, context, server, payload))()
    return appending.then((appended) => conclude(recorded(asked, loaded, command, events, appended)))
  }

  /** Notes the sign of life, and of its progress what was not recorded. */
  const heard = (workItem: WorkItemId, toDo: CommandToDo, { item, events, recorded: isRecordedNow }: Done): void => {
    const progress = toDo.type === 'Report' ? toDo.progress : undefined
    if (events.length === 0 && tellsNews(toDo, item, events, presence.get(workItem)?.progress)) presence.moved(workItem)
    if (progress !== undefined && isRecordedNow) presence.recorded(workItem)
    presence.seen(workItem, isRecordedNow ? undefined : progress)
  }

  /**
   * What could not be recorded. That the store is away says nothing of the holder who called: it has been heard, and whoever only asks what is wanted is told what is known.
   */
  const unrecorded = (workItem: WorkItemId, toDo: CommandToDo, { item, position }: Loaded, refusal: Refusal): E.Either<Refusal, Done> => {
    if (!(refusal instanceof StoreFault) || refusal.kind === 'damaged' || !carriesLease(toDo) || !isHeld(item)) return E.left(refusal)
    presence.seen(workItem)
    return toDo.type === 'AskDirective' ? E.right({ item, before: item, events: [], recorded: false, position }) : E.left(refusal)
  }

  /** How a try ends the command; undefined: it has to be tried again, at the head of the stream. */
  const concluded = ({ workItem, toDo }: Asked, loaded: Loaded, tried: Tried): E.Either<Refusal, Done> | undefined => {
    if (E.isRight(tried)) {
      if (carriesLease(toDo) && isHeld(tried.right.item)) heard(workItem, toDo, tried.right)
      return tried
    }
    return tried.left === 'conflict' ? undefined : unrecorded(workItem, toDo, loaded, tried.left)
  }

  const again = async (asked: Asked): Promise<E.Either<Refusal, Done>> => {
    for (let tries = 2; tries <= ATTEMPTS_MAX; tries += 1) {
      const loaded = await reload(asked.workItem)
      if (E.isLeft(loaded)) return loaded
      const done = await once(asked, loaded.right, (tried) => concluded(asked, loaded.right, tried))
      if (done !== undefined) return done
    }
    return E.left(new StoreFault('overloaded', `${asked.workItem} is still in conflict after ${ATTEMPTS_MAX} attempts`))
  }

  const attemptUnknown = async (asked: Asked): Promise<E.Either<Refusal, Done>> => {
    const { workItem } = asked
    const loaded = await load(workItem)
    if (E.isLeft(loaded)) return loaded
    // What has not been followed yet is known from here on: the indexes have to hear of it before they hear what becomes of it.
    if (isShared) bring(workItem, absent, loaded.right)
    return once(asked, loaded.right, (tried) => concluded(asked, loaded.right, tried) ?? again(asked))
  }

  const attempt = (asked: Asked): E.Either<Refusal, Done> | Promise<E.Either<Refusal, Done>> => {
    if (options.isStopping()) return E.left({ type: 'stopping' })
    const { workItem, toDo } = asked
    // While births are refused, those that are repeats must still be told from them.
    const known = live.get(workItem) ?? (isBirth(toDo) && options.refuseBirth() === undefined ? NOTHING_LOADED : undefined)
    if (known === undefined) return attemptUnknown(asked)
    return once(asked, known, (tried) => (isShared && isInDoubt(toDo, tried) ? again(asked) : (concluded(asked, known, tried) ?? again(asked))))
  }

  /** Runs it when all that was asked of this item before is done. */
  const inLane = <Result>(workItem: WorkItemId, run: () => Result | Promise<Result>): Promise<Result> => {
    const ahead = lanes.get(workItem)
    const result = ahead === undefined ? begun(run) : ahead.then(run)
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
    execute: (workItem, toDo, context, payload) => inLane(workItem, () => attempt({ workItem, toDo, context, payload })),
    executeUnless: (isMoot, workItem, toDo, context) =>
      inLane<E.Either<Refusal | Moot, Done>>(workItem, () => (isMoot() ? E.left({ type: 'moot' }) : attempt({ workItem, toDo, context, payload: undefined }))),
    load,
    follow,
    idle: () => (lanes.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve))),
    inFlight: () => lanes.size,
  }
}
