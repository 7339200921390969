// How a call or a job can end badly, as classes that a caller can tell apart with `instanceof`.

/** A refusal as the server words it (RFC 9457; surface 13). */
export interface ProblemDocument {
  readonly type?: string
  readonly title?: string
  readonly status: number
  readonly code: string
  readonly detail?: string
  readonly instance?: string
  readonly errors?: readonly { readonly path: string; readonly code: string; readonly detail: string }[]
  /** The work item's state, where the refusal depends on it. */
  readonly state?: string
}

/** What is known of this occurrence: what is wrong with one field is said by the field, and what is absent by where it was looked for. */
const occurrence = ({ detail, errors = [], status, instance }: ProblemDocument): string | undefined => {
  if (errors.length === 1 && errors[0]?.detail === detail) return undefined
  return detail ?? (status === 404 ? instance : undefined)
}

const sentence = (problem: ProblemDocument): string => {
  const fields = (problem.errors ?? []).map(({ path, detail }) => `${path || '/'}: ${detail}`)
  return [problem.title ?? problem.code, occurrence(problem), ...fields].filter((part) => part !== undefined && part !== '').join(' ')
}

/** Stint understood the call and refused it. */
export class StintError extends Error {
  override readonly name = 'StintError'
  /** A code of `GET /problems`, for instance `settled`. */
  readonly code: string
  readonly status: number
  readonly problem: ProblemDocument
  /** How long the server asks to wait before a repeat; undefined when it does not say. */
  readonly retryAfterMs: number | undefined

  constructor(problem: ProblemDocument, retryAfterMs?: number) {
    super(sentence(problem))
    this.code = problem.code
    this.status = problem.status
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}

/** No answer came from Stint: no connection, a cut one, no answer in time, or a gateway that found no server. What was sent may have been done or not. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
  readonly url: string

  constructor(url: string, cause: unknown) {
    super(`Expected an answer from ${url}, but got none: ${reasonOf(cause)}`, { cause })
    this.url = url
  }
}

/** Something answered, but not as the contract says: another program, or a Stint of another version. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer'
  readonly status: number

  constructor(status: number, detail: string) {
    super(`Expected an answer of Stint, but ${detail} (status ${status}).`)
    this.status = status
  }
}

/** The administrator wants this job, task or request to end. Thrown by `checkpoint()`, and the reason of its `signal`. */
export class AbortRequested extends Error {
  override readonly name = 'AbortRequested'
  /** Number of the directive, as its receipt shows it. */
  readonly directive: number
  readonly by: string
  /** What the administrator gave as the reason, or who asked. */
  readonly reason: string

  constructor(directive: number, by: string, reason?: string) {
    super(reason === undefined || reason === '' ? `${by} asked for it to be aborted.` : reason)
    this.directive = directive
    this.by = by
    this.reason = this.message
  }
}

/** The job, task or request no longer belongs to this process: another instance took it over, its lease ended, or it was settled without it. What it does from now on is not counted. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
  readonly code: string
  /** Its state as Stint sees it, where known. */
  readonly state: string | undefined

  constructor(id: string, code: string, state?: string) {
    super(`Expected to hold ${id}, but the lease is gone (${code}${state === undefined ? '' : `, ${state}`}).`)
    this.code = code
    this.state = state
  }
}

/** A job of this id has ended before; it is not run again. */
export class AlreadySettled extends Error {
  override readonly name = 'AlreadySettled'
  readonly job: string
  readonly state: string
  /** How it ended, as the proxy shows it. */
  readonly outcome: unknown

  constructor(job: string, state: string, outcome: unknown) {
    super(`Expected a new job, but ${job} is ${state}.`)
    this.job = job
    this.state = state
    this.outcome = outcome
  }
}

