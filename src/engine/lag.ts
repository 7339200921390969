// How far the tables are behind the log, without doing arithmetic on positions: marks are set as events are appended and taken away as the tables pass them (rules 12).
import type { Position } from '../store/port.ts'
import type { World } from '../world.ts'

/** Births are slowed beyond either of these. */
const LAG_EVENTS_MAX = 200_000
const LAG_MS_MAX = 10_000

const MARK_EVERY_EVENTS = 5_000
const MARK_EVERY_MS = 500
/** Beyond this many, those that the tables have passed are taken away. */
const MARKS_KEPT = 64

interface Mark {
  readonly position: Position
  readonly at: number
  readonly count: number
}

export interface Lag {
  readonly appended: (position: Position, events: number) => void
  readonly isTooFar: () => boolean
  /** For how long the tables have not shown what the log has, in milliseconds, to about half a second; 0 while they show all. */
  readonly behindMs: () => number
}

/** @param head where the log ended at the start: tables that are folded anew are behind it, which alone is no reason to slow births */
export const createLag = (world: World, tablesAt: () => Position, head: Position): Lag => {
  const startedAt = world.monotonic()
  const marks: Mark[] = []
  let count = 0

  const dropPassed = (): void => {
    const at = tablesAt()
    let passed = 0
    for (const mark of marks) if (mark.position <= at) passed += 1
    if (passed > 0) marks.splice(0, passed)
  }

  return {
    appended: (position, events) => {
      count += events
      const last = marks[marks.length - 1]
      const at = world.monotonic()
      if (last === undefined || count - last.count >= MARK_EVERY_EVENTS || at - last.at >= MARK_EVERY_MS) {
        if (marks.length >= MARKS_KEPT) dropPassed()
        marks.push({ position, at, count })
      }
    },
    behindMs: () => {
      if (tablesAt() < head) return world.monotonic() - startedAt
      dropPassed()
      const oldest = marks[0]
      return oldest === undefined ? 0 : world.monotonic() - oldest.at
    },
    isTooFar: () => {
      const oldest = marks[0]
      if (oldest === undefined) return false
      if (count - oldest.count < LAG_EVENTS_MAX && world.monotonic() - oldest.at < LAG_MS_MAX) return false
      dropPassed()
      const first = marks[0]
      return first !== undefined && (count - first.count >= LAG_EVENTS_MAX || world.monotonic() - first.at >= LAG_MS_MAX)
    },
  }
}
