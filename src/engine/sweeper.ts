// Carries out what time alone decides after settlement (rules 18, 26): releases replies that have expired, erases what is past its retention, and then lets the store prune.
//
//   something settles ─▶ timer until the first thing is due ─▶ sweep: a batch, a pause as long as it took, the next … ─▶ when is the next thing due? ─▶ timer, or idle
//
// What is due is asked of the tables, so nothing is kept in memory and a restart goes on where the last server was. A sweep that comes late does no harm: expiry is checked on read.
import * as E from 'fp-ts/lib/Either.js'
import type { Kind, WorkItemId } from '../domain/ids.ts'
import { expiryOf } from '../domain/policy/release.ts'
import type { Existing } from '../domain/work-item/state.ts'
import type { Due, DueFilter, DuePage, Tables } from '../projections/tables.ts'
import { StoreFault, type Position } from '../store/port.ts'
import { pause, type Cancel, type World } from '../world.ts'
import type { CommandOfType } from '../domain/work-item/commands.ts'
import type { Context, Done, Refusal, Timeless } from './command.ts'
import type { SweeperFigures } from './findings.ts'
import type { Handler } from './handle.ts'

/** How long things are kept, in milliseconds; undefined: for ever. */
export interface Retention {
  /** Of jobs, tasks and long tasks, from their settlement. */
  readonly settledMs?: number | undefined
  /** Of requests, from the release of their reply. */
  readonly releasedMs?: number | undefined
}

/** Puts the tombstone of a work item into the log and takes the data of everything before it. */
export type EraseItem = (workItem: WorkItemId, command: Timeless<CommandOfType<'Erase'>>, context: Context) => Promise<E.Either<Refusal, Pick<Done, 'events'>>>

/** Deletes what was erased before a position, or takes it out of reach, some at a time; `next` is there while there may be more. */
export type Prune = (before: Position, after: Position | undefined) => Promise<E.Either<StoreFault, { readonly pruned: number; readonly next?: Position | undefined }>>

export interface Sweeper {
  /** The item has changed: it may be due sooner than what is waited for. */
  readonly touch: (item: Existing, position: Position) => void
  /** Looks for what the server before left; again when this has become this server's to do. */
  readonly start: () => void
  readonly figures: () => SweeperFigures
  /** Stops between two batches; resolves when the one under way is done. */
  readonly close: () => Promise<void>
}

/** Items asked for at once: enough to share commits, not so many that others wait. */
const BATCH = 100
/** Between two batches at least this; otherwise as long as the batch took, so that half of the time is everybody else's. */
const PAUSE_MS = 10
/** Two sweeps are at least this far apart: what is due soon after each other goes together. */
const GAP_MS = 5_000
/** After a sweep in which what was due could not be done. */
const TRY_AGAIN_MS = 60_000
/** No timer is longer: the wall clock, by which things are due, may be set forward. */
const LOOK_AGAIN_MS = 3_600_000
const TABLES_WAIT_MS = 90_000

const SUBJECT = 'stint'
const KINDS: readonly Kind[] = ['job', 'task', 'request', 'long-task']

interface SweeperOptions {
  readonly world: World
  readonly tables: Tables
  readonly handler: Pick<Handler, 'execute'>
  readonly eraseItem: EraseItem
  readonly prune?: Prune | undefined
  readonly retention: Retention
  /** Of the last event that `live` has seen. */
  readonly position: () => Position
  /** Nothing may be said any more. */
  readonly isOff: () => boolean
  readonly onTrouble: (what: string, cause: unknown) => void
}

type Ask = (filter: DueFilter) => Promise<DuePage>

/** One list of things that come due. */
interface Duty {
  readonly ask: Ask
  /** How long after the time in its list a thing is due. */
  readonly afterMs: number
  readonly act: (workItem: WorkItemId, context: Context) => Promise<E.Either<Refusal, Pick<Done, 'events'>>>
  readonly done: () => void
}

