// The face of the engine: what the api, an embedding program and the tests may ask of it.
import type * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../domain/ids.ts'
import type { QueueRejection } from '../domain/queue/decide.ts'
import type { Command, Rejection } from '../domain/work-item/commands.ts'
import type { Holder, Progress, WorkItemEvent } from '../domain/work-item/events.ts'
import type { Existing, Held, WorkItem } from '../domain/work-item/state.ts'
import type { AppendFigures } from './append-figures.ts'
import type { Leading } from './cluster/leadership.ts'
import type { OtherServer } from './cluster/membership.ts'
import type { Contracts } from './contracts/contracts.ts'
import type { Deliveries } from './delivery/deliveries.ts'
import type { LongTasks } from './long-tasks/long-tasks.ts'
import type { Notifications } from './queues/notifications.ts'
import type { OpenEntry } from './contracts/open-entries.ts'
import type { RequestUsage } from './contracts/usage.ts'
import type { Queues } from './queues/queues.ts'
import type { TaskQueues } from './queues/task-queues.ts'
import type { Birth, ItemRow, Tables } from '../projections/tables.ts'
import type { AppendTooLarge, Position, RecordedEvent, StoreFault, Subscribed } from '../store/port.ts'

/** On whose behalf something is done; goes into the envelope of every event. */
export interface Context {
  /** Stable subject of the principal, never the credential (rules 1). */
  readonly subject: string
  /** How people read it: the e-mail. */
  readonly actor: string
  /** UUID; the same for a repeat (rules 5). */
  readonly commandId: string
  readonly correlationId?: string | undefined
  readonly traceparent?: string | undefined
}

/** A command without its time: only the engine dates facts. */
export type Timeless<C> = C extends Command ? Omit<C, 'time'> : never
export type CommandToDo = Timeless<Command>

/** The engine cannot take it now, whoever asks. */
export interface Busy {
  readonly type: 'too-many-live' | 'lagging' | 'stopping'
}

/** This server does not give out what waits in the line, and at the moment cannot say who does. */
export interface NoLeader {
  readonly type: 'no-leader'
}

/** More is stored than the caller's limit allows. */
export interface OverQuota {
  readonly type: 'over-quota'
  readonly detail: string
}

/** Another call with the same requestId has taken this one's place (rules 27). */
export interface Superseded {
  readonly type: 'superseded'
}

export type Refusal = Rejection | QueueRejection | AppendTooLarge | StoreFault | Busy | OverQuota | Superseded | NoLeader

export interface Done {
  /** The item after the command. */
  readonly item: Existing
  /** What it was before. */
  readonly before: WorkItem
  /** What was recorded; nothing for a repeat and for what is only volatile. */
  readonly events: readonly WorkItemEvent[]
  /** Everything the command said is durable; false when its progress is only noted (rules 19). */
  readonly recorded: boolean
  /** Position of the item's last event. */
  readonly position: Position
}

/** Volatile signs of life (rules 16): in memory, outside replay equality. */
export interface Presence {
  readonly lastSeenAt: number
  /** Reported, not recorded yet. */
  readonly progress?: Progress | undefined
}

/** One call for work that waits in a line. */
export interface LeaseCall {
  readonly max: number
  readonly termMs: number
  /** An empty name: a caller that names no worker (the dialect). */
  readonly holder: Holder
  /** Only tasks with this tag. */
  readonly tag?: string | undefined
  /** Only tasks with the tag of the oldest. */
  readonly sameTag?: boolean | undefined
  /** A repeat with the same id gets what the first got (rules 27). */
  readonly requestId?: string | undefined
  /** Bytes of payload that the tasks may have together; the first is given whatever its size. */
  readonly bytesMax?: number | undefined
  /** How long to wait for work when there is none. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
  /** Whether the caller may still be given anything: asked when it gets in line, and again whenever the lists have changed. */
  readonly mayStill?: (() => boolean) | undefined
}

export interface LeaseRequest extends LeaseCall {
  readonly app: string
  readonly queue: string
}

export interface LeasedItem extends Done {
  readonly workItem: WorkItemId
  readonly item: Held
  readonly birth: Birth
  readonly payload: Uint8Array | undefined
}

