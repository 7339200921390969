// What may be asked of a work item, and how it may be refused. Time, hashes, tokens and policies arrive as fields: the rules look nothing up.
import type { CarriedOut, DirectiveName, Effect, Holder, Outcome, Progress, ReplyHead, TimeoutCause } from './events.ts'
import type { JobFacts, OperationFacts, RequestFacts, SurfaceState, TaskFacts } from './state.ts'

/** When a failed or expired attempt is followed by another (tasks). */
export interface RetryPolicy {
  /** Attempts before the dead letter; undefined: no limit. */
  readonly attemptsMax?: number | undefined
  /** Pause before the next attempt, already drawn with its jitter, in milliseconds. */
  readonly pauseMs: number
  /** What becomes of a task that is out of attempts: a dead letter (unless said otherwise), or failed for good. */
  readonly deadLetter?: boolean | undefined
}

/** To whom a task or a request is leased, and how long. */
export interface LeaseGrant {
  readonly holder: Holder
  /** Random characters; the lease's number is put before them. */
  readonly token: string
  readonly termMs: number
  readonly requestId?: string | undefined
}

export type Command =
  | {
      readonly type: 'RegisterJob'
      readonly time: number
      readonly by: string
      readonly job: JobFacts
      readonly attributes?: Record<string, unknown> | undefined
      readonly digest: string
      readonly holder: Holder
      readonly token: string
    }
  | {
      readonly type: 'InsertTask'
      readonly time: number
      readonly by: string
      readonly task: TaskFacts
      readonly mediaType: string
      readonly digest: string
      /** A worker that waits for it: born and leased in one append (rules 10). */
      readonly leaseTo?: LeaseGrant | undefined
    }
  /** The same again changes nothing: whoever asks is told what has become of the first, and only a request that broke off in middleware is leased once more. */
  | {
      readonly type: 'AcceptRequest'
      readonly time: number
      readonly by: string
      readonly request: RequestFacts
      readonly mediaType: string
      readonly method?: string | undefined
      readonly path?: string | undefined
      /** The fingerprint. */
      readonly digest: string
      /** Who runs it at once: a worker that waits, or the middleware that asks. */
      readonly leaseTo?: LeaseGrant | undefined
    }
  | {
      readonly type: 'DispatchOperation'
      readonly time: number
      readonly by: string
      readonly operation: OperationFacts
      readonly mediaType: string
      readonly digest: string
    }
  /** Its node has taken it: lease 1 begins, with the token that travelled with it. */
  | { readonly type: 'TakeOperation'; readonly time: number; readonly holder: Holder }
  /** It cannot be run: its node refuses it, has lost it, or does not run again what a restart broke off. */
  | { readonly type: 'FailOperation'; readonly time: number; readonly code: string; readonly message: string; readonly detail?: unknown }
  /** `reached`: the time at which it is due, when that has come on the clock that counts, whatever the wall says. */
  | ({ readonly type: 'LeaseItem'; readonly time: number; readonly reached?: number | undefined } & LeaseGrant)
  /** The dialect's delete: done if the caller holds it, else cancelled; by whoever may work the queue, in any state (rules 22). */
  | { readonly type: 'DeleteTask'; readonly time: number; readonly by: string; readonly lease?: string | undefined }
  | {
      readonly type: 'ExtendLease'
      readonly time: number
      readonly by: string
      readonly lease: string
      readonly termMs: number
      /** Whether the server has not let the lease end: its timer, with all the grace it gives, has not come. Left out, the time that was promised counts. */
      readonly stands?: boolean | undefined
    }
  | {
      readonly type: 'ReleaseLease'
      readonly time: number
      readonly by: string
      readonly lease: string
      readonly busy: boolean
      readonly delayMs: number
      readonly reason?: string | undefined
    }
  | {
      readonly type: 'Report'
      readonly time: number
      readonly by: string
      readonly lease: string
      readonly phase?: string | undefined
      readonly progress?: Progress | undefined
      readonly state?: 'paused' | 'running' | undefined
      readonly refuse?: { readonly directive: number; readonly reason: string } | undefined
      readonly outcome?: Outcome | undefined
      /** SHA-256 of the outcome in canonical JSON; there whenever the outcome is. */
      readonly digest?: string | undefined
      readonly retry: RetryPolicy
      /** Of a long task: its node, which has taken it when it reports on it, though its answer to the dispatch never came. */
      readonly takenBy?: Holder | undefined
    }
  /** The holder asks what the administrator wants; progress that was noted before and not recorded may come along. */
  | { readonly type: 'AskDirective'; readonly time: number; readonly by: string; readonly lease: string; readonly progress?: Progress | undefined }
  | {
      readonly type: 'GiveDirective'
      readonly time: number
      readonly by: string
      readonly commandId: string
      readonly directive: DirectiveName
      readonly reason?: string | undefined
    }
  /** The one reply to a request, under its current lease. */
  | {
      readonly type: 'Reply'
      readonly time: number
      readonly by: string
      readonly lease: string
      readonly reply: ReplyHead
      /** SHA-256 of status, headers, body and effects. */
      readonly digest: string
      readonly effects?: readonly Effect[] | undefined
    }
  | { readonly type: 'ReleaseReply'; readonly time: number; readonly by: string; readonly how: 'client' | 'time' | 'force' }
  /** Some of the outbox has been carried out. */
  | { readonly type: 'NoteEffects'; readonly time: number; readonly effects: readonly CarriedOut[] }
  /** Leaves only the tombstone of a settled item. */
  | { readonly type: 'Erase'; readonly time: number; readonly by: string; readonly reason?: string | undefined }
  | { readonly type: 'Redrive'; readonly time: number; readonly by: string }
  /**
   * Time has passed: what the timers say, each for the lease they were set for. `reached` is the time in the log that has come on the clock that counts,
   * which is monotonic; the wall may say otherwise (rules 17).
   */
  | { readonly type: 'ExpireLease'; readonly time: number; readonly lease: number; readonly reached?: number | undefined; readonly retry: RetryPolicy }
  | { readonly type: 'LoseHolder'; readonly time: number; readonly lease: number; readonly lastSeenAt: number }
  /** No duplicate has come for a request that broke off in middleware. */
  | { readonly type: 'Interrupt'; readonly time: number; readonly lease: number; readonly reached?: number | undefined }
  /** The time of a long task is over; that it stalled is judged by whoever keeps the volatile signs of life. */
  | { readonly type: 'TimeOut'; readonly time: number; readonly cause: TimeoutCause; readonly reached?: number | undefined }
  | { readonly type: 'GiveUpLost'; readonly time: number; readonly lease: number; readonly reached?: number | undefined }

export type CommandOfType<Type extends Command['type']> = Extract<Command, { type: Type }>

export type Rejection =
  | { readonly type: 'not-found' }
  | { readonly type: 'forbidden'; readonly detail: string }
  | { readonly type: 'id-in-use' }
  | { readonly type: 'exists-with-other-content' }
  | { readonly type: 'stale-lease'; readonly state: SurfaceState; readonly detail: string }
  | { readonly type: 'settled'; readonly state: SurfaceState }
  /** The same id came first with another fingerprint. */
  | { readonly type: 'fingerprint-mismatch'; readonly firstAt: number; readonly state: SurfaceState }
  /** It has no reply yet. */
  | { readonly type: 'pending'; readonly state: SurfaceState }
  | { readonly type: 'released'; readonly state: SurfaceState }
  /** Only its tombstone is left. */
  | { readonly type: 'erased' }
  | { readonly type: 'aborting'; readonly state: SurfaceState }
  /** The command does not fit the state the item is in. */
  | { readonly type: 'not-possible'; readonly state: SurfaceState; readonly detail: string }
