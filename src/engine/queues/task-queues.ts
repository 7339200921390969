// Tasks in and out of queues: inserts, which may go straight to a worker that waits, and lease calls, which take what is there or wait for it.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../../domain/ids.ts'
import { retryPolicy } from '../../domain/policy/retry.ts'
import { DEFAULT_STINT_SETTINGS, queueKey, type QueueConfig } from '../../domain/queue/config.ts'
import { admits, type QueueRejection } from '../../domain/queue/decide.ts'
import type { CommandOfType, LeaseGrant, RetryPolicy } from '../../domain/work-item/commands.ts'
import { isHeld, surfaceState, type Existing, type WorkItem } from '../../domain/work-item/state.ts'
import { readEvent } from '../../projections/fold.ts'
import { StoreFault, type EventStore } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { Context, Done, LeasedTask, LeaseRequest, QueueGate, Refusal, Timeless } from '../engine.ts'
import { uuidV5 } from '../envelope.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { createLeaseLine, type LeaseLine } from './lease-line.ts'
import { servedConfig, type QueueBook } from './queue-book.ts'
import { createQueueIndex, holderKey, type Ask, type QueueFigures, type QueueIndex } from './queue-index.ts'
import { createRequests } from './requests.ts'
import { createStorage } from './storage.ts'

const LEASE_TOKEN_LENGTH = 8

export interface TaskFigures extends QueueFigures {
  /** Bytes of payload that live tasks of all queues of the app take together. */
  readonly storedBytes: number
}

export interface TaskQueues {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  readonly insert: (workItem: WorkItemId, command: Timeless<CommandOfType<'InsertTask'>>, context: Context, payload: Uint8Array | undefined) => Promise<E.Either<Refusal, Done>>
  readonly lease: (request: LeaseRequest, context: Context) => Promise<E.Either<Refusal, readonly LeasedTask[]>>
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
  readonly stop: () => void
}

type Leased = Omit<LeasedTask, 'birth' | 'payload'>

const NOBODY: QueueFigures = { waiting: 0, delayed: 0, leased: 0, waiters: 0, claims: 0 }

/** What an open server, on which nobody configured queues, takes every queue to be. */
export const openConfig = (key: string): QueueConfig => {
  const [app = '', queue = ''] = key.split('/')
  return { app, queue, mode: 'pull', users: [], writers: [], stint: DEFAULT_STINT_SETTINGS }
}

