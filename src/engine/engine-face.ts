// The parts of a running engine as its face shows them, and how they are stopped: first what gives commands by itself, then commands, then what they are written to.
import * as E from 'fp-ts/lib/Either.js'
import type { Tables } from '../projections/tables.ts'
import { foreignPosition, type EventStore, type Position, type StoreFault } from '../store/port.ts'
import type { World } from '../world.ts'
import type { AppendFigures } from './append-figures.ts'
import { createAudit } from './audit.ts'
import type { SharedLog } from './cluster/shared-log.ts'
import type { RequestUsage } from './contracts/usage.ts'
import type { Doors } from './doors.ts'
import type { Engine } from './engine.ts'
import type { Handler } from './handle.ts'
import type { Lag } from './lag.ts'
import type { Live } from './live.ts'
import type { PresenceTable } from './presence.ts'
import { createHistory, createRead } from './read.ts'
import type { Recovered } from './recover.ts'
import { createRefusals } from './refusals.ts'
import { statusOf } from './status.ts'
import type { StoreWatch } from './store-watch.ts'
import type { Sweeper } from './sweeper.ts'
import type { Timers } from './timers.ts'
import type { FollowingTokens } from './tokens.ts'
import type { Watch } from './watch.ts'

/** The engine for whoever opened it. */
export interface OpenedEngine extends Engine {
  /** What the start had to do. */
  readonly recovered: Recovered
  /** The store failed for good: commands are refused until a restart (rules 9). */
  readonly failed: (cause: unknown) => void
  /** Tells the other servers of a shared log where this one is reached. */
  readonly announce: (url: string) => Promise<E.Either<StoreFault, unknown>>
}

/** How far an engine is on its way to its end. */
export interface Life {
  /** Nothing is begun by itself any more. */
  isStopping: boolean
  /** No command is taken any more. */
  isClosing: boolean
  /** Why it cannot go on, if so. */
  failure: unknown
}

export interface EngineParts {
  readonly store: EventStore
  readonly tables: Tables
  readonly world: World
  readonly server: string
  readonly incarnation: string
  readonly live: Live
  readonly presence: PresenceTable
  readonly watch: Watch
  readonly lag: Lag
  readonly handler: Handler
  readonly doors: Doors
  readonly timers: Timers
  readonly sweeper: Sweeper
  readonly requestUsage: RequestUsage
  readonly tokens: FollowingTokens
  /** What others who write to the log ask for; undefined where nobody else does. */
  readonly shared: SharedLog | undefined
  readonly recovered: Recovered
  readonly storeWatch: StoreWatch
  readonly appends: () => AppendFigures
  readonly life: Life
  readonly position: () => Position
  readonly onAppended: (position: Position, events: number) => void
  readonly onTrouble: (what: string, cause: unknown) => void
}

const reachedIn =
  ({ tables, incarnation, position, shared }: EngineParts): Engine['reached'] =>
  async (wanted, ms, by) => {
    if (foreignPosition(wanted, incarnation) !== undefined) return 'other-log'
    if (shared !== undefined) {
      const both = await Promise.all([shared.reached(wanted, ms), by === 'live' || tables.reached(wanted, ms)])
      return both.every(Boolean) ? 'reached' : 'behind'
    }
    if (by === 'live' && wanted <= position()) return 'reached'
    return (await tables.reached(wanted, ms)) ? 'reached' : 'behind'
  }

/** What is asked of the other servers; where there are none, this one leads everything and knows all there is. */
const amongServers = ({ shared, position, server }: EngineParts): Pick<Engine, 'isShared' | 'servers' | 'leads' | 'leaderOf' | 'untilGone' | 'known' | 'catchUp'> =>
  shared === undefined
    ? {
        isShared: false,
        servers: () => [server],
        leads: () => true,
        leaderOf: async () => 'here',
        untilGone: () => new Promise(() => undefined),
        known: position,
        catchUp: async () => false,
      }
    : {
        isShared: true,
        servers: () => shared.membership.present().map((each) => each.server),
        leads: shared.leadership.leads,
        leaderOf: shared.leadership.lead,
        untilGone: shared.untilGone,
        known: () => shared.position() ?? position(),
        catchUp: shared.catchUp,
      }

export const engineFace = (parts: EngineParts): OpenedEngine => {
  const { store, tables, world, server, live, watch, lag, handler, doors, timers, sweeper, tokens, shared, life, position, onAppended, onTrouble } = parts
  const stopped = new AbortController()
  const stop = (): void => {
    if (life.isStopping) return
    life.isStopping = true
    watch.stop()
    doors.stop()
    timers.close()
    void sweeper.close()
    shared?.stop()
    stopped.abort()
  }

  return {
    execute: handler.execute,
    ...doors.face,
    ...amongServers(parts),
    requestUsage: parts.requestUsage,
    ...{ read: createRead(store, handler), history: createHistory(store), refusals: createRefusals(store) },
    live: (workItem) => live.get(workItem)?.item,
    presence: parts.presence.get,
    leaseStands: timers.isAhead,
    changed: watch.changed,
    follow: ({ after, signal }) => store.subscribe({ ...(after === undefined ? {} : { after }), signal: AbortSignal.any([signal, stopped.signal]) }),
    tables,
    tokens,
    position,
    appends: parts.appends,
    reached: reachedIn(parts),
    audit: createAudit({ store, world, server, onAppended, onFailed: (cause) => onTrouble('A refusal could not be audited', cause) }),
    now: world.now,
    status: () =>
      statusOf({ ...life, storeWatch: parts.storeWatch, shared: shared?.checks() ?? [], queues: doors.face.queues, lag, tables, position: position(), live, watch, sweeper }),
    stop,
    close: async () => {
      stop()
      await Promise.all([doors.close(), sweeper.close()])
      life.isClosing = true
      await handler.idle()
      await shared?.close()
      await tables.close()
      await store.close()
    },
    recovered: parts.recovered,
    failed: (cause) => {
      life.failure = cause
    },
    announce: async (url) => (await shared?.membership.join(url)) ?? E.right(undefined),
  }
}
