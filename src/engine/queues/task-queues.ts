// Tasks in and out of queues: inserts, which may go straight to a worker that waits, and lease calls, which take what is there or wait for it.
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../../domain/ids.ts'
import { queueLine } from '../../domain/leader.ts'
import { retryPolicy } from '../../domain/policy/retry.ts'
import { DEFAULT_STINT_SETTINGS, queueKey, type QueueConfig } from '../../domain/queue/config.ts'
import { admits, type QueueRejection } from '../../domain/queue/decide.ts'
import type { CommandOfType, RetryPolicy } from '../../domain/work-item/commands.ts'
import type { Existing, WorkItem } from '../../domain/work-item/state.ts'
import type { EventStore } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { Context, Done, LeasedItem, LeaseRequest, Refusal, Timeless } from '../command.ts'
import type { QueueGate } from '../findings.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { createLeaseDesk } from './lease-desk.ts'
import { servedConfig, type QueueBook } from './queue-book.ts'
import type { QueueFigures } from './queue-index.ts'
import { createStorage } from './storage.ts'

export interface TaskFigures extends QueueFigures {
  /** Bytes of payload that live tasks of all queues of the app take together. */
  readonly storedBytes: number
}

export interface TaskQueues {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  readonly insert: (workItem: WorkItemId, command: Timeless<CommandOfType<'InsertTask'>>, context: Context, payload: Uint8Array | undefined) => Promise<E.Either<Refusal, Done>>
  readonly lease: (request: LeaseRequest, context: Context) => Promise<E.Either<Refusal, readonly LeasedItem[]>>
  /** Gives back, uncounted, a lease of which its holder never heard; nobody is passed over for it (rules 27). */
  readonly takeBack: (workItem: WorkItemId, lease: string, context: Context) => Promise<E.Either<Refusal, Done>>
  /** When and whether a task is tried again, by its queue's settings. */
  readonly retryFor: (item: Existing) => RetryPolicy
  /** The config under which the queue takes inserts or gives leases, or why it does not. */
  readonly admits: (key: string, what: 'insert' | 'lease') => E.Either<QueueRejection, QueueConfig>
  /** The config in force, or the last one of a removed queue; undefined: there is no such queue. */
  readonly configOf: (key: string) => QueueConfig | undefined
  readonly figures: (key: string) => TaskFigures
  /** Queues in which something has happened, whether anybody configured them or not. */
  readonly keys: () => Iterable<string>
  /** What holds a waiting task back beside its own state. */
  readonly gateOf: (item: Existing) => QueueGate | undefined
  /** The queue's config or pause changed. */
  readonly refresh: (key: string) => void
  /** Somebody listens to the queue now who did not, or the other way round. */
  readonly listeningChanged: (key: string) => void
  /** Whether a task could be leased from the queue now, but for keys and rates. */
  readonly hasReady: (key: string) => boolean
  readonly stop: () => void
}

/** What an open server, on which nobody configured queues, takes every queue to be. */
export const openConfig = (key: string): QueueConfig => {
  const [app = '', queue = ''] = key.split('/')
  return { app, queue, mode: 'pull', users: [], writers: [], stint: DEFAULT_STINT_SETTINGS }
}

const GATES = { 'queue-paused': 'queue-paused', 'queue-removed': 'queue-removed', 'not-served': 'not-served', 'not-found': 'queue-removed' } as const

export interface TaskQueuesOptions {
  readonly store: EventStore
  readonly handler: Handler
  readonly live: Live
  readonly book: QueueBook
  readonly world: World
  /** Every queue exists, with the defaults: a server that has no queue files. */
  readonly isOpen: () => boolean
  readonly isStopping: () => boolean
  /** Over a shared log: whether this server is the one that gives out what waits in a line. */
  readonly leads: ((line: string) => boolean) | undefined
  /** Over a shared log: resolves when all that was appended before is known here; false: that will not be. */
  readonly untilKnown: (() => Promise<boolean>) | undefined
  /** Whether somebody wants to be told when work has come for which no worker waits; and that it has. */
  readonly isListenedTo: (key: string) => boolean
  readonly onReady: (key: string) => void
}

const overQuota = (app: string, bytes: number, stored: number, limit: number): string =>
  bytes > limit
    ? `The payload has ${bytes} bytes and can never fit: the queue.yaml of ${app} allows ${limit} bytes for all its tasks together (total_storage_limit).`
    : `The payload has ${bytes} bytes, and the tasks of ${app} take ${stored} of the ${limit} bytes that its queue.yaml allows them together (total_storage_limit).`

