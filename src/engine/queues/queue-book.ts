// The queues themselves: what the log says of each, and the one way in which their streams grow. Tasks are not here; they are work items.
import * as E from 'fp-ts/lib/Either.js'
import { decodeQueueEvent, encodeQueueEvent } from '../../domain/queue/codec.ts'
import { queueKey, queueStream, type QueueConfig } from '../../domain/queue/config.ts'
import { decideQueue, type QueueCommand, type QueueRejection } from '../../domain/queue/decide.ts'
import type { QueueEvent } from '../../domain/queue/events.ts'
import { absentQueue, evolveQueue, type Queue } from '../../domain/queue/state.ts'
import type { AppendTooLarge, StoreFault } from '../../store/port.ts'
import { createBook, type Aggregate } from '../book.ts'
import type { Context } from '../command.ts'

export interface QueueName {
  readonly app: string
  readonly queue: string
}

export type QueueRefusal = QueueRejection | StoreFault | AppendTooLarge

export interface QueueBook {
  /** The queue as it stands; one that nobody ever configured is absent. */
  readonly get: (key: string) => Queue
  readonly entries: () => Iterable<readonly [string, Queue]>
  /** Reads the queue's stream; for each name that the tables, the log's tail or the files know. */
  readonly load: (name: QueueName) => Promise<E.Either<StoreFault, Queue>>
  readonly loadAll: (names: Iterable<QueueName>) => Promise<E.Either<StoreFault, void>>
  readonly follow: ReturnType<typeof createBook<QueueCommand, Queue, QueueEvent, QueueRejection>>['follow']
  readonly execute: (name: QueueName, command: QueueCommand, context: Context) => Promise<E.Either<QueueRefusal, { readonly queue: Queue; readonly events: readonly QueueEvent[] }>>
}

const aggregate: Aggregate<QueueCommand, Queue, QueueEvent, QueueRejection> = {
  noun: 'queue',
  streamOf: (key) => queueStream(...(key.split('/') as [string, string])),
  absent: absentQueue,
  decide: decideQueue,
  evolve: evolveQueue,
  encode: encodeQueueEvent,
  decode: decodeQueueEvent,
}

export const createQueueBook = (options: Parameters<typeof createBook>[1]): QueueBook => {
  const book = createBook(aggregate, options)
  return {
    get: book.get,
    entries: book.entries,
    load: (name) => book.load(queueKey(name)),
    loadAll: (names) => book.loadAll([...names].map(queueKey)),
    follow: book.follow,
    execute: async (name, command, context) => {
      const done = await book.execute(queueKey(name), command, context)
      return E.isLeft(done) ? done : E.right({ queue: done.right.state, events: done.right.events })
    },
  }
}

/** The config of a queue that its file names, paused or not. */
export const openConfigOf = (queue: Queue): QueueConfig | undefined => (queue.status === 'open' ? queue.config : undefined)

/** Whether the config in force lets its tasks be leased now. */
export const servedConfig = (queue: Queue, open: ((key: string) => QueueConfig) | undefined, key: string): QueueConfig | undefined => {
  if (queue.status === 'absent') return open?.(key)
  return queue.status === 'open' && queue.config.mode === 'pull' && queue.paused === undefined ? queue.config : undefined
}
