// Puts the engine together over a store and its tables, recovers, and starts the clocks.
import * as E from 'fp-ts/lib/Either.js'
import type { StoreFault, EventStore, Position } from '../store/port.ts'
import type { Tables } from '../projections/tables.ts'
import type { World } from '../world.ts'
import { countAppends } from './append-figures.ts'
import { createRequestUsage } from './contracts/usage.ts'
import { workItemOf, type WorkItemId } from '../domain/ids.ts'
import { TOMBSTONE } from '../domain/work-item/events.ts'
import { TOKENS_STREAM } from '../domain/tokens.ts'
import type { TakeIn } from './cluster/follow.ts'
import { ALONE } from './cluster/membership.ts'
import { openSharedLog } from './cluster/shared-log.ts'
import type { UrlPattern } from '../domain/policy/url-pattern.ts'
import type { Lookup } from './delivery/addresses.ts'
import { createDoors, type Doors } from './doors.ts'
import type { Busy } from './command.ts'
import { engineFace, type Life, type OpenedEngine } from './engine-face.ts'
import { createHandler, type Handler } from './handle.ts'
import { createLag, type Lag } from './lag.ts'
import { endLeasesOf } from './left-leases.ts'
import { createLive, type Live } from './live.ts'
import { createPresence } from './presence.ts'
import { recover, type Recovered } from './recover.ts'
import { createStoreWatch } from './store-watch.ts'
import { createSweeper, type Prune, type Retention } from './sweeper.ts'
import { createTimers } from './timers.ts'
import { openTokens, type FollowingTokens } from './tokens.ts'
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
  /** Over a shared log: where other servers reach this one; empty: nowhere. `announce` says it later. */
  readonly url: string
  /** What messages may be sent to; nothing else (rules 30). */
  readonly allowUrls: readonly UrlPattern[]
  /** What messages that are sent out say of their sender: `Stint/1.2.3`. */
  readonly userAgent: string
  /** How long settled work items are kept. */
  readonly retention: Retention
}

