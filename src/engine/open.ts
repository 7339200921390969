// Puts the engine together over a store and its tables, recovers, and starts the clocks.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import { deadlineOf } from '../domain/policy/deadline.ts'
import { foreignPosition, type StoreFault, type EventStore, type Position } from '../store/port.ts'
import type { Tables } from '../projections/tables.ts'
import type { World } from '../world.ts'
import { createAudit } from './audit.ts'
import { createDeadlines } from './deadlines.ts'
import type { Busy, CommandToDo, Context, Engine, Status } from './engine.ts'
import { createHandler } from './handle.ts'
import { createLag } from './lag.ts'
import { createLive } from './live.ts'
import { createPresence } from './presence.ts'
import { createRead } from './read.ts'
import { createBulks } from './queues/bulk.ts'
import { createQueueBook } from './queues/queue-book.ts'
import { createQueues } from './queues/queues.ts'
import { createTaskQueues } from './queues/task-queues.ts'
import { recover, type Recovered } from './recover.ts'
import { openTokens } from './tokens.ts'
import { createWatch } from './watch.ts'

export interface EngineSettings {
  /** Name of this server in the metadata of events. */
  readonly server: string
  /** Births beyond so many live work items are refused (rules 7). */
  readonly maxLiveItems: number
  /** Every queue exists, with default settings, until a file configures one: for a server without auth and without queue files. */
  readonly openQueues: boolean
}

export const defaultSettings: EngineSettings = { server: 'stint', maxLiveItems: 1_000_000, openQueues: true }

export interface EngineOptions {
  readonly store: EventStore
  readonly tables: Tables
  readonly world: World
  readonly settings?: Partial<EngineSettings>
  /** A defect or fault that nobody is waiting for: to be logged. */
  readonly onTrouble?: (what: string, cause: unknown) => void
  readonly onRecovering?: (folded: number, position: Position) => void
}

export interface OpenedEngine extends Engine {
  /** What the start had to do. */
  readonly recovered: Recovered
  /** The store failed for good: commands are refused until a restart (rules 9). */
  readonly failed: (cause: unknown) => void
}

/** After a start or a standstill each lease gets at least this, or its term if that is shorter (rules 17). */
const GRACE_MS = 30_000

/** A timer's command that met a store fault is tried again after this. */
const FIRE_AGAIN_MS = 1_000

const TIMER_SUBJECT = 'stint'

