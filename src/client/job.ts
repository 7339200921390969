// One job, or one task, in the hands of this process: what its author sees of it, what the administrator wants of it, and what it still has to report.
import type { Outcome, Progress } from '../wire/items.ts'
import type { RegisterBody } from '../wire/jobs.ts'
import { pause as wait, type World } from '../world.ts'
import { deferred } from './deferred.ts'
import { LeaseLost } from './errors.ts'
import { createOutbox, type Outbox, type Report } from './outbox.ts'
import { createSayings, type Sayings } from './sayings.ts'
import { abortOf, createWish, type Directive, type DirectiveAnswer, type Wish } from './wish.ts'

/** A job that computes without a break gives the event loop a turn at a checkpoint each so many milliseconds: an abort could never arrive otherwise. */
export const TURN_EVERY_MS = 20

/** What the function that does a job is given. None of it waits for Stint, but a checkpoint while a pause is wanted. */
export interface Job {
  readonly id: string
  /** From 1; higher when another instance has begun this job before. */
  readonly attempt: number
  /** Aborts when the job is to be aborted (reason: `AbortRequested`) or no longer belongs to this process (`LeaseLost`). */
  readonly signal: AbortSignal
  /** What the administrator wants now. */
  readonly directive: Directive
  /** Says how far it is: a fraction from 0 to 1, or counts. Cheap: call it as often as you like, the latest is reported. Never throws: a value out of its range is reported as the nearest in it, what cannot be said (`NaN`, say) is left out, and `onProblem` hears of either once. */
  readonly progress: (progress: number | Progress) => void
  /** Enters a named phase, 1 to 200 characters; every phase is reported, in order. Never throws: a longer name is cut, an empty one left out, and `onProblem` hears of it once. */
  readonly phase: (name: string) => void
  /** A place where it can stop: throws `AbortRequested` or `LeaseLost` when it is to stop, and waits here while it is to pause. */
  readonly checkpoint: () => Promise<void>
  /** What there is of a result so far; reported if the job is aborted. JSON. */
  readonly partial: (value: unknown) => void
  /** Refuses the standing directive, which is then withdrawn. A `signal` that has aborted stays so. Without a standing directive it does nothing. A reason beyond 1,000 characters is cut. */
  readonly refuse: (reason: string) => void
}

/** The side of a job that the job server sees, and of a task that the worker sees. */
export interface HeldJob<Taken extends { readonly id: string } = RegisterBody & { readonly id: string }> extends Job {
  /** What its author is given, and nothing else of it. */
  readonly job: Job
  /** The registration of a job, the leased task of a task. */
  readonly registration: Taken
  readonly outbox: Outbox
  /** The lease; undefined while it is not registered. */
  readonly lease: () => string | undefined
  readonly registered: (lease: string, attempt: number) => void
  /** Stint does not know it (any more): it is to be registered again. */
  readonly unregistered: () => void
  /** What Stint answered about the administrator's wish; older answers than the last are passed over. */
  readonly told: (answer: DirectiveAnswer) => void
  /** Stops it from outside, with the reason that its signal and its checkpoints give. */
  readonly stop: (reason: Error) => void
  readonly stopReason: () => Error | undefined
  /** The function has ended: the outcome is the last report. */
  readonly end: (outcome: Outcome) => void
  /** Nothing is to be reported any more: the outcome arrived, or nobody wants it. */
  readonly settle: () => void
  readonly isEnded: () => boolean
  /** Resolves when it is settled. */
  readonly settled: Promise<void>
  /** Aborts when it has ended or was taken away: nobody asks for its directive any more. */
  readonly over: AbortSignal
  readonly partialResult: () => unknown
  /** Monotonic time of the last call that told Stint that it is alive. */
  readonly lastSign: () => number
  readonly signGiven: (at: number) => void
}

export interface JobSetting<Taken> {
  readonly world: World
  readonly registration: Taken
  /** Where what it says goes; one of its own unless given. */
  readonly outbox?: Outbox
  /** There is something to report. */
  readonly onChange: () => void
  /** Hears of what was said and could not be reported as it was. */
  readonly onProblem: (problem: Error) => void
  /** There will never be anything to report again. */
  readonly onSettled: () => void
}

/** What the author of a job is given of it, with `facts` of its own kind. One literal: to put properties on it afterwards costs several times as much, and each task has one. */
export const faceOf = <Facts extends object>(held: Job, facts: Facts): Job & Facts => ({
  ...facts,
  id: held.id,
  get attempt() {
    return held.attempt
  },
  get signal() {
    return held.signal
  },
  get directive() {
    return held.directive
  },
  progress: held.progress,
  phase: held.phase,
  checkpoint: held.checkpoint,
  partial: held.partial,
  refuse: held.refuse,
})

/** An abort signal that is made when it is asked for: making and aborting one costs more than a short task does. */
class LazySignal {
  #controller: AbortController | undefined
  #over: { readonly reason?: Error } | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#over !== undefined) this.#controller.abort(this.#over.reason)
    }
    return this.#controller.signal
  }

  abort(reason?: Error): void {
    if (this.#over !== undefined) return
    this.#over = reason === undefined ? {} : { reason }
    this.#controller?.abort(reason)
  }
}

