// Following a log from within the process that writes it: read until the end, say so, sleep until a commit, read on.
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault, type EventReader, type Position, type Subscribed } from './port.ts'

/** Tells sleeping readers that there is something new. */
export interface Commits {
  /** Grows with each commit. */
  readonly count: () => number
  readonly announce: () => void
  /** Wakes all readers for good: the store is closed. */
  readonly end: () => void
  readonly ended: () => boolean
  /** Resolves once more than `seen` commits were made, the store is closed or the signal aborts. */
  readonly beyond: (seen: number, signal: AbortSignal) => Promise<void>
}

export const commits = (): Commits => {
  let count = 0
  let closed = false
  let sleepers: (() => void)[] = []
  const wake = (): void => {
    const woken = sleepers
    sleepers = []
    for (const rise of woken) rise()
  }
  return {
    count: () => count,
    announce: () => {
      count += 1
      wake()
    },
    end: () => {
      closed = true
      wake()
    },
    ended: () => closed,
    beyond: (seen, signal) =>
      new Promise((resolve) => {
        if (count > seen || closed || signal.aborted) return resolve()
        const rise = (): void => {
          signal.removeEventListener('abort', aborted)
          resolve()
        }
        const aborted = (): void => {
          sleepers = sleepers.filter((sleeper) => sleeper !== rise)
          resolve()
        }
        signal.addEventListener('abort', aborted, { once: true })
        sleepers.push(rise)
      }),
  }
}

/** Events read at a time: enough to make a read cheap per event, few enough that a reader that stops holds little. */
const PAGE = 1_000

/** The `subscribe` of a store whose reader sees each commit that was announced. `start` is the position before the first event. */
export async function* follow(
  reader: EventReader,
  news: Commits,
  start: Position,
  { after, signal }: { after?: Position; signal: AbortSignal },
): AsyncGenerator<Subscribed, void, undefined> {
  let position = after ?? start
  let toldAt: Position | undefined
  while (!signal.aborted) {
    if (news.ended()) throw new StoreFault('unavailable', 'The store was closed under a subscription')
    const seen = news.count()
    const page = await reader.readAll({ after: position, max: PAGE })()
    if (E.isLeft(page)) throw page.left
    for (const event of page.right) {
      if (signal.aborted) return
      position = event.position
      yield { type: 'event', event }
    }
    if (page.right.length === PAGE || signal.aborted) continue
    if (toldAt !== position) {
      toldAt = position
      yield { type: 'caughtUp', position }
    }
    await news.beyond(seen, signal)
  }
}
