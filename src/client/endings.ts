// Tells Stint how tasks or requests ended, many in one exchange where there is a road for many: completions, which may carry the next lease request along, failures, and
// what is given back. What ended while the last exchange was out goes with the next one; there is no timer, but the pause after a failure.
import * as E from 'fp-ts/lib/Either.js'
import type { ManyAnswer } from './answer.ts'
import type { OnProblem, Outage } from './complaints.ts'
import { StintError, UnexpectedAnswer } from './errors.ts'
import { isFencing } from './item-reports.ts'
import type { LeasedItem } from './held-item.ts'
import type { LeaseRequest } from './lease-requests.ts'
import { mayPass, type Reachability } from './reachability.ts'
import type { Ending, LeasedBeside, Verb, WorkSource } from './work-source.ts'

const TIMEOUT_MS = 15_000
/** Characters of the endings of one exchange, at most, unless it is a single one: far below what a server takes, so that the short ones do not wait long for the others. */
const CHARACTERS_MAX = 4 * 1024 * 1024

/** What a completion may carry along. */
export interface Companion<Leased> {
  readonly take: () => Promise<LeaseRequest | undefined>
  readonly answered: (request: LeaseRequest, answer: LeasedBeside<Leased>) => void
  readonly missed: (request: LeaseRequest, failure: Error) => void
}

export interface EndingsSetting<Leased extends LeasedItem> {
  readonly source: Pick<WorkSource<Leased>, 'end' | 'togetherMax' | 'exchangesMax'>
  readonly reachability: Reachability
  readonly over: AbortSignal
  readonly companion: Companion<Leased>
  readonly onTold: (ending: Ending) => void
  /** Stint took it for somebody else's, or for settled: what was done is not counted. */
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
  /** Resolves when everything is told, and no answer with what was leased beside it is out; never, while Stint does not answer. */
  readonly quiet: () => Promise<void>
  /** Resolves when all exchanges have ended, after `over`. */
  readonly ended: () => Promise<void>
}

const isTooMuch = (failure: Error): boolean => (failure instanceof StintError || failure instanceof UnexpectedAnswer) && (failure.status === 400 || failure.status === 413)

/** It may be the ending that may not be, or asks for what is not there, and not the worker: another one in its place tells. */
const isItsOwnFault = ({ verb, otherwise }: Ending, { code }: StintError): boolean =>
  (code === 'forbidden' || code === 'not-found') && otherwise !== undefined && otherwise.verb !== verb

/** How many of them one exchange can carry, from the first on: one at least. */
const fitting = (endings: readonly Ending[]): number => {
  let characters = 0
  const end = endings.findIndex(({ text }, index) => (characters += text.length) > CHARACTERS_MAX && index > 0)
  return end === -1 ? endings.length : end
}

interface LaneSetting<Leased extends LeasedItem> extends Omit<EndingsSetting<Leased>, 'companion'> {
  readonly verb: Verb
  readonly companion: Companion<Leased> | undefined
  /** Tells it in another lane. */
  readonly redirect: (ending: Ending) => void
}

/** All endings of one verb. */
const createLane = <Leased extends LeasedItem>({
  verb,
  source,
  reachability,
  over,
  companion,
  onTold,
  onRefused,
  onProblem,
  redirect,
  ...setting
}: LaneSetting<Leased>): Endings => {
  const requestsMax = source.exchangesMax[verb]
  const togetherMax = source.togetherMax[verb]
  const requests = new Set<Promise<void>>()
  let waiting: Ending[] = []
  let sent = 0
  /** Exchanges that carry nothing but a lease request. */
  let asking = 0
  let together = togetherMax
  let misses = 0
  let isPausing = false
  const outage = setting.outage()

  /** Without what was refused, if something can be left out. */
  const refused = (ending: Ending, failure: Error): readonly Ending[] => {
    const { item, otherwise } = ending
    onProblem(failure, item.id)
    if (otherwise === undefined) {
      item.held.settle()
      return []
    }
    if (otherwise.verb === verb) return [{ item, ...otherwise }]
    redirect({ item, ...otherwise })
    return []
  }

  /** What has to be sent again of one ending. */
  const heard = (ending: Ending, answer: ManyAnswer<unknown>): readonly Ending[] => {
    if (E.isRight(answer)) {
      ending.item.held.settle()
      onTold(ending)
      return []
    }
    if (mayPass(answer.left)) return [ending]
    if (!isFencing(answer.left) || isItsOwnFault(ending, answer.left)) return refused(ending, answer.left)
    ending.item.held.settle()
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
      const { items, leased } = await source.end(verb, batch, request?.body, { signal: over, timeoutMs: TIMEOUT_MS, attemptsMax: 1 })
      reachability.reached()
      const again = batch.flatMap((ending, index) => heard(ending, items[index] ?? E.left(new StintError({ status: 503, code: 'unanswered' }))))
      waiting = [...again, ...waiting]
      together = Math.min(togetherMax, together * 2)
      if (request !== undefined) companion?.answered(request, leased)
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
    const batch = waiting.splice(0, fitting(waiting.slice(0, together)))
    sent += batch.length
    // It left something that was too long to go along.
    if (waiting.length > 0) flush()
    // Another exchange may have taken all of it meanwhile; the request goes all the same.
    const isAsking = batch.length === 0 && request !== undefined
    asking += Number(isAsking)
    const failure = batch.length === 0 && !isAsking ? undefined : await exchange(batch, request)
    asking -= Number(isAsking)
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
      for (flush(); waiting.length + sent + asking > 0 && !over.aborted; flush()) await Promise.race(requests)
    },
    ended: async () => {
      await Promise.all(requests)
    },
  }
}

export const createEndings = <Leased extends LeasedItem>({ companion, ...setting }: EndingsSetting<Leased>): Endings => {
  const lane = (verb: Verb): Endings =>
    createLane({
      ...setting,
      verb,
      companion: verb === 'complete' ? companion : undefined,
      redirect: (ending) => {
        lanes[ending.verb].add(ending)
        lanes[ending.verb].flush()
      },
    })
  const lanes: Readonly<Record<Verb, Endings>> = { complete: lane('complete'), fail: lane('fail'), release: lane('release') }
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
