// Puts the engine together over a store and its tables, recovers, and starts the clocks.
import * as E from 'fp-ts/lib/Either.js'
import { foreignPosition, type StoreFault, type EventStore, type Position } from '../store/port.ts'
import type { Tables } from '../projections/tables.ts'
import type { World } from '../world.ts'
import { createRequestUsage } from './contracts/usage.ts'
import { createAudit } from './audit.ts'
import type { UrlPattern } from '../domain/policy/url-pattern.ts'
import type { Lookup } from './delivery/addresses.ts'
import { createDoors } from './doors.ts'
import type { Busy, Engine } from './engine.ts'
import { createHandler, type Handler } from './handle.ts'
import { createLag, type Lag } from './lag.ts'
import { endLeasesOf } from './left-leases.ts'
import { createLive, type Live } from './live.ts'
import { createPresence } from './presence.ts'
import { createHistory, createRead } from './read.ts'
import { createRefusals } from './refusals.ts'
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
  /** Every queue exists, with default settings, until a file configures one: for a server without auth and without queue files. */
  readonly openQueues: boolean
  /** Every contract exists, with default settings: for a server without auth. */
  readonly openContracts: boolean
  /** What messages may be sent to; nothing else (rules 30). */
  readonly allowUrls: readonly UrlPattern[]
  /** What messages that are sent out say of their sender: `Stint/1.2.3`. */
  readonly userAgent: string
  /** How long settled work items are kept. */
  readonly retention: Retention
}

export const defaultSettings: EngineSettings = {
  server: 'stint',
  maxLiveItems: 1_000_000,
  openQueues: true,
  openContracts: true,
  allowUrls: [],
  userAgent: 'Stint',
  retention: {},
}

export interface EngineOptions {
  readonly store: EventStore
  readonly tables: Tables
  readonly world: World
  readonly settings?: Partial<EngineSettings>
  /** A variable of the environment, where the secrets of webhooks are; without it there are none. */
  readonly secretOf?: (name: string) => string | undefined
  /** How the names of receivers are resolved; the system's way, unless said. */
  readonly lookup?: Lookup | undefined
  /** A defect or fault that nobody is waiting for: to be logged. */
  readonly onTrouble?: (what: string, cause: unknown) => void
  readonly onRecovering?: (folded: number, position: Position) => void
  /** Whose leases are over when the log is opened: the handlers that this very process runs, as the lock on the log proves that their holder is gone (rules 17). */
  readonly endLeasesOf?: string
}

export interface OpenedEngine extends Engine {
  /** What the start had to do. */
  readonly recovered: Recovered
  /** The store failed for good: commands are refused until a restart (rules 9). */
  readonly failed: (cause: unknown) => void
}

/** Erases and prunes what is past its time, as far as the store can; what the tables have not seen yet is not pruned from under them. */
const sweeperOf = (
  parts: Pick<EngineOptions, 'store' | 'world' | 'tables'> & {
    readonly handler: Handler
    readonly position: () => Position
    readonly isOff: () => boolean
    readonly onTrouble: (what: string, cause: unknown) => void
  },
  retention: Retention,
) => {
  const { store, tables, handler } = parts
  const prune: Prune | undefined = store.capabilities.prune ? (after) => store.prune({ before: tables.status().position, ...(after === undefined ? {} : { after }) })() : undefined
  return createSweeper({ ...parts, eraseItem: handler.execute, prune, retention })
}

const reachedIn =
  (tables: Tables, incarnation: string, position: () => Position): Engine['reached'] =>
  async (wanted, ms, by) => {
    if (foreignPosition(wanted, incarnation) !== undefined) return 'other-log'
    if (by === 'live' && wanted <= position()) return 'reached'
    return (await tables.reached(wanted, ms)) ? 'reached' : 'behind'
  }

/** Why nothing may be born now, if so (rules 7, 12). */
const birthsRefused = (live: Live, lag: Lag, liveMax: number) => (): Busy | undefined => {
  if (live.size() >= liveMax) return { type: 'too-many-live' }
  return lag.isTooFar() ? { type: 'lagging' } : undefined
}

