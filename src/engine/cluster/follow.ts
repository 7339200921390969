// Follows what is appended to a shared log, by whichever server: one subscription, from where the start has read to.
//
//   subscription ─▶ what has come by now ─▶ runs of one stream ─▶ taken in, in order ─▶ position ─▶ those who wait for it
//
// What comes together is taken in together, so that the events of one append change an item at once. A fault of the store begins the subscription anew where this
// left off; an event that cannot be read ends it, since nothing is ever skipped (rules 15).
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault, type EventStore, type Position, type RecordedEvent, type Subscribed } from '../../store/port.ts'
import { pause, type World } from '../../world.ts'

/** Takes in events of one stream. Left `damaged`: they cannot be read; any other fault is tried again. */
export type TakeIn = (stream: string, events: readonly RecordedEvent[]) => Promise<E.Either<StoreFault, void>>

export interface Follower {
  readonly begin: () => void
  /** Everything up to here has been taken in. */
  readonly position: () => Position
  /** Resolves when that position has been taken in; false when `ms` passed first, or it is over. */
  readonly reached: (position: Position, ms: number) => Promise<boolean>
  /** Why the log cannot be followed now, if so. */
  readonly trouble: () => string | undefined
  readonly close: () => Promise<void>
}

/** After a fault the subscription begins anew. */
const TRY_AGAIN_MS = 1_000
/** Events that may wait to be taken in; beyond that the store is not asked for more. */
const BUFFERED_MAX = 2_000

interface Waiter {
  readonly position: Position
  readonly done: (isReached: boolean) => void
}

/** Lets everything that has come be seen together. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Those who wait until a position has been taken in. */
const createWaiters = (world: World) => {
  const waiting = new Set<Waiter>()
  return {
    wait: (position: Position, ms: number): Promise<boolean> =>
      new Promise((resolve) => {
        const waiter: Waiter = {
          position,
          done: (isReached) => {
            waiting.delete(waiter)
            cancel()
            resolve(isReached)
          },
        }
        const cancel = world.timer(ms, () => waiter.done(false))
        waiting.add(waiter)
      }),
    moved: (position: Position): void => {
      for (const waiter of [...waiting]) if (waiter.position <= position) waiter.done(true)
    },
    end: (): void => {
      for (const waiter of [...waiting]) waiter.done(false)
    },
  }
}

export const createFollower = (options: {
  readonly store: EventStore
  readonly world: World
  readonly after: Position
  readonly takeIn: TakeIn
  /** So many events up to this position were taken in. */
  readonly onMoved: (position: Position, events: number) => void
  /** The log holds what this version cannot read: it is followed no more. */
  readonly onUnreadable: (cause: StoreFault) => void
  readonly onTrouble: (what: string, cause: unknown) => void
}): Follower => {
  const { store, world } = options
  const closing = new AbortController()
  const waiters = createWaiters(world)
  let position = options.after
  let trouble: string | undefined
  let running: Promise<void> | undefined

  const takeInAll = async (events: readonly RecordedEvent[]): Promise<void> => {
    for (let at = 0; at < events.length && !closing.signal.aborted;) {
      const { stream } = events[at] as RecordedEvent
      let end = at + 1
      while (events[end]?.stream === stream) end += 1
      const taken = await options.takeIn(stream, events.slice(at, end))
      if (E.isLeft(taken)) throw taken.left
      position = (events[end - 1] as RecordedEvent).position
      at = end
    }
  }

  const takeInCome = async (come: readonly Subscribed[]): Promise<void> => {
    const events = come.flatMap((said) => (said.type === 'event' ? [said.event] : []))
    await takeInAll(events)
    const last = come[come.length - 1]
    // The end may lie behind the last event that is shown: what stands between is none of ours.
    if (last?.type === 'caughtUp' && last.position > position) position = last.position
    trouble = undefined
    options.onMoved(position, events.length)
    waiters.moved(position)
  }

  const followOnce = async (): Promise<void> => {
    const subscription = new AbortController()
    let come: Subscribed[] = []
    let draining: Promise<void> | undefined
    let failure: { readonly cause: unknown } | undefined
    /** Takes in what has come, and what comes while it does. */
    const drain = async (): Promise<void> => {
      await turn()
      try {
        while (come.length > 0 && !closing.signal.aborted) {
          const now = come
          come = []
          await takeInCome(now)
        }
      } catch (cause) {
        failure = { cause }
        subscription.abort()
      }
      draining = undefined
    }
    for await (const said of store.subscribe({ after: position, signal: AbortSignal.any([closing.signal, subscription.signal]) })) {
      if (failure !== undefined) break
      come.push(said)
      draining ??= drain()
      if (come.length >= BUFFERED_MAX) await draining
    }
    await draining
    if (failure !== undefined) throw failure.cause
  }

  const untilClosed = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await followOnce()
        if (!closing.signal.aborted) throw new StoreFault('unavailable', 'The subscription ended by itself')
      } catch (cause) {
        if (closing.signal.aborted) return
        if (cause instanceof StoreFault && cause.kind === 'damaged') {
          trouble = cause.message
          return options.onUnreadable(cause)
        }
        if (trouble === undefined) options.onTrouble('The log cannot be followed for now', cause)
        trouble = cause instanceof Error ? cause.message : String(cause)
        await pause(world, TRY_AGAIN_MS, closing.signal)
      }
    }
  }

  return {
    begin: () => {
      running ??= untilClosed()
    },
    position: () => position,
    reached: (wanted, ms) => {
      if (wanted <= position) return Promise.resolve(true)
      return closing.signal.aborted || ms <= 0 ? Promise.resolve(false) : waiters.wait(wanted, ms)
    },
    trouble: () => trouble,
    close: async () => {
      closing.abort()
      waiters.end()
      await running
    },
  }
}
