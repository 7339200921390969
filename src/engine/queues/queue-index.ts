// What can be leased from one queue, in which order, and who waits for it. An index over `live`, never the truth.
//
//   born, given back, tried again, redriven ─▶ delayed ─▶ due ─▶ offered to the first in line whom it suits, else it lies there
//                                                  ▲        └─▶ waits with its key, if that is in use
//                                                  └── time
//
// One thing always holds between two ticks: nothing that lies there suits anybody who waits. So what comes new need only be offered itself, and a task that is about to be
// born can go straight to the first in line (rules 10). What only time changes (a delay, a rate, a pass-over) has one timer, which runs while somebody waits.
import type { WorkItemId } from '../../domain/ids.ts'
import type { StintSettings } from '../../domain/queue/config.ts'
import { isHeld, leasable, type Existing, type Leasable, type WorkItem } from '../../domain/work-item/state.ts'
import type { Cancel, World } from '../../world.ts'
import type { Live } from '../live.ts'
import { createKeys } from './keys.ts'
import { createPassedOver } from './passed-over.ts'
import { createPace } from './pace.ts'
import { createForwardClock } from '../forward-clock.ts'
import { createReadyTasks, type Candidate, type Verdict } from './ready-tasks.ts'

/** What limits the leases of a line. */
export interface Served {
  readonly stint: Pick<StintSettings, 'rate' | 'keyConcurrency'>
}

export interface Ask {
  readonly max: number
  /** Who asks: principal and worker; a caller that names no worker is passed over only while somebody else waits (rules 21). */
  readonly holder: string
  readonly isNamed: boolean
  /** Only tasks with this tag. */
  readonly tag?: string | undefined
  /** Only tasks with the tag of the first that it gets; if that has none, only tasks without. */
  readonly sameTag?: boolean | undefined
  /** Bytes of payload, at most; the first task is given whatever its size. */
  readonly bytesMax?: number | undefined
}

export interface Waiter {
  readonly ask: Ask
  /** Is out of the line, with what was claimed for it; with nothing: look again at what the queue allows. */
  readonly serve: (workItems: readonly WorkItemId[]) => void
  /** It wanted to leave while it was reserved. */
  readonly isOver: () => boolean
}

export interface QueueFigures {
  /** Due: leasable now, but for keys, rates and pauses. */
  readonly waiting: number
  readonly delayed: number
  readonly leased: number
  readonly waiters: number
  /** Taken for a lease that is being appended. */
  readonly claims: number
}

export interface QueueIndex {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** Takes what `ask` may have; each is claimed until it is held or given back (rules 8). */
  readonly take: (ask: Ask) => readonly WorkItemId[]
  /** The claim came to nothing. */
  readonly giveBack: (workItem: WorkItemId) => void
  /** Gets in line; what suits it is given at once. */
  readonly wait: (waiter: Waiter) => void
  /** Gets out of line; false when it was served already or is reserved. */
  readonly leave: (waiter: Waiter) => boolean
  /**
   * A task that is about to be born: the waiter that shall have it in the same append, kept in its place meanwhile, with key and rate counted; undefined when the task
   * has to wait its turn.
   */
  readonly reserve: (workItem: WorkItemId, facts: Leasable) => Waiter | undefined
  /** The reserved waiter has its task, and is out of the line. */
  readonly handed: (waiter: Waiter) => void
  /** The birth came to nothing: the waiter waits on in its place. */
  readonly release: (waiter: Waiter, workItem: WorkItemId) => void
  /** Nobody is passed over for giving this task back, until the answer is called. */
  readonly pardon: (workItem: WorkItemId) => () => void
  /** Config or pause changed. */
  readonly refresh: () => void
  /** Somebody listens now who did not, or the other way round: delayed tasks are told when they are due, though nobody waits, only while somebody listens. */
  readonly listeningChanged: () => void
  /** Whether something lies there that could be leased now, but for keys and rates. */
  readonly hasReady: () => boolean
  readonly figures: () => QueueFigures
  /** Whether this key has all the holders it may have. */
  readonly isKeyInUse: (key: string) => boolean
  /** Milliseconds until the rate lets another lease through; 0 without a rate. */
  readonly rateWaitMs: () => number
  readonly stop: () => void
}

