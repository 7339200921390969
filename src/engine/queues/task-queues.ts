// Tasks in and out of queues: inserts, which may go straight to a worker that waits, and lease calls, which take what is there or wait for it.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../../domain/ids.ts'
import { retryPolicy } from '../../domain/policy/retry.ts'
import { DEFAULT_STINT_SETTINGS, queueKey, type QueueConfig } from '../../domain/queue/config.ts'
import { admits, type QueueRejection } from '../../domain/queue/decide.ts'
import type { CommandOfType, LeaseGrant, RetryPolicy } from '../../domain/work-item/commands.ts'
import { isHeld, surfaceState, type Existing, type WorkItem } from '../../domain/work-item/state.ts'
import { readEvent } from '../../projections/fold.ts'
import type { EventStore } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { Context, Done, LeasedTask, LeaseRequest, Refusal, Timeless } from '../engine.ts'
import { uuidV5 } from '../envelope.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { servedConfig, type QueueBook } from './queue-book.ts'
import { createQueueIndex, holderKey, type Ask, type QueueFigures, type QueueIndex, type Waiter } from './queue-index.ts'
import { createRequests } from './requests.ts'

const LEASE_TOKEN_LENGTH = 8

/** A lease call that waits, with all that a lease for it needs, so that a birth can carry it. */
interface LeaseWaiter extends Waiter {
  readonly grant: LeaseGrant
  readonly hand: (leased: LeasedTask) => void
}

export interface TaskQueues {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  readonly insert: (workItem: WorkItemId, command: Timeless<CommandOfType<'InsertTask'>>, context: Context, payload: Uint8Array) => Promise<E.Either<Refusal, Done>>
  readonly lease: (request: LeaseRequest, context: Context) => Promise<E.Either<Refusal, readonly LeasedTask[]>>
  /** When and whether a task is tried again, by its queue's settings. */
  readonly retryFor: (item: Existing) => RetryPolicy
  /** The config under which the queue takes inserts or gives leases, or why it does not. */
  readonly admits: (key: string, what: 'insert' | 'lease') => E.Either<QueueRejection, QueueConfig>
  readonly figures: (key: string) => QueueFigures
  /** What holds a waiting task back beside its own state: its key, or the queue's rate. */
  readonly gateOf: (item: Existing) => 'key' | 'rate' | 'no-worker' | undefined
  /** The queue's config or pause changed. */
  readonly refresh: (key: string) => void
  readonly stop: () => void
}

const NOBODY: QueueFigures = { waiting: 0, delayed: 0, leased: 0, waiters: 0 }

/** What an open server, on which nobody configured queues, takes every queue to be. */
const openConfig = (key: string): QueueConfig => {
  const [app = '', queue = ''] = key.split('/')
  return { app, queue, mode: 'pull', users: [], writers: [], stint: DEFAULT_STINT_SETTINGS }
}

