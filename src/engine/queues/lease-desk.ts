// Where work that waits meets those who lease it: lines of waiting items, each with its index, from which lease calls take what is there or wait for it, and births that go
// straight to whoever waits. What a line is (the tasks of a queue, the requests of a contract) and whether it may be leased from is for its owner to say.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../../domain/ids.ts'
import type { LeaseGrant } from '../../domain/work-item/commands.ts'
import { nextLease } from '../../domain/work-item/leasing.ts'
import { isHeld, isLive, leasable, surfaceState, type Existing, type Leasable, type WorkItem } from '../../domain/work-item/state.ts'
import { readEvent } from '../../projections/fold.ts'
import { StoreFault, type EventStore, type RecordedEvent } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { CommandToDo, Context, Done, LeaseCall, LeasedItem, Refusal } from '../command.ts'
import { uuidV5 } from '../envelope.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { createBirths, type Born } from './births.ts'
import { createLeaseLine, type LeaseLine } from './lease-line.ts'
import { createQueueIndex, holderKey, type Ask, type QueueFigures, type QueueIndex, type Served, type Waiter } from './queue-index.ts'
import { createRequests } from './requests.ts'

const LEASE_TOKEN_LENGTH = 8

const NOBODY: QueueFigures = { waiting: 0, delayed: 0, leased: 0, waiters: 0, claims: 0 }

type Leased = Omit<LeasedItem, 'birth' | 'payload'>

export interface LeaseDesk {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** Waiting items of the line, leased; empty when the wait is over. */
  readonly lease: (line: string, call: LeaseCall, context: Context) => Promise<E.Either<Refusal, readonly LeasedItem[]>>
  /** Gives birth to an item of the line; one for which somebody waits is leased in the same append (rules 10). */
  readonly bear: (
    line: string,
    workItem: WorkItemId,
    facts: Leasable,
    command: (leaseTo: LeaseGrant | undefined) => CommandToDo,
    context: Context,
    payload: Uint8Array | undefined,
  ) => Promise<E.Either<Refusal, Done>>
  /** Gives back, uncounted, a lease of which its holder never heard; nobody is passed over for it (rules 27). */
  readonly takeBack: (workItem: WorkItemId, lease: string, context: Context) => Promise<E.Either<Refusal, Done>>
  readonly indexOf: (line: string) => QueueIndex
  readonly figures: (line: string) => QueueFigures
  /** Lines in which something has happened. */
  readonly lines: () => Iterable<string>
  /** Whether the line may be leased from has changed. */
  readonly refresh: (line: string) => void
  readonly listeningChanged: (line: string) => void
  readonly hasReady: (line: string) => boolean
  readonly stop: () => void
}

const readBirth = (workItem: WorkItemId, recorded: RecordedEvent | undefined): Born => {
  const birth = recorded === undefined ? undefined : readEvent(recorded)
  if (birth === undefined || E.isLeft(birth) || (birth.right.type !== 'TaskInserted' && birth.right.type !== 'RequestAccepted'))
    throw new Error(`The stream of ${workItem} does not begin with its birth`)
  return { birth: birth.right, payload: recorded?.payload }
}

