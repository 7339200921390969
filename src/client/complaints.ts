// Whom a job server or worker tells what went wrong without being thrown anywhere: `onProblem`, or the console where the author gave none, so that nobody runs for a day without Stint unaware of it.
import { StintError, Unreachable } from './errors.ts'

/** Hears of a problem; with the id of the job, task or request if it is that one's alone. */
export type OnProblem = (problem: Error, id?: string) => void

interface Voice {
  /** Who has the problem, as the console shows it. */
  readonly who: string
  readonly kind: 'job' | 'task' | 'request' | 'operation'
}

/** Different sentences about single jobs or tasks that one of them writes, at most: a console is no log. */
const SENTENCES_MAX = 20

const write = (line: string): void => globalThis.console.warn(line)

const sentence = ({ who, kind }: Voice, { message }: Error, id: string | undefined): string => `Stint, ${who}${id === undefined ? '' : `, ${kind} ${id}`}: ${message}`

/** The default `onProblem`: one `console.warn` for each outage, and one for each kind of mistake in the jobs or tasks, whichever made it first. `meanwhile` says what an outage means. */
const warnOnConsole = (voice: Voice, meanwhile: string): OnProblem => {
  const written = new Set<string>()
  return (problem, id) => {
    if (id !== undefined) {
      if (written.has(problem.message) || written.size >= SENTENCES_MAX) return
      written.add(problem.message)
    }
    write(problem instanceof Unreachable ? `${sentence(voice, problem, id)}. ${meanwhile}` : sentence(voice, problem, id))
  }
}

export interface TellerSetting extends Voice {
  /** What becomes of the work while Stint is away, as the console shows it. */
  readonly meanwhile: string
  readonly onProblem?: OnProblem | undefined
}

/** Tells `onProblem`, or warns on the console. A teller that throws does not throw into a job or a report: that is written on the console once. */
export const createTeller = ({ meanwhile, onProblem, ...voice }: TellerSetting): OnProblem => {
  const tell = onProblem ?? warnOnConsole(voice, meanwhile)
  let hasThrown = false
  return (problem, id) => {
    try {
      tell(problem, id)
    } catch (thrown) {
      if (!hasThrown) write(`${sentence(voice, problem, id)} (onProblem threw: ${String(thrown)})`)
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