/** What a task's queue holds it back by, beside the task's own state. */
export interface QueueGate {
  readonly gate: 'queue-paused' | 'queue-removed' | 'not-served' | 'key' | 'rate' | 'no-worker'
  /** When it opens by itself, milliseconds since 1970 UTC. */
  readonly until?: number | undefined
}

/** What a long task waits for beside its own state. */
export interface NodeGate {
  /** `sending`: to be taken by its node, which is there as far as anybody knows. */
  readonly gate: 'node-unknown' | 'node-down' | 'sending'
  /** A sentence. */
  readonly detail: string
  /** When its time is over, milliseconds since 1970 UTC. */
  readonly until?: number | undefined
}

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail?: string
}

/** What time has released and erased since the start of this server. */
export interface SweeperFigures {
  /** Replies whose time was over. */
  readonly released: number
  /** Work items past their retention. */
  readonly erased: number
  /** Erased events that were deleted, or that no stream shows any more. */
  readonly pruned: number
  /** What was due and could not be done. */
  readonly refused: number
  readonly isSweeping: boolean
  /** What was erased may not be taken out of the store yet. */
  readonly isOwing: boolean
  /** When a sweep last came to its end, milliseconds since 1970 UTC. */
  readonly lastSweptAt?: number | undefined
  /** Why the last sweep did not, if so. */
  readonly failing?: string | undefined
}

export interface Status {
  readonly status: 'ready' | 'degraded' | 'not-ready'
  readonly checks: readonly Check[]
  readonly position: Position
  readonly liveItems: number
  /** Held jobs and tasks. */
  readonly heldItems: number
  /** Requests that are not settled. */
  readonly pendingRequests: number
  readonly waitingPolls: number
  /** For how long the tables have not shown what the log has, in milliseconds. */
  readonly tablesBehindMs: number
  readonly sweeper: SweeperFigures
}

/** A token as it is kept: never its secret. */
export interface TokenEntry {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly roles: readonly string[]
  readonly createdAt: number
  readonly expiresAt?: number | undefined
  readonly revokedAt?: number | undefined
}

export interface Tokens {
  readonly size: () => number
  readonly list: () => readonly TokenEntry[]
  /** Makes a token; the secret `stint_<id>_<secret>` is returned here and nowhere else. */
  readonly add: (
    token: { readonly name: string; readonly email: string; readonly roles: readonly string[]; readonly expiresMs?: number | undefined },
    context: Context,
  ) => Promise<E.Either<Refusal, TokenEntry & { readonly token: string }>>
  /** With `keepsAdministrator` the last valid token of an administrator is not revoked: no other way in is left. */
  readonly revoke: (id: string, context: Context, rule: { readonly keepsAdministrator: boolean }) => Promise<E.Either<Refusal, TokenEntry>>
  /** The token that this secret belongs to, if it is neither revoked nor expired. */
  readonly authenticate: (token: string) => TokenEntry | undefined
}

/** One refusal as the audit stream has it. */
export interface RefusalRow {
  /** In the stream of its day. */
  readonly revision: number
  readonly position: Position
  /** Milliseconds since 1970 UTC. */
  readonly time: number
  readonly code: string
  readonly route: string
  readonly subject: string
  /** How people read the subject. */
  readonly actor: string
  readonly target: string | undefined
  readonly detail: string | undefined
}

