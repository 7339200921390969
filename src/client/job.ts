// One job, or one task, in the hands of this process: what its author sees of it, what the administrator wants of it, and what it still has to report.
import type { Outcome, Progress } from '../wire/items.ts'
import type { RegisterBody } from '../wire/jobs.ts'
import { pause as wait, type World } from '../world.ts'
import { deferred } from './deferred.ts'
import { LeaseLost } from './errors.ts'
import { createOutbox, type Outbox } from './outbox.ts'
import { createSayings } from './sayings.ts'
import { abortOf, createWish, type Directive, type DirectiveAnswer } from './wish.ts'

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
export interface HeldJob<Taken extends { readonly id: string } = RegisterBody & { readonly id: string }> {
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

/** An abort signal that is made when it is asked for: making and aborting one costs more than a short task does. */
const lazySignal = () => {
  let controller: AbortController | undefined
  let over: { readonly reason?: Error } | undefined
  return {
    signal: (): AbortSignal => {
      if (controller === undefined) {
        controller = new AbortController()
        if (over !== undefined) controller.abort(over.reason)
      }
      return controller.signal
    },
    abort: (reason?: Error): void => {
      if (over !== undefined) return
      over = reason === undefined ? {} : { reason }
      controller?.abort(reason)
    },
  }
}

export const createJob = <Taken extends { readonly id: string }>({ world, registration, onChange, onProblem, onSettled, ...setting }: JobSetting<Taken>): HeldJob<Taken> => {
  const outbox = setting.outbox ?? createOutbox()
  const wish = createWish()
  const sayings = createSayings(outbox, onChange, onProblem)
  const stopping = lazySignal()
  const over = lazySignal()
  const { promise: settled, resolve: resolveSettled } = deferred()
  let lease: string | undefined
  let attempt = 1
  let stopReason: Error | undefined
  let isEnded = false
  let isParked = false
  let partial: unknown
  let lastSign = world.monotonic()
  let lastTurn = lastSign

  const stop = (reason: Error): void => {
    if (isEnded || stopReason !== undefined) return
    stopReason = reason
    outbox.clear()
    over.abort()
    stopping.abort(reason)
    wish.wake()
  }

  const isOpen = (): boolean => !isEnded && stopReason === undefined

  const settle = (): void => {
    outbox.clear()
    over.abort()
    onSettled()
    resolveSettled()
  }

  const standing = (): void => {
    if (stopReason !== undefined) throw stopReason
    const receipt = wish.receipt()
    if (wish.now() === 'abort' && receipt !== undefined) throw abortOf(receipt)
  }

  const checkpoint = async (): Promise<void> => {
    if (world.monotonic() - lastTurn >= TURN_EVERY_MS) {
      await wait(world, 0)
      lastTurn = world.monotonic()
    }
    for (standing(); wish.now() === 'pause' && isOpen(); standing()) {
      if (!isParked) sayings.say({ state: 'paused' })
      isParked = true
      await wish.changed()
    }
    if (isParked) sayings.say({ state: 'running' })
    isParked = false
  }

  const job: Job = {
    id: registration.id,
    get attempt() {
      return attempt
    },
    get signal() {
      return stopping.signal()
    },
    get directive() {
      return wish.now()
    },
    progress: (progress) => {
      if (isOpen()) sayings.progress(progress)
    },
    phase: (name) => {
      if (isOpen()) sayings.phase(name)
    },
    checkpoint,
    partial: (value) => {
      partial = value
    },
    refuse: (reason) => {
      const directive = isOpen() ? wish.refuse() : undefined
      if (directive !== undefined) sayings.refuse(directive, reason)
    },
  }

  return {
    job,
    registration,
    outbox,
    lease: () => lease,
    registered: (given, number) => {
      lease = given
      attempt = number
      lastSign = world.monotonic()
      onChange()
    },
    unregistered: () => {
      lease = undefined
    },
    told: (answer) => {
      if (isEnded) return
      wish.told(answer)
      const receipt = wish.receipt()
      if (wish.now() === 'abort' && receipt !== undefined) stopping.abort(abortOf(receipt))
    },
    stop,
    stopReason: () => stopReason,
    end: (outcome) => {
      if (isEnded) return
      isEnded = true
      over.abort()
      wish.wake()
      // What was settled without it may still take a late result; a job that another holds may not.
      if (stopReason instanceof LeaseLost && stopReason.code !== 'settled') settle()
      else sayings.say({ outcome })
    },
    settle,
    isEnded: () => isEnded,
    settled,
    get over() {
      return over.signal()
    },
    partialResult: () => partial,
    lastSign: () => lastSign,
    signGiven: (at) => {
      lastSign = Math.max(lastSign, at)
    },
  }
}
