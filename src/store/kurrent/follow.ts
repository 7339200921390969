// Following the log from anywhere: pages of reads while behind, the shared tail at the end. Pulled, so a slow reader holds up nobody: it falls out of the tail
// and reads pages again.
import * as E from 'fp-ts/lib/Either.js'
import { pause, type World } from '../../world.ts'
import { StoreFault, type Position, type RecordedEvent, type Subscribed } from '../port.ts'
import type { LogReader } from './log-reader.ts'
import { commitOf, positionOf } from './streams.ts'
import type { Tail } from './tail.ts'

export interface FollowOptions {
  readonly reader: LogReader
  readonly tail: Tail
  readonly world: World
  readonly incarnation: string
  /** Place of the newest event that an append of this store was acknowledged with. */
  readonly acknowledged: () => bigint
}

const PAGE = 1_000
/** Between two attempts to read while the store is away. */
const RETRY_MS = 500

/** Settles when the promise does, or with undefined as soon as the signal aborts. */
const unlessAborted = <Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> =>
  new Promise((resolve, reject) => {
    const aborted = (): void => resolve(undefined)
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })

/** The `subscribe` of the store. Goes on over every trouble that may pass, and throws for those that do not. */
export async function* follow(
  { reader, tail, world, incarnation, acknowledged }: FollowOptions,
  { after, signal }: { after?: Position; signal: AbortSignal },
): AsyncGenerator<Subscribed, void, undefined> {
  const start = reader.placeOf(after)
  if (E.isLeft(start)) throw start.left
  let place = start.right
  let toldAt: bigint | undefined
  /** At the beginning only a read can tell where the log ends. */
  let mustRead = true
  if (!signal.aborted) tail.start()

  while (!signal.aborted) {
    if (tail.news.ended()) throw new StoreFault('unavailable', 'The store was closed under a subscription')
    const seen = tail.news.count()
    const kept: readonly RecordedEvent[] | undefined = mustRead ? undefined : tail.after(place)
    let events: readonly RecordedEvent[] | undefined = kept
    if (events === undefined) {
      const page = await unlessAborted(reader.readAll({ after: positionOf(incarnation, place), max: PAGE })(), signal)
      if (page === undefined) return
      if (E.isLeft(page)) {
        if (page.left.kind !== 'unavailable') throw page.left
        await pause(world, RETRY_MS, signal)
        continue
      }
      events = page.right
    }
    for (const event of events) {
      if (signal.aborted) return
      place = commitOf(event.position)
      yield { type: 'event', event }
    }
    if (signal.aborted) return
    // There may be more by now; only where nothing is left has the end been reached.
    mustRead = kept === undefined && events.length === PAGE
    if (mustRead || (kept !== undefined && kept.length > 0)) continue
    const damage = tail.damage()
    if (damage !== undefined) throw damage
    const isEnd = kept === undefined || tail.isCurrent()
    if (isEnd && toldAt !== place && place >= acknowledged()) {
      toldAt = place
      yield { type: 'caughtUp', position: positionOf(incarnation, place) }
    }
    await tail.news.beyond(seen, signal)
  }
}
