// Asks Stint for work, for as many tasks as there are free places: by a long poll, or along with completions. Every request has an id of its own; one whose answer
// was lost is said again with that id, and so is given what the first was given (rules 27).
//
//   free places ─▶ busy? ─▶ request ─▶ tasks
//                    │         │
//                  a rest    lost: kept, and said again next
import type { CompletedBeside, LeaseBody, LeasedTask } from '../wire/tasks.ts'
import { leaseTasks } from '../wire/tasks.ts'
import { pause } from '../world.ts'
import { StintError } from './errors.ts'
import type { Http } from './http.ts'
import { mayPass, type Reachability } from './reachability.ts'
import { follow } from './signals.ts'

/** Tasks of one request, at most. */
const TASKS_MAX = 1_000
/** Beyond the wait that was asked for, until an answer counts as lost. */
const TIMEOUT_BEYOND_MS = 10_000
/** A busy worker looks again after so long. */
const BUSY_MS = 250
/** After an empty answer that was not held back. */
const NOT_HELD_BACK_MS = 1_000

export interface LeaseRequest {
  readonly body: LeaseBody & { readonly max: number; readonly requestId: string }
  /** Its answer was lost once. */
  readonly isRepeat: boolean
}

export interface LeaseRequestsSetting {
  readonly http: Http
  readonly queue: { readonly app: string; readonly queue: string }
  readonly reachability: Reachability
  /** What every request says. */
  readonly body: Pick<LeaseBody, 'leaseSeconds' | 'worker' | 'tag' | 'sameTag'>
  readonly waitSeconds: number
  /** Places that no task has. */
  readonly places: () => number
  readonly isBusy: () => boolean | Promise<boolean>
  readonly onLeased: (tasks: readonly LeasedTask[], isLate: boolean) => void
  readonly onProblem: (problem: Error) => void
  readonly over: AbortSignal
}

export interface LeaseRequests {
  /** Begins a long poll if there are free places that nobody asks for. */
  readonly flush: () => void
  /** The next request, to go along with completions; undefined when there is nothing to ask for, or nobody may ask now. */
  readonly take: () => Promise<LeaseRequest | undefined>
  readonly answered: (request: LeaseRequest, answer: CompletedBeside['leased']) => void
  readonly missed: (request: LeaseRequest, failure: Error) => void
  /** Asks no more; a poll that is out ends at once. */
  readonly stop: () => void
  /** Resolves when the last poll has ended, after `stop`. */
  readonly ended: () => Promise<void>
}

const isEmpty = (answer: CompletedBeside['leased']): boolean => answer === undefined || answer.items.length === 0

export const createLeaseRequests = (setting: LeaseRequestsSetting): LeaseRequests => {
  const { http, queue, reachability, body, waitSeconds, places, isBusy, onLeased, onProblem, over } = setting
  const { world } = http
  const stopping = new AbortController()
  const unlink = follow(stopping, over)
  /** Tasks that requests ask for whose answers are not there. */
  let asked = 0
  /** Requests whose answers were lost. */
  const lost: LeaseRequest[] = []
  const polls = new Set<Promise<void>>()
  let isPolling = false
  let isResting = false
  let misses = 0
  let complained: string | undefined

  const room = (): number => Math.min(TASKS_MAX, places() - asked)

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
    return { body: { ...body, max, requestId: world.uuid() }, isRepeat: false }
  }

  const missed: LeaseRequests['missed'] = (request, failure) => {
    const isUnknown = mayPass(failure) || (failure instanceof StintError && failure.code === 'superseded')
    if (isUnknown) lost.push({ ...request, isRepeat: true })
    else asked -= request.body.max
    if (stopping.signal.aborted) return
    const what = failure instanceof StintError ? failure.code : failure.name
    if (complained !== what) onProblem(failure)
    complained = what
    if (!isResting) void rest(reachability.pause(failure, misses, stopping.signal))
    misses += 1
  }

  const answered: LeaseRequests['answered'] = (request, answer) => {
    const problem = answer?.problem
    if (problem !== undefined) return missed(request, new StintError(problem))
    asked -= request.body.max
    misses = 0
    complained = undefined
    if (answer !== undefined && answer.items.length > 0) onLeased(answer.items, request.isRepeat)
    flush()
  }

  /** One long poll. Before its answer is heard it counts as over: what is begun because of it may ask on. */
  const ask = async (request: LeaseRequest): Promise<void> => {
    try {
      const { headers, body: answer } = await http.exchange(leaseTasks, {
        params: queue,
        body: request.body,
        headers: { Prefer: `wait=${waitSeconds}` },
        signal: stopping.signal,
        timeoutMs: waitSeconds * 1_000 + TIMEOUT_BEYOND_MS,
        attemptsMax: 1,
      })
      reachability.reached()
      isPolling = false
      const askedMs = Number(headers.get('retry-after') ?? 0) * 1_000
      if (isEmpty(answer) && (askedMs > 0 || !headers.has('preference-applied'))) void rest(pause(world, askedMs || NOT_HELD_BACK_MS, stopping.signal))
      answered(request, answer)
    } catch (failure) {
      isPolling = false
      missed(request, failure as Error)
    }
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
    stop: () => {
      stopping.abort()
      unlink()
    },
    ended: async () => {
      await Promise.all(polls)
    },
  }
}
