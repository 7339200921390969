// What a purge or redrive came to, counted from the log when it is over: the same whether it ran in one go or was carried on after restarts.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, taskId, workItemOf, type WorkItemId } from '../../domain/ids.ts'
import type { BulkFilter, BulkKind } from '../../domain/queue/events.ts'
import type { Bulk } from '../../domain/queue/state.ts'
import type { WorkItemEventType } from '../../domain/work-item/events.ts'
import type { Existing } from '../../domain/work-item/state.ts'
import { loadFromLog } from '../../projections/fold.ts'
import { StoreFault, type EventReader, type Position } from '../../store/port.ts'
import type { QueueName } from './queue-book.ts'

const EVENTS_A_PAGE = 1_000

/** The event that a bulk brings about in each of its tasks, once. */
const MARK: Readonly<Record<BulkKind, WorkItemEventType>> = { purge: 'Cancelled', redrive: 'Redriven' }

const fits = (filter: BulkFilter, item: Existing): boolean =>
  (filter.tag === undefined || item.task?.tag === filter.tag) &&
  (filter.key === undefined || item.task?.key === filter.key) &&
  (filter.code === undefined || (item.status !== 'running' && 'failure' in item && item.failure?.code === filter.code)) &&
  (filter.insertedBefore === undefined || item.createdAt < filter.insertedBefore)

/** Whether a task that was last changed at `position` is one of those that the bulk is about. */
export const isMeant = ({ what, filter, upTo }: Bulk, item: Existing, position: Position): boolean =>
  item.status === (what === 'purge' ? 'waiting' : 'deadLetter') && position <= upTo && fits(filter, item)

export interface BulkCount {
  readonly done: number
  /** Meant, but changed by others before it was their turn. */
  readonly skipped: number
}

/** Reads the log from the beginning of the bulk to its end; undefined when it was told to stop on the way. Throws StoreFault. */
export const countBulk = async (reader: EventReader, { app, queue }: QueueName, bulk: Bulk, isStopping: () => boolean): Promise<BulkCount | undefined> => {
  const prefix = streamOf(taskId(app, queue, ''))
  const mark = MARK[bulk.what]
  const skipped = new Set<WorkItemId>()
  const looked = new Set<WorkItemId>()
  let done = 0

  const wasMeant = async (workItem: WorkItemId, revision: number): Promise<boolean> => {
    const known = await loadFromLog(reader, workItem, revision)
    if (E.isLeft(known)) throw known.left instanceof StoreFault ? known.left : new StoreFault('damaged', known.left.detail)
    return known.right !== undefined && isMeant(bulk, known.right.item, known.right.position)
  }

  const head = await reader.head()()
  if (E.isLeft(head)) throw head.left
  for (let after = bulk.upTo; after < head.right.position;) {
    if (isStopping()) return undefined
    const page = await reader.readAll({ after, max: EVENTS_A_PAGE })()
    if (E.isLeft(page)) throw page.left
    for (const { stream, type, revision, meta } of page.right) {
      // What was born meanwhile is not meant.
      if (revision === 0 || !stream.startsWith(prefix)) continue
      const workItem = workItemOf(stream) ?? ''
      if ((JSON.parse(meta) as { readonly correlationId?: string }).correlationId === bulk.id) {
        if (type === mark) done += 1
        skipped.delete(workItem)
        continue
      }
      if (looked.has(workItem)) continue
      looked.add(workItem)
      if (await wasMeant(workItem, revision)) skipped.add(workItem)
    }
    const last = page.right[page.right.length - 1]
    if (last === undefined) break
    after = last.position
  }
  return { done, skipped: skipped.size }
}
