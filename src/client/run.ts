// How a function is run as a job, and what is known of it once it has started.
import type { Job } from './job.ts'

export interface RunOptions {
  /** Your own id for the job: run at most once. A UUIDv7 if left out. */
  readonly id?: string | undefined
  /** Facts about the job for those who look at it, at most 16 KiB as JSON. */
  readonly attributes?: Record<string, unknown> | undefined
  readonly expectedSeconds?: number | undefined
}

export interface Started<Result> {
  readonly job: Job
  /** What the function returns or throws. */
  readonly result: Promise<Result>
}

export type Run<Result> = (job: Job) => Result | Promise<Result>
