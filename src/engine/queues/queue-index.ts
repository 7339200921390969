// What can be leased from one queue, in which order, and who waits for it. An index over `live`, never the truth: an entry that comes up is held against the item
// as it is, and one of an earlier revision is dropped. Nothing here scans: delayed tasks wait in a heap by time, due ones in a heap by rank (and one for each tag),
// tasks whose key is in use wait with that key.
import TinyQueue from 'tinyqueue'
import type { WorkItemId } from '../../domain/ids.ts'
import { fullBucket, putBack, take as takeTokens, waitMs, type Bucket } from '../../domain/policy/rate.ts'
import type { QueueConfig } from '../../domain/queue/config.ts'
import { isHeld, type Existing, type TaskFacts, type WorkItem } from '../../domain/work-item/state.ts'
import type { Cancel, World } from '../../world.ts'
import type { Live } from '../live.ts'

export interface Ask {
  readonly max: number
  /** Who asks: principal and worker; a caller that names no worker is passed over only while somebody else waits (rules 21). */
  readonly holder: string
  readonly isNamed: boolean
  /** Only tasks with this tag. */
  readonly tag?: string | undefined
  /** Only tasks with the tag of the oldest; if that has none, only tasks without. */
  readonly sameTag?: boolean | undefined
}

export interface Waiter {
  readonly ask: Ask
  /** Something may be there. */
  readonly wake: () => void
}

export interface Taken {
  readonly workItems: readonly WorkItemId[]
  /** Monotonic time at which asking again may bring more, though nothing changes: a rate flows, a pass-over ends. */
  readonly again?: number | undefined
}

export interface QueueFigures {
  readonly waiting: number
  readonly delayed: number
  readonly leased: number
  readonly waiters: number
}

export interface QueueIndex {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** Takes what `ask` may have; each is claimed until it changes or is given back (rules 8). */
  readonly take: (ask: Ask) => Taken
  /** The claim came to nothing. */
  readonly giveBack: (workItem: WorkItemId) => void
  readonly wait: (waiter: Waiter) => void
  readonly leave: (waiter: Waiter) => void
  /**
   * A task that is about to be born: the waiter that shall have it in the same append, taken out of the line, its key and rate counted; undefined when it has to wait
   * its turn (rules 10).
   */
  readonly reserve: (workItem: WorkItemId, task: TaskFacts) => Waiter | undefined
  /** Config or pause changed: whoever waits looks again. */
  readonly refresh: () => void
  readonly figures: () => QueueFigures
  /** Whether this key has all the holders it may have. */
  readonly isKeyInUse: (key: string) => boolean
  /** Milliseconds until the rate lets another lease through; 0 without a rate. */
  readonly rateWaitMs: () => number
  readonly stop: () => void
}

interface Candidate {
  readonly workItem: WorkItemId
  readonly revision: number
  readonly dueAt: number
  readonly priority: number
  readonly sequence: number
  readonly tag: string | undefined
  readonly key: string | undefined
}

interface PassedOver {
  readonly until: number
  readonly spanMs: number
}

/** A worker that gave a task back is passed over for it so long, doubling each time (rules 21). */
const PASSED_OVER_MS = 1_000
const PASSED_OVER_MS_MAX = 60_000

const byRank = (a: Candidate, b: Candidate): number => b.priority - a.priority || a.dueAt - b.dueAt || a.sequence - b.sequence
const byTime = (a: Candidate, b: Candidate): number => a.dueAt - b.dueAt || a.sequence - b.sequence

/** The task's facts while it can be leased. */
const leasable = (item: WorkItem | undefined): TaskFacts | undefined => (item?.status === 'waiting' && item.will === 'normal' ? item.task : undefined)

