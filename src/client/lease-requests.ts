// Asks Stint for work, for as many tasks or requests as there are free places: by a long poll, or along with completions. Every request has an id of its own; one whose answer
// was lost is said again with that id, and so is given what the first was given (rules 27).
//
//   free places ─▶ busy? ─▶ request ─▶ items
//                    │         │
//                  a rest    lost: kept, and said again next
import { pause, type World } from '../world.ts'
import type { Outage } from './complaints.ts'
import { StintError } from './errors.ts'
import type { LeasedItem } from './held-item.ts'
import { mayPass, type Reachability } from './reachability.ts'
import { follow } from './signals.ts'
import type { LeaseAsked, LeasedBeside, WorkSource } from './work-source.ts'

/** Items of one request, at most. */
const ITEMS_MAX = 1_000
/** Beyond the wait that was asked for, until an answer counts as lost. */
const TIMEOUT_BEYOND_MS = 10_000
/** A busy worker looks again after so long. */
const BUSY_MS = 250
/** For the last look at what was leased to a request that nobody heard. */
const COLLECT_MS = 2_000
/** Between the beginnings of two questions, when the first brings nothing and is not held back. */
const NOT_HELD_BACK_MS = 1_000

export interface LeaseRequest {
  readonly body: LeaseAsked
  /** Its answer was lost once. */
  readonly isRepeat: boolean
}

export interface LeaseRequestsSetting<Leased extends LeasedItem> {
  readonly world: World
  readonly source: Pick<WorkSource<Leased>, 'asks' | 'lease'>
  readonly reachability: Reachability
  readonly waitSeconds: number
  /** Places that nothing has. */
  readonly places: () => number
  /** Items of one request, at most. */
  readonly togetherMax: number
  readonly isBusy: () => boolean | Promise<boolean>
  readonly onLeased: (items: readonly Leased[], isLate: boolean) => void
  readonly outage: () => Outage
  readonly over: AbortSignal
}

export interface LeaseRequests<Leased extends LeasedItem> {
  /** Begins a long poll if there are free places that nobody asks for. */
  readonly flush: () => void
  /** The next request, to go along with completions; undefined when there is nothing to ask for, or nobody may ask now. */
  readonly take: () => Promise<LeaseRequest | undefined>
  readonly answered: (request: LeaseRequest, answer: LeasedBeside<Leased>) => void
  readonly missed: (request: LeaseRequest, failure: Error) => void
  /** Asks for no more work; a poll that is out ends at once. Resolves when nothing can come any more: what was leased to a request that nobody heard is there too. */
  readonly stop: () => Promise<void>
  /** Once it is stopped: gets what was leased to requests that went along with completions and that nobody heard. */
  readonly collect: () => Promise<void>
}

const isEmpty = (answer: LeasedBeside<unknown>): boolean => answer === undefined || answer.items.length === 0

export const createLeaseRequests = <Leased extends LeasedItem>(setting: LeaseRequestsSetting<Leased>): LeaseRequests<Leased> => {
  const { world, source, reachability, waitSeconds, places, togetherMax, isBusy, onLeased, over } = setting
  const stopping = new AbortController()
  const unlink = follow(stopping, over)
  /** Items that requests ask for whose answers are not there. */
  let asked = 0
  /** Requests whose answers were lost. */
  const lost: LeaseRequest[] = []
  const polls = new Set<Promise<void>>()
  let isPolling = false
  let isResting = false
  let misses = 0
  const outage = setting.outage()

  const room = (): number => Math.min(ITEMS_MAX, togetherMax, places() - asked)

  const rest = async (waited: Promise<void>): Promise<void> => {
    isResting = true
    await waited
    isResting = false
    flush()
  }

  /** What to ask for next; undefined when all places are taken, or this worker is busy. */
  const next = async (): Promise<LeaseRequest | undefined> => {
    if (lost.length === 0 && room() <= 0) return undefined
    const busy = isBusy()
    if (busy !== false && (busy === true || (await busy))) {
      if (!isResting) void rest(pause(world, BUSY_MS, stopping.signal))
      return undefined
    }
    const again = lost.shift()
    const max = room()
    if (again !== undefined || max <= 0 || stopping.signal.aborted) return again
    asked += max
    return { body: { ...source.asks, max, requestId: world.uuid() }, isRepeat: false }
  }

  const missed: LeaseRequests<Leased>['missed'] = (request, failure) => {
    const isUnknown = mayPass(failure) || stopping.signal.aborted || (failure instanceof StintError && failure.code === 'superseded')
    if (isUnknown) lost.push({ ...request, isRepeat: true })
    else asked -= request.body.max
    if (stopping.signal.aborted) return
    outage.met(failure)
    if (!isResting) void rest(reachability.pause(failure, misses, stopping.signal))
    misses += 1
  }

  const answered: LeaseRequests<Leased>['answered'] = (request, answer) => {
    const problem = answer?.problem
    if (problem !== undefined) return missed(request, new StintError(problem))
    asked -= request.body.max
    misses = 0
    outage.over()
    if (answer !== undefined && answer.items.length > 0) onLeased(answer.items, request.isRepeat)
    flush()
  }

  /** One long poll. Before its answer is heard it counts as over: what is begun because of it may ask on. */
  const ask = async (request: LeaseRequest): Promise<void> => {
    const began = world.monotonic()
    try {
      const { headers, body: answer } = await source.lease(request.body, {
        headers: { Prefer: `wait=${waitSeconds}` },
        signal: stopping.signal,
        timeoutMs: waitSeconds * 1_000 + TIMEOUT_BEYOND_MS,
        attemptsMax: 1,
      })
      reachability.reached()
      isPolling = false
      const askedMs = Number(headers.get('retry-after') ?? 0) * 1_000
      // Whatever the reason is for which the question was not held back: no waiting is allowed, the server stops.
      const restMs = Math.max(askedMs, NOT_HELD_BACK_MS - (world.monotonic() - began))
      if (isEmpty(answer) && restMs > 0) void rest(pause(world, restMs, stopping.signal))
      answered(request, answer)
    } catch (failure) {
      isPolling = false
      missed(request, failure as Error)
    }
  }

  /** Takes the place of a request whose answer nobody heard, so that what was leased to it can be given back. */
  const collectOne = async ({ body: unheard }: LeaseRequest): Promise<void> => {
    try {
      const { body } = await source.lease({ ...unheard, max: 1 }, { signal: over, timeoutMs: COLLECT_MS, attemptsMax: 1 })
      if (body !== undefined) onLeased(body.items, true)
    } catch {
      // Stint is away: what it leased goes back when its lease ends.
    }
  }

  const collect = async (): Promise<void> => {
    await Promise.all(lost.splice(0).map(collectOne))
  }

  const askForWork = async (): Promise<void> => {
    const request = await next()
    if (request !== undefined) return ask(request)
    isPolling = false
    flush()
  }

  /** A place that was freed while a request is out waits for its answer, which tells whether there is anything to ask for. */
  const flush = (): void => {
    if (stopping.signal.aborted || isResting || isPolling) return
    if (lost.length === 0 && (asked > 0 || room() <= 0)) return
    isPolling = true
    const poll = askForWork()
    polls.add(poll)
    void poll.finally(() => polls.delete(poll))
  }

  return {
    flush,
    take: async () => (stopping.signal.aborted || isResting || isPolling ? undefined : next()),
    answered,
    missed,
    stop: async () => {
      stopping.abort()
      unlink()
      await Promise.all(polls)
      await collect()
    },
    collect,
  }
}
