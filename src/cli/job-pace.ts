// How fast a job goes and how long it will take, from the progress that was seen of it in the last seconds.
import type { JobProxy } from '../wire/jobs.ts'
import { fractionOf, isSettled } from './look.ts'

interface Sample {
  /** Monotonic milliseconds. */
  readonly at: number
  readonly done: number | undefined
  readonly fraction: number | undefined
}

/** What is remembered of a job between two looks at it; oldest sample first. */
export interface Pace {
  readonly attempt: number
  readonly samples: readonly Sample[]
}

/** How far back the rate looks. */
const WINDOW_MS = 15_000

/** The pace after another look. It begins anew with each attempt, and when the job went back. */
export const observe = (pace: Pace | undefined, job: Pick<JobProxy, 'attempt' | 'progress'>, at: number): Pace => {
  const sample: Sample = { at, done: job.progress?.done, fraction: fractionOf(job.progress) }
  const before = pace?.attempt === job.attempt ? pace.samples : []
  const last = before[before.length - 1]
  if (last === undefined || (sample.done ?? 0) < (last.done ?? 0) || (sample.fraction ?? 0) < (last.fraction ?? 0)) return { attempt: job.attempt, samples: [sample] }
  const isOld = (index: number): boolean => at - (before[index + 1]?.at ?? at) > WINDOW_MS
  return { attempt: job.attempt, samples: [...before.filter((_sample, index) => !isOld(index)), sample] }
}

const perSecond = (pace: Pace, value: (sample: Sample) => number | undefined): number | undefined => {
  const known = pace.samples.filter((sample) => value(sample) !== undefined)
  const [first] = known
  const last = known[known.length - 1]
  if (first === undefined || last === undefined || last.at - first.at < 500) return undefined
  return (((value(last) ?? 0) - (value(first) ?? 0)) * 1_000) / (last.at - first.at)
}

/** Units a second, where units are counted and some were done. */
export const rateOf = (pace: Pace | undefined): number | undefined => {
  const rate = pace === undefined ? undefined : perSecond(pace, (sample) => sample.done)
  return rate === undefined || rate <= 0 ? undefined : rate
}

/** Milliseconds until the job is done at its present pace; by its own estimate where there is no pace yet. `now` is wall-clock time. */
export const remainingMs = (pace: Pace | undefined, job: JobProxy, now: number): number | undefined => {
  if (isSettled(job.state)) return undefined
  const fraction = fractionOf(job.progress)
  const speed = pace === undefined ? undefined : perSecond(pace, (sample) => sample.fraction)
  if (fraction !== undefined && speed !== undefined && speed > 0) return ((1 - fraction) / speed) * 1_000
  if (job.expectedSeconds === undefined) return undefined
  const left = job.expectedSeconds * 1_000 - (now - Date.parse(job.createdAt))
  return left > 0 ? left : undefined
}
