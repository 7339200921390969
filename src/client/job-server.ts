// A job server in a user's process: it registers jobs, runs them, reports on them and obeys the administrator, and never lets a job wait for Stint (spec A).
//
//   run ─▶ register ─▶ the function ─▶ outcome ─▶ settled
//            │            │  ▲
//            ▼            ▼  │ abort, pause, resume
//        registrar     reporter · directive polls          one of each a server, but a poll a job
//
// Each of them repeats by itself while Stint is away; a job that could not be registered runs all the same and is registered when Stint is back.
import { LOST_AFTER_SECONDS, REPORT_EVERY_SECONDS, registerBody, type JobProxy } from '../wire/jobs.ts'
import { createTeller, type OnProblem } from './complaints.ts'
import { deferred } from './deferred.ts'
import { AbortRequested, AlreadyRunning, Closed, LeaseLost } from './errors.ts'
import type { Http } from './http.ts'
import { uuidv7 } from './ids.ts'
import type { HeldJob, Job } from './job.ts'
import { createMiddleware } from './middleware.ts'
import { abortBehind, completed, failed, outcomeOf } from './outcomes.ts'
import { createRoster, REPORTS_A_SILENCE, type Registration } from './roster.ts'
import { takeOver } from './takeover.ts'
import { valid } from './validity.ts'
import type { Run, RunOptions, Started } from './run.ts'

/** Seconds for which `close` tries to get the last reports through. */
const FLUSH_SECONDS = 10
/** Seconds that Stint holds a question for the directive back. */
const WAIT_SECONDS = 30
export interface JobServerOptions {
  /** What the jobs are jobs of, for instance `indexer`. */
  readonly service: string
  /** This server among those of the service; the same after a restart, so that what was left behind is found. One process has one job server of this name. */
  readonly server: string
  /** Made anew for each process unless given: tells a restart from a repeat. */
  readonly instance?: string
  /** Promised interval of signs of life, in seconds (5; below 0.25 the reports cannot keep up). After three of them without a sign a job is shown as lost. */
  readonly reportEverySeconds?: number
  /** Silence after which a job is lost, in seconds (3 × `reportEverySeconds`). */
  readonly silenceSeconds?: number
  /** Seconds after which a lost job is settled as failed (86,400). */
  readonly lostAfterSeconds?: number
  /** `go-on` (the default): a job runs whether or not Stint can be reached, and what happened is told later. `stop`: it does not begin without Stint, and stops when Stint must take it for lost. */
  readonly whenUnreachable?: 'go-on' | 'stop'
  /** Seconds for which Stint holds a question for the directive back (30). 0: no questions; the directive comes with the reports only, for browsers, which open few connections. */
  readonly waitSeconds?: number
  /** Runs a job that an earlier instance left behind, as attempt n + 1. Without it such jobs are reported as failed (`server-restarted`). */
  readonly resume?: (job: Job, proxy: JobProxy) => unknown
  /** What `close` does with running jobs: wait for them (`finish`, the default) or report them as failed (`fail`). */
  readonly closeMode?: CloseMode
  /** Seconds for which `close` tries to get the last reports through (10). */
  readonly flushSeconds?: number
  /**
   * Hears of what went wrong without being thrown anywhere: Stint out of reach (once an outage), reports that were refused or had to be cut, jobs that could not be registered later.
   * Unless given, it is written by `console.warn`: once an outage, and once for each kind of mistake. What it throws is dropped.
   */
  readonly onProblem?: OnProblem
}

export type CloseMode = 'finish' | 'fail'

export interface JobServer extends AsyncDisposable {
  readonly instance: string
  /**
   * Runs a function as a job and returns what it returns, or throws what it throws. Its end is reported: completed with the value, failed with code and message,
   * or aborted with the partial result when it ended because of an abort (`AbortRequested` is thrown on). Throws `AlreadySettled` or `AlreadyRunning` for an id that was used,
   * `StintError` when Stint refuses the job, `LeaseLost` when it was taken away meanwhile, `Closed`; `Unreachable` with `whenUnreachable: 'stop'` only.
   */
  readonly run: <Result>(label: string, run: Run<Result>, options?: RunOptions) => Promise<Result>
  /** As `run`, but resolves when the function has begun. */
  readonly start: <Result>(label: string, run: Run<Result>, options?: RunOptions) => Promise<Started<Result>>
  /** Express middleware that makes a job of a route: `app.post('/scans', jobs.express('scan', async (job, req) => …))`. */
  readonly express: ReturnType<typeof createMiddleware>
  /** Ids of the jobs that were taken over from an earlier instance; resolves once Stint has been asked. */
  readonly takenOver: Promise<readonly string[]>
  /** Takes no more jobs, finishes or fails the running ones, gets the last reports through, and ends everything. Never rejects. */
  readonly close: (mode?: CloseMode) => Promise<void>
}

/** Stint counts in milliseconds. */
const wholeMs = <Seconds extends number | undefined>(seconds: Seconds): Seconds => (seconds === undefined ? seconds : Math.round(seconds * 1_000) / 1_000) as Seconds