/** @param served the config in force, or undefined while nothing may be leased (paused, removed, push) */
export const createQueueIndex = (options: { readonly world: World; readonly live: Live; readonly served: () => QueueConfig | undefined }): QueueIndex => {
  const { world, live, served } = options
  const delayed = new TinyQueue<Candidate>([], byTime)
  const ready = new TinyQueue<Candidate>([], byRank)
  const byTag = new Map<string, TinyQueue<Candidate>>()
  const blocked = new Map<string, Candidate[]>()
  const keysInUse = new Map<string, number>()
  const claimed = new Map<WorkItemId, string | undefined>()
  const passedOver = new Map<WorkItemId, Map<string, PassedOver>>()
  const waiters = new Set<Waiter>()
  let bucket: Bucket | undefined
  let sequence = 0
  let waiting = 0
  let leased = 0
  let timer: { readonly at: number; readonly cancel: Cancel } | undefined

  const isCurrent = (candidate: Candidate): boolean => {
    const item = live.get(candidate.workItem)?.item
    return item !== undefined && item.revision === candidate.revision && leasable(item) !== undefined && !claimed.has(candidate.workItem)
  }

  const limitOfKey = (): number => served()?.stint.keyConcurrency ?? 1
  const isKeyInUse = (key: string): boolean => (keysInUse.get(key) ?? 0) >= limitOfKey()

  const push = (candidate: Candidate): void => {
    if (candidate.dueAt > world.now()) {
      delayed.push(candidate)
      setTimer()
      return
    }
    ready.push(candidate)
    if (candidate.tag !== undefined) {
      let heap = byTag.get(candidate.tag)
      if (heap === undefined) byTag.set(candidate.tag, (heap = new TinyQueue<Candidate>([], byRank)))
      heap.push(candidate)
    }
  }

  /** Those whose time has come move over; somebody who waits is woken when the next will. */
  const ripen = (): void => {
    const now = world.now()
    for (let first = delayed.peek(); first !== undefined && first.dueAt <= now; first = delayed.peek()) {
      delayed.pop()
      if (isCurrent(first)) push(first)
    }
  }

  const setTimer = (): void => {
    const first = delayed.peek()
    if (first === undefined || waiters.size === 0) return
    if (timer !== undefined && timer.at <= first.dueAt) return
    timer?.cancel()
    const cancel = world.timer(first.dueAt - world.now(), () => {
      timer = undefined
      ripen()
      wakeOne()
      setTimer()
    })
    timer = { at: first.dueAt, cancel }
  }

  const passedOverUntil = (workItem: WorkItemId, ask: Ask): number => {
    if (!ask.isNamed && waiters.size === 0) return 0
    return passedOver.get(workItem)?.get(ask.holder)?.until ?? 0
  }

  const isFor = (candidate: Candidate, ask: Ask, now: number): boolean => (ask.tag === undefined || candidate.tag === ask.tag) && passedOverUntil(candidate.workItem, ask) <= now

  /** Wakes the first in line whom the next task suits. */
  const wakeOne = (): void => {
    const first = ready.peek()
    if (first === undefined) return
    const now = world.monotonic()
    for (const waiter of waiters) {
      if (!isFor(first, waiter.ask, now)) continue
      waiter.wake()
      return
    }
    // It suits nobody by its tag or by whom it was given back; another task may.
    for (const waiter of waiters) if (waiter.ask.tag === undefined || (byTag.get(waiter.ask.tag)?.length ?? 0) > 0) waiter.wake()
  }

  const tokens = (wanted: number): number => {
    const rate = served()?.stint.rate
    if (rate === undefined) return wanted
    const taken = takeTokens(rate, bucket ?? fullBucket(rate, world.monotonic()), wanted, world.monotonic())
    bucket = taken.bucket
    return taken.taken
  }

  const returnTokens = (count: number): void => {
    const rate = served()?.stint.rate
    if (rate !== undefined && bucket !== undefined && count > 0) bucket = putBack(rate, bucket, count)
  }

  const rateWaitMs = (): number => {
    const rate = served()?.stint.rate
    return rate === undefined || bucket === undefined ? 0 : waitMs(rate, bucket, world.monotonic())
  }

  const claim = (candidate: Candidate): void => {
    claimed.set(candidate.workItem, candidate.key)
    if (candidate.key !== undefined) keysInUse.set(candidate.key, (keysInUse.get(candidate.key) ?? 0) + 1)
  }

  const freeKey = (key: string | undefined): void => {
    if (key === undefined) return
    const left = (keysInUse.get(key) ?? 1) - 1
    if (left > 0) keysInUse.set(key, left)
    else keysInUse.delete(key)
    const line = blocked.get(key)
    for (let next = line?.shift(); next !== undefined; next = line?.shift()) {
      if (!isCurrent(next)) continue
      push(next)
      break
    }
    if (line?.length === 0) blocked.delete(key)
    wakeOne()
  }

  const candidateOf = (workItem: WorkItemId, revision: number, task: TaskFacts): Candidate => ({
    workItem,
    revision,
    dueAt: task.dueAt,
    priority: task.priority ?? 0,
    sequence: (sequence += 1),
    tag: task.tag,
    key: task.key,
  })

  const giveBack: QueueIndex['giveBack'] = (workItem) => {
    if (!claimed.has(workItem)) return
    const key = claimed.get(workItem)
    claimed.delete(workItem)
    returnTokens(1)
    const item = live.get(workItem)?.item
    const task = leasable(item)
    if (item !== undefined && task !== undefined) push(candidateOf(workItem, item.revision, task))
    freeKey(key)
    wakeOne()
  }

  const passOver = (workItem: WorkItemId, holder: string): void => {
    const pairs = passedOver.get(workItem) ?? new Map<string, PassedOver>()
    const spanMs = Math.min(PASSED_OVER_MS_MAX, (pairs.get(holder)?.spanMs ?? PASSED_OVER_MS / 2) * 2)
    passedOver.set(workItem, pairs.set(holder, { until: world.monotonic() + spanMs, spanMs }))
  }

  const changed: QueueIndex['changed'] = (workItem, before, after) => {
    const was = { held: isHeld(before), waiting: before.status === 'waiting' }
    const is = { held: isHeld(after), waiting: after.status === 'waiting' }
    waiting += Number(is.waiting) - Number(was.waiting)
    leased += Number(is.held) - Number(was.held)
    const wasClaimed = claimed.has(workItem)
    const key = after.task?.key
    // The claim has become a lease, which counts for its key until it ends.
    if (wasClaimed && is.held) claimed.delete(workItem)
    else if (is.held && !was.held && key !== undefined) keysInUse.set(key, (keysInUse.get(key) ?? 0) + 1)
    if (was.held && !is.held && after.ended?.how === 'released') passOver(workItem, holderKey(after.ended.holder))
    if (after.status === 'settled' || after.status === 'deadLetter') passedOver.delete(workItem)
    const task = leasable(after)
    if (task !== undefined && !wasClaimed) push(candidateOf(workItem, after.revision, task))
    if (was.held && !is.held) freeKey(key)
    if (wasClaimed && !is.held) giveBack(workItem)
    wakeOne()
  }

  /** The heap to take from, and what else must hold. */
  const source = (ask: Ask): { readonly heap: TinyQueue<Candidate> | undefined; readonly fits: (candidate: Candidate) => boolean } => {
    const any = (): boolean => true
    if (ask.tag !== undefined) return { heap: byTag.get(ask.tag), fits: any }
    if (ask.sameTag !== true) return { heap: ready, fits: any }
    for (let first = ready.peek(); first !== undefined && !isCurrent(first); first = ready.peek()) ready.pop()
    const tag = ready.peek()?.tag
    return tag === undefined ? { heap: ready, fits: (candidate) => candidate.tag === undefined } : { heap: byTag.get(tag), fits: any }
  }

  const take: QueueIndex['take'] = (ask) => {
    if (served() === undefined) return { workItems: [] }
    ripen()
    const { heap, fits } = source(ask)
    if (heap === undefined || heap.length === 0) return { workItems: [] }
    const granted = tokens(ask.max)
    const now = world.monotonic()
    const workItems: WorkItemId[] = []
    const aside: Candidate[] = []
    let again: number | undefined
    while (workItems.length < granted) {
      const candidate = heap.pop()
      if (candidate === undefined) break
      if (!isCurrent(candidate)) continue
      const until = passedOverUntil(candidate.workItem, ask)
      if (until > now || !fits(candidate)) {
        aside.push(candidate)
        if (until > now) again = Math.min(again ?? until, until)
      } else if (candidate.key !== undefined && isKeyInUse(candidate.key)) {
        const line = blocked.get(candidate.key)
        if (line === undefined) blocked.set(candidate.key, [candidate])
        else line.push(candidate)
      } else {
        claim(candidate)
        workItems.push(candidate.workItem)
      }
    }
    for (const candidate of aside) heap.push(candidate)
    returnTokens(granted - workItems.length)
    if (granted < ask.max && workItems.length === granted) again = Math.min(again ?? Infinity, now + rateWaitMs())
    if (ready.length > 0 && workItems.length > 0) wakeOne()
    return { workItems, again }
  }

  const reserve: QueueIndex['reserve'] = (workItem, task) => {
    if (waiters.size === 0 || served() === undefined || task.dueAt > world.now()) return undefined
    ripen()
    for (let first = ready.peek(); first !== undefined && !isCurrent(first); first = ready.peek()) ready.pop()
    if (ready.length > 0 || (task.key !== undefined && isKeyInUse(task.key))) return undefined
    for (const waiter of waiters) {
      if (waiter.ask.tag !== undefined && waiter.ask.tag !== task.tag) continue
      if (tokens(1) === 0) return undefined
      waiters.delete(waiter)
      claim(candidateOf(workItem, -1, task))
      return waiter
    }
    return undefined
  }

  return {
    changed,
    take,
    giveBack,
    wait: (waiter) => {
      waiters.add(waiter)
      ripen()
      setTimer()
    },
    leave: (waiter) => void waiters.delete(waiter),
    reserve,
    refresh: () => {
      for (const waiter of waiters) waiter.wake()
    },
    figures: () => ({ waiting: waiting - delayed.length, delayed: delayed.length, leased, waiters: waiters.size }),
    isKeyInUse,
    rateWaitMs,
    stop: () => {
      timer?.cancel()
      for (const waiter of waiters) waiter.wake()
    },
  }
}

/** Principal and worker, as one key. */
export const holderKey = (holder: { readonly subject: string; readonly name: string }): string => `${holder.subject}\n${holder.name}`
