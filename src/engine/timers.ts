// Turns time into commands: what a deadline of the domain means on this server's clocks, and what is said when it has come.
//
// Deadlines that stand in the log are wall time, but they are waited for on the monotonic clock: how far off one is, is read from the wall once, when it is first
// seen, so that a clock that is set back or forward neither lengthens nor ends a lease (rules 17). It is never read as earlier than the item's last event, from which
// the deadline was counted.
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../domain/ids.ts'
import { deadlineOf, operationDeadlines, type Deadline } from '../domain/policy/deadline.ts'
import { isHeld, type Existing } from '../domain/work-item/state.ts'
import type { World } from '../world.ts'
import { SERVER_GRACE_MS, type Duties } from './cluster/membership.ts'
import { createDeadlines } from './deadlines.ts'
import type { CommandToDo, Context } from './command.ts'
import type { Handler } from './handle.ts'
import type { Live } from './live.ts'
import { nodeDuty } from './long-tasks/node-index.ts'
import type { PresenceTable } from './presence.ts'
import type { TaskQueues } from './queues/task-queues.ts'

export interface Timers {
  /** The item has changed: its deadline may be another. */
  readonly touch: (workItem: WorkItemId) => void
  /** Whether the item's deadline, with its grace, is still to come. */
  readonly isAhead: (workItem: WorkItemId) => boolean
  readonly close: () => void
}

/** After a start or a standstill each lease gets at least this, or its term if that is shorter (rules 17). */
const GRACE_MS = 30_000

/** A timer's command that met a store fault is tried again after this. */
const FIRE_AGAIN_MS = 1_000

const SUBJECT = 'stint'

interface Anchor {
  /** The wall time for which it was made. */
  readonly at: number
  readonly mono: number
}

