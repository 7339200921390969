// What the class of an operation says about itself: its name, whether it is long, and how it is timed.

/** What marks a class as a long task: `static readonly longTask = { timeout: '15m' } satisfies LongTask`. Durations are texts like `2s`, `15m` or `1h30m`. */
export interface LongTask {
  /** From its birth on (an hour). */
  readonly timeout?: string
  /** Interval at which its node reports (2 s). */
  readonly progressEvery?: string
  /** Without progress; none: never. */
  readonly stalledAfter?: string
  /** What becomes of it when its node starts again while it runs. */
  readonly onRestart?: 'resume' | 'fail'
}

/** What Stint is told of the class. */
export interface OperationSpec {
  readonly operation: string
  readonly long: boolean
  readonly timeoutSeconds?: number
  readonly progressEverySeconds?: number
  readonly stalledAfterSeconds?: number
}

interface Declaring {
  readonly name?: string
  readonly operation?: string
  readonly longTask?: LongTask
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of a text like `2s` or `1h30m`; undefined for anything else. */
const parsedDuration = (text: string): number | undefined => {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0)
  return total
}

const secondsOf = (text: string, where: string): number => {
  const ms = parsedDuration(text)
  if (ms === undefined) throw new TypeError(`Expected ${where} to be a duration like 2s, 15m or 1h30m, but it is ${JSON.stringify(text)}.`)
  return ms / 1_000
}

/** The spec of a class or of an instance of one. Throws `TypeError` on a duration that is none. */
export const specOf = (classOrInstance: object): OperationSpec => {
  const declaring = (typeof classOrInstance === 'function' ? classOrInstance : classOrInstance.constructor) as Declaring
  const operation = declaring.operation ?? declaring.name ?? ''
  const { longTask } = declaring
  if (longTask === undefined) return { operation, long: false }
  const { timeout, progressEvery, stalledAfter } = longTask
  return {
    operation,
    long: true,
    ...(timeout === undefined ? {} : { timeoutSeconds: secondsOf(timeout, `${operation}.longTask.timeout`) }),
    ...(progressEvery === undefined ? {} : { progressEverySeconds: secondsOf(progressEvery, `${operation}.longTask.progressEvery`) }),
    ...(stalledAfter === undefined ? {} : { stalledAfterSeconds: secondsOf(stalledAfter, `${operation}.longTask.stalledAfter`) }),
  }
}
