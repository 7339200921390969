// What is written in one transaction, and what came of it.
import { StoreFault, type EventToAppend, type ExpectedRevision } from '../port.ts'

/** An append, or an erasure with its tombstone. */
export interface Writing {
  readonly kind: 'append' | 'erase'
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly events: readonly EventToAppend[]
}

export interface Pruning {
  readonly kind: 'prune'
  /** Numbers in positions. */
  readonly before: number
  readonly after: number
  readonly max: number
}

/** One operation that waits for its commit. */
export type Operation = Writing | Pruning

/**
 * `written`: durable after the next sync, or already. Per operation its results: of an append the revision of the last event written; of an erasure that and the events
 * erased; of either, alone, `conflictResult`; of a pruning the rows deleted and where to go on. Events are numbered from `first` in the order of the operations ·
 * `refused`: nothing of it is stored, later batches may be · `busy`: nothing of it is stored, another process holds the write lock.
 */
export type Outcome =
  | { readonly kind: 'written'; readonly isDurable: boolean; readonly first: number; readonly results: readonly number[] }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'busy' }

/** A conflict with a stream whose last revision is `actual` (-1 for none), as a negative number. */
export const conflictResult = (actual: number): number => -actual - 2
export const actualOfConflict = (result: number): number => -result - 2

export const unavailable = (message: string, cause?: unknown): StoreFault => new StoreFault('unavailable', message, { cause })

/** Nothing of it is stored, as it did not fit. */
export const full = (message: string): StoreFault => new StoreFault('unavailable', message, { told: 'The disk of the log is full; nothing of this was stored.' })
