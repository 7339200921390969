// What the engine and the api ask of the tabular file: questions over many work items, answered as of a position in the log.
import type { Kind, WorkItemId } from '../domain/ids.ts'
import type { Usage } from '../domain/policy/quota.ts'
import type { EventOfType } from '../domain/work-item/events.ts'
import type { Existing, Held, Owing, SurfaceState, Waiting } from '../domain/work-item/state.ts'
import type { Position } from '../store/port.ts'
import type { Order } from './cursor.ts'
import type { Totals } from './totals.ts'

export type Birth = EventOfType<'JobRegistered'> | EventOfType<'TaskInserted'> | EventOfType<'RequestAccepted'> | EventOfType<'OperationDispatched'>
/** The event that settled an item. */
export type Ending = EventOfType<'Completed'> | EventOfType<'Failed'> | EventOfType<'Aborted'> | EventOfType<'Cancelled'> | EventOfType<'TimedOut'>

/** Everything a reader may be shown of one work item, but for signs of life. */
export interface ItemRow {
  readonly workItem: WorkItemId
  readonly item: Existing
  readonly birth: Birth
  readonly ending?: Ending | undefined
  readonly late?: EventOfType<'LateResultRecorded'> | undefined
  /** Position of the item's last event. */
  readonly position: Position
}

export interface ItemFilter {
  readonly kind: Kind
  /** Service of a job; `<app>/<queue>` of a task; contract of a request; node of a long task. */
  readonly scope?: string | undefined
  readonly server?: string | undefined
  readonly label?: string | undefined
  /** Of tasks. */
  readonly tag?: string | undefined
  /** Of tasks: their concurrency key. */
  readonly key?: string | undefined
  /** Of long tasks: name of the operation's class. */
  readonly operation?: string | undefined
  readonly state?: SurfaceState | undefined
  /** Only items that can still change, dead letters apart. */
  readonly live?: true | undefined
  /** Only dead letters, or none of them. */
  readonly deadLetter?: boolean | undefined
  /** Only items made by this subject. */
  readonly by?: string | undefined
  /** By birth, or (of tasks of a scope) as the queue would give them out: by priority, then due time, then birth. */
  readonly order: Order
  readonly limit: number
  /** Opaque, from the page before. */
  readonly after?: string | undefined
}

export interface Page<Item> {
  readonly items: readonly Item[]
  readonly next?: string | undefined
  /** The log up to here is in the answer. */
  readonly position: Position
}

export interface ScopeStatistics {
  readonly kind: Kind
  readonly scope: string
  readonly states: Readonly<Partial<Record<SurfaceState, number>>>
  /** They count as failed in `states`. */
  readonly deadLetters: number
  /** Of completed items, from lease to end. */
  readonly runMs?: Quantiles | undefined
  /** Of leased tasks, from being due to the lease. */
  readonly waitMs?: Quantiles | undefined
  /** The earliest time, to the second, at which a waiting task is or was due; there while one waits. */
  readonly oldestDueAt?: number | undefined
  /** Of tasks: what has ever happened to them, erased ones too. */
  readonly totals?: Totals | undefined
  /** Of tasks, there when the question says what time it is. */
  readonly recent?: Recent | undefined
}

/** Milliseconds. */
export interface Quantiles {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** To within ten seconds. */
export interface Recent {
  readonly insertedLastMinute: number
  readonly insertedLastHour: number
  readonly leasedLastMinute: number
  readonly leasedLastHour: number
  readonly completedLastMinute: number
  readonly completedLastHour: number
}

export interface StatisticsFilter {
  readonly kind?: Kind | undefined
  readonly scope?: string | undefined
  /** Milliseconds since 1970 UTC, for what is recent. */
  readonly now?: number | undefined
}

/** Requests of one contract. */
export interface RequestFilter {
  readonly contract: string
  readonly caller?: string | undefined
  readonly state?: SurfaceState | undefined
  /** Only those whose reply is released, by whomever; or only those that are pending or whose reply is kept. A reply counts as kept until its release is in the log. */
  readonly released?: boolean | undefined
  /** Only those that settled before this time, milliseconds since 1970 UTC. */
  readonly settledBefore?: number | undefined
  readonly order: 'newest' | 'oldest'
  readonly limit: number
  /** Opaque, from the page before. */
  readonly after?: string | undefined
}

export interface UsageFilter {
  readonly contract: string
  readonly caller?: string | undefined
  readonly limit: number
  /** Opaque, from the page before. */
  readonly after?: string | undefined
}

/** What one caller has at a contract; nobody who has nothing is listed. */
export interface CallerUsage extends Usage {
  readonly caller: string
  /** By birth, of those that could be released now. */
  readonly oldestUnreleased?: { readonly workItem: WorkItemId; readonly settledAt: number } | undefined
  /** The caller's request that was accepted last. */
  readonly newest?: WorkItemId | undefined
}

/** What time says about a work item. */
export interface Due {
  readonly workItem: WorkItemId
  /** When it expired or was retired, milliseconds since 1970 UTC. */
  readonly at: number
  /** Tells it from others of the same time. */
  readonly place: number
}

export interface DueFilter {
  /** Milliseconds since 1970 UTC. */
  readonly notAfter: number
  /** The last of the page before. */
  readonly after?: Pick<Due, 'at' | 'place'> | undefined
  readonly limit: number
}

export interface RetiredFilter extends DueFilter {
  readonly kind: Kind
}

/** Oldest first. */
export interface DuePage {
  readonly items: readonly Due[]
  readonly position: Position
}

export interface TablesStatus {
  readonly position: Position
  /** A projection that stopped on a defect, by name, with what it says; the others go on (rules 15). */
  readonly stopped: Readonly<Record<string, string>>
}

export interface Tables {
  /** The live items as of a position, to begin a recovery from; no position: the file has to be made anew, fold the whole log. */
  readonly liveItems: () => Promise<{
    readonly position: Position | undefined
    readonly items: readonly { readonly workItem: WorkItemId; readonly item: Waiting | Held | Owing; readonly position: Position }[]
    /** Streams of the queues, contracts and nodes that the log has, as of the same position. */
    readonly bookStreams: readonly string[]
  }>
  /** Tells that the log reaches to `head`; returns at once. */
  readonly follow: (head: Position) => void
  /** Resolves when `position` is in the tables; false when `ms` passed first. */
  readonly reached: (position: Position, ms: number) => Promise<boolean>
  readonly list: (filter: ItemFilter) => Promise<Page<ItemRow> | { readonly invalid: 'cursor' }>
  readonly statistics: (filter: StatisticsFilter) => Promise<{ readonly items: readonly ScopeStatistics[]; readonly position: Position }>
  readonly requests: (filter: RequestFilter) => Promise<Page<ItemRow> | { readonly invalid: 'cursor' }>
  /** By caller, in the order of their names. */
  readonly usage: (filter: UsageFilter) => Promise<Page<CallerUsage> | { readonly invalid: 'cursor' }>
  /** Requests whose reply has expired and is not released yet. */
  readonly expiring: (filter: DueFilter) => Promise<DuePage>
  /** What may be erased, as far as its effects and its reply are concerned: settled jobs, tasks and long tasks whose end is acknowledged, released requests. */
  readonly retired: (filter: RetiredFilter) => Promise<DuePage>
  readonly status: () => TablesStatus
  readonly close: () => Promise<void>
}
