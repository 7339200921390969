// One task in the hands of this worker: what its handler is given, and what the worker keeps beside it.
import type { LeasedTask } from '../wire/tasks.ts'
import type { World } from '../world.ts'
import { fromBase64 } from './base64.ts'
import { createJob, type HeldJob, type Job } from './job.ts'

/** What a handler is given. None of it waits for Stint, but a checkpoint while a pause is wanted, and `extend`. */
export interface WorkerTask<Payload = unknown> extends Pick<Job, 'id' | 'directive' | 'progress' | 'phase' | 'checkpoint' | 'partial' | 'refuse'> {
  /** From 1; attempts that were given back do not count. */
  readonly attempt: number
  /** JSON as a value, everything else as a `Uint8Array`. */
  readonly payload: Payload
  readonly mediaType: string
  readonly tag: string | undefined
  readonly key: string | undefined
  readonly priority: number | undefined
  /** Aborts when the task is to be aborted (reason: `AbortRequested`), no longer belongs to this worker (`LeaseLost`), or the worker is closed and its grace is over (`Closed`). */
  readonly signal: AbortSignal
  /** Makes the lease last so many seconds from now on, for a handler that is about to keep the process from extending it by itself. Throws `StintError` or `Unreachable`. */
  readonly extend: (seconds: number) => Promise<void>
}

/** The side of a task that the worker sees. */
export interface HeldTask {
  readonly id: string
  readonly lease: string
  readonly leased: LeasedTask
  readonly held: HeldJob<LeasedTask>
  /** From when the lease counts, by this process's monotonic clock, and how long. */
  term: { readonly from: number; readonly ms: number }
  /** Stint is being asked what the administrator wants of it. */
  isAskedFor: boolean
  /** It goes back to the queue: whatever its handler does from now on is not told. */
  isGivenBack: boolean
}

const payloadOf = ({ payload, payloadBase64 }: LeasedTask): unknown => (payloadBase64 === undefined ? payload : fromBase64(payloadBase64))

/** How long the lease was given for: both times are the server's. */
const termMs = ({ leaseUntil, updatedAt }: LeasedTask): number => Math.max(1, Date.parse(leaseUntil) - Date.parse(updatedAt))

export interface HeldTaskSetting {
  readonly world: World
  /** Its answer came later than it was given: the lease runs since nobody knows when. */
  readonly isLate: boolean
  readonly onChange: (task: HeldTask) => void
  readonly onProblem: (problem: Error, task: string) => void
}

export const holdTask = (leased: LeasedTask, { world, isLate, onChange, onProblem }: HeldTaskSetting): HeldTask => {
  const { id, lease, receipt, directive, attempt } = leased
  const ms = termMs(leased)
  const held = createJob({ world, registration: leased, onChange: () => onChange(task), onProblem: (problem) => onProblem(problem, id), onSettled: () => undefined })
  const task: HeldTask = { id, lease, leased, held, term: { from: world.monotonic() - (isLate ? ms : 0), ms }, isAskedFor: false, isGivenBack: false }
  held.registered(lease, attempt)
  if (receipt !== undefined) held.told({ directive, receipt })
  return task
}

export const handedTask = <Payload>(task: HeldTask, extend: (task: HeldTask, seconds: number) => Promise<void>): WorkerTask<Payload> => {
  const { leased } = task
  const { job } = task.held
  const { tag, key, priority, mediaType = 'application/json' } = leased
  return {
    id: job.id,
    attempt: leased.attempt,
    payload: payloadOf(leased) as Payload,
    mediaType,
    tag,
    key,
    priority,
    get signal() {
      return job.signal
    },
    get directive() {
      return job.directive
    },
    progress: job.progress,
    phase: job.phase,
    checkpoint: job.checkpoint,
    partial: job.partial,
    refuse: job.refuse,
    extend: (seconds) => extend(task, seconds),
  }
}