export const createTaskQueues = (options: TaskQueuesOptions): TaskQueues => {
  const { store, handler, live, book, world } = options
  const storage = createStorage()
  const isLed = (key: string): boolean => options.leads === undefined || options.leads(queueLine(openConfig(key)))

  const mayDo: TaskQueues['admits'] = (key, what) => {
    const queue = book.get(key)
    return queue.status === 'absent' && options.isOpen() ? E.right(openConfig(key)) : admits(queue, what)
  }

  const configOf: TaskQueues['configOf'] = (key) => {
    const queue = book.get(key)
    if (queue.status !== 'absent') return queue.config
    return options.isOpen() ? openConfig(key) : undefined
  }

  const desk = createLeaseDesk({
    store,
    handler,
    live,
    world,
    lineOf: (item) => item.task && queueKey(item.task),
    served: (key) => (isLed(key) ? servedConfig(book.get(key), options.isOpen() ? openConfig : undefined, key) : undefined),
    // A paused queue has nothing to give, and may have again before the wait is over.
    admits: (key) => {
      if (!isLed(key)) return E.left({ type: 'no-leader' })
      const admitted = mayDo(key, 'lease')
      return E.isLeft(admitted) && admitted.left.type === 'queue-paused' ? E.right(undefined) : admitted
    },
    isListenedTo: options.isListenedTo,
    onReady: options.onReady,
    isStopping: options.isStopping,
    untilKnown: options.untilKnown,
  })

  const insert: TaskQueues['insert'] = async (workItem, command, context, payload) => {
    const key = queueKey(command.task)
    const admitted = mayDo(key, 'insert')
    if (E.isLeft(admitted)) return admitted
    const bytes = command.task.bytes ?? payload?.byteLength ?? 0
    const uncount = storage.claim(admitted.right, bytes)
    if (uncount === undefined) {
      // A repeat takes no room.
      const known = await handler.load(workItem)
      if (E.isLeft(known)) return known
      if (known.right.item.status !== 'absent') return handler.execute(workItem, command, context, payload)
      return E.left({ type: 'over-quota', detail: overQuota(command.task.app, bytes, storage.bytesOf(command.task.app), admitted.right.storageLimitBytes ?? 0) })
    }
    try {
      return await desk.bear(key, workItem, command.task, (leaseTo) => (leaseTo === undefined ? command : { ...command, leaseTo }), context, payload)
    } finally {
      uncount()
    }
  }

  return {
    changed: (workItem, before, after) => {
      if (after.task === undefined) return
      storage.changed(before, after)
      desk.changed(workItem, before, after)
    },
    insert,
    lease: (request, context) => desk.lease(queueKey(request), request, context),
    takeBack: desk.takeBack,
    retryFor: (item) => {
      if (item.task === undefined) return { pauseMs: 0 }
      const key = queueKey(item.task)
      const config = configOf(key) ?? openConfig(key)
      return { ...retryPolicy(config, item.attempt, world.random()), deadLetter: config.stint.deadLetter }
    },
    admits: mayDo,
    configOf,
    figures: (key) => {
      const [app = ''] = key.split('/')
      return { ...desk.figures(key), storedBytes: storage.bytesOf(app) }
    },
    keys: desk.lines,
    gateOf: (item) => {
      if (item.task === undefined || item.status !== 'waiting') return undefined
      const key = queueKey(item.task)
      const admitted = mayDo(key, 'lease')
      if (E.isLeft(admitted)) return admitted.left.type in GATES ? { gate: GATES[admitted.left.type as keyof typeof GATES] } : undefined
      const index = desk.indexOf(key)
      if (item.task.key !== undefined && index.isKeyInUse(item.task.key)) return { gate: 'key' }
      const rateWaitMs = index.rateWaitMs()
      if (rateWaitMs > 0) return { gate: 'rate', until: world.now() + rateWaitMs }
      // Who waits for work is known where it is given out.
      return isLed(key) && index.figures().waiters === 0 ? { gate: 'no-worker' } : undefined
    },
    refresh: desk.refresh,
    listeningChanged: desk.listeningChanged,
    hasReady: desk.hasReady,
    stop: desk.stop,
  }
}
