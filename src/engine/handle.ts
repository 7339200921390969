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
import { StoreFault, type EventStore, type Position, type RecordedEvent } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Busy, CommandToDo, Context, Done, Engine, Refusal } from './engine.ts'
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
  readonly execute: Engine['execute']
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

const isBirth = (command: CommandToDo): boolean =>
  command.type === 'RegisterJob' || command.type === 'InsertTask' || command.type === 'AcceptRequest' || command.type === 'DispatchOperation'

/** Only what carries the current lease is a sign of life (rules 30); a registration is one when it gives the lease, not when it is repeated. */
const carriesLease = (command: CommandToDo): boolean => command.type === 'Report' || command.type === 'AskDirective' || command.type === 'ExtendLease'
const isFromHolder = (command: CommandToDo): boolean => carriesLease(command) || command.type === 'RegisterJob' || command.type === 'TakeOperation'

/** What time says is said of what is known, and nobody waits for an answer. A sign of life changes nothing, so it needs no certainty. */
const needsNoHead = (command: CommandToDo): boolean => {
  switch (command.type) {
    case 'AskDirective':
    case 'ExpireLease':
    case 'LoseHolder':
    case 'GiveUpLost':
    case 'Interrupt':
    case 'TimeOut':
      return true
    case 'Report':
      return command.outcome === undefined
    case 'RegisterJob':
    case 'InsertTask':
    case 'AcceptRequest':
    case 'DispatchOperation':
    case 'TakeOperation':
    case 'FailOperation':
    case 'LeaseItem':
    case 'DeleteTask':
    case 'ExtendLease':
    case 'ReleaseLease':
    case 'GiveDirective':
    case 'Redrive':
    case 'Reply':
    case 'ReleaseReply':
    case 'NoteEffects':
    case 'Erase':
      return false
  }
}

const BUSY: ReadonlySet<string> = new Set<Busy['type']>(['too-many-live', 'lagging', 'stopping'])

/** Whether nothing was appended for a reason that a look at the stream's head could refute (rules 11). */
const isInDoubt = (command: CommandToDo, done: E.Either<Refusal | 'conflict', Done>): boolean => {
  if (E.isRight(done)) return done.right.events.length === 0 && !needsNoHead(command)
  return typeof done.left !== 'string' && 'type' in done.left && !BUSY.has(done.left.type)
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
    bring(workItem, before.item, { item, position })
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

  /**
   * What could not be recorded. That the store is away says nothing of the holder who called: it has been heard, and whoever only asks what is wanted is told what is known.
   */
  const unrecorded = (workItem: WorkItemId, toDo: CommandToDo, { item, position }: Loaded, refusal: Refusal): E.Either<Refusal, Done> => {
    if (!(refusal instanceof StoreFault) || refusal.kind === 'damaged' || !carriesLease(toDo) || !isHeld(item)) return E.left(refusal)
    presence.seen(workItem)
    return toDo.type === 'AskDirective' ? E.right({ item, before: item, events: [], recorded: false, position }) : E.left(refusal)
  }

  const attempt = async (workItem: WorkItemId, toDo: CommandToDo, context: Context, payload?: Uint8Array): Promise<E.Either<Refusal, Done>> => {
    if (options.isStopping()) return E.left({ type: 'stopping' })
    for (let tried = 1; tried <= ATTEMPTS_MAX; tried++) {
      // While births are refused, those that are repeats must still be told from them.
      const known = live.get(workItem) ?? (isBirth(toDo) && options.refuseBirth() === undefined ? { item: absent, position: '' } : undefined)
      const found = tried === 1 ? (known === undefined ? await load(workItem) : E.right(known)) : await reload(workItem)
      if (E.isLeft(found)) return found
      // What has not been followed yet is known from here on: the indexes have to hear of it before they hear what becomes of it.
      if (isShared && known === undefined) bring(workItem, absent, found.right)
      const done = await once(workItem, toDo, context, found.right, payload)
      if (isShared && tried === 1 && known !== undefined && isInDoubt(toDo, done)) continue
      if (E.isRight(done)) {
        if (carriesLease(toDo) && isHeld(done.right.item)) heard(workItem, toDo, done.right)
        return done
      }
      if (done.left !== 'conflict') return unrecorded(workItem, toDo, found.right, done.left)
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
    follow,
    idle: () => (lanes.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve))),
    inFlight: () => lanes.size,
  }
}