/** A job of this id is running in this job server. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning'
  readonly job: string

  constructor(job: string) {
    super(`Expected a new job, but ${job} is running here.`)
    this.job = job
  }
}

/** Thrown by the handler of a task or request: trying again would not help. It fails for good, whatever attempts are allowed. */
export class PermanentFailure extends Error {
  override readonly name = 'PermanentFailure'
  /** For programs to read, 100 characters at most. */
  readonly code: string
  /** More about it, as JSON. */
  readonly detail: unknown

  constructor(message: string, { code = 'permanent', detail, cause }: { readonly code?: string; readonly detail?: unknown; readonly cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.detail = detail
  }
}

/** Thrown by the handler of a task or request: somebody else, or the same worker later, shall have it. Burns no attempt. */
export class GiveBack extends Error {
  override readonly name = 'GiveBack'
  /** It is not leased again before so many seconds are over. */
  readonly delaySeconds: number | undefined

  /** @param reason kept in the history, 1,000 characters at most */
  constructor(reason: string, { delaySeconds }: { readonly delaySeconds?: number } = {}) {
    super(reason)
    this.delaySeconds = delaySeconds
  }
}

/** The time for a call of a contract is over without a reply. The request may be on its way: ask for its reply by its id, or call again with it. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
  readonly contract: string
  readonly id: string

  /** @param cause why the last try brought nothing; undefined when the request was still being worked on */
  constructor(contract: string, id: string, timeoutMs: number, cause: unknown) {
    const why = cause === undefined ? 'it is not there yet' : reasonOf(cause)
    super(`Expected the reply to request ${id} of ${contract} within ${timeoutMs} ms, but ${why}.`, cause === undefined ? undefined : { cause })
    this.contract = contract
    this.id = id
  }
}

/** How a long task, or any work item, can end without completing, as it is shown. */
export interface NotCompletedOutcome {
  readonly failed?: { readonly code: string; readonly message: string; readonly detail?: unknown } | undefined
  readonly aborted?: { readonly reason: string; readonly partial?: unknown } | undefined
  readonly cancelled?: { readonly reason?: string | undefined } | undefined
  readonly timedOut?: { readonly cause: 'total' | 'stalled' } | undefined
}

const endWords = ({ failed, aborted, cancelled, timedOut }: NotCompletedOutcome): string => {
  if (failed !== undefined) return `it failed (${failed.code}): ${failed.message}`
  if (aborted !== undefined) return `it was aborted: ${aborted.reason}`
  if (cancelled !== undefined) return `it was cancelled before it began${cancelled.reason === undefined ? '' : `: ${cancelled.reason}`}`
  if (timedOut !== undefined) return timedOut.cause === 'stalled' ? 'it timed out, because it made no progress' : 'it timed out'
  return 'it ended otherwise'
}

/** A long task ended, and not by completing: it failed, was aborted or cancelled, or its time was over. */
export class NotCompleted extends Error {
  override readonly name = 'NotCompleted'
  readonly id: string
  /** `failed`, `aborted`, `cancelled` or `timedOut`. */
  readonly state: string
  /** The code of a failure; else the state. */
  readonly code: string
  /** How it ended, with exactly one field; a partial result stands in `aborted`. */
  readonly outcome: NotCompletedOutcome

  constructor(id: string, state: string, outcome: NotCompletedOutcome) {
    super(`Expected long task ${id} to complete, but ${endWords(outcome).replace(/\.$/, '')}.`)
    this.id = id
    this.state = state
    this.code = outcome.failed?.code ?? state
    this.outcome = outcome
  }
}

/** The client, job server, producer, worker, requester or management was closed. */
export class Closed extends Error {
  override readonly name = 'Closed'

  constructor(what: string) {
    super(`Expected an open ${what}, but it is closed.`)
  }
}

/** A sentence for whatever was thrown; the innermost cause says most about a failed fetch. */
export const reasonOf = (thrown: unknown): string => {
  if (!(thrown instanceof Error)) return String(thrown)
  return thrown.cause === undefined ? thrown.message : `${thrown.message} (${reasonOf(thrown.cause)})`
}
