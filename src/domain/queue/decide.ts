// The rules of a queue itself: a command meets a queue. One function a command; what is asked twice yields nothing.
import * as E from 'fp-ts/lib/Either.js'
import { accept, reject, type Decision } from '../decider.ts'
import type { QueueConfig } from './config.ts'
import type { BulkFilter, BulkKind, QueueEvent } from './events.ts'
import { isUnderWay, type Bulk, type Queue } from './state.ts'

/** `start`: read while a server starts, when a file left behind may be older than the log · `change`: somebody changed the file while a server ran. */
export type ReadWhen = 'start' | 'change'

export type QueueCommand =
  /** `digest` is that of the config. */
  | { readonly type: 'ConfigureQueue'; readonly by: string; readonly config: QueueConfig; readonly digest: string; readonly when: ReadWhen }
  /** `digest` is that of the app's queues without this one. */
  | { readonly type: 'RemoveQueue'; readonly by: string; readonly digest: string; readonly when: ReadWhen }
  | { readonly type: 'PauseQueue'; readonly by: string; readonly reason?: string | undefined }
  | { readonly type: 'ResumeQueue'; readonly by: string }
  | { readonly type: 'StartBulk'; readonly id: string; readonly what: BulkKind; readonly filter: BulkFilter; readonly upTo: string; readonly by: string }
  | { readonly type: 'FinishBulk'; readonly id: string; readonly done: number; readonly skipped: number }

export type QueueCommandOfType<Type extends QueueCommand['type']> = Extract<QueueCommand, { type: Type }>

export type QueueRejection =
  /** The queue, or the bulk, does not exist. */
  | { readonly type: 'not-found' }
  /** The file says what was in force once and is no longer: it is not applied at a start, only warned about (rules 29). */
  | { readonly type: 'outdated-configuration'; readonly digest: string; readonly current: string }
  | { readonly type: 'exists-with-other-content' }
  | { readonly type: 'queue-removed' }
  | { readonly type: 'queue-paused'; readonly by: string; readonly reason?: string | undefined; readonly since: number }
  /** Its mode is `push`: it is listed, and nobody can insert or lease. */
  | { readonly type: 'not-served' }
  | { readonly type: 'not-possible'; readonly detail: string }

export type QueueDecision = Decision<QueueEvent, QueueRejection>

/** Bulks that may be under way in one queue at the same time. */
export const BULKS_UNDER_WAY_MAX = 16

const isOutdated = (queue: Queue, c: { readonly digest: string; readonly when: ReadWhen }): queue is Exclude<Queue, { status: 'absent' }> =>
  queue.status !== 'absent' && c.when === 'start' && queue.seen.has(c.digest)

const configure = (c: QueueCommandOfType<'ConfigureQueue'>, queue: Queue): QueueDecision => {
  if (queue.status === 'open' && queue.digest === c.digest) return accept()
  if (isOutdated(queue, c)) return reject({ type: 'outdated-configuration', digest: c.digest, current: queue.digest })
  return accept<QueueEvent>({ type: 'QueueConfigured', config: c.config, digest: c.digest, by: c.by })
}

const remove = (c: QueueCommandOfType<'RemoveQueue'>, queue: Queue): QueueDecision => {
  if (queue.status !== 'open') return accept()
  if (isOutdated(queue, c)) return reject({ type: 'outdated-configuration', digest: c.digest, current: queue.digest })
  return accept<QueueEvent>({ type: 'QueueRemoved', digest: c.digest, by: c.by })
}

const pause = (c: QueueCommandOfType<'PauseQueue'>, queue: Queue): QueueDecision => {
  if (queue.status === 'absent') return reject({ type: 'not-found' })
  return queue.paused === undefined ? accept<QueueEvent>({ type: 'QueuePaused', by: c.by, ...(c.reason === undefined ? {} : { reason: c.reason }) }) : accept()
}

const resume = (c: QueueCommandOfType<'ResumeQueue'>, queue: Queue): QueueDecision => {
  if (queue.status === 'absent') return reject({ type: 'not-found' })
  return queue.paused === undefined ? accept() : accept<QueueEvent>({ type: 'QueueResumed', by: c.by })
}

/** Whether it asks for the same; `upTo` is taken from the log anew with each asking, so it tells nothing. */
const isRepeat = (c: QueueCommandOfType<'StartBulk'>, { what, filter }: Bulk): boolean =>
  what === c.what && filter.tag === c.filter.tag && filter.key === c.filter.key && filter.code === c.filter.code && filter.insertedBefore === c.filter.insertedBefore

const startBulk = (c: QueueCommandOfType<'StartBulk'>, queue: Queue): QueueDecision => {
  if (queue.status === 'absent') return reject({ type: 'not-found' })
  const known = queue.bulks.get(c.id)
  if (known !== undefined) return isRepeat(c, known) ? accept() : reject({ type: 'exists-with-other-content' })
  if ([...queue.bulks.values()].filter(isUnderWay).length >= BULKS_UNDER_WAY_MAX)
    return reject({ type: 'not-possible', detail: `Expected fewer than ${BULKS_UNDER_WAY_MAX} bulks under way in this queue.` })
  const { id, what, filter, upTo, by } = c
  return accept<QueueEvent>({ type: 'BulkStarted', id, what, filter, upTo, by })
}

const finishBulk = (c: QueueCommandOfType<'FinishBulk'>, queue: Queue): QueueDecision => {
  const bulk = queue.status === 'absent' ? undefined : queue.bulks.get(c.id)
  if (bulk === undefined) return reject({ type: 'not-found' })
  return isUnderWay(bulk) ? accept<QueueEvent>({ type: 'BulkFinished', id: c.id, done: c.done, skipped: c.skipped }) : accept()
}

/** What follows from a command, or why nothing does. Total and pure. */
export const decideQueue = (command: QueueCommand, queue: Queue): QueueDecision => {
  switch (command.type) {
    case 'ConfigureQueue':
      return configure(command, queue)
    case 'RemoveQueue':
      return remove(command, queue)
    case 'PauseQueue':
      return pause(command, queue)
    case 'ResumeQueue':
      return resume(command, queue)
    case 'StartBulk':
      return startBulk(command, queue)
    case 'FinishBulk':
      return finishBulk(command, queue)
  }
}

/**
 * The config under which a queue takes an insert or gives a lease, or why it does not. A paused queue goes on taking inserts;
 * to a lease call it has nothing to give. What holders do with the leases they have is never refused here.
 */
export const admits = (queue: Queue, what: 'insert' | 'lease'): E.Either<QueueRejection, QueueConfig> => {
  if (queue.status === 'absent') return reject({ type: 'not-found' })
  if (queue.status === 'removed') return reject({ type: 'queue-removed' })
  if (queue.config.mode === 'push') return reject({ type: 'not-served' })
  if (what === 'lease' && queue.paused !== undefined) return reject({ type: 'queue-paused', by: queue.paused.by, reason: queue.paused.reason, since: queue.paused.at })
  return E.right(queue.config)
}