export interface Engine {
  /** Load, decide, append, retry: the one way in which anything happens to a work item. Commands on one item run one after another (rules 8). */
  readonly execute: (workItem: WorkItemId, command: CommandToDo, context: Context, payload?: Uint8Array) => Promise<E.Either<Refusal, Done>>
  /** Inserts a task; one for which a worker waits is leased in the same append (rules 10). */
  readonly insertTask: TaskQueues['insert']
  /** When and whether a task is tried again, by its queue's settings. */
  readonly retryFor: TaskQueues['retryFor']
  /** Gives back, uncounted, a lease of which its holder never heard; nobody is passed over for it (rules 27). */
  readonly takeBack: TaskQueues['takeBack']
  /** What holds a waiting task or long task back beside its own state. */
  readonly gateOf: (item: Existing, workItem: WorkItemId) => QueueGate | NodeGate | undefined
  readonly admits: TaskQueues['admits']
  readonly queues: Queues
  /** What callers have at contracts, to hold against their quota. */
  readonly requestUsage: RequestUsage
  readonly contracts: Contracts
  /** Nodes, and what is given out to them. */
  readonly longTasks: LongTasks
  /** News of work, for those who listen to a queue. */
  readonly notifications: Notifications
  /** Messages that this server sends out, until they are acknowledged. */
  readonly deliveries: Omit<Deliveries, 'close'>
  /** What of a settled item is not carried out yet, and how far it is. */
  readonly openEntriesOf: (workItem: WorkItemId) => readonly OpenEntry[]
  /** Waiting tasks, leased; empty when the wait is over. */
  readonly leaseTasks: (request: LeaseRequest, context: Context) => Promise<E.Either<Refusal, readonly LeasedItem[]>>
  /** State, birth and ending of one item, live or settled. */
  readonly read: (workItem: WorkItemId) => Promise<E.Either<Rejection | StoreFault, ItemRow>>
  /** The live item, or undefined: no I/O, for polls. */
  readonly live: (workItem: WorkItemId) => Existing | undefined
  readonly presence: (workItem: WorkItemId) => Presence | undefined
  /** Whether the lease of an item that is held still runs on this server's clock, with the grace that a start or a standstill gives (rules 17). */
  readonly leaseStands: (workItem: WorkItemId) => boolean
  /** Events of one item, from a revision on. */
  readonly history: (workItem: WorkItemId, options: { readonly from: number; readonly max: number }) => Promise<E.Either<Rejection | StoreFault, readonly RecordedEvent[]>>
  /** Resolves when the item changes in any way, when `ms` passed, when `signal` aborts or when the engine stops. */
  readonly changed: (workItem: WorkItemId, ms: number, signal?: AbortSignal) => Promise<void>
  /** The log from a position on, for ever. */
  readonly follow: (options: { readonly after?: Position; readonly signal: AbortSignal }) => AsyncIterable<Subscribed>
  readonly tables: Tables
  readonly tokens: Tokens
  /** Position of the last event that `live` has seen. */
  readonly position: () => Position
  /** What became of the appends of this server. */
  readonly appends: () => AppendFigures
  /** Resolves when `live` alone has seen `position`, or when the tables have too. */
  readonly reached: (position: Position, ms: number, by: 'live' | 'tables') => Promise<'reached' | 'behind' | 'other-log'>
  /** Other servers write to the same log: what this one knows may be behind it. */
  readonly isShared: boolean
  /** The servers over the same log that are there, as far as this one has heard, itself among them, by name. */
  readonly servers: () => readonly string[]
  /** Whether this server gives out what waits in a line, as far as it knows. */
  readonly leads: (line: string) => boolean
  /** Which server gives out what waits in a line (`queueLine`, `contractLine`); undefined: none, for the moment. */
  readonly leaderOf: (line: string) => Promise<Leading>
  /** Resolves when that server is gone, or when `signal` aborts. */
  readonly untilGone: (server: OtherServer, signal: AbortSignal) => Promise<void>
  /** Everything up to here has been taken in, whoever appended it. */
  readonly known: () => Position
  /** Takes in what the log has now; whether more is known then than at that position. */
  readonly catchUp: (since: Position) => Promise<boolean>
  /** Notes a refusal in the audit stream, at most 10 a second for one principal and code (rules 24). */
  readonly audit: (fact: { readonly code: string; readonly route: string; readonly target?: string | undefined; readonly detail?: string | undefined }, context: Context) => void
  /** What was refused on a day (`2026-01-31`, UTC), newest first: at most `max`, only those with the code, only those before a revision of that day's stream. */
  readonly refusals: (
    day: string,
    filter: { readonly code?: string | undefined; readonly before?: number | undefined; readonly max: number },
  ) => Promise<E.Either<StoreFault, readonly RefusalRow[]>>
  /** The server's clock in milliseconds, for what is only shown. */
  readonly now: () => number
  readonly status: () => Status
  /** Polls, lease waits and followers end at once, timers too; commands are still taken, so that the api can answer what it took. */
  readonly stop: () => void
  /** Refuses further commands, waits for what is in flight, then closes tables and store. */
  readonly close: () => Promise<void>
}
