// Puts the engine together over a store and its tables, recovers, and starts the clocks.
import * as E from 'fp-ts/lib/Either.js'
import { foreignPosition, type StoreFault, type EventStore, type Position } from '../store/port.ts'
import type { Tables } from '../projections/tables.ts'
import type { World } from '../world.ts'
import { createRequestUsage } from './contracts/usage.ts'
import { createAudit } from './audit.ts'
import type { RetryPolicy } from '../domain/work-item/commands.ts'
import { isOwing, type Existing } from '../domain/work-item/state.ts'
import type { Busy, Engine, Status } from './engine.ts'
import { createHandler } from './handle.ts'
import { createLag } from './lag.ts'
import { createLive } from './live.ts'
import { createPresence } from './presence.ts'
import { createHistory, createRead } from './read.ts'
import { createBulks } from './queues/bulk.ts'
import { createContracts } from './contracts/contracts.ts'
import { createOutboxes, type Deliver } from './contracts/outbox.ts'
import { createQueueBook } from './queues/queue-book.ts'
import { createQueues } from './queues/queues.ts'
import { createTaskQueues, type TaskQueues } from './queues/task-queues.ts'
import { recover, type Recovered } from './recover.ts'
import { statusOf } from './status.ts'
import { createSweeper, type Prune, type Retention } from './sweeper.ts'
import { createTimers } from './timers.ts'
import { openTokens } from './tokens.ts'
import { createWatch } from './watch.ts'

export interface EngineSettings {
  /** Name of this server in the metadata of events. */
  readonly server: string
  /** Births beyond so many live work items are refused (rules 7). */
  readonly maxLiveItems: number
  /** Every queue and every contract exists, with default settings, until one is configured: for a server without auth and without queue files. */
  readonly openQueues: boolean
  /** How long settled work items are kept. */
  readonly retention: Retention
}

export const defaultSettings: EngineSettings = { server: 'stint', maxLiveItems: 1_000_000, openQueues: true, retention: {} }

export interface EngineOptions {
  readonly store: EventStore
  readonly tables: Tables
  readonly world: World
  readonly settings?: Partial<EngineSettings>
  /** A defect or fault that nobody is waiting for: to be logged. */
  readonly onTrouble?: (what: string, cause: unknown) => void
  /** Carries messages out of Stint; without it there is nowhere that may be called. */
  readonly deliver?: Deliver
  readonly onRecovering?: (folded: number, position: Position) => void
}

export interface OpenedEngine extends Engine {
  /** What the start had to do. */
  readonly recovered: Recovered
  /** The store failed for good: commands are refused until a restart (rules 9). */
  readonly failed: (cause: unknown) => void
}

const taskDoors = (tasks: TaskQueues): Pick<Engine, 'insertTask' | 'leaseTasks' | 'takeBack' | 'gateOf' | 'admits'> => ({
  insertTask: tasks.insert,
  leaseTasks: tasks.lease,
  takeBack: tasks.takeBack,
  gateOf: tasks.gateOf,
  admits: tasks.admits,
})

const NOWHERE: Deliver = () => Promise.resolve({ outcome: 'refused', code: 'not-allowed' })

/** Opens the engine. Left when the log cannot be read, or holds events that this version does not know. */
export const openEngine = async (options: EngineOptions): Promise<E.Either<StoreFault, OpenedEngine>> => {
  const { store, tables, world, onTrouble: trouble = () => undefined } = options
  const settings = { ...defaultSettings, ...options.settings }
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
  const bookOptions = { store, world, server: settings.server, onAppended }
  const contracts = createContracts({ store, handler, live, world, bookOptions: { ...bookOptions, onChange: () => undefined }, isOpen, isStopping: () => stopping })
  const retryFor = (item: Existing): RetryPolicy => (item.request === undefined ? tasks.retryFor(item) : contracts.retryFor(item))
  const deliver = options.deliver ?? NOWHERE
  const outboxes = createOutboxes({ store, live, handler, world, tasks, contracts, deliver, onTrouble: trouble })
  const bulks = createBulks({ book, live, tables, handler, world, onTrouble: trouble })

  const isOff = (): boolean => stopping || failure !== undefined
  const timers = createTimers({ world, live, presence, handler, retryFor, isOff, onTrouble: trouble })
  const sweeping = { world, tables, handler, position: () => position, isOff, onTrouble: trouble }
  const prune: Prune | undefined = store.capabilities.prune ? (after) => store.prune({ before: tables.status().position, ...(after === undefined ? {} : { after }) })() : undefined
  const sweeper = createSweeper({ ...sweeping, eraseItem: handler.execute, prune, retention: settings.retention })
  const requestUsage = createRequestUsage({ tables, world, position: () => position })

  live.onChange((workItem, before, after, at) => {
    presence.changed(workItem, before, after)
    if (hasRecovered) timers.touch(workItem)
    sweeper.touch(after)
    requestUsage.changed(workItem, before, after, at)
    tasks.changed(workItem, before, after)
    contracts.changed(workItem, before, after)
    if (hasRecovered && isOwing(after)) outboxes.changed(workItem)
    watch.wake(workItem)
  })

  const recovered = await recover({ reader: store, tables, live, onProgress: options.onRecovering })
  if (E.isLeft(recovered)) return recovered
  position = recovered.right.position > position ? recovered.right.position : position
  tables.follow(position)
  const loaded = await book.loadAll(recovered.right.queues)
  if (E.isLeft(loaded)) return loaded
  for (const name of recovered.right.queues) void bulks.carryOn(name)
  const known = await contracts.loadAll(recovered.right.contracts)
  if (E.isLeft(known)) return known
  const tokens = await openTokens({ store, world, server: settings.server, onAppended })
  if (E.isLeft(tokens)) return tokens

  const queues = createQueues({ book, tasks, bulks, position: () => position, isOpen })
  const status = (): Status => statusOf({ failure, queues, isStopping: stopping, lag, tables, position, live, watch, sweeper })

  // Nobody could be heard while the log was read, so no silence and no grace counts from before.
  presence.woke()
  hasRecovered = true
  for (const [workItem, { item }] of live.entries()) {
    timers.touch(workItem)
    if (isOwing(item)) outboxes.changed(workItem)
  }
  sweeper.start()

  const stopped = new AbortController()
  const stop = (): void => {
    if (stopping) return
    stopping = true
    watch.stop()
    tasks.stop()
    contracts.stop()
    outboxes.stop()
    timers.close()
    void sweeper.close()
    stopped.abort()
  }

  return E.right({
    execute: handler.execute,
    ...taskDoors(tasks),
    retryFor,
    contracts,
    queues,
    requestUsage,
    read: createRead(store, handler),
    history: createHistory(store),
    live: (workItem) => live.get(workItem)?.item,
    presence: presence.get,
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
      await Promise.all([bulks.close(), outboxes.close(), sweeper.close()])
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