const dutiesOf = ({ tables, handler, eraseItem, retention }: SweeperOptions, figures: { released: number; erased: number }): readonly Duty[] => {
  const release: Duty = {
    ask: tables.expiring,
    afterMs: 0,
    act: (workItem, context) => handler.execute(workItem, { type: 'ReleaseReply', by: SUBJECT, how: 'time' }, context),
    done: () => void (figures.released += 1),
  }
  const erasures = KINDS.flatMap((kind): readonly Duty[] => {
    const afterMs = kind === 'request' ? retention.releasedMs : retention.settledMs
    if (afterMs === undefined) return []
    const ask: Ask = (filter) => tables.retired({ ...filter, kind })
    const act: Duty['act'] = (workItem, context) => eraseItem(workItem, { type: 'Erase', by: SUBJECT, reason: 'retention' }, context)
    return [{ ask, afterMs, act, done: () => void (figures.erased += 1) }]
  })
  return [release, ...erasures]
}

/** When this item alone is due, milliseconds since 1970 UTC; undefined: time does nothing to it. */
const dueAt = (item: Existing, { settledMs, releasedMs }: Retention): number | undefined => {
  if (item.status !== 'settled' || item.erased === true) return undefined
  if (item.kind !== 'request') return settledMs === undefined ? undefined : item.settledAt + settledMs
  if (item.released === undefined) return expiryOf(item)
  return releasedMs === undefined ? undefined : item.updatedAt + releasedMs
}