/** Opens the engine. Left when the log cannot be read, or holds events that this version does not know. */
export const openEngine = async (options: EngineOptions): Promise<E.Either<StoreFault, OpenedEngine>> => {
  const { store, tables, world } = options
  const settings = { ...defaultSettings, ...options.settings }
  const trouble = options.onTrouble ?? (() => undefined)
  const live = createLive()
  const presence = createPresence(world)
  const watch = createWatch(world)
  const lag = createLag(world, () => tables.status().position)
  let stopping = false
  let closing = false
  let hasRecovered = false
  let failure: unknown
  const isStopping = (): boolean => closing

  const head = await store.head()()
  if (E.isLeft(head)) return head
  const { incarnation } = head.right
  let position = head.right.position

  const onAppended = (appendedAt: Position, events: number): void => {
    if (appendedAt > position) position = appendedAt
    lag.appended(appendedAt, events)
    tables.follow(appendedAt)
  }

  const refuseBirth = (): Busy | undefined => {
    if (live.size() >= settings.maxLiveItems) return { type: 'too-many-live' }
    return lag.isTooFar() ? { type: 'lagging' } : undefined
  }

  const handler = createHandler({ store, live, presence, world, server: settings.server, refuseBirth, isStopping, onAppended })

  const book = createQueueBook({ store, world, server: settings.server, onAppended, onChange: (key) => tasks.refresh(key) })
  const isOpen = (): boolean => settings.openQueues
  const tasks = createTaskQueues({ store, handler, live, book, world, isOpen, isStopping: () => stopping })
  const bulks = createBulks({ book, live, tables, handler, isStopping: () => stopping, onTrouble: trouble })

  /** Monotonic time of the item's deadline. After a start or a standstill nobody is judged before its grace is over. */
  const dueAt = (workItem: WorkItemId): number | undefined => {
    const deadline = deadlineOf(live.get(workItem)?.item ?? { status: 'absent', revision: -1 })
    if (deadline === undefined) return undefined
    if (deadline.what === 'silence') return presence.silentSince(workItem) + deadline.silenceMs
    const at = world.monotonic() + deadline.at - world.now()
    return deadline.what === 'lease-ends' ? Math.max(at, presence.awakeSince() + Math.min(deadline.termMs, GRACE_MS)) : at
  }

  const timerCommand = (workItem: WorkItemId): CommandToDo | undefined => {
    const item = live.get(workItem)?.item
    const deadline = item === undefined ? undefined : deadlineOf(item)
    if (item === undefined || deadline === undefined) return undefined
    switch (deadline.what) {
      case 'lease-ends':
        return { type: 'ExpireLease', lease: deadline.lease, retry: tasks.retryFor(item) }
      case 'given-up':
        return { type: 'GiveUpLost', lease: deadline.lease }
      case 'silence':
        return { type: 'LoseHolder', lease: deadline.lease, lastSeenAt: presence.get(workItem)?.lastSeenAt ?? item.updatedAt }
    }
  }

  const fire = async (workItem: WorkItemId): Promise<void> => {
    const command = timerCommand(workItem)
    if (command === undefined || stopping || failure !== undefined) return
    const context: Context = { subject: TIMER_SUBJECT, actor: TIMER_SUBJECT, commandId: world.uuid() }
    const done = await handler.executeUnless(() => (dueAt(workItem) ?? Infinity) > world.monotonic(), workItem, command, context)
    if (E.isRight(done) || !(done.left instanceof Error)) return deadlines.touch(workItem)
    trouble(`${command.type} on ${workItem} will be tried again`, done.left)
    deadlines.again(workItem, FIRE_AGAIN_MS)
  }

  const deadlines = createDeadlines({
    world,
    dueAt,
    fire: (workItem) => void fire(workItem).catch((cause) => trouble(`A timer of ${workItem} failed`, cause)),
    stoodStill: () => presence.woke(),
  })

  live.onChange((workItem, before, after) => {
    presence.changed(workItem, before, after)
    if (hasRecovered) deadlines.touch(workItem)
    tasks.changed(workItem, before, after)
    watch.wake(workItem)
  })

  const recovered = await recover({ reader: store, tables, live, onProgress: options.onRecovering })
  if (E.isLeft(recovered)) return recovered
  position = recovered.right.position > position ? recovered.right.position : position
  tables.follow(position)
  for (const name of recovered.right.queues) {
    const loaded = await book.load(name)
    if (E.isLeft(loaded)) return loaded
  }
  for (const name of recovered.right.queues) void bulks.carryOn(name)
  const tokens = await openTokens({ store, world, server: settings.server, onAppended })
  if (E.isLeft(tokens)) return tokens

  const status = (): Status => {
    const { stopped } = tables.status()
    const failedTables = Object.entries(stopped).map(([name, detail]) => `${name}: ${detail}`)
    const checks = [
      { name: 'store', ok: failure === undefined, ...(failure === undefined ? {} : { detail: failure instanceof Error ? failure.message : String(failure) }) },
      { name: 'running', ok: !stopping },
      { name: 'tables', ok: failedTables.length === 0, ...(failedTables.length === 0 ? {} : { detail: failedTables.join('; ') }) },
      { name: 'tables keep up', ok: !lag.isTooFar() },
    ]
    const notReady = failure !== undefined || stopping
    return {
      status: notReady ? 'not-ready' : checks.every((check) => check.ok) ? 'ready' : 'degraded',
      checks,
      position,
      liveItems: live.size(),
      heldItems: live.heldCount(),
      waitingPolls: watch.size(),
    }
  }

  // Nobody could be heard while the log was read, so no silence and no grace counts from before.
  presence.woke()
  hasRecovered = true
  for (const [workItem] of live.entries()) deadlines.touch(workItem)

  const stopped = new AbortController()
  const stop = (): void => {
    if (stopping) return
    stopping = true
    watch.stop()
    tasks.stop()
    deadlines.close()
    stopped.abort()
  }

  return E.right({
    execute: handler.execute,
    insertTask: tasks.insert,
    leaseTasks: tasks.lease,
    takeBack: tasks.takeBack,
    retryFor: tasks.retryFor,
    gateOf: tasks.gateOf,
    admits: tasks.admits,
    queues: createQueues({ book, tasks, bulks, position: () => position, isOpen }),
    read: createRead(store, handler),
    live: (workItem) => live.get(workItem)?.item,
    presence: presence.get,
    history: async (workItem, { from, max }) => {
      const events = await store.readStream(streamOf(workItem), { from, max })()
      return E.isRight(events) && events.right.length === 0 && from === 0 ? E.left({ type: 'not-found' }) : events
    },
    changed: watch.changed,
    follow: ({ after, signal }) => store.subscribe({ ...(after === undefined ? {} : { after }), signal: AbortSignal.any([signal, stopped.signal]) }),
    tables,
    tokens: tokens.right,
    position: () => position,
    reached: async (wanted, ms, by) => {
      if (foreignPosition(wanted, incarnation) !== undefined) return 'other-log'
      if (by === 'live' && wanted <= position) return 'reached'
      return (await tables.reached(wanted, ms)) ? 'reached' : 'behind'
    },
    audit: createAudit({ store, world, server: settings.server, onAppended, onFailed: (cause) => trouble('A refusal could not be audited', cause) }),
    now: world.now,
    status,
    stop,
    close: async () => {
      stop()
      await bulks.idle()
      closing = true
      await handler.idle()
      await tables.close()
      await store.close()
    },
    recovered: recovered.right,
    failed: (cause) => {
      failure = cause
    },
  })
}