export const createJobServer = (http: Http, options: JobServerOptions): JobServer => {
  const { world } = http
  const { service, server, closeMode = 'finish', resume } = options
  const stopsWithoutStint = options.whenUnreachable === 'stop'
  const onProblem = createTeller({
    who: `job server ${service}/${server}`,
    kind: 'job',
    meanwhile: stopsWithoutStint ? 'No job begins meanwhile.' : 'Jobs run on; what they report is told when Stint is back.',
    onProblem: options.onProblem,
  })
  const instance = options.instance ?? world.uuid()
  const reportEverySeconds = wholeMs(options.reportEverySeconds ?? REPORT_EVERY_SECONDS)
  // Said in full, as the proxy will show it: a takeover sends the same content again.
  const promised = {
    reportEverySeconds,
    silenceSeconds: wholeMs(options.silenceSeconds ?? REPORTS_A_SILENCE * reportEverySeconds),
    lostAfterSeconds: wholeMs(options.lostAfterSeconds ?? LOST_AFTER_SECONDS),
  }
  const roster = createRoster({
    http,
    onProblem,
    reportEverySeconds,
    waitSeconds: options.waitSeconds ?? WAIT_SECONDS,
    stopsWithoutStint,
  })
  const running = new Set<Promise<unknown>>()
  /** Jobs that this instance has begun itself, and those that it is about to take over, for as long as it looks for what was left behind. */
  const begunHere = new Set<string>()
  const claimed = new Set<string>()
  let isTakingOver = true
  let closing: Promise<void> | undefined

  const registrationOf = (label: string, { id = uuidv7(world), attributes, expectedSeconds }: RunOptions): Registration => {
    const content = { id, service, server, instance, label, attributes, expectedSeconds: wholeMs(expectedSeconds), ...promised }
    // A copy as JSON: repeats must carry the same content, whatever becomes of the caller's objects.
    const body = valid(registerBody, JSON.parse(JSON.stringify(content)))
    return { ...body, id }
  }

  const execute = async <Result>(held: HeldJob, run: Run<Result>): Promise<Result> => {
    let value: Result
    try {
      value = await run(held.job)
    } catch (thrown) {
      const stopped = held.stopReason()
      held.end(outcomeOf(held, thrown))
      if (stopped instanceof LeaseLost) held.settle()
      await roster.acknowledged(held)
      throw stopped ?? abortBehind(held, thrown) ?? thrown
    }
    held.end(completed(value))
    await roster.acknowledged(held)
    const stopped = held.stopReason()
    if (stopped !== undefined) throw stopped
    return value
  }

  const track = <Result>(work: Promise<Result>): Promise<Result> => {
    running.add(work)
    // Whoever started the job hears of its failure; here it only ends.
    work
      .catch(() => undefined)
      .finally(() => running.delete(work))
      .catch(() => undefined)
    return work
  }

  const start: JobServer['start'] = async (label, run, runOptions = {}) => {
    if (closing !== undefined) throw new Closed('job server')
    const registration = registrationOf(label, runOptions)
    if (roster.has(registration.id) || claimed.has(registration.id)) throw new AlreadyRunning(registration.id)
    if (isTakingOver) begunHere.add(registration.id)
    const held = roster.hold(registration)
    const begun = deferred()
    // The job counts as running from its registration on, so that a close waits for it.
    void track(begun.promise)
    try {
      await roster.enrolled(held)
      const stopped = held.stopReason()
      if (stopped !== undefined) throw stopped
      return { job: held.job, result: track(execute(held, run)) }
    } finally {
      begun.resolve()
    }
  }

  const resumeOrFail = (held: HeldJob, proxy: JobProxy): void => {
    const abort: unknown = held.job.directive === 'abort' ? held.job.signal.reason : undefined
    if (abort !== undefined) return held.end(outcomeOf(held, abort))
    if (resume === undefined) return held.end(failed('server-restarted', 'Its job server was restarted while it ran.'))
    track(execute(held, (job) => resume(job, proxy))).catch((thrown: unknown) => {
      if (!(thrown instanceof AbortRequested || thrown instanceof Closed)) onProblem(thrown instanceof Error ? thrown : new Error(String(thrown)), held.job.id)
    })
  }

  const takenOver = takeOver({
    http,
    service,
    server,
    instance,
    over: roster.over,
    reachability: roster.reachability,
    claim: (id) => {
      if (begunHere.has(id)) return false
      claimed.add(id)
      return true
    },
    register: roster.register,
    onTaken: (registration, proxy) => {
      const held = roster.hold(registration)
      roster.adopt(held, proxy)
      resumeOrFail(held, proxy)
    },
    onProblem,
    outage: roster.outage(),
  }).finally(() => {
    isTakingOver = false
    begunHere.clear()
    claimed.clear()
  })

  const shut = async (mode: CloseMode): Promise<void> => {
    if (mode === 'fail')
      for (const held of roster.jobs()) {
        if (held.isEnded()) continue
        held.stop(new Closed('job server'))
        held.end(failed('server-stopped', 'Its job server was closed while it ran.'))
      }
    else while (running.size > 0) await Promise.allSettled(running)
    await roster.flush((options.flushSeconds ?? FLUSH_SECONDS) * 1_000)
    await roster.end()
    await takenOver
  }

  const close: JobServer['close'] = (mode = closeMode) => (closing ??= shut(mode))

  return {
    instance,
    start,
    run: async (label, run, runOptions) => (await start(label, run, runOptions)).result,
    express: createMiddleware({ start, addressOf: (id) => `${http.url}/v1/jobs/${encodeURIComponent(id)}` }),
    takenOver,
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}
