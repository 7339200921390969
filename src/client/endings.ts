// Tells Stint how tasks ended, many in one exchange: completions, which carry the next lease request along, failures, and what is given back. What ended while the
// last exchange was out goes with the next one; there is no timer, but the pause after a failure.
import * as E from 'fp-ts/lib/Either.js'
import type { AnswerOf, Route } from '../wire/route.ts'
import { completeTask, failTask, releaseTask, type CompletedBeside } from '../wire/tasks.ts'
import type { ManyAnswer } from './answer.ts'
import type { OnProblem, Outage } from './complaints.ts'
import { StintError, UnexpectedAnswer } from './errors.ts'
import type { Http } from './http.ts'
import type { LeaseRequest } from './lease-requests.ts'
import { mayPass, type Reachability } from './reachability.ts'
import { isFencing } from './task-reports.ts'
import type { HeldTask } from './worker-task.ts'

/** Endings in one exchange, at most. */
const TOGETHER_MAX = 1_000
const TIMEOUT_MS = 15_000
/** Exchanges with completions that are out at the same time, at most: while one is on its way, what ends meanwhile need not wait for it. */
const COMPLETING_MAX = 2

export type Verb = 'complete' | 'fail' | 'release'

export interface Ending {
  readonly task: HeldTask
  readonly verb: Verb
  /** The body as JSON. */
  readonly text: string
  /** The body without what may be too large or malformed; undefined when there is nothing to leave out. */
  readonly bare?: string | undefined
}

/** What a completion may carry along. */
export interface Companion {
  readonly take: () => Promise<LeaseRequest | undefined>
  readonly answered: (request: LeaseRequest, answer: CompletedBeside['leased']) => void
  readonly missed: (request: LeaseRequest, failure: Error) => void
}

export interface EndingsSetting {
  readonly http: Http
  readonly queue: { readonly app: string; readonly queue: string }
  readonly reachability: Reachability
  readonly over: AbortSignal
  readonly companion: Companion
  readonly onTold: (ending: Ending) => void
  /** Stint took the task for somebody else's, or for settled: what was done is not counted. */
  readonly onRefused: (ending: Ending, refusal: StintError) => void
  readonly onProblem: OnProblem
  readonly outage: () => Outage
}

export interface Endings {
  readonly add: (ending: Ending) => void
  /** Sends what there is to send; called once whatever was added in the same turn has been added. */
  readonly flush: () => void
  /** Endings that are not told yet. */
  readonly size: () => number
  /** Resolves when everything is told; never, while Stint does not answer. */
  readonly quiet: () => Promise<void>
  /** Resolves when all exchanges have ended, after `over`. */
  readonly ended: () => Promise<void>
}

type InQueue = EndingsSetting['queue']
type EndingAnswer = AnswerOf<typeof completeTask>
type Lane = Endings

const isTooMuch = (failure: Error): boolean => (failure instanceof StintError || failure instanceof UnexpectedAnswer) && (failure.status === 400 || failure.status === 413)