export const createTimers = (options: {
  readonly world: World
  readonly live: Live
  readonly presence: PresenceTable
  readonly handler: Handler
  readonly retryFor: TaskQueues['retryFor']
  /** Whose a deadline is to act upon, over a shared log; undefined where this server is the only one. */
  readonly duties: Duties | undefined
  /** Nothing may be said by time alone, now or any more; `touch` what is due once it may. */
  readonly isOff: () => boolean
  /** The log cannot be reached: what a holder asks for may have been asked for in time, and no lease is over. */
  readonly isBlind: () => boolean
  readonly onTrouble: (what: string, cause: unknown) => void
}): Timers => {
  const { world, live, presence, handler, duties, onTrouble } = options
  const anchors = new Map<WorkItemId, Anchor>()
  /** Of promised silences, over a shared log. */
  const promises = new Map<WorkItemId, Anchor>()

  const onMonotonicClock = (workItem: WorkItemId, at: number, among = anchors): number => {
    const known = among.get(workItem)
    if (known?.at === at) return known.mono
    const mono = world.monotonic() + at - Math.max(world.now(), live.get(workItem)?.item.updatedAt ?? 0)
    among.set(workItem, { at, mono })
    return mono
  }

  /** The holder may have been heard by another server, which records it when less than one silence of its promise is left (rules 16). */
  const promisedUntil = (workItem: WorkItemId): number => {
    const item = live.get(workItem)?.item
    return duties === undefined || item === undefined || !isHeld(item) ? -Infinity : onMonotonicClock(workItem, item.lease.until, promises)
  }

  /** A deadline belongs to one server, and others act when it should have: each in its turn, and after what clocks may differ by. */
  const laterMs = (workItem: WorkItemId): number => {
    if (duties === undefined) return 0
    const operation = live.get(workItem)?.item.operation
    return SERVER_GRACE_MS * (1 + duties.rankOf(operation === undefined ? workItem : nodeDuty(operation.node)))
  }

  /** Monotonic time of a deadline. After a start or a standstill nobody is judged before its grace is over. */
  const dueOf = (workItem: WorkItemId, deadline: Deadline): number => {
    switch (deadline.what) {
      case 'silence':
        return Math.max(presence.silentSince(workItem) + deadline.silenceMs, promisedUntil(workItem)) + laterMs(workItem)
      case 'stalled':
        return presence.stillSince(workItem) + deadline.stalledAfterMs + laterMs(workItem)
      case 'lease-ends':
        return Math.max(onMonotonicClock(workItem, deadline.at), presence.awakeSince() + Math.min(deadline.termMs, GRACE_MS)) + laterMs(workItem)
      case 'interrupted':
      case 'given-up':
      case 'times-out':
        return onMonotonicClock(workItem, deadline.at) + laterMs(workItem)
    }
  }

  interface Due {
    readonly deadline: Deadline
    readonly mono: number
  }

  const dueOperation = (workItem: WorkItemId, item: Existing): Due | undefined => {
    const dues = operationDeadlines(item).map((deadline) => ({ deadline, mono: dueOf(workItem, deadline) }))
    return dues.reduce<Due | undefined>((first, due) => (first === undefined || due.mono < first.mono ? due : first), undefined)
  }

  /** The next deadline of the item, and when on the monotonic clock. */
  const dueNow = (workItem: WorkItemId): Due | undefined => {
    const item = live.get(workItem)?.item
    if (item?.operation !== undefined && item.status !== 'settled') return dueOperation(workItem, item)
    const deadline = item === undefined ? undefined : deadlineOf(item)
    if (deadline === undefined || deadline.what === 'silence') anchors.delete(workItem)
    if (deadline?.what !== 'silence') promises.delete(workItem)
    return deadline === undefined ? undefined : { deadline, mono: dueOf(workItem, deadline) }
  }

  const dueAt = (workItem: WorkItemId): number | undefined => dueNow(workItem)?.mono

  const isAhead: Timers['isAhead'] = (workItem) => options.isBlind() || (dueAt(workItem) ?? Infinity) > world.monotonic()

  const commandOf = (workItem: WorkItemId, deadline: Deadline): CommandToDo | undefined => {
    const item = live.get(workItem)?.item
    if (item === undefined) return undefined
    switch (deadline.what) {
      case 'lease-ends':
        return { type: 'ExpireLease', lease: deadline.lease, reached: deadline.at, retry: options.retryFor(item) }
      case 'interrupted':
        return { type: 'Interrupt', lease: deadline.lease, reached: deadline.at }
      case 'given-up':
        return { type: 'GiveUpLost', lease: deadline.lease, reached: deadline.at }
      case 'times-out':
        return { type: 'TimeOut', cause: 'total', reached: deadline.at }
      case 'stalled':
        return { type: 'TimeOut', cause: 'stalled' }
      case 'silence':
        return { type: 'LoseHolder', lease: deadline.lease, lastSeenAt: presence.get(workItem)?.lastSeenAt ?? item.updatedAt }
    }
  }

  const fire = async (workItem: WorkItemId): Promise<void> => {
    const deadline = dueNow(workItem)?.deadline
    const command = deadline === undefined ? undefined : commandOf(workItem, deadline)
    if (deadline === undefined || command === undefined || options.isOff()) return
    const context: Context = { subject: SUBJECT, actor: SUBJECT, commandId: world.uuid() }
    const done = await handler.executeUnless(() => isAhead(workItem), workItem, command, context)
    if (E.isRight(done) || !(done.left instanceof Error)) return deadlines.touch(workItem)
    onTrouble(`${command.type} on ${workItem} will be tried again`, done.left)
    deadlines.again(workItem, FIRE_AGAIN_MS)
  }

  const deadlines = createDeadlines({
    world,
    dueAt,
    fire: (workItem) => void fire(workItem).catch((cause) => onTrouble(`A timer of ${workItem} failed`, cause)),
    stoodStill: () => presence.woke(),
  })

  return { touch: deadlines.touch, isAhead, close: deadlines.close }
}
