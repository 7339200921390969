// Tells Stint what has changed in the jobs of one server: all of them in one exchange, at most one exchange each 250 ms, at most one report a job in each.
// One report a job, because a report that arrived although its answer was lost may be sent again without doing anything twice; a row of them may not.
import * as E from 'fp-ts/lib/Either.js'
import type { ReportAnswer } from '../wire/items.ts'
import { reportJobs } from '../wire/jobs.ts'
import type { BodyOf } from '../wire/route.ts'
import { pause, type World } from '../world.ts'
import type { Outage } from './complaints.ts'
import { LeaseLost, StintError, UnexpectedAnswer } from './errors.ts'
import type { Http } from './http.ts'
import type { HeldJob } from './job.ts'
import { bare, isBare } from './outcomes.ts'
import type { Report } from './outbox.ts'
import { mayPass, type Reachability } from './reachability.ts'
import { aborted, follow } from './signals.ts'

/** Between the beginnings of two exchanges, at least. */
export const BETWEEN_REPORTS_MS = 250
const TOGETHER_MAX = 1_000
const TIMEOUT_LEAST_MS = 2_000
const TIMEOUT_MOST_MS = 15_000

/** Refusals that say: this job is not yours. */
const FENCING: ReadonlySet<string> = new Set(['stale-lease', 'settled', 'forbidden'])

export interface ReporterSetting {
  readonly http: Http
  readonly world: World
  readonly reachability: Reachability
  readonly jobs: Iterable<HeldJob>
  readonly reportEveryMs: number
  /** Aborts when nothing is to be reported any more. */
  readonly over: AbortSignal
  /** Stint has forgotten a job. */
  readonly onForgotten: (held: HeldJob) => void
  /** An exchange is over; with the failure if anything has to be sent again. */
  readonly onExchange: (missed: Error | undefined) => void
  readonly onProblem: (problem: Error, job?: string) => void
  readonly outage: Outage
}

export interface Reporter {
  /** Something is there to be reported. */
  readonly changed: () => void
  /** Resolves when it has stopped, after `over`. */
  readonly ended: Promise<void>
}

type Item = BodyOf<typeof reportJobs>

interface Said {
  readonly held: HeldJob
  readonly report: Report | undefined
  readonly item: Item
}

const reportEveryMs = (held: HeldJob, otherwise: number): number => (held.registration.reportEverySeconds === undefined ? otherwise : held.registration.reportEverySeconds * 1_000)

/** Stint hears of it: it is registered, and neither fenced off nor at its end without an outcome to tell. */
const isHeard = (held: HeldJob): boolean => held.lease() !== undefined && (held.stopReason() === undefined || held.outbox.hasOutcome())

export const createReporter = ({ http, world, reachability, jobs, over, onForgotten, onExchange, onProblem, outage, ...setting }: ReporterSetting): Reporter => {
  let together = TOGETHER_MAX
  let wake = new AbortController()

  /** Milliseconds until there is something to say; undefined while nobody is registered. */
  const dueInMs = (): number | undefined => {
    let due: number | undefined
    for (const held of jobs) {
      if (!isHeard(held)) continue
      if (!held.outbox.isEmpty()) return 0
      const left = held.lastSign() + reportEveryMs(held, setting.reportEveryMs) - world.monotonic()
      due = Math.min(due ?? left, left)
    }
    return due
  }

  const takeUp = (): readonly Said[] => {
    const said: Said[] = []
    for (const held of jobs) {
      const lease = held.lease()
      if (lease === undefined || !isHeard(held) || said.length >= together) continue
      const report = held.outbox.head()
      // Whoever is due soon goes along, so that the signs of life of many jobs fall together.
      const isDueSoon = world.monotonic() - held.lastSign() >= reportEveryMs(held, setting.reportEveryMs) / 2
      if (report !== undefined || isDueSoon) said.push({ held, report, item: { id: held.job.id, lease, ...report } })
    }
    return said
  }

  const refused = ({ held, report }: Said, failure: Error): void => {
    onProblem(failure, held.job.id)
    if (report?.outcome !== undefined && !isBare(report.outcome)) return held.outbox.replace({ ...report, outcome: bare(report.outcome) })
    held.outbox.done()
    if (report?.outcome !== undefined) held.settle()
  }

  const fenced = ({ held }: Said, failure: StintError): void => {
    held.outbox.undecided()
    if (!held.isEnded()) return held.stop(new LeaseLost(held.job.id, failure.code, failure.problem.state))
    onProblem(failure, held.job.id)
    held.settle()
  }

  /** What an answer means for its job; the failure if it is to be sent again. */
  const heard = (said: Said, answer: E.Either<StintError, ReportAnswer>, at: number): Error | undefined => {
    const { held, report } = said
    if (E.isRight(answer)) {
      held.signGiven(at)
      held.outbox.done()
      if (report?.outcome === undefined) held.told(answer.right)
      else held.settle()
      return undefined
    }
    const failure = answer.left
    if (mayPass(failure)) {
      held.outbox.undecided()
      return failure
    }
    if (FENCING.has(failure.code)) fenced(said, failure)
    else if (failure.code === 'not-found') {
      held.outbox.undecided()
      held.unregistered()
      onForgotten(held)
    } else refused(said, failure)
    return undefined
  }

  /** The whole exchange was refused. Halving it finds the item that is too much. */
  const refusedAll = (said: readonly Said[], failure: Error): Error => {
    const [only] = said
    for (const { held } of said) held.outbox.undecided()
    const status = failure instanceof StintError || failure instanceof UnexpectedAnswer ? failure.status : 0
    if (status !== 400 && status !== 413) return failure
    together = Math.max(1, Math.floor(said.length / 2))
    if (said.length === 1 && only !== undefined) {
      only.held.outbox.head()
      refused(only, failure)
    }
    return failure
  }

  const exchange = async (said: readonly Said[]): Promise<Error | undefined> => {
    const at = world.monotonic()
    const timeoutMs = Math.min(TIMEOUT_MOST_MS, Math.max(TIMEOUT_LEAST_MS, 2 * setting.reportEveryMs))
    let missed: Error | undefined
    try {
      const answers = await http.callMany(
        reportJobs,
        said.map(({ item }) => item),
        { attemptsMax: 1, timeoutMs, signal: over },
      )
      reachability.reached()
      for (const [index, each] of said.entries()) {
        const answer = answers[index]
        missed = (answer === undefined ? undefined : heard(each, answer, at)) ?? missed
      }
      together = Math.min(TOGETHER_MAX, together * 2)
    } catch (thrown) {
      if (over.aborted) return undefined
      missed = refusedAll(said, thrown as Error)
    }
    if (missed === undefined) outage.over()
    else outage.met(missed)
    return missed
  }

  const sleep = async (ms: number | undefined): Promise<void> => {
    const rest = new AbortController()
    const unlink = follow(rest, over, wake.signal)
    await (ms === undefined ? aborted(rest.signal) : pause(world, ms, rest.signal))
    unlink()
  }

  const run = async (): Promise<void> => {
    for (let repeat = 0; !over.aborted;) {
      wake = new AbortController()
      const due = dueInMs()
      if (due === undefined || due > 0) {
        await sleep(due)
        continue
      }
      const began = world.monotonic()
      const missed = await exchange(takeUp())
      if (over.aborted) return
      onExchange(missed)
      if (missed !== undefined) await reachability.pause(missed, repeat, over)
      repeat = missed === undefined ? 0 : repeat + 1
      await pause(world, began + BETWEEN_REPORTS_MS - world.monotonic(), over)
    }
  }

  return { changed: () => wake.abort(), ended: run() }
}
