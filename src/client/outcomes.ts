// How the end of a function becomes the outcome that Stint is told.
import type { Outcome } from '../wire/items.ts'
import { AbortRequested, PermanentFailure, reasonOf } from './errors.ts'
import type { HeldJob } from './job.ts'

const CODE_MAX = 100
const MESSAGE_MAX = 4_000
const REASON_MAX = 1_000

/** What JSON makes of a value, as it is now; undefined for what JSON cannot say. */
const snapshot = (value: unknown): unknown => {
  try {
    const text = JSON.stringify(value) as string | undefined
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}

/** A result that JSON cannot say is left out, of which `onLeftOut` hears: the job is complete all the same. */
export const completed = (value: unknown, onLeftOut: () => void = () => undefined): Outcome => {
  const result = snapshot(value)
  if (result === undefined && value !== undefined) onLeftOut()
  return { completed: result === undefined ? {} : { result } }
}

export const aborted = (reason: string, partial: unknown): Outcome => {
  const kept = snapshot(partial)
  return { aborted: { reason: reason.slice(0, REASON_MAX), ...(kept === undefined ? {} : { partial: kept }) } }
}

/** A failure after which trying again would not help. */
const permanent = ({ code, message, detail }: PermanentFailure): Outcome => {
  const kept = snapshot(detail)
  return { failed: { code: code.slice(0, CODE_MAX) || 'permanent', message: message.slice(0, MESSAGE_MAX), retry: false, ...(kept === undefined ? {} : { detail: kept }) } }
}

/** The code of what is thrown without a code or a name of its own. */
const NAMELESS = 'error'

export const failed = (code: string, message: string): Outcome => ({ failed: { code: code.slice(0, CODE_MAX) || NAMELESS, message: message.slice(0, MESSAGE_MAX) } })

/** A thrown error's own `code` where it has one, else its name. */
const codeOf = (thrown: unknown): string => {
  if (typeof thrown !== 'object' || thrown === null) return NAMELESS
  const { code, name } = thrown as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  return typeof name === 'string' && name !== 'Error' && name !== '' ? name : NAMELESS
}

/** The abort because of which a function ended by throwing; undefined when it threw for another reason. */
export const abortBehind = ({ job }: Pick<HeldJob, 'job'>, thrown: unknown): AbortRequested | undefined => {
  if (thrown instanceof AbortRequested) return thrown
  const reason: unknown = job.signal.reason
  if (!(reason instanceof AbortRequested) || !(thrown instanceof Error)) return undefined
  // Functions that take the signal throw its reason, or an AbortError of their own.
  return thrown.cause === reason || thrown.name === 'AbortError' ? reason : undefined
}

/** Never throws: what is thrown may be anything, and whoever cannot say how it ended would be taken to run on. */
export const outcomeOf = (held: Pick<HeldJob, 'job' | 'partialResult'>, thrown: unknown): Outcome => {
  try {
    const abort = abortBehind(held, thrown)
    if (thrown instanceof PermanentFailure) return permanent(thrown)
    return abort === undefined ? failed(codeOf(thrown), reasonOf(thrown)) : aborted(abort.reason, held.partialResult())
  } catch {
    // No text can be made of it, reading it throws, or it is its own cause.
    return failed(NAMELESS, 'It threw something that cannot be read.')
  }
}

/** Without what may be too large or malformed: how it ended is still told. */
export const bare = (outcome: Outcome): Outcome => {
  if ('completed' in outcome) return { completed: {} }
  if ('aborted' in outcome) return { aborted: { reason: outcome.aborted.reason.slice(0, 1_000) } }
  const { code, message, retry } = outcome.failed
  return { failed: { code: code.slice(0, 100), message: message.slice(0, 1_000), ...(retry === undefined ? {} : { retry }) } }
}

export const isBare = (outcome: Outcome): boolean => ('completed' in outcome ? outcome.completed.result === undefined : JSON.stringify(outcome) === JSON.stringify(bare(outcome)))
