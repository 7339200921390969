// One timer for all deadlines. Each item has at most one entry in the heap; a deadline that moved later is found out when the entry comes up, so that a
// sign of life costs nothing here, and no scan over all items ever happens (design 9, 14).
import TinyQueue from 'tinyqueue'
import type { WorkItemId } from '../domain/ids.ts'
import type { Cancel, World } from '../world.ts'

interface Armed {
  readonly workItem: WorkItemId
  /** Monotonic milliseconds. */
  readonly at: number
}

export interface Deadlines {
  /** Its deadline may have come nearer: looks at it again. */
  readonly touch: (workItem: WorkItemId) => void
  /** Its deadline came and nothing could be done: comes again after `ms`. */
  readonly again: (workItem: WorkItemId, ms: number) => void
  readonly close: () => void
}

/** A timer that fires this much too late says that the whole process stood still, by SIGSTOP, a suspended machine or a blocked loop. */
const STOOD_STILL_MS = 1_000

/** One that is late by less may still have overtaken signs of life that wait to be read: those are heard first, for so long, before anybody is judged. */
const LATE_MS = 50
const HEAR_FIRST_MS = 250

/** No entry lies further ahead: one whose item has settled meanwhile leaves the heap after this at the latest (rules 18). */
const AHEAD_MS_MAX = 600_000

/** Deadlines handled and entries looked at in one go, so that a crowd of them does not hold up everything else. */
const FIRED_AT_ONCE_MAX = 500
const SEEN_AT_ONCE_MAX = 10_000

/**
 * @param dueAt monotonic time at which the item's deadline is, undefined for none
 * @param fire the deadline has come; `touch` is called by what it changes
 * @param stoodStill the process did not run for a while; called before any deadline is judged
 */
export const createDeadlines = (options: {
  readonly world: World
  readonly dueAt: (workItem: WorkItemId) => number | undefined
  readonly fire: (workItem: WorkItemId) => void
  readonly stoodStill: () => void
}): Deadlines => {
  const { world, dueAt, fire, stoodStill } = options
  const heap = new TinyQueue<Armed>([], (a, b) => a.at - b.at)
  const armed = new Map<WorkItemId, number>()
  let timer: { readonly at: number; readonly cancel: Cancel } | undefined
  let isHearing = false
  let closed = false

  const wakeAt = (at: number): void => {
    const now = world.monotonic()
    timer?.cancel()
    // A backlog is due already: it is not the timer that is late then.
    timer = { at, cancel: world.timer(Math.max(0, at - now), () => tick(Math.max(at, now))) }
  }

  const setTimer = (): void => {
    const next = heap.peek()
    if (!closed && !isHearing && next !== undefined && (timer === undefined || timer.at > next.at)) wakeAt(next.at)
  }

  const tick = (expected: number): void => {
    timer = undefined
    const now = world.monotonic()
    if (now - expected > STOOD_STILL_MS) stoodStill()
    else if (now - expected > LATE_MS && !isHearing) {
      isHearing = true
      return wakeAt(now + HEAR_FIRST_MS)
    }
    isHearing = false
    for (let seen = 0, fired = 0; seen < SEEN_AT_ONCE_MAX && fired < FIRED_AT_ONCE_MAX; seen += 1) {
      const top = heap.peek()
      if (top === undefined || top.at > now) break
      heap.pop()
      if (armed.get(top.workItem) !== top.at) continue
      armed.delete(top.workItem)
      const due = dueAt(top.workItem)
      if (due === undefined) continue
      if (due > now) arm(top.workItem, due)
      else {
        fired += 1
        fire(top.workItem)
      }
    }
    setTimer()
  }

  const arm = (workItem: WorkItemId, due: number): void => {
    const at = Math.min(due, world.monotonic() + AHEAD_MS_MAX)
    armed.set(workItem, at)
    heap.push({ workItem, at })
  }

  return {
    touch: (workItem) => {
      const due = dueAt(workItem)
      const standing = armed.get(workItem)
      if (due === undefined || (standing !== undefined && standing <= due)) return
      arm(workItem, due)
      setTimer()
    },
    again: (workItem, ms) => {
      arm(workItem, world.monotonic() + ms)
      setTimer()
    },
    close: () => {
      closed = true
      timer?.cancel()
    },
  }
}
