// What an engine needs beside itself when others write to its log too: it follows what they append, says that it is there, and knows who does what. Where the log is its
// own alone (`capabilities.shared` is false) none of this is made.
import * as E from 'fp-ts/lib/Either.js'
import { LEADERS_STREAM } from '../../domain/leader.ts'
import { SERVERS_STREAM } from '../../domain/server.ts'
import type { StoreFault, EventStore, Position } from '../../store/port.ts'
import { pause, type World } from '../../world.ts'
import type { Check } from '../findings.ts'
import { createFollower, type Follower, type TakeIn } from './follow.ts'
import { createLeadership, type Leadership } from './leadership.ts'
import { createMembership, type Membership, type OtherServer } from './membership.ts'

/** How long a refused call waits for what the log had when it was refused. */
const CATCH_UP_MS = 2_000
/** How long between two looks while the store is away. */
const LOOK_AGAIN_MS = 1_000
/** How long a start waits until it sees itself among the servers. */
const JOIN_MS = 10_000

export interface SharedLog {
  readonly membership: Membership
  readonly leadership: Leadership
  /** Resolves when the server is not among those that are there any more, or when `signal` aborts. */
  readonly untilGone: (server: OtherServer, signal: AbortSignal) => Promise<void>
  /** Follows from here on, and joins the others. Left when the store fails. */
  readonly begin: (after: Position, url: string) => Promise<E.Either<StoreFault, void>>
  /** Position up to which everything has been taken in; undefined before it begins. */
  readonly position: () => Position | undefined
  readonly reached: (position: Position, ms: number) => Promise<boolean>
  /** Takes in what the log has now; whether more is known then than at that position. */
  readonly catchUp: (since: Position) => Promise<boolean>
  /** Resolves when all is taken in that the log has now, however long the store is away; false: the server stops first. */
  readonly untilKnown: () => Promise<boolean>
  readonly checks: () => readonly Check[]
  /** Nothing is this server's to do any more. */
  readonly stop: () => void
  /** Says that it has stopped, and follows no more. */
  readonly close: () => Promise<void>
}

export interface SharedLogOptions {
  readonly store: EventStore
  readonly world: World
  readonly server: string
  /** Of streams that are none of its own. */
  readonly takeIn: TakeIn
  /** What this server has appended itself. */
  readonly onAppended: (position: Position, events: number) => void
  /** What was taken in. */
  readonly onMoved: (position: Position, events: number) => void
  /** This server cannot go on: it meets what it cannot read, or another goes by its name. */
  readonly onFailed: (cause: Error) => void
  readonly onTrouble: (what: string, cause: unknown) => void
}

/**
 * Where the log ends, at a time not before it is asked for. One look serves all who ask before it is begun: every call with a token that nobody knows asks, and must not cost the store a read
 * for which others wait.
 */
const createHeads = (store: EventStore): (() => Promise<Position | undefined>) => {
  let looking: Promise<Position | undefined> | undefined
  let next: Promise<Position | undefined> | undefined
  const look = async (): Promise<Position | undefined> => {
    const head = await store.head()()
    return E.isRight(head) ? head.right.position : undefined
  }
  const begin = async (): Promise<Position | undefined> => {
    await looking
    next = undefined
    looking = look()
    return looking
  }
  return () => (next ??= begin())
}

export const openSharedLog = async (options: SharedLogOptions): Promise<E.Either<StoreFault, SharedLog>> => {
  const heads = createHeads(options.store)
  const membership = createMembership({ ...options, onSuperseded: options.onFailed })
  const loaded = await membership.load()
  if (E.isLeft(loaded)) return loaded
  const leadership = createLeadership({ ...options, membership, reached: (position, ms) => reached(position, ms) })
  const led = await leadership.load()
  if (E.isLeft(led)) return led
  const departures = new Set<() => void>()
  membership.onShift(() => {
    for (const look of [...departures]) look()
  })
  let follower: Follower | undefined
  let hasBegun = false
  const stopping = new AbortController()

  const takeIn: TakeIn = async (stream, events) => {
    if (stream === SERVERS_STREAM) return membership.follow(events)
    return stream === LEADERS_STREAM ? leadership.follow(events) : options.takeIn(stream, events)
  }
  const reached = (position: Position, ms: number): Promise<boolean> => follower?.reached(position, ms) ?? Promise.resolve(false)

  const stop = (): void => {
    stopping.abort()
    membership.stop()
  }

  return E.right({
    membership,
    leadership,
    untilGone: ({ server, instance }, signal) =>
      new Promise((resolve) => {
        const done = (): void => {
          departures.delete(look)
          signal.removeEventListener('abort', done)
          resolve()
        }
        const look = (): void => {
          if (membership.find(server)?.instance !== instance) done()
        }
        if (signal.aborted) return resolve()
        departures.add(look)
        signal.addEventListener('abort', done, { once: true })
        look()
      }),
    begin: async (after, url) => {
      const onUnreadable = (cause: StoreFault): void => {
        options.onFailed(cause)
        membership.countOut()
      }
      follower = createFollower({ ...options, after, takeIn, onUnreadable })
      follower.begin()
      const joined = await membership.join(url)
      if (E.isLeft(joined)) return joined
      await follower.reached(joined.right, JOIN_MS)
      hasBegun = true
      return E.right(undefined)
    },
    position: () => follower?.position(),
    reached,
    catchUp: async (since) => {
      const head = await heads()
      if (head !== undefined) await reached(head, CATCH_UP_MS)
      return (follower?.position() ?? since) > since
    },
    untilKnown: async () => {
      // A log that grows all the time is not caught up with, but what it had when it was first looked at is.
      for (let head: Position | undefined; !stopping.signal.aborted;) {
        head ??= await heads()
        if (head !== undefined && (await reached(head, CATCH_UP_MS))) return true
        await pause(options.world, LOOK_AGAIN_MS, stopping.signal)
      }
      return false
    },
    checks: () => {
      const trouble = follower?.trouble()
      const isIn = !hasBegun || membership.isIn()
      return [
        { name: 'log followed', ok: trouble === undefined, ...(trouble === undefined ? {} : { detail: trouble }) },
        { name: 'among the servers', ok: isIn, ...(isIn ? {} : { detail: 'It could not be recorded in time that this server is there, so others do what was its own.' }) },
      ]
    },
    stop,
    close: async () => {
      stop()
      await leadership.close()
      await membership.leave()
      await follower?.close()
    },
  })
}
