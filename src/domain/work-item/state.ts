// What a work item is, and how each fact changes it.
//
//            ┌────────────── LeaseReleased · LeaseExpired · RetryScheduled ─────────────┐
//            ▼                                                                          │
//  absent ─▶ waiting ── Leased ──▶ running ◀── Paused · Resumed ──▶ paused              │
//            ▲   │                   │  ▲                              │                │
//   Redriven │   │                   │  └─ HolderFound ── lost ◀── HolderLost           │
//            │   └─ DeadLettered     └───────────────┬──────────────────────────────────┘
//        deadLetter                                  ▼
//                          settled: Completed · Failed · Aborted · Cancelled · TimedOut
//
// What the administrator wants (`will`) is kept apart from what the holder does (`status`): a job that is told to abort goes on running until it says otherwise.
import type { Kind } from '../ids.ts'
import type { DirectiveName, Holder, OnInterrupted, OutboxEntry, Progress, Release, Resolution, Runs, TimeoutCause } from './events.ts'

export interface Lease {
  /** From 1, raised by each lease: the fencing number. */
  readonly number: number
  readonly token: string
  readonly holder: Holder
  readonly since: number
  readonly until: number
  /** Tasks and requests: the length of the lease. Jobs and long tasks: the promised silence. */
  readonly termMs: number
  /** Of the lease call that gave it (rules 27). */
  readonly requestId?: string | undefined
}

/** The last lease that ended, so that a repeat of what ended it answers as the first did (rules 5). */
export interface EndedLease {
  readonly number: number
  readonly token: string
  readonly holder: Holder
  readonly how: 'settled' | 'retried' | 'released' | 'expired' | 'taken-over'
  readonly digest?: string | undefined
}

/** How far the administrator's wish has got. */
export interface Receipt {
  readonly number: number
  readonly directive: DirectiveName
  readonly by: string
  readonly commandId: string
  readonly reason?: string | undefined
  readonly givenAt: number
  readonly seenAt?: number | undefined
  readonly resolution?: Resolution | undefined
  readonly resolvedAt?: number | undefined
  readonly resolutionReason?: string | undefined
}

export type Will = 'normal' | 'pause' | 'abort'

export interface JobFacts {
  readonly service: string
  readonly server: string
  readonly label?: string | undefined
  readonly expectedMs?: number | undefined
  readonly reportEveryMs: number
  readonly silenceMs: number
  readonly lostAfterMs: number
}

export interface TaskFacts {
  readonly app: string
  readonly queue: string
  readonly tag?: string | undefined
  readonly priority?: number | undefined
  readonly key?: string | undefined
  /** Bytes of its payload. */
  readonly bytes?: number | undefined
  /** Not leased before this time. */
  readonly dueAt: number
}

/** What a request is, beside its body: policy and rules as its contract had them when it was accepted. */
export interface RequestFacts {
  readonly contract: string
  readonly caller: string
  readonly runs: Runs
  readonly release: Release
  readonly onInterrupted: OnInterrupted
  readonly attemptsMax?: number | undefined
  readonly interruptedAfterMs: number
  /** Bytes of its body. */
  readonly bytes: number
  /** Not leased before this time. */
  readonly dueAt: number
  /** Where its reply is to be delivered. */
  readonly callback?: string | undefined
}

/** A long task: what is run where, and how long it may take. */
export interface OperationFacts {
  readonly operation: string
  readonly node: string
  /** Token of lease 1, which travelled with it. */
  readonly lease: string
  readonly progressEveryMs: number
  readonly timeoutMs?: number | undefined
  readonly stalledAfterMs?: number | undefined
  /** In the log of an implementation node: who is told of it. */
  readonly reportTo?: string | undefined
  readonly onRestart?: 'resume' | 'fail' | undefined
}

export interface Absent {
  readonly status: 'absent'
  readonly revision: -1
}

interface Born {
  readonly kind: Kind
  /** Revision of the stream's last event. */
  readonly revision: number
  /** Subject that made it. */
  readonly by: string
  /** SHA-256 of what it was made from: tells a repeat from another content under the same id. */
  readonly digest: string
  readonly createdAt: number
  readonly updatedAt: number
  /** Leases that count. */
  readonly attempt: number
  readonly will: Will
  readonly receipt?: Receipt | undefined
  readonly phase?: string | undefined
  readonly progress?: Progress | undefined
  readonly progressAt?: number | undefined
  readonly ended?: EndedLease | undefined
  /** It was a dead letter once, and was put back. */
  readonly redriven?: boolean | undefined
  readonly job?: JobFacts | undefined
  readonly task?: TaskFacts | undefined
  readonly request?: RequestFacts | undefined
  readonly operation?: OperationFacts | undefined
}