export const defaultSettings: EngineSettings = {
  server: 'stint',
  url: '',
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

/** Deletes what is erased, or takes it out of reach, as far as the store can; undefined where it can do neither. */
const pruneOf = ({ capabilities, prune, truncateErased }: EventStore): Prune | undefined => {
  const bounds = (before: Position, after: Position | undefined) => ({ before, ...(after === undefined ? {} : { after }) })
  if (capabilities.truncate) {
    return async (before, after) => {
      const truncated = await truncateErased({ tombstone: TOMBSTONE, ...bounds(before, after) })()
      return E.isLeft(truncated) ? truncated : E.right({ pruned: truncated.right.truncated, next: truncated.right.next })
    }
  }
  // Nobody knows how far the tables of the other servers of a shared log have come.
  return capabilities.prune && !capabilities.shared ? (before, after) => prune(bounds(before, after))() : undefined
}

/** Erases and prunes what is past its time. */
const sweeperOf = (
  parts: Pick<EngineOptions, 'store' | 'world' | 'tables'> & {
    readonly handler: Handler
    readonly position: () => Position
    readonly isOff: () => boolean
    readonly onTrouble: (what: string, cause: unknown) => void
  },
  retention: Retention,
) => {
  const { store, handler } = parts
  return createSweeper({ ...parts, eraseItem: handler.execute, prune: pruneOf(store), retention })
}

/** Why nothing may be born now, if so (rules 7, 12). */
const birthsRefused = (live: Live, lag: Lag, liveMax: number) => (): Busy | undefined => {
  if (live.size() >= liveMax) return { type: 'too-many-live' }
  return lag.isTooFar() ? { type: 'lagging' } : undefined
}

/** How far `live` has come, and telling those who follow it. */
const createProgress = (from: Position, lag: Lag, tables: Tables, isShared: boolean) => {
  let position = from
  const note = (at: Position): void => {
    if (at > position) position = at
    tables.follow(at)
  }
  const onMoved = (at: Position, events: number): void => {
    note(at)
    lag.appended(at, events)
  }
  // Over a shared log what this server appends counts when it comes back to it.
  return { position: () => position, note, onMoved, onAppended: (at: Position, events: number): void => onMoved(at, isShared ? 0 : events) }
}

/** Brings back what the log says: work items, queues, contracts, nodes and tokens. */
const readLog = async (
  options: Pick<EngineOptions, 'store' | 'tables' | 'world' | 'onRecovering'> & {
    readonly live: Live
    readonly doors: Doors
    readonly server: string
    readonly note: (position: Position) => void
    readonly onAppended: (position: Position, events: number) => void
  },
): Promise<E.Either<StoreFault, { readonly recovered: Recovered; readonly tokens: FollowingTokens }>> => {
  const { store, tables, live, doors } = options
  const recovered = await recover({ reader: store, tables, live, onProgress: options.onRecovering })
  if (E.isLeft(recovered)) return recovered
  options.note(recovered.right.position)
  const loaded = await doors.recovered(recovered.right)
  if (E.isLeft(loaded)) return loaded
  const tokens = await openTokens(options)
  return E.isLeft(tokens) ? tokens : E.right({ recovered: recovered.right, tokens: tokens.right })
}

/** Opens the engine. Left when the log cannot be read, or holds events that this version does not know. */
export const openEngine = async (options: EngineOptions): Promise<E.Either<StoreFault, OpenedEngine>> => {
  const { tables, world, onTrouble: trouble = () => undefined, secretOf = () => undefined } = options
  const { store, figures: appends } = countAppends(options.store)
  const settings = { ...defaultSettings, ...options.settings }
  const live = createLive()
  const presence = createPresence(world)
  const watch = createWatch(world)
  const isShared = store.capabilities.shared
  let hasRecovered = false
  const storeWatch = createStoreWatch(store.reach)
  const life: Life = { isStopping: false, isClosing: false, failure: undefined }

  const head = await store.head()()
  if (E.isLeft(head)) return head
  const { incarnation } = head.right
  const lag = createLag(world, () => tables.status().position, head.right.position)
  const { position, note, onMoved, onAppended } = createProgress(head.right.position, lag, tables, isShared)
  const fail = (cause: unknown): void => {
    if (life.failure === undefined) trouble('This server takes no more commands until it is restarted', cause)
    life.failure ??= cause
  }
  const takeIn: TakeIn = async (stream, events) => {
    const workItem = workItemOf(stream)
    if (workItem !== undefined) return handler.follow(workItem, events)
    if (stream === TOKENS_STREAM) return tokens.follow(events)
    return (await doors.follow(stream, events)) ?? E.right(undefined)
  }
  const opened = isShared ? await openSharedLog({ store, world, server: settings.server, takeIn, onAppended, onMoved, onFailed: fail, onTrouble: trouble }) : E.right(undefined)
  if (E.isLeft(opened)) return opened
  const shared = opened.right
  const duties = shared?.membership ?? ALONE
  const leadership = shared?.leadership

  const refuseBirth = birthsRefused(live, lag, settings.maxLiveItems)
  const handler = createHandler({
    ...{ store, live, presence, world, refuseBirth, onAppended, server: settings.server },
    ...{ isStopping: () => life.isClosing || (isShared && life.failure !== undefined), isCounted: (workItem: WorkItemId) => requestUsage.isCounted(workItem) },
    ...{ leaseStands: (workItem: Parameters<typeof timers.isAhead>[0]): boolean => timers.isAhead(workItem) },
  })

  const isOff = (): boolean => life.isStopping || life.failure !== undefined
  const isQuiet = (): boolean => isOff() || storeWatch.isOff()
  const isBlind = (): boolean => storeWatch.trouble() !== undefined
  const requestUsage = createRequestUsage({ tables, world, position })
  const doors = createDoors({
    ...{ store, handler, live, tables, world, requestUsage, secretOf, onAppended, server: settings.server, lookup: options.lookup, onTrouble: trouble },
    isOpen: { queues: () => settings.openQueues, contracts: () => settings.openContracts },
    ...{ patterns: settings.allowUrls, userAgent: settings.userAgent, position, isStopping: () => life.isStopping, duties, leadership, untilKnown: shared?.untilKnown },
  })
  const timers = createTimers({ world, live, presence, handler, retryFor: doors.retryFor, duties: shared?.membership, isOff: isQuiet, isBlind, onTrouble: trouble })
  const sweeper = sweeperOf({ store, world, tables, handler, position, isOff: () => isQuiet() || !duties.isMine('sweeper'), onTrouble: trouble }, settings.retention)

  live.onChange((workItem, before, after, at) => {
    presence.changed(workItem, before, after)
    if (hasRecovered) timers.touch(workItem)
    sweeper.touch(after, at)
    requestUsage.changed(workItem, before, after, at)
    doors.changed(workItem, before, after)
    watch.wake(workItem)
  })

  const read = await readLog({ store, tables, live, doors, world, note, onAppended, server: settings.server, onRecovering: options.onRecovering })
  if (E.isLeft(read)) return read
  const { recovered, tokens } = read.right

  // Nobody could be heard while the log was read, so no silence and no grace counts from before.
  presence.woke()
  hasRecovered = true
  const touchAll = (): void => {
    for (const [workItem] of live.entries()) timers.touch(workItem)
  }
  touchAll()
  doors.begin()
  sweeper.start()
  const takeUp = (): void => {
    if (isOff()) return
    touchAll()
    doors.shifted()
    sweeper.start()
  }
  duties.onShift(takeUp)
  storeWatch.begin({ lost: (reason) => trouble('The log cannot be used, and commands are refused', new Error(reason)), reached: () => presence.woke(), resumed: takeUp })
  const begun = (await shared?.begin(recovered.position, settings.url)) ?? E.right(undefined)
  if (E.isLeft(begun)) {
    timers.close()
    doors.stop()
    await shared?.close()
    return begun
  }

  if (options.endLeasesOf !== undefined) await endLeasesOf(options.endLeasesOf, { live, handler, world, retryFor: doors.retryFor, onTrouble: trouble })

  const made = { handler, doors, timers, sweeper, requestUsage, tokens, shared, recovered, storeWatch }
  return E.right(
    engineFace({ store, tables, world, server: settings.server, incarnation, live, presence, watch, lag, ...made, appends, life, position, onAppended, onTrouble: trouble }),
  )
}
