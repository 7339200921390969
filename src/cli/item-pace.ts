// How fast a work item goes and how long it will take, from the progress that was seen of it in the last seconds.
import type { Item } from './item.ts'
import { fractionOf, isSettled } from './look.ts'

interface Sample {
  /** Monotonic milliseconds. */
  readonly at: number
  readonly done: number | undefined
  readonly fraction: number | undefined
}

/** What is remembered of an item between two looks at it; oldest sample first. */
export interface Pace {
  readonly attempt: number
  readonly samples: readonly Sample[]
}

/** How far back the rate looks. */
const WINDOW_MS = 15_000

/** The pace after another look. It begins anew with each attempt, and when the item went back. */
export const observe = (pace: Pace | undefined, item: Pick<Item, 'attempt' | 'progress'>, at: number): Pace => {
  const sample: Sample = { at, done: item.progress?.done, fraction: fractionOf(item.progress) }
  const before = pace?.attempt === item.attempt ? pace.samples : []
  const last = before[before.length - 1]
  if (last === undefined || (sample.done ?? 0) < (last.done ?? 0) || (sample.fraction ?? 0) < (last.fraction ?? 0)) return { attempt: item.attempt, samples: [sample] }
  const isOld = (index: number): boolean => at - (before[index + 1]?.at ?? at) > WINDOW_MS
  return { attempt: item.attempt, samples: [...before.filter((_sample, index) => !isOld(index)), sample] }
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

/** Milliseconds until the item is done at its present pace; by a job's own estimate where there is no pace yet. `now` is wall-clock time. */
export const remainingMs = (pace: Pace | undefined, item: Item, now: number): number | undefined => {
  if (isSettled(item.state)) return undefined
  const fraction = fractionOf(item.progress)
  const speed = pace === undefined ? undefined : perSecond(pace, (sample) => sample.fraction)
  if (fraction !== undefined && speed !== undefined && speed > 0) return ((1 - fraction) / speed) * 1_000
  if (!('expectedSeconds' in item) || item.expectedSeconds === undefined) return undefined
  const left = item.expectedSeconds * 1_000 - (now - Date.parse(item.createdAt))
  return left > 0 ? left : undefined
}
