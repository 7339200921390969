// What implementation nodes answer, read with care: whoever answers may be somebody else, or of another version. What is not understood is no answer.
import * as t from 'io-ts'
import { Outcome } from '../../domain/work-item/events.ts'

const Taken = t.partial({ outcome: Outcome })

const Listed = t.type({ id: t.string, lease: t.string, state: t.string })
/** An operation on the list of a node. */
export type ListedOperation = t.TypeOf<typeof Listed>

const List = t.type({ node: t.string, items: t.array(Listed) })
export type NodeList = t.TypeOf<typeof List>

const Problem = t.intersection([t.type({ code: t.string }), t.partial({ detail: t.string, errors: t.array(t.unknown) })])
const Fault = t.type({ path: t.string, code: t.string, detail: t.string })

/** A problem document, as far as it is shown. */
export interface RefusedByNode {
  readonly code: string
  readonly detail?: string | undefined
  /** Fields that are wrong, by JSON pointer. */
  readonly errors: readonly t.TypeOf<typeof Fault>[]
}

const as =
  <A>(codec: t.Type<A>) =>
  (json: unknown): A | undefined =>
    codec.is(json) ? json : undefined

const CODE_MAX = 100
const MESSAGE_MAX = 4_000
const REASON_MAX = 1_000
const ERRORS_MAX = 50

/** Within the limits of the surface, on which everybody who is shown it relies. */
const shortened = (outcome: Outcome): Outcome => {
  if ('failed' in outcome) {
    const { code, message } = outcome.failed
    return { failed: { ...outcome.failed, code: code.slice(0, CODE_MAX) || 'failed', message: message.slice(0, MESSAGE_MAX) } }
  }
  return 'aborted' in outcome ? { aborted: { ...outcome.aborted, reason: outcome.aborted.reason.slice(0, REASON_MAX) } } : outcome
}

/** The outcome of an operation that was answered at once, or that it goes on the list; undefined: the answer is not sound. */
export const takenOf = (json: unknown): { readonly outcome?: Outcome } | undefined => {
  const taken = as(Taken)(json)
  return taken?.outcome === undefined ? taken : { outcome: shortened(taken.outcome) }
}
export const listOf = as(List)

export const refusedOf = (json: unknown): RefusedByNode | undefined => {
  const problem = as(Problem)(json)
  if (problem === undefined) return undefined
  const errors = (problem.errors ?? []).filter((error) => Fault.is(error)).slice(0, ERRORS_MAX)
  const short = (text: string): string => text.slice(0, REASON_MAX)
  return {
    code: problem.code,
    detail: problem.detail && short(problem.detail),
    errors: errors.map(({ path, code, detail }) => ({ path: short(path), code: short(code), detail: short(detail) })),
  }
}

const SAID_MAX = 500

/** A sentence on an answer that is none of those that were hoped for, with what it says itself: a wrong secret, say, or a clock that is off. */
export const answeredText = (status: number, json: unknown): string => {
  const detail = refusedOf(json)?.detail
  return `It answered ${status}${detail === undefined ? '.' : `: ${detail}`}`.slice(0, SAID_MAX)
}