/** All endings of one verb. */
const createLane = <Body>(
  route: Route<InQueue, {}, Body, EndingAnswer>,
  { http, queue, reachability, over, companion, onTold, onRefused, onProblem, ...setting }: Omit<EndingsSetting, 'companion'> & { readonly companion?: Companion },
): Lane => {
  const requestsMax = companion === undefined ? 1 : COMPLETING_MAX
  const requests = new Set<Promise<void>>()
  let waiting: Ending[] = []
  let sent = 0
  let together = TOGETHER_MAX
  let misses = 0
  let isPausing = false
  const outage = setting.outage()

  /** Without what was refused, if something can be left out. */
  const refused = (ending: Ending, failure: Error): readonly Ending[] => {
    onProblem(failure, ending.task.id)
    if (ending.bare !== undefined) return [{ ...ending, text: ending.bare, bare: undefined }]
    ending.task.held.settle()
    return []
  }

  /** What has to be sent again of one ending. */
  const heard = (ending: Ending, answer: ManyAnswer<EndingAnswer>): readonly Ending[] => {
    if (E.isRight(answer)) {
      ending.task.held.settle()
      onTold(ending)
      return []
    }
    if (mayPass(answer.left)) return [ending]
    if (!isFencing(answer.left)) return refused(ending, answer.left)
    ending.task.held.settle()
    onRefused(ending, answer.left)
    return []
  }

  /** The whole exchange was refused; halving it finds the one that is too much. */
  const refusedAll = (batch: readonly Ending[], failure: Error): readonly Ending[] => {
    const [only] = batch
    if (!isTooMuch(failure)) return batch
    together = Math.max(1, Math.floor(batch.length / 2))
    return batch.length === 1 && only !== undefined ? refused(only, failure) : batch
  }

  /** One exchange; the failure because of which some of it has to be sent again. */
  const exchange = async (batch: readonly Ending[], request: LeaseRequest | undefined): Promise<Error | undefined> => {
    try {
      const { items, beside } = await http.sendMany(
        route,
        batch.map(({ text }) => text),
        { params: queue, beside: request === undefined ? undefined : { lease: request.body }, signal: over, timeoutMs: TIMEOUT_MS, attemptsMax: 1 },
      )
      reachability.reached()
      const again = batch.flatMap((ending, index) => heard(ending, items[index] ?? E.left(new StintError({ status: 503, code: 'unanswered' }))))
      waiting = [...again, ...waiting]
      together = Math.min(TOGETHER_MAX, together * 2)
      if (request !== undefined) companion?.answered(request, (beside as CompletedBeside).leased)
      return items.find((answer): answer is E.Left<StintError> => E.isLeft(answer) && mayPass(answer.left))?.left
    } catch (thrown) {
      const failure = thrown as Error
      if (request !== undefined) companion?.missed(request, failure)
      waiting = [...refusedAll(batch, failure), ...waiting]
      return failure
    }
  }

  const send = async (): Promise<void> => {
    const request = await companion?.take()
    const batch = waiting.splice(0, together)
    sent += batch.length
    // Another exchange may have taken all of it meanwhile; the request goes all the same.
    const failure = batch.length === 0 && request === undefined ? undefined : await exchange(batch, request)
    sent -= batch.length
    if (failure === undefined) {
      misses = 0
      outage.over()
    } else if (!over.aborted) {
      outage.met(failure)
      if (!isPausing) {
        isPausing = true
        await reachability.pause(failure, misses, over)
        isPausing = false
        misses += 1
      }
    }
  }

  const flush = (): void => {
    const free = isPausing || over.aborted ? 0 : requestsMax - requests.size
    for (let one = 0; one < Math.min(free, Math.ceil(waiting.length / together)); one += 1) {
      const request = send()
      requests.add(request)
      void request.finally(() => {
        requests.delete(request)
        flush()
      })
    }
  }

  return {
    add: (ending) => void waiting.push(ending),
    flush,
    size: () => waiting.length + sent,
    quiet: async () => {
      for (flush(); waiting.length + sent > 0 && !over.aborted; flush()) await Promise.race(requests)
    },
    ended: async () => {
      await Promise.all(requests)
    },
  }
}

export const createEndings = ({ companion, ...setting }: EndingsSetting): Endings => {
  const lanes: Readonly<Record<Verb, Lane>> = {
    complete: createLane(completeTask, { ...setting, companion }),
    fail: createLane(failTask, setting),
    release: createLane(releaseTask, setting),
  }
  const all = Object.values(lanes)
  return {
    add: (ending) => lanes[ending.verb].add(ending),
    flush: () => {
      for (const lane of all) lane.flush()
    },
    size: () => all.reduce((sum, lane) => sum + lane.size(), 0),
    quiet: async () => {
      await Promise.all(all.map((lane) => lane.quiet()))
    },
    ended: async () => {
      await Promise.all(all.map((lane) => lane.ended()))
    },
  }
}