/**
 * A job in hand. Thousands may be, and most are short tasks that say nothing on the way: an object whose methods are not made anew for each, and whose parts are made when they are first
 * needed, takes a fifth of what closures take.
 */
class JobInHand<Taken extends { readonly id: string }> implements HeldJob<Taken> {
  readonly id: string
  readonly registration: Taken
  readonly outbox: Outbox
  readonly #setting: JobSetting<Taken>
  readonly #stopping = new LazySignal()
  readonly #over = new LazySignal()
  #job: Job | undefined
  #wish: Wish | undefined
  #sayings: Sayings | undefined
  #settling: ReturnType<typeof deferred> | undefined
  #isSettled = false
  #lease: string | undefined
  #attempt = 1
  #stopReason: Error | undefined
  #isEnded = false
  #isParked = false
  #partial: unknown
  #lastSign: number
  #lastTurn: number

  constructor(setting: JobSetting<Taken>) {
    const { world, registration, outbox = createOutbox() } = setting
    this.#setting = setting
    this.id = registration.id
    this.registration = registration
    this.outbox = outbox
    this.#lastSign = world.monotonic()
    this.#lastTurn = this.#lastSign
  }

  get #isOpen(): boolean {
    return !this.#isEnded && this.#stopReason === undefined
  }

  /** Those who never hear of a wish have none. */
  get #wished(): Wish {
    return (this.#wish ??= createWish())
  }

  get #said(): Sayings {
    return (this.#sayings ??= createSayings((report) => this.#say(report), this.#setting.onProblem))
  }

  #say(report: Report): void {
    this.outbox.add(report)
    this.#setting.onChange()
  }

  // What its author sees: taken off the object, each goes on working.

  readonly progress: Job['progress'] = (progress) => {
    if (this.#isOpen) this.#said.progress(progress)
  }

  readonly phase: Job['phase'] = (name) => {
    if (this.#isOpen) this.#said.phase(name)
  }

  readonly partial: Job['partial'] = (value) => {
    this.#partial = value
  }

  readonly refuse: Job['refuse'] = (reason) => {
    const directive = this.#isOpen ? this.#wish?.refuse() : undefined
    if (directive !== undefined) this.#said.refuse(directive, reason)
  }

  readonly checkpoint: Job['checkpoint'] = async () => {
    const { world } = this.#setting
    if (world.monotonic() - this.#lastTurn >= TURN_EVERY_MS) {
      await wait(world, 0)
      this.#lastTurn = world.monotonic()
    }
    for (this.#standing(); this.directive === 'pause' && this.#isOpen; this.#standing()) {
      if (!this.#isParked) this.#say({ state: 'paused' })
      this.#isParked = true
      await this.#wished.changed()
    }
    if (this.#isParked) this.#say({ state: 'running' })
    this.#isParked = false
  }

  get attempt(): number {
    return this.#attempt
  }

  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  get directive(): Directive {
    return this.#wish?.now() ?? 'normal'
  }

  // What whoever holds it sees.

  get job(): Job {
    return (this.#job ??= faceOf(this, {}))
  }

  lease(): string | undefined {
    return this.#lease
  }

  registered(lease: string, attempt: number): void {
    const { world, onChange } = this.#setting
    this.#lease = lease
    this.#attempt = attempt
    this.#lastSign = world.monotonic()
    onChange()
  }

  unregistered(): void {
    this.#lease = undefined
  }

  told(answer: DirectiveAnswer): void {
    if (this.#isEnded) return
    this.#wished.told(answer)
    const abort = this.#abortWanted()
    if (abort !== undefined) this.#stopping.abort(abort)
  }

  stop(reason: Error): void {
    if (!this.#isOpen) return
    this.#stopReason = reason
    this.outbox.clear()
    this.#over.abort()
    this.#stopping.abort(reason)
    this.#wish?.wake()
  }

  stopReason(): Error | undefined {
    return this.#stopReason
  }

  end(outcome: Outcome): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#over.abort()
    this.#wish?.wake()
    // What was settled without it may still take a late result; a job that another holds may not.
    if (this.#stopReason instanceof LeaseLost && this.#stopReason.code !== 'settled') this.settle()
    else this.#say({ outcome })
  }

  settle(): void {
    this.outbox.clear()
    this.#over.abort()
    this.#setting.onSettled()
    this.#isSettled = true
    this.#settling?.resolve()
  }

  isEnded(): boolean {
    return this.#isEnded
  }

  get settled(): Promise<void> {
    if (this.#isSettled) return Promise.resolve()
    return (this.#settling ??= deferred()).promise
  }

  get over(): AbortSignal {
    return this.#over.signal
  }

  partialResult(): unknown {
    return this.#partial
  }

  lastSign(): number {
    return this.#lastSign
  }

  signGiven(at: number): void {
    this.#lastSign = Math.max(this.#lastSign, at)
  }

  #abortWanted(): Error | undefined {
    const receipt = this.#wish?.receipt()
    return this.directive === 'abort' && receipt !== undefined ? abortOf(receipt) : undefined
  }

  #standing(): void {
    const over = this.#stopReason ?? this.#abortWanted()
    if (over !== undefined) throw over
  }
}

export const createJob = <Taken extends { readonly id: string }>(setting: JobSetting<Taken>): HeldJob<Taken> => new JobInHand(setting)
