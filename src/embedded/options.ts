// What can be told to `exactlyOnce` beside its store and its contract.
import type { Request, Response } from 'express'
import type { Reply } from './contract-store.ts'
import type { Problem } from './problems.ts'

export interface MiddlewareOptions {
  /**
   * Stable name of whoever calls, such as the id of the user: never a token or a session, which may be another one when the request is sent again.
   * Ids of two callers never meet. May return a promise; what it throws goes to the error handlers of the app, and nothing is run.
   *
   * Without it all callers share one name, and what their credentials (`Authorization`, `Cookie`) are is part of the fingerprint. That is the choice that can do no harm:
   * one key runs once whoever sends it, and nobody is ever given the reply to another's credentials. Its price: a request that is sent again with renewed
   * credentials is refused (422) until you say who calls.
   */
  readonly caller?: (req: Request) => string | Promise<string>
  /** `false`: a request without an `Idempotency-Key` passes through as if nothing was here. Default: 400 `idempotency-key-missing`. */
  readonly required?: boolean
  /** The methods that are held to the contract; others pass through. Default: POST, PUT, PATCH, DELETE. */
  readonly methods?: readonly string[]
  /** Replaces what makes two requests the same: any JSON value, or a promise of one. Default: method, path with parameters, sorted query, and body (canonical JSON, else its bytes). */
  readonly fingerprint?: (req: Request) => unknown
  /**
   * `keep` (the default): the body, up to 1 MiB, is read first, kept with the request, part of the fingerprint, and then handed to the handler as if it had just come.
   * `stream`: it goes straight to the handler, for uploads of any size; it is neither kept nor part of the fingerprint, except for the `Content-Digest` that a client may send.
   */
  readonly requestBody?: 'keep' | 'stream'
  /**
   * Whether a reply that the handler gave is kept; one that is not is sent with `Stint-Kept: false`, and the next duplicate runs the handler again.
   * Default: every reply, a refusal or an error like any other, because an error does not tell what the handler had done before it.
   */
  readonly keep?: (reply: Reply) => boolean
  /** Headers that are sent once and not kept, such as `set-cookie`. Default: none, so that a client that lost the first reply loses nothing. */
  readonly omitHeaders?: readonly string[]
  /** The longest wait for the reply to a pending request that `Prefer: wait=N` may ask for. Default: 60. */
  readonly waitSecondsMax?: number
  /**
   * Where the app has mounted `interactions`, as clients see it: `/payments/interactions`. Each reply then names its release address, and a client lets go of it by
   * `DELETE <interactions>/<id>`. Needs `caller`; release `required` needs it.
   */
  readonly interactions?: string
  /** Answers a refusal in the app's own words. Default: `application/problem+json`. */
  readonly onProblem?: (problem: Problem, req: Request, res: Response) => void
  /** Hears what no client can be told: an execution that could not be given up, a store that cannot be opened. Default: a process warning. */
  readonly onTrouble?: (what: string, cause: unknown) => void
}