export interface QueueIndexOptions {
  readonly world: World
  readonly live: Live
  /** What limits the leases now, or undefined while nothing may be leased (paused, removed, push). */
  readonly served: () => Served | undefined
  /** Somebody wants to be told when work has come for which no worker waits. */
  readonly isListenedTo?: (() => boolean) | undefined
  /** Such work has come. It may be taken again by the time this is looked into. */
  readonly onReady?: (() => void) | undefined
}

export const createQueueIndex = (options: QueueIndexOptions): QueueIndex => {
  const { world, live, served, isListenedTo = () => false, onReady = () => undefined } = options
  const claimed = new Map<WorkItemId, string | undefined>()
  const waiters = new Set<Waiter>()
  const reserved = new Set<Waiter>()
  const pardoned = new Set<WorkItemId>()
  const passed = createPassedOver(world.monotonic)
  const pace = createPace(world.monotonic, () => served()?.stint.rate)
  let stopped = false
  let sequence = 0
  let waiting = 0
  let leased = 0
  /** Monotonic time at which somebody who waits may be served though nothing changes: a rate flows, a pass-over ends. */
  let again = Infinity
  let timer: { readonly at: number; readonly cancel: Cancel } | undefined

  const isUnclaimed = ({ workItem, revision }: Candidate): boolean => {
    const item = live.get(workItem)?.item
    return item !== undefined && item.revision === revision && leasable(item) !== undefined && !claimed.has(workItem)
  }
  const keys = createKeys(() => served()?.stint.keyConcurrency ?? 1, isUnclaimed)
  const clock = createForwardClock(world)
  const ready = createReadyTasks({ now: clock, isCurrent: (candidate) => !keys.isBlocked(candidate.workItem) && isUnclaimed(candidate), waiting: () => waiting })

  // ---- taking ----
  const passedOverUntil = (workItem: WorkItemId, ask: Ask, self: Waiter | undefined): number => {
    const othersWait = waiters.size > (self !== undefined && waiters.has(self) ? 1 : 0)
    return ask.isNamed || othersWait ? passed.until(workItem, ask.holder) : 0
  }

  const claim = (workItem: WorkItemId, key: string | undefined): void => {
    claimed.set(workItem, key)
    keys.use(key)
  }

  const takeFor = (ask: Ask, self?: Waiter): readonly WorkItemId[] => {
    if (served() === undefined || ready.isEmpty()) return []
    const granted = pace.take(ask.max)
    const now = world.monotonic()
    const taken: Candidate[] = []
    let bytes = 0
    const visit = (candidate: Candidate): Verdict => {
      if (taken.length >= granted) return 'stop'
      const until = passedOverUntil(candidate.workItem, ask, self)
      if (until > now) {
        again = Math.min(again, until)
        return 'aside'
      }
      if (candidate.key !== undefined && keys.isInUse(candidate.key)) {
        keys.block(candidate)
        return 'gone'
      }
      bytes += leasable(live.get(candidate.workItem)?.item)?.bytes ?? 0
      if (taken.length > 0 && bytes > (ask.bytesMax ?? Infinity)) return 'stop'
      claim(candidate.workItem, candidate.key)
      taken.push(candidate)
      return 'gone'
    }
    if (ask.tag !== undefined) ready.walk(visit, { tag: ask.tag })
    else if (ask.sameTag !== true) ready.walk(visit)
    else {
      ready.walk((candidate) => (taken.length > 0 ? 'stop' : visit(candidate)))
      if (taken[0] !== undefined) ready.walk(visit, { tag: taken[0].tag })
    }
    pace.putBack(granted - taken.length)
    if (taken.length === granted && granted < ask.max) again = Math.min(again, now + pace.waitMs())
    return taken.map(({ workItem }) => workItem)
  }

  // ---- those in line ----
  const serve = (waiter: Waiter): boolean => {
    const workItems = takeFor(waiter.ask, waiter)
    if (workItems.length === 0) return false
    waiters.delete(waiter)
    waiter.serve(workItems)
    return true
  }

  /** Sends somebody out of the line to look for itself; whoever is reserved hears of its task first. */
  const dismiss = (waiter: Waiter): void => {
    if (!reserved.has(waiter) && waiters.delete(waiter)) waiter.serve([])
  }

  const serveAll = (): void => {
    for (const waiter of waiters) {
      if (ready.isEmpty()) break
      if (!reserved.has(waiter)) serve(waiter)
    }
    schedule()
  }

  /** What has just become leasable goes to the first in line whom it suits. */
  const offer = (candidate: Candidate): void => {
    for (const waiter of waiters) {
      if (reserved.has(waiter) || (waiter.ask.tag !== undefined && waiter.ask.tag !== candidate.tag)) continue
      const until = passedOverUntil(candidate.workItem, waiter.ask, waiter)
      if (until > world.monotonic()) {
        again = Math.min(again, until)
        continue
      }
      // Whatever keeps it from one whom it suits, its key or the rate, keeps it from all.
      serve(waiter)
      return
    }
  }

  /** Says that work has come, if there is any. */
  const tell = (isThere: () => boolean): void => {
    if (!stopped && isListenedTo() && served() !== undefined && isThere()) onReady()
  }
  const hasReady = (): boolean => !ready.isEmpty()

  const schedule = (): void => {
    if (stopped || (waiters.size === 0 && !isListenedTo())) {
      timer?.cancel()
      timer = undefined
      again = Infinity
      return
    }
    const readyAt = ready.nextReadyAt()
    const now = world.monotonic()
    const at = Math.min(again, readyAt === undefined ? Infinity : now + Math.max(0, readyAt - clock()))
    if (at === Infinity || (timer !== undefined && timer.at <= at)) return
    timer?.cancel()
    const cancel = world.timer(Math.max(0, at - now), () => {
      timer = undefined
      // Who asked, was held back and does not wait has to be told when it may ask again.
      const isAgain = again <= world.monotonic()
      again = Infinity
      const ripe = ready.ripen()
      serveAll()
      tell(() => (isAgain ? hasReady() : ripe.some(isUnclaimed)))
    })
    timer = { at, cancel }
  }

  const offerAll = (candidates: readonly Candidate[]): void => {
    if (waiters.size > 0) {
      for (const candidate of candidates) offer(candidate)
      schedule()
    }
    tell(() => candidates.some(isUnclaimed))
  }

  // ---- what changes ----
  /** A delay counts from the event that gave it, which is never dated before the one ahead of it: the wall may have been set back since (rules 17). */
  const candidateOf = (workItem: WorkItemId, { revision, updatedAt }: Existing, task: Leasable): Candidate => ({
    workItem,
    revision,
    dueAt: task.dueAt,
    readyAt: clock() + Math.max(0, task.dueAt - Math.max(updatedAt, world.now())),
    priority: task.priority ?? 0,
    sequence: (sequence += 1),
    tag: task.tag,
    key: task.key,
  })

  /** The task, if it can be leased, and those whom its key has kept waiting become candidates. */
  const admit = (workItem: WorkItemId, freed: readonly Candidate[]): void => {
    const item = live.get(workItem)?.item
    const task = leasable(item)
    const candidates = item === undefined || task === undefined || claimed.has(workItem) ? freed : [candidateOf(workItem, item, task), ...freed]
    offerAll(candidates.filter((candidate) => ready.push(candidate) === 'due'))
    schedule()
  }

  const giveBack: QueueIndex['giveBack'] = (workItem) => {
    if (!claimed.has(workItem)) return
    const key = claimed.get(workItem)
    claimed.delete(workItem)
    pace.putBack(1)
    admit(workItem, keys.free(key))
  }

  const changed: QueueIndex['changed'] = (workItem, before, after) => {
    const was = { held: isHeld(before), waiting: before.status === 'waiting' }
    const is = { held: isHeld(after), waiting: after.status === 'waiting' }
    waiting += Number(is.waiting) - Number(was.waiting)
    leased += Number(is.held) - Number(was.held)
    ready.left(workItem)
    const wasInLine = keys.left(workItem)
    const key = after.task?.key
    if (is.held && !was.held) {
      // The claim has become a lease, which counts for its key until it ends.
      if (claimed.has(workItem)) claimed.delete(workItem)
      else keys.use(key)
    }
    if (was.held && !is.held && after.ended?.how === 'released' && !pardoned.has(workItem)) passed.add(workItem, holderKey(after.ended.holder))
    if (!is.held && !is.waiting) passed.forget(workItem)
    if (was.held && !is.held) admit(workItem, keys.free(key))
    // Whoever leaves without a lease may be the one that its key had let out of the line.
    else admit(workItem, was.waiting && !is.held && !wasInLine ? keys.next(key) : [])
  }

  /** Brings what time has changed up to now, before anything else is looked at. */
  const ripen = (): void => {
    offerAll(ready.ripen())
    if (waiters.size === 0 || again > world.monotonic()) return
    again = Infinity
    serveAll()
  }

  const reserve: QueueIndex['reserve'] = (workItem, task) => {
    if (waiters.size === 0 || served() === undefined || task.dueAt > world.now() || claimed.has(workItem) || live.get(workItem) !== undefined) return undefined
    ripen()
    if (task.key !== undefined && keys.isInUse(task.key)) return undefined
    for (const waiter of waiters) {
      if (reserved.has(waiter) || (waiter.ask.tag !== undefined && waiter.ask.tag !== task.tag)) continue
      // A token that has just flowed in belongs to what lies there already.
      if (pace.isLimited() && (!ready.isEmpty() || pace.take(1) === 0)) return undefined
      reserved.add(waiter)
      claim(workItem, task.key)
      return waiter
    }
    return undefined
  }

  return {
    changed,
    take: (ask) => {
      ripen()
      const taken = takeFor(ask)
      if (again < Infinity) schedule()
      return taken
    },
    giveBack,
    wait: (waiter) => {
      waiters.add(waiter)
      ripen()
      if (waiters.has(waiter)) serve(waiter)
      schedule()
    },
    leave: (waiter) => {
      if (reserved.has(waiter) || !waiters.delete(waiter)) return false
      // Whoever is alone now is passed over no more, if it has no name.
      if (waiters.size === 1) serveAll()
      schedule()
      return true
    },
    reserve,
    handed: (waiter) => {
      reserved.delete(waiter)
      waiters.delete(waiter)
      schedule()
    },
    release: (waiter, workItem) => {
      reserved.delete(waiter)
      giveBack(workItem)
      if (stopped || waiter.isOver()) dismiss(waiter)
      else if (waiters.has(waiter)) serve(waiter)
      schedule()
    },
    pardon: (workItem) => {
      pardoned.add(workItem)
      return () => void pardoned.delete(workItem)
    },
    refresh: () => {
      for (const candidate of keys.release()) ready.push(candidate)
      ready.ripen()
      again = Infinity
      if (served() !== undefined) {
        serveAll()
        tell(hasReady)
      }
      // Whether they may wait at all is for themselves to find out: the lists may be others now. They get in line again in the order in which they stood.
      for (const waiter of waiters) dismiss(waiter)
      schedule()
    },
    listeningChanged: () => {
      ripen()
      schedule()
    },
    hasReady: () => {
      ripen()
      return served() !== undefined && hasReady()
    },
    figures: () => {
      ripen()
      return { waiting: waiting - ready.delayedCount(), delayed: ready.delayedCount(), leased, waiters: waiters.size, claims: claimed.size }
    },
    isKeyInUse: keys.isInUse,
    rateWaitMs: pace.waitMs,
    stop: () => {
      stopped = true
      for (const waiter of waiters) dismiss(waiter)
      schedule()
    },
  }
}

/** Principal and worker, as one key. */
export const holderKey = (holder: { readonly subject: string; readonly name: string }): string => `${holder.subject}\n${holder.name}`
