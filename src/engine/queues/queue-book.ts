// The queues themselves: what the log says of each, resident, and the one way in which their streams grow. Tasks are not here; they are work items.
import * as E from 'fp-ts/lib/Either.js'
import { decodeQueueEvent, encodeQueueEvent } from '../../domain/queue/codec.ts'
import { queueKey, queueStream, type QueueConfig } from '../../domain/queue/config.ts'
import { decideQueue, type QueueCommand, type QueueRejection } from '../../domain/queue/decide.ts'
import type { QueueEvent } from '../../domain/queue/events.ts'
import { absentQueue, evolveQueue, evolveQueueAll, type Queue } from '../../domain/queue/state.ts'
import { StoreFault, type AppendTooLarge, type EventStore, type Position } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { Context } from '../engine.ts'
import { encodeMeta, uuidV5 } from '../envelope.ts'

const STREAM_PAGE = 1_000
const ATTEMPTS_MAX = 5

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
  readonly execute: (name: QueueName, command: QueueCommand, context: Context) => Promise<E.Either<QueueRefusal, { readonly queue: Queue; readonly events: readonly QueueEvent[] }>>
}

export const createQueueBook = (options: {
  readonly store: EventStore
  readonly world: World
  readonly server: string
  readonly onAppended: (position: Position, events: number) => void
  readonly onChange: (key: string) => void
}): QueueBook => {
  const { store, world, server } = options
  const queues = new Map<string, Queue>()
  const lanes = new Map<string, Promise<unknown>>()
  const get = (key: string): Queue => queues.get(key) ?? absentQueue

  const load: QueueBook['load'] = async (name) => {
    let queue: Queue = absentQueue
    for (let from = 0; ; from += STREAM_PAGE) {
      const page = await store.readStream(queueStream(name.app, name.queue), { from, max: STREAM_PAGE })()
      if (E.isLeft(page)) return page
      for (const recorded of page.right) {
        const event = decodeQueueEvent(recorded.type, recorded.v, JSON.parse(recorded.data))
        if (E.isLeft(event))
          return E.left(new StoreFault('damaged', `Event ${recorded.position} (${recorded.type} v${recorded.v}) cannot be read by this version of Stint: ${event.left.detail}`))
        queue = evolveQueue(queue, event.right, recorded)
      }
      if (page.right.length < STREAM_PAGE) break
    }
    if (queue.status !== 'absent') queues.set(queueKey(name), queue)
    return E.right(queue)
  }

  const attempt = async (name: QueueName, command: QueueCommand, context: Context): Promise<E.Either<QueueRefusal, { queue: Queue; events: readonly QueueEvent[] }>> => {
    const key = queueKey(name)
    for (let tried = 1; tried <= ATTEMPTS_MAX; tried++) {
      const before = get(key)
      const decided = decideQueue(command, before)
      if (E.isLeft(decided)) return decided
      const events = decided.right
      if (events.length === 0) return E.right({ queue: before, events })
      const time = Math.max(world.now(), before.status === 'absent' ? 0 : before.updatedAt)
      const meta = encodeMeta(context, server)
      const encoded = events.map((event, index) => ({ id: uuidV5(context.commandId, `${key} ${index}`), ...encodeQueueEvent(event), time, meta }))
      const appended = await store.append(queueStream(name.app, name.queue), before.status === 'absent' ? 'noStream' : before.revision, encoded)()
      if (E.isRight(appended)) {
        const queue = evolveQueueAll(before, events, time)
        queues.set(key, queue)
        options.onAppended(appended.right.position, events.length)
        options.onChange(key)
        return E.right({ queue, events })
      }
      const failure = appended.left
      if (failure instanceof StoreFault || failure.kind !== 'conflict') return E.left(failure)
      const loaded = await load(name)
      if (E.isLeft(loaded)) return loaded
    }
    return E.left(new StoreFault('overloaded', `The queue ${key} is still in conflict after ${ATTEMPTS_MAX} attempts`))
  }

  return {
    get,
    entries: () => queues.entries(),
    load,
    loadAll: async (names) => {
      for (const name of names) {
        const loaded = await load(name)
        if (E.isLeft(loaded)) return loaded
      }
      return E.right(undefined)
    },
    execute: (name, command, context) => {
      const key = queueKey(name)
      const run = (lanes.get(key) ?? Promise.resolve()).then(() => attempt(name, command, context))
      const settled: Promise<void> = run.then(
        () => void (lanes.get(key) === settled && lanes.delete(key)),
        () => void (lanes.get(key) === settled && lanes.delete(key)),
      )
      lanes.set(key, settled)
      return run
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
