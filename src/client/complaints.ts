// Whom a job server tells what went wrong without being thrown anywhere: `onProblem`, or the console where the author gave none, so that nobody runs for a day without Stint unaware of it.
import { StintError, Unreachable } from './errors.ts'

export type OnProblem = (problem: Error, job?: string) => void

/** Different sentences about single jobs that one job server writes, at most: a console is no log. */
const SENTENCES_MAX = 20

const write = (line: string): void => globalThis.console.warn(line)

const sentence = (who: string, { message }: Error, job: string | undefined): string => `Stint, ${who}${job === undefined ? '' : `, job ${job}`}: ${message}`

/** The default `onProblem`: one `console.warn` for each outage, and one for each kind of mistake in the jobs, whichever job made it first. `meanwhile` says what an outage means. */
const warnOnConsole = (who: string, meanwhile: string): OnProblem => {
  const written = new Set<string>()
  return (problem, job) => {
    if (job !== undefined) {
      if (written.has(problem.message) || written.size >= SENTENCES_MAX) return
      written.add(problem.message)
    }
    write(problem instanceof Unreachable ? `${sentence(who, problem, job)} ${meanwhile}` : sentence(who, problem, job))
  }
}

export interface TellerSetting {
  /** Who has the problem, as the console shows it. */
  readonly who: string
  /** What becomes of the work while Stint is away, as the console shows it. */
  readonly meanwhile: string
  readonly onProblem?: OnProblem | undefined
}

/** Tells `onProblem`, or warns on the console. A teller that throws does not throw into a job or a report: that is written on the console once. */
export const createTeller = ({ who, meanwhile, onProblem = warnOnConsole(who, meanwhile) }: TellerSetting): OnProblem => {
  let hasThrown = false
  return (problem, job) => {
    try {
      onProblem(problem, job)
    } catch (thrown) {
      if (!hasThrown) write(`${sentence(who, problem, job)} (onProblem threw: ${String(thrown)})`)
      hasThrown = true
    }
  }
}

/** One of those that call again until it works. */
export interface Outage {
  /** It did not work, and will be tried again. */
  readonly met: (failure: Error) => void
  readonly over: () => void
}

/** Tells of each outage once, however many calls meet it and however often: that Stint is away once for all of them, another refusal once for each. */
export const createOutages = (tell: (failure: Error) => void): (() => Outage) => {
  let isAway = false
  return () => {
    let told: string | undefined
    return {
      met: (failure) => {
        const what = failure instanceof StintError ? failure.code : failure.name
        const isNews = failure instanceof Unreachable ? !isAway : told !== what
        if (failure instanceof Unreachable) isAway = true
        else told = what
        if (isNews) tell(failure)
      },
      over: () => {
        isAway = false
        told = undefined
      },
    }
  }
}
