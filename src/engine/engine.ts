// The face of the engine: what the api, an embedding program and the tests may ask of it.
import type * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../domain/ids.ts'
import type { Rejection } from '../domain/work-item/commands.ts'
import type { Existing } from '../domain/work-item/state.ts'
import type { ItemRow, Tables } from '../projections/tables.ts'
import type { Position, RecordedEvent, StoreFault, Subscribed } from '../store/port.ts'
import type { AppendFigures } from './append-figures.ts'
import type { Leading } from './cluster/leadership.ts'
import type { OtherServer } from './cluster/membership.ts'
import type { Context, Execute, LeasedItem, LeaseRequest, Refusal } from './command.ts'
import type { Contracts } from './contracts/contracts.ts'
import type { OpenEntry } from './contracts/open-entries.ts'
import type { RequestUsage } from './contracts/usage.ts'
import type { Deliveries } from './delivery/deliveries.ts'
import type { NodeGate, Presence, QueueGate, Status } from './findings.ts'
import type { LongTasks } from './long-tasks/long-tasks.ts'
import type { Notifications } from './queues/notifications.ts'
import type { Queues } from './queues/queues.ts'
import type { TaskQueues } from './queues/task-queues.ts'
import type { Refusals } from './refusals.ts'
import type { Tokens } from './tokens.ts'

export interface Engine {
  readonly execute: Execute
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
  readonly refusals: Refusals
  /** The server's clock in milliseconds, for what is only shown. */
  readonly now: () => number
  readonly status: () => Status
  /** Polls, lease waits and followers end at once, timers too; commands are still taken, so that the api can answer what it took. */
  readonly stop: () => void
  /** Refuses further commands, waits for what is in flight, then closes tables and store. */
  readonly close: () => Promise<void>
}