export const createSweeper = (options: SweeperOptions): Sweeper => {
  const { world, tables, retention } = options
  const closing = new AbortController()
  const counts = { released: 0, erased: 0, pruned: 0, refused: 0 }
  const duties = dutiesOf(options, counts)
  let armed: { readonly at: number; readonly cancel: Cancel } | undefined
  let running: Promise<void> | undefined
  let lastSweptAt: number | undefined
  let failing: string | undefined
  /** What was erased before this start may not be pruned yet. */
  let isToPrune = options.prune !== undefined
  /** Begun, and not done. */
  let isPruning = false
  /** Of the newest event by which something was erased. It may be known before it is counted as seen. */
  let erasedAt: Position = ''

  const isOver = (): boolean => closing.signal.aborted || options.isOff()

  /** Waits for a time by the wall, and never longer than it takes to notice that the wall was moved. */
  const armFor = (ms: number): void => {
    if (isOver()) return
    const wait = Math.min(ms, LOOK_AGAIN_MS)
    const at = world.monotonic() + wait
    if (armed !== undefined && armed.at <= at) return
    armed?.cancel()
    armed = { at, cancel: world.timer(wait, begin) }
  }

  const begin = (): void => {
    armed = undefined
    if (isOver()) return
    // What settled while a sweep was under way may not have been in the tables yet when it looked.
    if (running !== undefined) return armFor(GAP_MS)
    running = sweep().then((next) => {
      running = undefined
      if (next !== undefined) armFor(next)
    })
  }

  /** Gives others their turn. */
  const rest = (since: number): Promise<void> => pause(world, Math.max(PAUSE_MS, world.monotonic() - since), closing.signal)

  const one = async ({ act, done }: Duty, { workItem }: Due): Promise<void> => {
    const acted = await act(workItem, { subject: SUBJECT, actor: SUBJECT, commandId: world.uuid() })
    if (E.isLeft(acted)) {
      if (acted.left instanceof Error) throw acted.left
      counts.refused += 1
    } else if (acted.right.events.length > 0) done()
  }

  const carryOut = async (duty: Duty): Promise<void> => {
    const notAfter = world.now() - duty.afterMs
    for (let after: Due | undefined; !isOver();) {
      const since = world.monotonic()
      const { items } = await duty.ask({ notAfter, after, limit: BATCH })
      await Promise.all(items.map((due) => one(duty, due)))
      if (items.length < BATCH) return
      after = items[items.length - 1]
      await rest(since)
    }
  }

  const pruneAll = async (): Promise<void> => {
    if (options.prune === undefined || !isToPrune) return
    // What is erased from here on may come too late for this.
    isToPrune = false
    isPruning = true
    // What the tables have not seen yet is not taken from under them.
    const before = tables.status().position
    for (let after: Position | undefined; !isOver();) {
      const since = world.monotonic()
      const pruned = await options.prune(before, after)
      if (E.isLeft(pruned)) {
        isToPrune = true
        throw pruned.left
      }
      counts.pruned += pruned.right.pruned
      after = pruned.right.next
      if (after === undefined) {
        isPruning = false
        // Erased while the tables were waited for, up to what had happened when that began.
        if (erasedAt > before) isToPrune = true
        return
      }
      await rest(since)
    }
    isToPrune = true
  }

  /** In how many milliseconds the first thing is due; undefined: nothing is there that ever will be. */
  const untilNext = async (): Promise<number | undefined> => {
    let next: number | undefined
    for (const { ask, afterMs } of duties) {
      const [first] = (await ask({ notAfter: Number.MAX_SAFE_INTEGER, limit: 1 })).items
      if (first !== undefined) next = Math.min(next ?? Infinity, first.at + afterMs)
    }
    return next === undefined ? undefined : next - world.now()
  }

  /** The tables know of everything that has happened up to now; or it is over. */
  const reachTables = (): Promise<void> =>
    new Promise((resolve, reject) => {
      if (isOver()) return resolve()
      const over = (): void => resolve()
      closing.signal.addEventListener('abort', over, { once: true })
      const position = options.position()
      void tables.reached(erasedAt > position ? erasedAt : position, TABLES_WAIT_MS).then((isReached) => {
        closing.signal.removeEventListener('abort', over)
        if (isReached || isOver()) resolve()
        else reject(new StoreFault('overloaded', 'The tables are too far behind the log'))
      })
    })

  /** Everything that is due now; answers in how many milliseconds to sweep again. */
  const sweep = async (): Promise<number | undefined> => {
    try {
      await reachTables()
      const before = counts.erased
      const acted = counts.released + counts.erased
      for (const duty of duties) await carryOut(duty)
      isToPrune ||= options.prune !== undefined && counts.erased > before
      await reachTables()
      await pruneAll()
      if (isOver()) return undefined
      lastSweptAt = world.now()
      failing = undefined
      const next = isToPrune ? GAP_MS : await untilNext()
      if (next === undefined) return undefined
      // What is due and was refused is due again at once: it is not asked again without end.
      return next <= 0 && counts.released + counts.erased === acted ? TRY_AGAIN_MS : Math.max(GAP_MS, next)
    } catch (cause) {
      if (isOver()) return undefined
      failing = cause instanceof Error ? cause.message : String(cause)
      options.onTrouble('What time releases and erases was held up and will go on', cause)
      return TRY_AGAIN_MS
    }
  }

  return {
    touch: (item, position) => {
      // Erased by hand, or by another server, or by the sweep that is under way, which comes to it then.
      if (options.prune !== undefined && item.status === 'settled' && item.erased === true) {
        isToPrune = true
        if (position > erasedAt) erasedAt = position
        if (running === undefined) armFor(GAP_MS)
        return
      }
      const at = dueAt(item, retention)
      if (at !== undefined) armFor(Math.max(GAP_MS, at - world.now()))
    },
    start: () => {
      armed?.cancel()
      // What another server erased that did not come to pruning it.
      isToPrune = options.prune !== undefined
      begin()
    },
    figures: () => ({ ...counts, isSweeping: running !== undefined, isOwing: isToPrune || isPruning, lastSweptAt, failing }),
    close: async () => {
      closing.abort()
      armed?.cancel()
      await running
    },
  }
}