/** Nobody holds it. */
export interface Waiting extends Born {
  readonly status: 'waiting' | 'deadLetter'
  /** Why the last attempt ended, if one has. */
  readonly failure?: { readonly code: string; readonly message: string } | undefined
}

/** Somebody holds it. */
export interface Held extends Born {
  readonly status: 'running' | 'paused' | 'lost'
  readonly lease: Lease
  /** Since when it is lost. */
  readonly lostAt?: number | undefined
  /** The last sign of life before it was lost. */
  readonly lastSeenAt?: number | undefined
  /** It had parked when it was lost, and is parked when it is found. */
  readonly parked?: boolean | undefined
}

export interface Settled extends Born {
  readonly status: 'settled'
  readonly settledAt: number
  readonly end: 'completed' | 'failed' | 'aborted' | 'cancelled' | 'timedOut'
  /** Of what timed out. */
  readonly cause?: TimeoutCause | undefined
  /** Outcomes are in the stream; the state keeps what a list shows. */
  readonly failure?: { readonly code: string; readonly message: string } | undefined
  readonly late?: { readonly digest: string } | undefined
  /** Revision of the event that settled it: outcome and reply are read there. */
  readonly endRevision: number
  /** Of a request that was replied to. */
  readonly reply?: { readonly status: number; readonly bytes: number; readonly kept: boolean } | undefined
  /** What still has to be carried out; undefined when nothing has. */
  readonly outbox?: readonly OutboxEntry[] | undefined
  /** Its reply is given no more. */
  readonly released?: { readonly how: 'client' | 'time' | 'force' | 'erased'; readonly at: number } | undefined
  /** Only the tombstone is left. */
  readonly erased?: boolean | undefined
}

/** Settled, with effects that are not carried out yet. */
export interface Owing extends Settled {
  readonly outbox: readonly OutboxEntry[]
}

/** What is leased by workers that wait for it, and in which line: the tasks of a queue, the requests of a contract. */
export interface Leasable {
  readonly dueAt: number
  readonly tag?: string | undefined
  readonly priority?: number | undefined
  readonly key?: string | undefined
  readonly bytes?: number | undefined
}

export type Existing = Waiting | Held | Settled
export type WorkItem = Absent | Existing

export const absent: Absent = { status: 'absent', revision: -1 }

/** The states of surface 4. */
export type SurfaceState = 'waiting' | 'held' | 'running' | 'paused' | 'aborting' | 'lost' | 'completed' | 'failed' | 'aborted' | 'cancelled' | 'timedOut'

/** What a reader sees: what the holder does, crossed with what the administrator wants. */
export const surfaceState = (item: Existing): SurfaceState => {
  switch (item.status) {
    case 'waiting':
      return item.will === 'pause' ? 'paused' : 'waiting'
    case 'deadLetter':
      return 'failed'
    case 'running':
    case 'paused':
      return item.will === 'abort' ? 'aborting' : item.status
    case 'lost':
      return 'lost'
    case 'settled':
      return item.end
  }
}

export const isHeld = (item: WorkItem): item is Held => item.status === 'running' || item.status === 'paused' || item.status === 'lost'

export const isOwing = (item: WorkItem): item is Owing => item.status === 'settled' && item.outbox !== undefined

/** Waiting, held, or with an open outbox: it can still change by itself, so it stays in memory. Dead letters live on in the tabular file alone (rules 7). */
export const isLive = (item: WorkItem): item is Waiting | Held | Owing => (item.status === 'settled' ? isOwing(item) : item.status !== 'absent' && item.status !== 'deadLetter')

/** Its facts while a worker can lease it. */
export const leasable = (item: WorkItem | undefined): Leasable | undefined => {
  if (item?.status !== 'waiting' || item.will !== 'normal') return undefined
  return item.task ?? (item.request?.runs === 'workers' ? item.request : undefined)
}

/**
 * A request of middleware that nobody runs: it has no line, so it waits for the next call with its id. One that an administrator has paused is not in that state:
 * nobody may run it.
 */
export const awaitsCall = (item: WorkItem): item is Waiting & { readonly request: RequestFacts } =>
  item.status === 'waiting' && item.will === 'normal' && item.request?.runs === 'middleware'

/** What it did before it ended without a reply nobody knows. What was given back came to nothing, as whoever gave it back has said. */
export const brokeOff = (item: WorkItem): item is Waiting & { readonly request: RequestFacts } => awaitsCall(item) && item.ended?.how !== 'released'

/** The holder has parked it, or had when it was lost. */
export const isParked = (item: WorkItem): boolean => item.status === 'paused' || (item.status === 'lost' && item.parked === true)

/** How a sentence calls it. */
export const nounOf = ({ kind }: Existing): string => (kind === 'long-task' ? 'long task' : kind)

export const isUnresolved = (receipt: Receipt | undefined): receipt is Receipt => receipt !== undefined && receipt.resolution === undefined