/** Opens the engine. Left when the log cannot be read, or holds events that this version does not know. */
export const openEngine = async (options: EngineOptions): Promise<E.Either<StoreFault, OpenedEngine>> => {
  const { store, tables, world, onTrouble: trouble = () => undefined, secretOf = () => undefined } = options
  const settings = { ...defaultSettings, ...options.settings }
  const live = createLive()
  const presence = createPresence(world)
  const watch = createWatch(world)
  const lag = createLag(world, () => tables.status().position)
  let stopping = false
  let closing = false
  let hasRecovered = false
  let failure: unknown

  const head = await store.head()()
  if (E.isLeft(head)) return head
  const { incarnation } = head.right
  let position = head.right.position

  const onAppended = (appendedAt: Position, events: number): void => {
    if (appendedAt > position) position = appendedAt
    lag.appended(appendedAt, events)
    tables.follow(appendedAt)
  }

  const refuseBirth = birthsRefused(live, lag, settings.maxLiveItems)
  const handler = createHandler({
    ...{ store, live, presence, world, refuseBirth, onAppended, server: settings.server },
    ...{ isStopping: () => closing, leaseStands: (workItem: Parameters<typeof timers.isAhead>[0]): boolean => timers.isAhead(workItem) },
  })

  const isOff = (): boolean => stopping || failure !== undefined
  const requestUsage = createRequestUsage({ tables, world, position: () => position })
  const doors = createDoors({
    ...{ store, handler, live, tables, world, requestUsage, secretOf, onAppended, server: settings.server, lookup: options.lookup, onTrouble: trouble },
    isOpen: { queues: () => settings.openQueues, contracts: () => settings.openContracts },
    ...{ patterns: settings.allowUrls, userAgent: settings.userAgent, position: () => position, isStopping: () => stopping },
  })
  const timers = createTimers({ world, live, presence, handler, retryFor: doors.retryFor, isOff, onTrouble: trouble })
  const sweeper = sweeperOf({ store, world, tables, handler, position: () => position, isOff, onTrouble: trouble }, settings.retention)

  live.onChange((workItem, before, after, at) => {
    presence.changed(workItem, before, after)
    if (hasRecovered) timers.touch(workItem)
    sweeper.touch(after)
    requestUsage.changed(workItem, before, after, at)
    doors.changed(workItem, before, after)
    watch.wake(workItem)
  })

  const recovered = await recover({ reader: store, tables, live, onProgress: options.onRecovering })
  if (E.isLeft(recovered)) return recovered
  position = recovered.right.position > position ? recovered.right.position : position
  tables.follow(position)
  const loaded = await doors.recovered(recovered.right)
  if (E.isLeft(loaded)) return loaded
  const tokens = await openTokens({ store, world, server: settings.server, onAppended })
  if (E.isLeft(tokens)) return tokens

  // Nobody could be heard while the log was read, so no silence and no grace counts from before.
  presence.woke()
  hasRecovered = true
  for (const [workItem] of live.entries()) timers.touch(workItem)
  doors.begin()
  sweeper.start()

  if (options.endLeasesOf !== undefined) await endLeasesOf(options.endLeasesOf, { live, handler, world, retryFor: doors.retryFor, onTrouble: trouble })

  const stopped = new AbortController()
  const stop = (): void => {
    if (stopping) return
    stopping = true
    watch.stop()
    doors.stop()
    timers.close()
    void sweeper.close()
    stopped.abort()
  }

  return E.right({
    execute: handler.execute,
    ...doors.face,
    requestUsage,
    ...{ read: createRead(store, handler), history: createHistory(store), refusals: createRefusals(store) },
    live: (workItem) => live.get(workItem)?.item,
    presence: presence.get,
    leaseStands: timers.isAhead,
    changed: watch.changed,
    follow: ({ after, signal }) => store.subscribe({ ...(after === undefined ? {} : { after }), signal: AbortSignal.any([signal, stopped.signal]) }),
    tables,
    tokens: tokens.right,
    position: () => position,
    reached: reachedIn(tables, incarnation, () => position),
    audit: createAudit({ store, world, server: settings.server, onAppended, onFailed: (cause) => trouble('A refusal could not be audited', cause) }),
    now: world.now,
    status: () => statusOf({ failure, queues: doors.face.queues, isStopping: stopping, lag, tables, position, live, watch, sweeper }),
    stop,
    close: async () => {
      stop()
      await Promise.all([doors.close(), sweeper.close()])
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