export const createTaskQueues = (options: {
  readonly store: EventStore
  readonly handler: Handler
  readonly live: Live
  readonly book: QueueBook
  readonly world: World
  /** Every queue exists, with the defaults: a server that has no queue files. */
  readonly isOpen: () => boolean
  readonly isStopping: () => boolean
}): TaskQueues => {
  const { store, handler, live, book, world } = options
  const indexes = new Map<string, QueueIndex>()
  const requests = createRequests(live)
  /** Bytes of payload that live tasks of each app hold. */
  const stored = new Map<string, number>()

  const indexOf = (key: string): QueueIndex => {
    let index = indexes.get(key)
    if (index === undefined) {
      index = createQueueIndex({ world, live, served: () => servedConfig(book.get(key), options.isOpen() ? openConfig : undefined, key) })
      indexes.set(key, index)
    }
    return index
  }

  const mayDo: TaskQueues['admits'] = (key, what) => {
    const queue = book.get(key)
    return queue.status === 'absent' && options.isOpen() ? E.right(openConfig(key)) : admits(queue, what)
  }

  const withPayload = async (workItem: WorkItemId, done: Done): Promise<E.Either<Refusal, LeasedTask>> => {
    const { item } = done
    // A stream that is full ends its task in place of leasing it.
    if (!isHeld(item)) return E.left({ type: 'stale-lease', state: surfaceState(item), detail: 'Its stream is full.' })
    const first = await store.readStream(streamOf(workItem), { from: 0, max: 1 })()
    if (E.isLeft(first)) return first
    const [recorded] = first.right
    const birth = recorded === undefined ? undefined : readEvent(recorded)
    if (birth === undefined || E.isLeft(birth) || birth.right.type !== 'TaskInserted') throw new Error(`The stream of ${workItem} does not begin with its birth`)
    return E.right({ ...done, item, workItem, birth: birth.right, payload: recorded?.payload })
  }

  const grantOf = (request: LeaseRequest): LeaseGrant => ({
    holder: request.holder,
    token: world.token(LEASE_TOKEN_LENGTH),
    termMs: request.termMs,
    ...(request.requestId === undefined ? {} : { requestId: request.requestId }),
  })

  const leaseOne = async (index: QueueIndex, request: LeaseRequest, context: Context, workItem: WorkItemId): Promise<E.Either<Refusal, LeasedTask>> => {
    const done = await handler.execute(workItem, { type: 'LeaseTask', ...grantOf(request) }, { ...context, commandId: uuidV5(context.commandId, workItem) })
    if (E.isRight(done)) return withPayload(workItem, done.right)
    index.giveBack(workItem)
    return done
  }

  const waitForWork = (index: QueueIndex, request: LeaseRequest, ask: Ask, ms: number): Promise<LeasedTask | undefined> =>
    new Promise((resolve) => {
      let isOver = false
      const finish = (leased?: LeasedTask): void => {
        if (isOver) return
        isOver = true
        index.leave(waiter)
        cancel()
        request.signal?.removeEventListener('abort', wake)
        resolve(leased)
      }
      const wake = (): void => finish()
      const waiter: LeaseWaiter = { ask, wake, grant: grantOf(request), hand: finish }
      const cancel = world.timer(ms, () => {
        // Reserved for a birth that is on its way: its answer comes in a moment, whatever the clock says.
        if (!reserved.has(waiter)) finish()
      })
      request.signal?.addEventListener('abort', wake, { once: true })
      index.wait(waiter)
    })

  const reserved = new Set<LeaseWaiter>()

  const leaseFrom = async (request: LeaseRequest, context: Context, signal: AbortSignal): Promise<E.Either<Refusal, readonly LeasedTask[]>> => {
    const key = queueKey(request)
    const index = indexOf(key)
    const ask: Ask = { max: request.max, holder: holderKey(request.holder), isNamed: request.holder.name !== '', tag: request.tag, sameTag: request.sameTag }
    const until = world.monotonic() + request.waitMs
    for (;;) {
      if (options.isStopping() || signal.aborted) return E.right([])
      const admitted = mayDo(key, 'lease')
      // A paused queue has nothing to give, and may have again before the wait is over.
      if (E.isLeft(admitted) && admitted.left.type !== 'queue-paused') return admitted
      const { workItems, again } = index.take(ask)
      const tried = await Promise.all(workItems.map((workItem) => leaseOne(index, request, context, workItem)))
      const leased = tried.flatMap((one) => (E.isRight(one) ? [one.right] : []))
      const failed = tried.find(E.isLeft)
      // A task that slipped away is nobody's failure; a store that does not answer is.
      if (leased.length === 0 && failed !== undefined && failed.left instanceof Error) return failed
      const now = world.monotonic()
      if (leased.length > 0 || now >= until) return E.right(leased)
      if (workItems.length > 0) continue
      const handed = await waitForWork(index, { ...request, signal }, ask, Math.min(until, again ?? until) - now)
      if (handed !== undefined) return E.right([handed])
    }
  }

  const leaseAgain = async (held: readonly WorkItemId[]): Promise<E.Either<Refusal, readonly LeasedTask[]>> => {
    const tasks: LeasedTask[] = []
    for (const workItem of held) {
      const entry = live.get(workItem)
      if (entry === undefined) continue
      const leased = await withPayload(workItem, { item: entry.item, before: entry.item, events: [], recorded: true, position: entry.position })
      if (E.isRight(leased)) tasks.push(leased.right)
      else if (leased.left instanceof Error) return leased
    }
    return E.right(tasks)
  }

  const storedBy = (app: string): number => stored.get(app) ?? 0

  const isOverStorage = (config: QueueConfig, bytes: number): boolean => config.storageLimitBytes !== undefined && storedBy(config.app) + bytes > config.storageLimitBytes

  const countBytes = (before: WorkItem, after: Existing): void => {
    const bytes = after.task?.bytes ?? 0
    if (bytes === 0 || after.task === undefined) return
    const was = before.status !== 'absent' && before.status !== 'settled'
    const is = after.status !== 'settled'
    if (was !== is) stored.set(after.task.app, storedBy(after.task.app) + (is ? bytes : -bytes))
  }

  const insert: TaskQueues['insert'] = async (workItem, command, context, payload) => {
    const key = queueKey(command.task)
    const admitted = mayDo(key, 'insert')
    if (E.isLeft(admitted)) return admitted
    if (isOverStorage(admitted.right, payload.byteLength) && live.get(workItem) === undefined) return E.left({ type: 'over-quota', detail: `The waiting tasks of ${command.task.app} take all the bytes that its queue.yaml allows.` })
    const index = indexOf(key)
    // Every waiter in these indexes was made here.
    const waiter = index.reserve(workItem, command.task) as LeaseWaiter | undefined
    if (waiter === undefined) return handler.execute(workItem, command, context, payload)
    reserved.add(waiter)
    try {
      const done = await handler.execute(workItem, { ...command, leaseTo: waiter.grant }, context, payload)
      if (E.isRight(done) && done.right.before.status === 'absent' && isHeld(done.right.item)) {
        const [birth] = done.right.events
        if (birth?.type !== 'TaskInserted') throw new Error(`${workItem} was born without its birth`)
        waiter.hand({ ...done.right, item: done.right.item, workItem, birth, payload })
      } else index.giveBack(workItem)
      return done
    } finally {
      reserved.delete(waiter)
      waiter.wake()
    }
  }

  return {
    changed: (workItem, before, after) => {
      if (after.task === undefined) return
      countBytes(before, after)
      requests.changed(workItem, before, after)
      indexOf(queueKey(after.task)).changed(workItem, before, after)
    },
    insert,
    lease: async (request, context) => {
      if (request.requestId === undefined) return leaseFrom(request, context, request.signal ?? new AbortController().signal)
      return requests.run({ ...request, requestId: request.requestId }, leaseAgain, (signal) => leaseFrom(request, context, signal))
    },
    retryFor: (item) => {
      if (item.task === undefined) return { pauseMs: 0 }
      const queue = book.get(queueKey(item.task))
      const config = queue.status === 'absent' ? openConfig(queueKey(item.task)) : queue.config
      return { ...retryPolicy(config, item.attempt, world.random()), deadLetter: config.stint.deadLetter }
    },
    admits: mayDo,
    figures: (key) => indexes.get(key)?.figures() ?? NOBODY,
    gateOf: (item) => {
      if (item.task === undefined || item.status !== 'waiting') return undefined
      const index = indexOf(queueKey(item.task))
      if (item.task.key !== undefined && index.isKeyInUse(item.task.key)) return 'key'
      if (index.rateWaitMs() > 0) return 'rate'
      return index.figures().waiters === 0 ? 'no-worker' : undefined
    },
    refresh: (key) => indexes.get(key)?.refresh(),
    stop: () => {
      for (const index of indexes.values()) index.stop()
    },
  }
}
