// What the middleware needs of Stint, whether the engine runs in the same process or behind a URL: begin a request, then reply to it once.

export interface Reply {
  readonly status: number
  /** In the order in which they are sent; a name may come more than once (`set-cookie`). Without what belongs to one connection or one sending. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Uint8Array
}

/** What is told about a reply in its headers. */
export interface ReplyInfo {
  readonly workItem: string
  readonly policy: 'none-required' | 'encouraged' | 'required'
  /** When it is released by itself, milliseconds since 1970 UTC; undefined: only by its caller. */
  readonly expiresAt?: number | undefined
}

export interface BeginRequest {
  /** Stable name of whoever calls: ids of two callers never meet. */
  readonly caller: string
  readonly id: string
  /** SHA-256 in base64url of what makes two requests the same. */
  readonly fingerprint: string
  readonly method: string
  readonly path: string
  readonly mediaType?: string | undefined
  /** Kept with the acceptance, so that an interrupted request can be looked at. */
  readonly body: Uint8Array
  /** How long a duplicate of a pending request waits for its reply; 0: not at all. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
}

export type Begun =
  /** Accepted, durable, and leased to this process: run the handler. */
  | { readonly type: 'execute'; readonly execution: Execution }
  | { readonly type: 'replay'; readonly reply: Reply; readonly info: ReplyInfo }
  /** Somebody else runs it; this one was cancelled as its duplicate. */
  | { readonly type: 'pending'; readonly info: ReplyInfo; readonly retryAfterSeconds: number }
  /** The same id came with another fingerprint first. */
  | { readonly type: 'mismatch'; readonly firstAt: number }
  | { readonly type: 'released' }
  /** Answered once with a body over the limit: only status and digest are kept. */
  | { readonly type: 'not-kept'; readonly status: number; readonly digest: string }
  /** Settled without a reply. */
  | { readonly type: 'settled'; readonly code: 'interrupted' | 'aborted' | 'cancelled'; readonly detail: string }
  /** Not taken: quota, rights, a store that cannot write. Nothing was run. */
  | { readonly type: 'refused'; readonly status: number; readonly code: string; readonly detail: string; readonly retryAfterSeconds?: number | undefined }

export interface Execution {
  readonly info: ReplyInfo
  /** From 1. */
  readonly attempt: number
  /** Aborts when the lease is lost or an administrator aborts the request: what the handler does from now on is not counted. */
  readonly signal: AbortSignal
  /** Resolves when the reply is durable; only then may it be sent. `refused`: this execution is fenced off, or nobody knows whether it is stored. */
  readonly reply: (reply: Reply | { readonly status: number; readonly headers: Reply['headers']; readonly digest: string; readonly bytes: number }) => Promise<
    { readonly type: 'kept'; readonly info: ReplyInfo } | Extract<Begun, { type: 'refused' }>
  >
  /** Ends without a reply: the request waits for its next duplicate, or fails as `interrupted`, as the contract says. */
  readonly giveUp: (reason: string) => Promise<void>
}

export interface ContractStore {
  readonly begin: (request: BeginRequest) => Promise<Begun>
  /** Bytes of a reply's body that are kept, at most. */
  readonly replyBytesMax: number
}
