// The operations that wait to be sent to one node: in the order in which they came, what has failed put off by itself, and the whole line slowed down while nothing gets through.
import TinyQueue from 'tinyqueue'
import type { WorkItemId } from '../../domain/ids.ts'
import { pauseMs } from '../../domain/policy/retry.ts'
import type { Backoff } from '../../domain/queue/config.ts'
import type { World } from '../../world.ts'
import type { FailedAttempt } from './attempt.ts'

/** 0.5 s, doubled each time, up to 30 s. */
export const SEND_BACKOFF: Backoff = { minMs: 500, maxMs: 30_000, doublings: 6, jitter: 0.2 }

/** An operation that was sent, or tried to be, and is not known to be taken. */
export interface Tried {
  attempts: number
  /** Since its node came up or registered last. */
  failures: number
  lastFailedAt?: number | undefined
  lastFailure?: string | undefined
  /** Monotonic. */
  notBefore?: number | undefined
  /** Its node may have it: an answer was lost, or none of those that tell. */
  mayBeTaken: boolean
}

export interface Line {
  readonly add: (workItem: WorkItemId) => void
  readonly drop: (workItem: WorkItemId) => void
  /** The next that may be sent now. */
  readonly next: () => WorkItemId | undefined
  /** How many may be sent now. */
  readonly ready: () => number
  /** How long until something may be sent, where nothing may be now; undefined: something may, or nothing is put off. */
  readonly waitMs: () => number | undefined
  readonly triedOf: (workItem: WorkItemId) => Tried | undefined
  /** How long it is put off, by itself or with the whole line; undefined: it is not. */
  readonly putOffMs: (workItem: WorkItemId) => number | undefined
  /** An attempt at it begins. */
  readonly begin: (workItem: WorkItemId) => Tried
  /** Something got through. */
  readonly succeeded: () => void
  readonly failed: (workItem: WorkItemId, how: Pick<FailedAttempt, 'detail' | 'mayBeTaken' | 'leastMs'>) => void
  /** Of this nothing has to be remembered any more. */
  readonly forget: (workItem: WorkItemId) => void
  /** Everything that was put off may be sent at once. */
  readonly refresh: () => void
  /** The last attempts failed: one at a time is enough to see whether the next does. */
  readonly isSlow: () => boolean
}

interface Later {
  readonly workItem: WorkItemId
  readonly at: number
}

export const createLine = (world: World, isWaiting: (workItem: WorkItemId) => boolean): Line => {
  const now = new Set<WorkItemId>()
  const later = new TinyQueue<Later>([], (a, b) => a.at - b.at)
  const tried = new Map<WorkItemId, Tried>()
  /** Of the line as a whole, in a row. */
  let failures = 0
  let notBefore = 0

  /** What was put off and is due, or is overdue by now for another reason. */
  const callIn = (): void => {
    for (let top = later.peek(); top !== undefined && top.at <= world.monotonic(); top = later.peek()) {
      later.pop()
      if (tried.get(top.workItem)?.notBefore === top.at && isWaiting(top.workItem)) now.add(top.workItem)
    }
  }

  const begin: Line['begin'] = (workItem) => {
    const known = tried.get(workItem) ?? { attempts: 0, failures: 0, mayBeTaken: false }
    known.attempts += 1
    known.notBefore = undefined
    tried.set(workItem, known)
    return known
  }

  return {
    add: (workItem) => {
      const putOff = tried.get(workItem)?.notBefore
      if (putOff === undefined || putOff <= world.monotonic()) now.add(workItem)
    },
    drop: (workItem) => void now.delete(workItem),
    next: () => {
      callIn()
      if (world.monotonic() < notBefore) return undefined
      const [first] = now
      if (first !== undefined) now.delete(first)
      return first
    },
    ready: () => {
      callIn()
      return world.monotonic() < notBefore ? 0 : now.size
    },
    waitMs: () => {
      callIn()
      const left = notBefore - world.monotonic()
      if (now.size > 0) return left > 0 ? left : undefined
      const next = later.peek()
      return next === undefined ? undefined : Math.max(left, next.at - world.monotonic())
    },
    triedOf: (workItem) => tried.get(workItem),
    putOffMs: (workItem) => {
      const own = tried.get(workItem)?.notBefore
      const left = own === undefined ? 0 : Math.max(own, notBefore) - world.monotonic()
      return left > 0 ? left : undefined
    },
    begin,
    succeeded: () => {
      failures = 0
      notBefore = 0
    },
    failed: (workItem, { detail, mayBeTaken, leastMs = 0 }) => {
      const known = tried.get(workItem)
      if (known === undefined) return
      const mono = world.monotonic()
      known.failures += 1
      known.mayBeTaken ||= mayBeTaken
      known.lastFailedAt = world.now()
      known.lastFailure = detail
      // Those that were under way with it fail for the same reason, and count as one.
      if (mono >= notBefore) {
        failures += 1
        notBefore = mono + pauseMs(SEND_BACKOFF, failures, world.random())
      }
      known.notBefore = mono + Math.max(pauseMs(SEND_BACKOFF, known.failures, world.random()), Math.min(leastMs, SEND_BACKOFF.maxMs))
      later.push({ workItem, at: known.notBefore })
    },
    forget: (workItem) => {
      now.delete(workItem)
      tried.delete(workItem)
    },
    refresh: () => {
      failures = 0
      notBefore = 0
      for (let top = later.pop(); top !== undefined; top = later.pop()) {
        const known = tried.get(top.workItem)
        if (known?.notBefore !== top.at) continue
        known.failures = 0
        known.notBefore = undefined
        if (isWaiting(top.workItem)) now.add(top.workItem)
      }
    },
    isSlow: () => failures > 0,
  }
}
