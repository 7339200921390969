// The jobs that are in the hands of one job server, and what keeps Stint and them in touch: registrations, reports, questions for the directive.
import * as E from 'fp-ts/lib/Either.js'
import { askJobDirective, type JobProxy, type RegisterBody, type RegisteredJob } from '../wire/jobs.ts'
import { pause } from '../world.ts'
import { createOutages, type OnProblem, type Outage } from './complaints.ts'
import { deferred } from './deferred.ts'
import { pollDirective, type PollSetting } from './directive-poll.ts'
import { AlreadySettled, Closed, LeaseLost, Unreachable } from './errors.ts'
import type { Http } from './http.ts'
import { createJob, type HeldJob } from './job.ts'
import { failed } from './outcomes.ts'
import { createReachability, type Reachability } from './reachability.ts'
import { createRegistrar } from './registrar.ts'
import { createReporter } from './reporter.ts'

/** How long a job waits for Stint before it begins without it, and before it returns although its outcome is not acknowledged. */
const PATIENCE_MS = 2_000
/** Ended jobs whose outcome has not reached Stint, at most; beyond, the oldest are given up. */
const UNREPORTED_MAX = 10_000
const RETRY_FIRST_MS = 250
const RETRY_MOST_MS = 5_000
/** A promised silence is so many intervals of reports long, unless it is said otherwise. */
export const REPORTS_A_SILENCE = 3

export type Registration = RegisterBody & { readonly id: string }

export interface RosterSetting {
  readonly http: Http
  readonly reportEverySeconds: number
  readonly waitSeconds: number
  /** Jobs do not run without Stint. */
  readonly stopsWithoutStint: boolean
  readonly onProblem: OnProblem
}

export interface Roster {
  readonly jobs: () => readonly HeldJob[]
  readonly has: (id: string) => boolean
  readonly hold: (registration: Registration) => HeldJob
  /** Registers a job and resolves when it may begin: registered, or without Stint if that is allowed. Throws if it may not. */
  readonly enrolled: (held: HeldJob) => Promise<void>
  /** Registers without holding; resolves with Left(`Closed`) when the roster ends before Stint answers. */
  readonly register: (registration: Registration) => Promise<E.Either<Error, RegisteredJob>>
  /** The job has a lease: from now on it is reported on and asked for. */
  readonly adopt: (held: HeldJob, proxy: RegisteredJob) => void
  /** Resolves when the outcome has arrived, or when waiting longer would hold the caller up. */
  readonly acknowledged: (held: HeldJob) => Promise<void>
  /** Resolves when nothing is left to report, or `ms` milliseconds later. */
  readonly flush: (ms: number) => Promise<void>
  /** Ends all calls; resolves when the last one has. */
  readonly end: () => Promise<void>
  readonly over: AbortSignal
  readonly reachability: Reachability
  /** For one more that calls again until it works. */
  readonly outage: () => Outage
}

const settledOf = (proxy: JobProxy): AlreadySettled => new AlreadySettled(proxy.id, proxy.state, proxy.outcome)

