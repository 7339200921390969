// What a queue is, and how each fact changes it.
//
//  absent ── QueueConfigured ──▶ open ── QueueRemoved ──▶ removed
//                                 ▲                          │
//                                 └───── QueueConfigured ────┘
//
// Whether it is paused and which bulks are under way stand beside that: both outlive a removal, so that a queue that comes back is as it was left.
import type { At } from '../work-item/evolve.ts'
import type { QueueConfig } from './config.ts'
import type { BulkFilter, BulkKind, QueueEvent, QueueEventOfType } from './events.ts'

export interface Bulk {
  readonly id: string
  readonly what: BulkKind
  readonly filter: BulkFilter
  /** Position in the log up to which tasks are meant. */
  readonly upTo: string
  readonly by: string
  readonly startedAt: number
  /** There when it is over. */
  readonly finished?: { readonly done: number; readonly skipped: number; readonly at: number } | undefined
}

export interface AbsentQueue {
  readonly status: 'absent'
  readonly revision: -1
}

export interface ExistingQueue {
  /** `removed`: no file names it any more; it refuses inserts and leases, and holders may finish. */
  readonly status: 'open' | 'removed'
  /** Revision of the stream's last event. */
  readonly revision: number
  readonly createdAt: number
  readonly updatedAt: number
  /** The config in force; of a removed queue the last one. */
  readonly config: QueueConfig
  /** Digest of what is in force: of the config, or of the files that removed the queue. */
  readonly digest: string
  /** Every digest that ever was in force, this one among them. */
  readonly seen: ReadonlySet<string>
  readonly paused?: { readonly by: string; readonly reason?: string | undefined; readonly at: number } | undefined
  /** Under way, and the last that are over; oldest first. */
  readonly bulks: ReadonlyMap<string, Bulk>
}

export type Queue = AbsentQueue | ExistingQueue

export const absentQueue: AbsentQueue = { status: 'absent', revision: -1 }

/** Finished bulks that a queue remembers, so that a repeat of one is known. */
export const FINISHED_BULKS_KEPT = 100

export const isUnderWay = (bulk: Bulk): boolean => bulk.finished === undefined

/** Bulks that still have to be carried on, as after a restart; oldest first. */
export const bulksUnderWay = (queue: Queue): readonly Bulk[] => (queue.status === 'absent' ? [] : [...queue.bulks.values()].filter(isUnderWay))

const finishBulk = (bulks: ExistingQueue['bulks'], event: QueueEventOfType<'BulkFinished'>, at: At): ExistingQueue['bulks'] => {
  const bulk = bulks.get(event.id)
  if (bulk === undefined) return bulks
  const { done, skipped } = event
  const after = new Map(bulks).set(event.id, { ...bulk, finished: { done, skipped, at: at.time } })
  const over = [...after.values()].filter((each) => !isUnderWay(each))
  for (const old of over.slice(0, Math.max(0, over.length - FINISHED_BULKS_KEPT))) after.delete(old.id)
  return after
}

const configured = (queue: Queue, event: QueueEventOfType<'QueueConfigured'>, at: At): ExistingQueue => {
  const { config, digest } = event
  const placed = { status: 'open', revision: at.revision, updatedAt: at.time, config, digest } as const
  return queue.status === 'absent' ? { ...placed, createdAt: at.time, seen: new Set([digest]), bulks: new Map() } : { ...queue, ...placed, seen: new Set(queue.seen).add(digest) }
}

const change = (queue: ExistingQueue, event: Exclude<QueueEvent, { type: 'QueueConfigured' }>, at: At): ExistingQueue => {
  const placed = { ...queue, revision: at.revision, updatedAt: at.time }
  switch (event.type) {
    case 'QueueRemoved':
      return { ...placed, status: 'removed', digest: event.digest, seen: new Set(queue.seen).add(event.digest) }
    case 'QueuePaused':
      return { ...placed, paused: { by: event.by, reason: event.reason, at: at.time } }
    case 'QueueResumed':
      return { ...placed, paused: undefined }
    case 'BulkStarted': {
      const { id, what, filter, upTo, by } = event
      return { ...placed, bulks: new Map(queue.bulks).set(id, { id, what, filter, upTo, by, startedAt: at.time }) }
    }
    case 'BulkFinished':
      return { ...placed, bulks: finishBulk(queue.bulks, event, at) }
  }
}

/** The queue after one more fact. Total: a fact about a queue that was never configured leaves it absent. */
export const evolveQueue = (queue: Queue, event: QueueEvent, at: At): Queue => {
  if (event.type === 'QueueConfigured') return configured(queue, event, at)
  return queue.status === 'absent' ? queue : change(queue, event, at)
}

/** The queue after the facts of one append, all of the same time. */
export const evolveQueueAll = (queue: Queue, events: readonly QueueEvent[], time: number): Queue =>
  events.reduce<Queue>((before, event) => evolveQueue(before, event, { time, revision: before.revision + 1 }), queue)