export const createLeaseDesk = (options: {
  readonly store: EventStore
  readonly handler: Handler
  readonly live: Live
  readonly world: World
  /** The line of an item; undefined: it is none of this desk's. */
  readonly lineOf: (item: Existing) => string | undefined
  /** What limits leases of the line; undefined while nothing may be leased. */
  readonly served: (line: string) => Served | undefined
  /** Why no lease is given, for ever or (a pause) for now. */
  readonly admits: (line: string) => E.Either<Refusal, unknown>
  /** Somebody wants to be told when work has come for which no worker waits; and that it has. */
  readonly isListenedTo?: (line: string) => boolean
  readonly onReady?: (line: string) => void
  readonly isStopping: () => boolean
  /** Over a shared log: resolves when all that was appended before is known here; false: that will not be. Undefined: only a restart tells (rules 9). */
  readonly untilKnown: (() => Promise<boolean>) | undefined
}): LeaseDesk => {
  const { store, handler, live, world, lineOf } = options
  const indexes = new Map<string, QueueIndex>()
  const requests = createRequests(live, lineOf)
  const line: LeaseLine = createLeaseLine(world)
  /** Claims for leases of which nobody knows whether they are there. */
  const unsettled = new Map<WorkItemId, object>()

  const indexOf = (key: string): QueueIndex => {
    let index = indexes.get(key)
    if (index === undefined) {
      index = createQueueIndex({
        world,
        live,
        served: () => options.served(key),
        isListenedTo: () => options.isListenedTo?.(key) ?? false,
        onReady: () => options.onReady?.(key),
      })
      indexes.set(key, index)
    }
    return index
  }

  const born = createBirths()

  /** With births and payloads; those that are not at hand are read all at once. */
  const withPayloads = async (leased: readonly Leased[]): Promise<E.Either<StoreFault, readonly LeasedItem[]>> => {
    const atHand = leased.map(({ workItem }) => born.take(workItem))
    const missing = leased.filter((_, index) => atHand[index] === undefined)
    const first = missing.length === 0 ? E.right([]) : await store.readFirst(missing.map(({ workItem }) => streamOf(workItem)))()
    if (E.isLeft(first)) return first
    const read = first.right.values()
    return E.right(leased.map((one, index) => ({ ...one, ...(atHand[index] ?? readBirth(one.workItem, read.next().value)) })))
  }

  const grantOf = (call: LeaseCall): LeaseGrant => ({
    holder: call.holder,
    token: world.token(LEASE_TOKEN_LENGTH),
    termMs: call.termMs,
    ...(call.requestId === undefined ? {} : { requestId: call.requestId }),
  })

  const nextLeaseOf = (workItem: WorkItemId): number => {
    const item = live.get(workItem)?.item
    return item === undefined ? 1 : nextLease(item)
  }

  /** Once it is known what became of the lease: what is not held can be leased again. Should the append arrive later than that, its expected revision refuses it or the lease that was given since. */
  const settleClaim = async (index: QueueIndex, workItem: WorkItemId): Promise<void> => {
    const before = live.get(workItem)?.item
    if (options.untilKnown === undefined || (before !== undefined && isHeld(before))) return
    const claim = {}
    unsettled.set(workItem, claim)
    const isKnown = await options.untilKnown()
    // It has become a lease meanwhile, and that may be over: what is claimed now is somebody else's.
    if (unsettled.get(workItem) !== claim) return
    unsettled.delete(workItem)
    if (isKnown) index.giveBack(workItem)
  }

  const leaseOne = async (index: QueueIndex, call: LeaseCall, context: Context, workItem: WorkItemId): Promise<E.Either<Refusal, Leased>> => {
    let done: E.Either<Refusal, Done>
    try {
      // A command of its own for each lease of the item, since a call that has a name may be made again when its first lease is over.
      const commandId = uuidV5(context.commandId, `${workItem}\n${nextLeaseOf(workItem)}`)
      const reached = leasable(live.get(workItem)?.item)?.dueAt
      done = await handler.execute(workItem, { type: 'LeaseItem', reached, ...grantOf(call) }, { ...context, commandId })
    } catch (defect) {
      index.giveBack(workItem)
      throw defect
    }
    // Of a commit that failed nobody knows whether the lease is there: the claim stays until the log tells (rules 9).
    const isUnknown = E.isLeft(done) && done.left instanceof StoreFault && done.left.kind === 'unknown-outcome'
    if (isUnknown) void settleClaim(index, workItem)
    else if (!(E.isRight(done) && isHeld(done.right.item))) index.giveBack(workItem)
    if (E.isLeft(done)) return done
    const { item } = done.right
    // A stream that is full ends its item in place of leasing it.
    return isHeld(item) ? E.right({ ...done.right, item, workItem }) : E.left({ type: 'stale-lease', state: surfaceState(item), detail: 'Its stream is full.' })
  }

  const leaseFrom = async (key: string, call: LeaseCall, context: Context, signal: AbortSignal): Promise<E.Either<Refusal, readonly LeasedItem[]>> => {
    const { max, tag, sameTag, bytesMax } = call
    const ask: Ask = { max, holder: holderKey(call.holder), isNamed: call.holder.name !== '', tag, sameTag, bytesMax }
    const until = world.monotonic() + call.waitMs
    for (;;) {
      if (options.isStopping() || signal.aborted) return E.right([])
      const admitted = options.admits(key)
      if (E.isLeft(admitted)) return admitted
      if (call.mayStill?.() === false) return E.left({ type: 'forbidden', detail: 'The lists have changed meanwhile and do not name the caller any more.' })
      const index = indexOf(key)
      const left = until - world.monotonic()
      const there = index.take(ask)
      const found = there.length > 0 || left <= 0 ? there : await line.wait(index, { ask, grant: grantOf(call), ms: left, signal })
      if ('handed' in found) return E.right([found.handed])
      const tried = await Promise.all(found.map((workItem) => leaseOne(index, call, context, workItem)))
      const leased = tried.flatMap((one) => (E.isRight(one) ? [one.right] : []))
      const failed = tried.find(E.isLeft)
      // What slipped away is nobody's failure; a store that does not answer is, and so is a server that takes no commands: what is there stays there, and would be tried without end.
      if (leased.length === 0 && failed !== undefined && (failed.left instanceof Error || !('type' in failed.left) || failed.left.type === 'stopping')) return failed
      // What slipped away does not count: there may be more behind it.
      if (leased.length > 0 || (found.length === 0 && world.monotonic() >= until)) return withPayloads(leased)
    }
  }

  const leaseAgain = (held: readonly WorkItemId[]): Promise<E.Either<Refusal, readonly LeasedItem[]>> =>
    withPayloads(
      held.flatMap((workItem): readonly Leased[] => {
        const entry = live.get(workItem)
        if (entry === undefined || !isHeld(entry.item)) return []
        return [{ workItem, item: entry.item, before: entry.item, events: [], recorded: true, position: entry.position }]
      }),
    )

  /** Nobody waits for it. */
  const bearToWait = (workItem: WorkItemId, command: CommandToDo, context: Context, payload: Uint8Array | undefined): Promise<E.Either<Refusal, Done>> =>
    handler.execute(workItem, command, context, payload).then((done) => {
      const birth = E.isRight(done) && done.right.before.status === 'absent' ? done.right.events[0] : undefined
      if (birth?.type === 'TaskInserted' || birth?.type === 'RequestAccepted') born.keep(workItem, { birth, payload })
      return done
    })

  /** Born and leased to the first in line in one append; what becomes of the append, the worker is in its place again or has its item. */
  const bearFor = async (
    { index, waiter }: { readonly index: QueueIndex; readonly waiter: Waiter },
    workItem: WorkItemId,
    command: CommandToDo,
    context: Context,
    payload: Uint8Array | undefined,
  ): Promise<E.Either<Refusal, Done>> => {
    let isHanded = false
    try {
      const done = await handler.execute(workItem, command, context, payload)
      if (E.isRight(done) && done.right.before.status === 'absent' && isHeld(done.right.item)) {
        const [birth] = done.right.events
        if (birth?.type !== 'TaskInserted' && birth?.type !== 'RequestAccepted') throw new Error(`${workItem} was born without its birth`)
        isHanded = true
        index.handed(waiter)
        line.hand(waiter, { ...done.right, item: done.right.item, workItem, birth, payload })
      }
      return done
    } finally {
      if (!isHanded) index.release(waiter, workItem)
    }
  }

  const bear: LeaseDesk['bear'] = (key, workItem, facts, command, context, payload) => {
    const index = indexOf(key)
    const waiter = index.reserve(workItem, facts)
    return waiter === undefined ? bearToWait(workItem, command(undefined), context, payload) : bearFor({ index, waiter }, workItem, command(line.grantOf(waiter)), context, payload)
  }

  return {
    changed: (workItem, before, after) => {
      const key = lineOf(after)
      if (key === undefined) return
      if (!isLive(after)) born.drop(workItem)
      if (isHeld(after)) unsettled.delete(workItem)
      requests.changed(workItem, before, after)
      indexOf(key).changed(workItem, before, after)
    },
    lease: async (key, call, context) => {
      if (call.requestId === undefined) return leaseFrom(key, call, context, call.signal ?? new AbortController().signal)
      return requests.run(key, { ...call, requestId: call.requestId }, leaseAgain, (signal) => leaseFrom(key, call, context, signal))
    },
    bear,
    takeBack: async (workItem, lease, context) => {
      const item = live.get(workItem)?.item
      const key = item === undefined ? undefined : lineOf(item)
      const punish = key === undefined ? () => undefined : indexOf(key).pardon(workItem)
      try {
        return await handler.execute(
          workItem,
          { type: 'ReleaseLease', by: context.subject, lease, busy: false, delayMs: 0, reason: 'The answer that gave the lease got lost.' },
          context,
        )
      } finally {
        punish()
      }
    },
    indexOf,
    figures: (key) => indexes.get(key)?.figures() ?? NOBODY,
    lines: () => indexes.keys(),
    refresh: (key) => indexes.get(key)?.refresh(),
    listeningChanged: (key) => indexes.get(key)?.listeningChanged(),
    hasReady: (key) => indexes.get(key)?.hasReady() ?? false,
    stop: () => {
      for (const index of indexes.values()) index.stop()
    },
  }
}
