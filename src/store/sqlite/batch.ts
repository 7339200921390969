// What travels between the engine's thread and the writer's: one message each way per commit. Texts and numbers go as two flat arrays and payloads
// as one block, because cloning many small objects would cost more than inserting them.
import { StoreFault, type EventToAppend, type ExpectedRevision } from '../port.ts'
import type { OpenProblem } from './open-error.ts'
import type { Identity } from './schema.ts'

/** Expected revisions on the wire. */
export const EXPECT_ANY = -2
export const EXPECT_NO_STREAM = -1

/** The count of a pruning among the operations of a batch. An append has at least one event, and so has an erasure, whose count is negative. */
export const PRUNE = 0

export interface Batch {
  /** Per operation: stream (empty for a pruning); then per event: id, type, data, meta. */
  readonly texts: readonly string[]
  /** Per operation: expected revision, count of events (negative for an erasure, or PRUNE and then before, after, max); then per event: v, time, bytes of payload (-1 for none). */
  readonly numbers: readonly number[]
  readonly operations: number
  /** All payloads, one after another. */
  readonly payloads: Uint8Array<ArrayBuffer>
}

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

const expectedNumber = (expected: ExpectedRevision): number => {
  if (expected === 'any') return EXPECT_ANY
  return expected === 'noStream' ? EXPECT_NO_STREAM : expected
}

const joined = (parts: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> => {
  const block = new Uint8Array(bytes)
  let offset = 0
  for (const part of parts) {
    block.set(part, offset)
    offset += part.byteLength
  }
  return block
}

export const encodeBatch = (operations: readonly Operation[]): Batch => {
  const texts: string[] = []
  const numbers: number[] = []
  const payloads: Uint8Array[] = []
  let payloadBytes = 0
  for (const operation of operations) {
    if (operation.kind === 'prune') {
      texts.push('')
      numbers.push(EXPECT_ANY, PRUNE, operation.before, operation.after, operation.max)
      continue
    }
    const { kind, stream, expected, events } = operation
    texts.push(stream)
    numbers.push(expectedNumber(expected), kind === 'erase' ? -events.length : events.length)
    for (const { id, type, v, time, data, meta, payload } of events) {
      texts.push(id, type, data, meta)
      numbers.push(v, time, payload?.byteLength ?? -1)
      if (payload === undefined) continue
      payloads.push(payload)
      payloadBytes += payload.byteLength
    }
  }
  return { texts, numbers, operations: operations.length, payloads: joined(payloads, payloadBytes) }
}

/**
 * `committed`: durable. Per operation its results: of an append the revision of the last event written; of an erasure that and the events erased;
 * of either, alone, `conflictResult`; of a pruning the rows deleted and where to go on. Events are numbered from `first` in the order of the operations ·
 * `refused`: nothing of it is stored, later batches may be.
 */
export type Outcome = { readonly kind: 'committed'; readonly first: number; readonly results: readonly number[] } | { readonly kind: 'refused'; readonly message: string }

/** A conflict with a stream whose last revision is `actual` (-1 for none), as a negative number. */
export const conflictResult = (actual: number): number => -actual - 2
export const actualOfConflict = (result: number): number => -result - 2

export type ToWriter = { readonly kind: 'batch'; readonly batch: Batch } | { readonly kind: 'close' }

export type FromWriter =
  | { readonly kind: 'ready'; readonly identity: Identity }
  | { readonly kind: 'notOpened'; readonly problem: OpenProblem; readonly message: string }
  | { readonly kind: 'outcome'; readonly outcome: Outcome }
  | { readonly kind: 'fatal'; readonly message: string }
  | { readonly kind: 'closed' }

export const unavailable = (message: string, cause?: unknown): StoreFault => new StoreFault('unavailable', message, { cause })