export const createRoster = ({ http, reportEverySeconds, waitSeconds, stopsWithoutStint, onProblem }: RosterSetting): Roster => {
  const { world } = http
  const reportEveryMs = reportEverySeconds * 1_000
  const ending = new AbortController()
  const over = ending.signal
  const jobs = new Map<string, HeldJob>()
  const polls = new Set<Promise<void>>()
  /** Those who wait for an outcome to arrive, and are let go when Stint is out of reach. */
  const hurried = new Set<() => void>()
  let isMissing = false

  const reachability = createReachability(world, { firstMs: RETRY_FIRST_MS, mostMs: Math.max(RETRY_FIRST_MS, Math.min(RETRY_MOST_MS, reportEveryMs)) })
  const registrar = createRegistrar({ http, reachability, over })
  const outage = createOutages(onProblem)
  const registering = outage()

  const silenceMs = ({ registration }: HeldJob): number => (registration.silenceSeconds ?? (registration.reportEverySeconds ?? reportEverySeconds) * REPORTS_A_SILENCE) * 1_000

  const exchanged = (missed: Error | undefined): void => {
    isMissing = missed !== undefined
    if (missed === undefined) return
    for (const go of hurried) go()
    if (!stopsWithoutStint) return
    for (const held of jobs.values()) if (held.lease() !== undefined && world.monotonic() - held.lastSign() >= silenceMs(held)) held.stop(missed)
  }

  const reporter = createReporter({
    http,
    world,
    reachability,
    jobs: { [Symbol.iterator]: () => jobs.values() },
    reportEveryMs,
    over,
    onForgotten: (held) =>
      enroll(
        held,
        () => undefined,
        () => undefined,
      ),
    onExchange: exchanged,
    onProblem,
    outage: outage(),
  })

  const boundUnreported = (): void => {
    if (jobs.size <= UNREPORTED_MAX) return
    for (const held of jobs.values()) {
      if (!held.isEnded()) continue
      onProblem(new Error(`Expected its outcome to reach Stint, but ${UNREPORTED_MAX} others wait too: it is given up.`), held.job.id)
      held.settle()
      return
    }
  }

  const release = (held: HeldJob): void => {
    if (jobs.get(held.job.id) === held) jobs.delete(held.job.id)
  }

  const hold = (registration: Registration): HeldJob => {
    const held: HeldJob = createJob({
      world,
      registration,
      onChange: () => reporter.changed(),
      onProblem: (problem) => onProblem(problem, registration.id),
      onSettled: () => release(held),
    })
    jobs.set(registration.id, held)
    boundUnreported()
    return held
  }

  const adopt = (held: HeldJob, proxy: RegisteredJob): void => {
    const { lease } = proxy
    if (lease === undefined) return
    held.registered(lease, proxy.attempt)
    held.told({ directive: proxy.directive, ...(proxy.receipt === undefined ? {} : { receipt: proxy.receipt }) })
    if (waitSeconds <= 0) return
    const ask: PollSetting['ask'] = (asked) => http.exchange(askJobDirective, { ...asked, params: { id: held.job.id } })
    const poll = pollDirective({ ask, world, reachability, waitSeconds, reportEveryMs }, held, lease)
    polls.add(poll)
    void poll.finally(() => polls.delete(poll))
  }

  /** Stint will not have this job: it may run to its end, but nothing of it is reported. */
  const refused = (held: HeldJob, refusal: Error): void => {
    if (refusal instanceof AlreadySettled) held.stop(new LeaseLost(held.job.id, 'settled', refusal.state))
    held.settle()
  }

  const enroll = (held: HeldJob, onAnswer: (refusal?: Error) => void, onMiss: (failure: Error) => void): void =>
    registrar.register({
      body: held.registration,
      isWanted: () => jobs.get(held.job.id) === held,
      onMiss: (failure) => {
        registering.met(failure)
        onMiss(failure)
      },
      onAnswer: (answer) => {
        registering.over()
        const refusal = E.isLeft(answer) ? answer.left : answer.right.lease === undefined ? settledOf(answer.right) : undefined
        if (E.isRight(answer) && refusal === undefined) adopt(held, answer.right)
        if (refusal !== undefined) refused(held, refusal)
        onAnswer(refusal)
      },
    })

  const enrolled = async (held: HeldJob): Promise<void> => {
    const decided = deferred()
    let refusal: Error | undefined
    let missed: Error = new Unreachable(http.url, `nothing came within ${PATIENCE_MS / 1_000} s`)
    let hasAnswered = false
    let hasBegun = false
    const cancel = world.timer(PATIENCE_MS, decided.resolve)
    enroll(
      held,
      (refusedWith) => {
        hasAnswered = true
        refusal = refusedWith
        if (hasBegun && refusedWith !== undefined && !over.aborted) onProblem(refusedWith, held.job.id)
        decided.resolve()
      },
      (failure) => {
        missed = failure
        if (!stopsWithoutStint) decided.resolve()
      },
    )
    await decided.promise
    cancel()
    if (refusal !== undefined) throw refusal
    hasBegun = true
    if (hasAnswered) return
    registering.met(missed)
    if (!stopsWithoutStint) return
    // It may have arrived all the same: then its end must be told too.
    held.end(failed('unreachable', 'Its job server could not reach Stint to register it.'))
    throw missed
  }

  const acknowledged = async (held: HeldJob): Promise<void> => {
    if (isMissing || held.lease() === undefined) return
    const enough = deferred()
    const cancel = world.timer(PATIENCE_MS, enough.resolve)
    hurried.add(enough.resolve)
    await Promise.race([held.settled, enough.promise])
    hurried.delete(enough.resolve)
    cancel()
  }

  const flush = async (ms: number): Promise<void> => {
    const flushed = new AbortController()
    const waiting = [...jobs.values()].map((held) => held.settled)
    await Promise.race([Promise.all(waiting), pause(world, ms, flushed.signal)])
    flushed.abort()
    for (const held of jobs.values()) onProblem(new Error('Expected its outcome to reach Stint, but the job server was closed before.'), held.job.id)
  }

  return {
    jobs: () => [...jobs.values()],
    has: (id) => jobs.has(id),
    hold,
    enrolled,
    adopt,
    acknowledged,
    register: (registration) => new Promise((resolve) => registrar.register({ body: registration, isWanted: () => true, onAnswer: resolve, onMiss: () => undefined })),
    flush,
    end: async () => {
      ending.abort(new Closed('job server'))
      for (const held of jobs.values()) held.settle()
      await Promise.all([reporter.ended, ...polls])
    },
    over,
    reachability,
    outage,
  }
}
