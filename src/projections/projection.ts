// What a tabular projection is: a value that says which tables it keeps and how a batch of changes goes into them. One runner runs them all.
import type { DatabaseSync } from 'node:sqlite'
import type { WorkItemId } from '../domain/ids.ts'
import type { WorkItemEvent } from '../domain/work-item/events.ts'
import type { Existing, WorkItem } from '../domain/work-item/state.ts'
import type { EventReader, EventStore, Position } from '../store/port.ts'

/** What tables are made from. */
export type TablesReader = EventReader & Pick<EventStore, 'readFirst'>

/** A work item as folded up to some position. */
export interface Known {
  readonly item: Existing
  /** Number in the position of its birth, or of the tombstone in its place: it grows with the log, so rows under it are appended (rules 12). */
  readonly created: number
  /** Of its last event. */
  readonly position: Position
}

export interface Fact {
  readonly event: WorkItemEvent
  /** When it was recorded, milliseconds since 1970 UTC. */
  readonly time: number
  readonly position: Position
  /** It is a tombstone: of what came before it nothing is shown any more. */
  readonly begins?: true
}

/** What a batch did to one work item. */
export interface ItemChange {
  readonly workItem: WorkItemId
  readonly created: number
  /**
   * Where it was born, when a tombstone in the batch is its birth now: what is kept under that number goes. Undefined too where neither the log nor the tables
   * can say it any more, since its first event is pruned.
   */
  readonly replaces?: number | undefined
  /** As it was before the batch. */
  readonly before: WorkItem
  /** As it is after the batch: written once, however many events led there. */
  readonly after: Existing
  readonly facts: readonly Fact[]
  readonly position: Position
}

/** A stretch of the log, folded. Of streams that are no work item only those of queues, contracts and nodes are told; the others are counted and passed over. */
export interface Batch {
  readonly changes: readonly ItemChange[]
  /** Streams of queues, contracts and nodes that begin in it: whoever starts on the log has to read them. */
  readonly bookStreams: readonly string[]
  readonly events: number
  /** Of the last event. */
  readonly position: Position
}

export interface OpenedProjection {
  /** Writes a batch; runs inside a transaction. A throw stops this projection and takes back what it wrote of the batch (rules 15). */
  readonly apply: (batch: Batch) => void
  /** An item as these tables know it, for a projection that keeps whole states: it spares the fold a read of the item's stream. */
  readonly load?: LoadItem
}

/** `created`: number in the position of its birth; undefined where the log does not tell it any more. */
export type LoadItem = (workItem: WorkItemId, created: number | undefined) => Omit<Known, 'position'> | undefined

export interface TableOfProjection {
  readonly name: string
  /** Columns of the primary key: the order in which rows are compared with rebuilt ones. */
  readonly key: readonly string[]
}

export interface Projection {
  readonly name: string
  /** Raised with every change of schema or apply; the tables are then dropped and folded anew. */
  readonly version: number
  /** SQL that makes the tables and their indexes. */
  readonly schema: string
  readonly tables: readonly TableOfProjection[]
  /**
   * Whether a log of which events were erased makes the same tables as the whole log did. Not so where they count what has happened: of what was erased nothing
   * can be counted again.
   */
  readonly outlivesErasure: boolean
  /** The keys in tables under `created` of these items; asked only where items have tables of their own. */
  readonly createdOf?: (db: DatabaseSync, workItems: ReadonlySet<WorkItemId>) => ReadonlySet<number>
  /** Prepares its statements over a file in which its tables exist. */
  readonly open: (db: DatabaseSync) => OpenedProjection
}
