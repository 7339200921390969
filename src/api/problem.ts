// Every refusal as a problem document (RFC 9457): the one place where what the engine says becomes a status and a code.
import type { Refusal } from '../engine/command.ts'
import { problems, type ProblemCode } from '../wire/problems.ts'
import type { FieldError } from '../wire/schema.ts'

export interface Problem {
  readonly code: ProblemCode
  /** A sentence about this occurrence; the title says what the code means. */
  readonly detail?: string | undefined
  /** State of the work item, where the refusal depends on it. */
  readonly state?: string | undefined
  readonly errors?: readonly FieldError[] | undefined
  /** What it was about, for the audit, where the address does not say whose it is. */
  readonly workItem?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Of a caller that is over its quota: what it could release, oldest first, and where its usage is shown. */
  readonly unreleased?: Unreleased | undefined
}

export interface Unreleased {
  readonly oldest: readonly { readonly id: string; readonly settledAt: string }[]
  readonly callers: string
}

export const problem = (code: ProblemCode, detail?: string): Problem => ({ code, detail })

/** To whoever came without one. */
export const needsToken: Problem = { code: 'unauthenticated', detail: 'This needs a token.', headers: { 'WWW-Authenticate': 'Bearer' } }

/** 400 with each bad field. */
export const invalid = (errors: readonly FieldError[]): Problem => ({
  code: 'invalid',
  detail: errors.length === 1 ? errors[0]?.detail : `${errors.length} fields are not valid.`,
  errors,
})

type TaggedRefusal = Extract<Refusal, { type: string }>
type StoreRefusal = Exclude<Refusal, TaggedRefusal>

const codeOfType = {
  'not-found': 'not-found',
  forbidden: 'forbidden',
  'id-in-use': 'id-in-use',
  'exists-with-other-content': 'exists-with-other-content',
  'stale-lease': 'stale-lease',
  'fingerprint-mismatch': 'fingerprint-mismatch',
  pending: 'pending',
  released: 'released',
  erased: 'erased',
  settled: 'settled',
  aborting: 'aborting',
  'not-possible': 'not-possible',
  'too-many-live': 'too-many-live',
  lagging: 'lagging',
  stopping: 'stopping',
  superseded: 'superseded',
  'over-quota': 'over-quota',
  'no-leader': 'no-leader',
  'queue-removed': 'queue-removed',
  'queue-paused': 'not-possible',
  'not-served': 'not-served',
  'outdated-configuration': 'not-possible',
} as const satisfies Record<TaggedRefusal['type'], ProblemCode>

const codeOfKind = {
  tooLarge: 'too-large',
  'unknown-outcome': 'store-unavailable',
  unavailable: 'store-unavailable',
  overloaded: 'overloaded',
  damaged: 'store-unavailable',
  'foreign-position': 'other-log',
} as const satisfies Record<StoreRefusal['kind'], ProblemCode>

/** What the engine would not do, in the words of the surface. A fault's own message stays inside, but for what it says is for others too. */
export const fromRefusal = (refusal: Refusal): Problem => {
  if ('type' in refusal) {
    return { code: codeOfType[refusal.type], detail: 'detail' in refusal ? refusal.detail : undefined, state: 'state' in refusal ? refusal.state : undefined }
  }
  if (refusal.kind === 'tooLarge') return problem('too-large', `The command is larger than ${refusal.limitBytes} bytes when it is stored.`)
  return { code: codeOfKind[refusal.kind], detail: refusal.told }
}

/** A fault of the store that was thrown, as it is by what reads the tables; undefined for a defect. */
export const fromThrown = (thrown: unknown): Problem | undefined => {
  if (!(thrown instanceof Error) || thrown.name !== 'StoreFault' || !('kind' in thrown)) return undefined
  const { kind } = thrown
  return typeof kind === 'string' && Object.hasOwn(codeOfKind, kind) ? { code: codeOfKind[kind as StoreRefusal['kind']] } : undefined
}

/** Seconds after which a repeat makes sense, by code. */
const RETRY_AFTER_SECONDS: Readonly<Partial<Record<ProblemCode, number>>> = {
  'too-many-live': 10,
  lagging: 2,
  'over-quota': 10,
  'rate-limited': 1,
  'store-unavailable': 5,
  behind: 1,
  stopping: 1,
  'no-leader': 1,
  'keys-unavailable': 5,
  overloaded: 1,
}

export const retryAfterSeconds = (code: ProblemCode): number | undefined => RETRY_AFTER_SECONDS[code]

export const statusOf = ({ code }: Problem): number => problems[code].status

/** The document as it is sent. */
export const problemDocument = ({ code, detail, state, errors, unreleased }: Problem, instance?: string) => {
  const { title, status } = problems[code]
  return { type: `/problems/${code}`, title, status, code, detail, instance, errors, state, ...unreleased }
}
