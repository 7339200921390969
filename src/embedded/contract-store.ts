// What the middleware needs of Stint, whether the engine runs in the same process or behind a URL: begin a request, then reply to it once.

export interface ReplyHead {
  readonly status: number
  /** In the order in which they are sent; a name may come more than once (`set-cookie`). Without what belongs to one connection or one sending. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

export interface Reply extends ReplyHead {
  readonly body: Uint8Array
}

/** A reply whose body is over the limit: it went to one client, and this is what stays of it. */
export interface UnkeptReply extends ReplyHead {
  /** SHA-256 of the body in base64url. */
  readonly digest: string
  /** Length of the body. */
  readonly bytes: number
}

/** What is told about a reply in its headers. */
export interface ReplyInfo {
  readonly workItem: string
  readonly policy: 'none-required' | 'encouraged' | 'required'
  /** When it is released by itself, milliseconds since 1970 UTC; undefined: only by its caller. */
  readonly expiresAt?: number | undefined
}

/** Whose request, and which. */
export interface RequestName {
  /** Stable name of whoever calls: ids of two callers never meet. */
  readonly caller: string
  readonly id: string
}

export interface BeginRequest extends RequestName {
  /** SHA-256 in base64url of what makes two requests the same. */
  readonly fingerprint: string
  readonly method: string
  readonly path: string
  readonly mediaType?: string | undefined
  /** Kept with the acceptance, so that an interrupted request can be looked at. */
  readonly body: Uint8Array
  /** How long a duplicate of a pending request waits for its reply; 0: not at all. */
  readonly waitMs: number
  /** Ends the waiting for another's reply, which is then `pending`. What was accepted stays accepted. */
  readonly signal?: AbortSignal | undefined
}

/** Not taken: quota, rights, a store that cannot write. */
export interface Refused {
  readonly type: 'refused'
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly retryAfterSeconds?: number | undefined
}

export type Begun =
  /** Accepted, durable, and leased to this process: run the handler. */
  | { readonly type: 'execute'; readonly execution: Execution }
  | { readonly type: 'replay'; readonly reply: Reply; readonly info: ReplyInfo }
  /** Somebody else runs it; this one was cancelled as its duplicate. */
  | { readonly type: 'pending'; readonly workItem: string; readonly retryAfterSeconds: number }
  /** The same id came with another fingerprint first. */
  | { readonly type: 'mismatch'; readonly firstAt?: number | undefined }
  | { readonly type: 'released' }
  /** Answered once with a body over the limit: only status and digest are kept. */
  | { readonly type: 'not-kept'; readonly status: number; readonly info: ReplyInfo }
  /** Settled without a reply. */
  | { readonly type: 'settled'; readonly code: 'interrupted' | 'aborted' | 'cancelled'; readonly detail: string }
  /** Nothing was run. */
  | Refused

/** `withoutReply`: the reply was more than the store takes; its request is never run again, but the reply can be given only now. */
export type Kept = { readonly type: 'kept'; readonly info: ReplyInfo; readonly withoutReply?: boolean }

export interface Execution {
  readonly info: ReplyInfo
  /** From 1. */
  readonly attempt: number
  /** Aborts when the lease is lost (`LeaseLost`: what the handler does from now on is not counted) or an administrator wants the request to end (`AbortRequested`). */
  readonly signal: AbortSignal
  /** Resolves when the reply is durable; only then may it be sent. `refused`: this execution is fenced off, or nobody knows whether it is stored. */
  readonly reply: (reply: Reply) => Promise<Kept | Refused>
  /**
   * Resolves when it is durable that a reply is on its way whose body will not be kept; only then may its first byte be sent. From then on the request is never run
   * again, whatever becomes of this process. `bytes`: how many the body has so far.
   */
  readonly pass: (head: ReplyHead & { readonly bytes: number }) => Promise<Kept | Refused>
  /** After `pass`: what the whole body was. */
  readonly passed: (reply: UnkeptReply) => Promise<Kept | Refused>
  /**
   * Ends without a reply. `broken`: it broke off half way, so the contract says whether its next duplicate runs it again or it fails as `interrupted`.
   * `undone`: it came to nothing that has to be kept, and its next duplicate runs it again. `aborted`: it did as the administrator wished.
   */
  readonly giveUp: (how: 'broken' | 'undone' | 'aborted', reason: string) => Promise<void>
}

/** `pending`: still running, nothing to release yet. */
export type ReleaseAnswer = 'released' | 'pending' | 'not-found'

export interface ContractStore {
  readonly begin: (request: BeginRequest) => Promise<Begun>
  /** Lets go of a kept reply, for its caller. Saying it again changes nothing. */
  readonly release: (name: RequestName) => Promise<ReleaseAnswer | Refused>
  /** Bytes of a reply's body that are kept, at most. */
  readonly replyBytesMax: number
  /** Bytes of a request's body that are kept, at most. */
  readonly requestBytesMax: number
  /** Gives up what is under way and lets go of files and connections. Calling it again does nothing more. */
  readonly close: () => Promise<void>
}
