// What every handler of a worker is given, whatever it works on.
import type { Job } from './job.ts'

/** None of it waits for Stint, but a checkpoint while a pause is wanted, and `extend`. */
export interface Handed extends Pick<Job, 'id' | 'directive' | 'progress' | 'phase' | 'checkpoint' | 'partial' | 'refuse'> {
  /** Aborts when it is to be aborted (reason: `AbortRequested`), no longer belongs to this worker (`LeaseLost`), or the worker is closed and its grace is over (`Closed`). */
  readonly signal: AbortSignal
  /** Makes the lease last so many seconds from now on, for a handler that is about to keep the process from extending it by itself. Throws `StintError` or `Unreachable`. */
  readonly extend: (seconds: number) => Promise<void>
}
