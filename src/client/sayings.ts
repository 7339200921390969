// What a handler says of its progress, made fit for Stint, and passed on only when it says something new. A bad value is a problem of the report, never of the work (spec A).
import { progress as progressCodec, reportFields, type Progress } from '../wire/items.ts'
import type { Report } from './outbox.ts'
import { invalid, isValid } from './validity.ts'

const PHASE_MAX = 200
const REASON_MAX = 1_000
const UNIT_MAX = 40
const MESSAGE_MAX = 1_000

/** The first `max` characters, as well-formed Unicode: no half of a character that takes two. */
const cut = (text: string, max: number): string =>
  text
    .toWellFormed()
    .slice(0, max)
    .replace(/[\uD800-\uDBFF]$/, '')

/** Puts what is wrong about one job to `onProblem`, each kind of mistake once: a loop that makes it makes it a thousand times. */
const createComplaint = (onProblem: (problem: Error) => void) => {
  const told = new Set<string>()
  return (kind: string, sentence: string): void => {
    if (told.has(kind)) return
    told.add(kind)
    onProblem(invalid(sentence))
  }
}

type Complain = ReturnType<typeof createComplaint>

const fittingText = (name: string, given: unknown, max: number, complain: Complain): string | undefined => {
  if (typeof given !== 'string') {
    complain(`${name} type`, `Expected ${name} as text, but got ${typeof given}: it is left out.`)
    return undefined
  }
  const text = cut(given, max)
  if (text !== given) complain(`${name} length`, `Expected ${name} of at most ${max} characters of well-formed Unicode, but got ${given.length}: it is cut.`)
  return text
}

const fittingNumber = (name: string, given: unknown, max: number, complain: Complain): number | undefined => {
  if (typeof given !== 'number' || !Number.isFinite(given)) {
    complain(`${name} type`, `Expected ${name} as a number, but got ${typeof given === 'number' ? given : typeof given}: it is left out.`)
    return undefined
  }
  if (given >= 0 && given <= max) return given
  const nearest = Math.min(Math.max(given, 0), max)
  complain(`${name} range`, `Expected ${name} from 0 to ${max}, but got ${given}: ${nearest} is reported.`)
  return nearest
}

/** The nearest progress that Stint takes; undefined when nothing of it can be said. */
const fittingProgress = (given: unknown, complain: Complain): Progress | undefined => {
  if (isValid(progressCodec, given)) return given
  if (typeof given !== 'object' || given === null) {
    complain('progress type', `Expected progress as a number or an object, but got ${given === null ? 'null' : typeof given}: it is left out.`)
    return undefined
  }
  const { fraction, done, total, unit, message } = given as Readonly<Record<string, unknown>>
  const fitting = {
    fraction: fraction === undefined ? undefined : fittingNumber('fraction', fraction, 1, complain),
    done: done === undefined ? undefined : fittingNumber('done', done, Number.MAX_SAFE_INTEGER, complain),
    total: total === undefined ? undefined : fittingNumber('total', total, Number.MAX_SAFE_INTEGER, complain),
    unit: unit === undefined ? undefined : fittingText('unit', unit, UNIT_MAX, complain),
    message: message === undefined ? undefined : fittingText('message', message, MESSAGE_MAX, complain),
  }
  const said = Object.entries(fitting).filter(([, value]) => value !== undefined)
  return said.length === 0 ? undefined : Object.fromEntries(said)
}

/** What one job says goes to `say`; `onProblem` hears of what could not be said as it was given, each kind once. Nothing here throws. */
export const createSayings = (say: (report: Report) => void, onProblem: (problem: Error) => void) => {
  const complain = createComplaint(onProblem)
  let phase: string | undefined
  let progress = ''
  return {
    phase: (given: string): void => {
      const next = isValid(reportFields.optional.phase, given) ? given : fittingText('a phase', given, PHASE_MAX, complain)
      if (next === '') complain('a phase empty', 'Expected a phase of at least 1 character, but it is empty: it is left out.')
      if (next === undefined || next === '' || next === phase) return
      phase = next
      say({ phase: next })
    },
    progress: (given: number | Progress): void => {
      const next = fittingProgress(typeof given === 'number' ? { fraction: given } : given, complain)
      if (next === undefined) return
      const text = JSON.stringify(next)
      if (text === progress) return
      progress = text
      say({ progress: JSON.parse(text) as Progress })
    },
    /** Refuses directive number `directive`. */
    refuse: (directive: number, given: string): void => say({ refuse: { directive, reason: fittingText('a reason', given, REASON_MAX, complain) ?? '' } }),
  }
}

export type Sayings = ReturnType<typeof createSayings>