const GATES = { 'queue-paused': 'queue-paused', 'queue-removed': 'queue-removed', 'not-served': 'not-served', 'not-found': 'queue-removed' } as const

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
  const storage = createStorage()
  const line: LeaseLine = createLeaseLine(world)

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

  const configOf: TaskQueues['configOf'] = (key) => {
    const queue = book.get(key)
    if (queue.status !== 'absent') return queue.config
    return options.isOpen() ? openConfig(key) : undefined
  }

  /** With births and payloads, read all at once. */
  const withPayloads = async (leased: readonly Leased[]): Promise<E.Either<StoreFault, readonly LeasedTask[]>> => {
    if (leased.length === 0) return E.right([])
    const first = await store.readFirst(leased.map(({ workItem }) => streamOf(workItem)))()
    if (E.isLeft(first)) return first
    return E.right(
      leased.map((one, index) => {
        const recorded = first.right[index]
        const birth = recorded === undefined ? undefined : readEvent(recorded)
        if (birth === undefined || E.isLeft(birth) || birth.right.type !== 'TaskInserted') throw new Error(`The stream of ${one.workItem} does not begin with its birth`)
        return { ...one, birth: birth.right, payload: recorded?.payload }
      }),
    )
  }

  const grantOf = (request: LeaseRequest): LeaseGrant => ({
    holder: request.holder,
    token: world.token(LEASE_TOKEN_LENGTH),
    termMs: request.termMs,
    ...(request.requestId === undefined ? {} : { requestId: request.requestId }),
  })

  const leaseOne = async (index: QueueIndex, request: LeaseRequest, context: Context, workItem: WorkItemId): Promise<E.Either<Refusal, Leased>> => {
    let done: E.Either<Refusal, Done>
    try {
      done = await handler.execute(workItem, { type: 'LeaseTask', ...grantOf(request) }, { ...context, commandId: uuidV5(context.commandId, workItem) })
    } catch (defect) {
      index.giveBack(workItem)
      throw defect
    }
    // Of a commit that failed nobody knows whether the lease is there: the claim stays until a restart tells (rules 9).
    const isUnknown = E.isLeft(done) && done.left instanceof StoreFault && done.left.kind === 'unknown-outcome'
    if (!isUnknown && !(E.isRight(done) && isHeld(done.right.item))) index.giveBack(workItem)
    if (E.isLeft(done)) return done
    const { item } = done.right
    // A stream that is full ends its task in place of leasing it.
    return isHeld(item) ? E.right({ ...done.right, item, workItem }) : E.left({ type: 'stale-lease', state: surfaceState(item), detail: 'Its stream is full.' })
  }

  const leaseFrom = async (request: LeaseRequest, context: Context, signal: AbortSignal): Promise<E.Either<Refusal, readonly LeasedTask[]>> => {
    const key = queueKey(request)
    const { max, tag, sameTag, bytesMax } = request
    const ask: Ask = { max, holder: holderKey(request.holder), isNamed: request.holder.name !== '', tag, sameTag, bytesMax }
    const until = world.monotonic() + request.waitMs
    for (;;) {
      if (options.isStopping() || signal.aborted) return E.right([])
      const admitted = mayDo(key, 'lease')
      // A paused queue has nothing to give, and may have again before the wait is over.
      if (E.isLeft(admitted) && admitted.left.type !== 'queue-paused') return admitted
      const index = indexOf(key)
      const left = until - world.monotonic()
      const there = index.take(ask)
      const found = there.length > 0 || left <= 0 ? there : await line.wait(index, { ask, grant: grantOf(request), ms: left, signal })
      if ('handed' in found) return E.right([found.handed])
      const tried = await Promise.all(found.map((workItem) => leaseOne(index, request, context, workItem)))
      const leased = tried.flatMap((one) => (E.isRight(one) ? [one.right] : []))
      const failed = tried.find(E.isLeft)
      // A task that slipped away is nobody's failure; a store that does not answer is.
      if (leased.length === 0 && failed !== undefined && failed.left instanceof Error) return failed
      // What slipped away does not count: there may be more behind it.
      if (leased.length > 0 || (found.length === 0 && world.monotonic() >= until)) return withPayloads(leased)
    }
  }

  const leaseAgain = (held: readonly WorkItemId[]): Promise<E.Either<Refusal, readonly LeasedTask[]>> =>
    withPayloads(
      held.flatMap((workItem): readonly Leased[] => {
        const entry = live.get(workItem)
        if (entry === undefined || !isHeld(entry.item)) return []
        return [{ workItem, item: entry.item, before: entry.item, events: [], recorded: true, position: entry.position }]
      }),
    )

  const takeBack: TaskQueues['takeBack'] = async (workItem, lease, context) => {
    const task = live.get(workItem)?.item.task
    const punish = task === undefined ? () => undefined : indexOf(queueKey(task)).pardon(workItem)
    try {
      return await handler.execute(
        workItem,
        { type: 'ReleaseLease', by: context.subject, lease, busy: false, delayMs: 0, reason: 'The answer that gave the lease got lost.' },
        context,
      )
    } finally {
      punish()
    }
  }

  /** Born and leased to the first in line in one append; what becomes of the append, the worker is in its place again or has its task. */
  const insertFor = async (index: QueueIndex, workItem: WorkItemId, command: Timeless<CommandOfType<'InsertTask'>>, context: Context, payload: Uint8Array | undefined) => {
    const waiter = index.reserve(workItem, command.task)
    if (waiter === undefined) return handler.execute(workItem, command, context, payload)
    let isHanded = false
    try {
      const done = await handler.execute(workItem, { ...command, leaseTo: line.grantOf(waiter) }, context, payload)
      if (E.isRight(done) && done.right.before.status === 'absent' && isHeld(done.right.item)) {
        const [birth] = done.right.events
        if (birth?.type !== 'TaskInserted') throw new Error(`${workItem} was born without its birth`)
        isHanded = true
        index.handed(waiter)
        line.hand(waiter, { ...done.right, item: done.right.item, workItem, birth, payload })
      }
      return done
    } finally {
      if (!isHanded) index.release(waiter, workItem)
    }
  }

  const insert: TaskQueues['insert'] = async (workItem, command, context, payload) => {
    const key = queueKey(command.task)
    const admitted = mayDo(key, 'insert')
    if (E.isLeft(admitted)) return admitted
    const uncount = storage.claim(admitted.right, command.task.bytes ?? payload?.byteLength ?? 0)
    if (uncount === undefined) {
      // A repeat takes no room.
      const known = await handler.load(workItem)
      if (E.isLeft(known)) return known
      if (known.right.item.status !== 'absent') return handler.execute(workItem, command, context, payload)
      return E.left({ type: 'over-quota', detail: `The tasks of ${command.task.app} take all the ${admitted.right.storageLimitBytes} bytes that its queue.yaml allows.` })
    }
    try {
      return await insertFor(indexOf(key), workItem, command, context, payload)
    } finally {
      uncount()
    }
  }

  return {
    changed: (workItem, before, after) => {
      if (after.task === undefined) return
      storage.changed(before, after)
      requests.changed(workItem, before, after)
      indexOf(queueKey(after.task)).changed(workItem, before, after)
    },
    insert,
    lease: async (request, context) => {
      if (request.requestId === undefined) return leaseFrom(request, context, request.signal ?? new AbortController().signal)
      return requests.run({ ...request, requestId: request.requestId }, leaseAgain, (signal) => leaseFrom(request, context, signal))
    },
    takeBack,
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
      return { ...(indexes.get(key)?.figures() ?? NOBODY), storedBytes: storage.bytesOf(app) }
    },
    keys: () => indexes.keys(),
    gateOf: (item) => {
      if (item.task === undefined || item.status !== 'waiting') return undefined
      const key = queueKey(item.task)
      const admitted = mayDo(key, 'lease')
      if (E.isLeft(admitted)) return admitted.left.type in GATES ? { gate: GATES[admitted.left.type as keyof typeof GATES] } : undefined
      const index = indexOf(key)
      if (item.task.key !== undefined && index.isKeyInUse(item.task.key)) return { gate: 'key' }
      const rateWaitMs = index.rateWaitMs()
      if (rateWaitMs > 0) return { gate: 'rate', until: world.now() + rateWaitMs }
      return index.figures().waiters === 0 ? { gate: 'no-worker' } : undefined
    },
    refresh: (key) => indexes.get(key)?.refresh(),
    stop: () => {
      for (const index of indexes.values()) index.stop()
    },
  }
}
