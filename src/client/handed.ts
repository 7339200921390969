// What every handler of a worker is given, whatever it works on: the face of the job behind its item.
import type { HeldItem } from './held-item.ts'
import type { Job } from './job.ts'

/** None of it waits for Stint, but a checkpoint while a pause is wanted, and `extend`. */
export interface Handed extends Pick<Job, 'id' | 'directive' | 'progress' | 'phase' | 'checkpoint' | 'partial' | 'refuse'> {
  /** Aborts when it is to be aborted (reason: `AbortRequested`), no longer belongs to this worker (`LeaseLost`), or the worker is closed and its grace is over (`Closed`). */
  readonly signal: AbortSignal
  /** Makes the lease last so many seconds from now on, for a handler that is about to keep the process from extending it by itself. Throws `StintError` or `Unreachable`. */
  readonly extend: (seconds: number) => Promise<void>
}

/** The face of a held item, with `facts` of its own kind. One literal: to put properties on it afterwards costs several times as much, and each task has one. */
export const handed = <Facts extends object>({ held }: HeldItem, extend: Handed['extend'], facts: Facts): Handed & Facts => ({
  ...facts,
  id: held.id,
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
  extend,
})
