// Signs of life: when each holder was last heard of, and the progress that was told but not recorded. Volatile, by design 14: nothing here is in the log.
import type { WorkItemId } from '../domain/ids.ts'
import type { Progress, WorkItemEvent } from '../domain/work-item/events.ts'
import { isHeld, type Existing, type WorkItem } from '../domain/work-item/state.ts'
import type { World } from '../world.ts'
import type { Presence } from './findings.ts'

/** Recorded of what a holder told, and only then. */
const NEWS: ReadonlySet<string> = new Set<WorkItemEvent['type']>(['Leased', 'PhaseEntered', 'ProgressReported', 'Paused', 'Resumed'])
const SIGNS: ReadonlySet<string> = new Set<WorkItemEvent['type']>([...(NEWS as ReadonlySet<WorkItemEvent['type']>), 'LeaseExtended', 'HolderFound', 'DirectiveSeen'])

interface Seen extends Presence {
  readonly lastSeenMono: number
  /** When its holder last told of anything new: progress, a phase, parking or going on. */
  readonly movedMono?: number | undefined
}

export interface PresenceTable {
  /** A call under the current lease has come. */
  readonly seen: (workItem: WorkItemId, progress?: Progress) => void
  /** What its holder told is news. */
  readonly moved: (workItem: WorkItemId) => void
  /** What was last told stands in the log: what was told before it is older. */
  readonly recorded: (workItem: WorkItemId) => void
  readonly get: (workItem: WorkItemId) => Presence | undefined
  /** Monotonic time from which silence counts: the last sign, or when this server began to listen if that is later. */
  readonly silentSince: (workItem: WorkItemId) => number
  /** Monotonic time from which standing still counts: the last news, or when this server began to listen if that is later. */
  readonly stillSince: (workItem: WorkItemId) => number
  /** This process did not run for a while: no silence before now counts (rules 17). */
  readonly woke: () => void
  readonly awakeSince: () => number
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** What another server has recorded: signs of life that its holder gave there. */
  readonly told: (workItem: WorkItemId, events: readonly { readonly type: string }[]) => void
}

export const createPresence = (world: World): PresenceTable => {
  const table = new Map<WorkItemId, Seen>()
  let awakeSince = world.monotonic()

  const dropProgress = (workItem: WorkItemId): void => {
    const known = table.get(workItem)
    if (known?.progress !== undefined) table.set(workItem, { lastSeenAt: known.lastSeenAt, lastSeenMono: known.lastSeenMono, movedMono: known.movedMono })
  }

  const seen: PresenceTable['seen'] = (workItem, progress) => {
    const known = table.get(workItem)
    const told = progress ?? known?.progress
    table.set(workItem, { lastSeenAt: world.now(), lastSeenMono: world.monotonic(), movedMono: known?.movedMono, ...(told === undefined ? {} : { progress: told }) })
  }
  const moved: PresenceTable['moved'] = (workItem) => {
    const known = table.get(workItem)
    const mono = world.monotonic()
    table.set(workItem, { ...known, lastSeenAt: known?.lastSeenAt ?? world.now(), lastSeenMono: known?.lastSeenMono ?? mono, movedMono: mono })
  }

  return {
    seen,
    moved,
    told: (workItem, events) => {
      if (events.some(({ type }) => SIGNS.has(type))) seen(workItem)
      if (events.some(({ type }) => NEWS.has(type))) moved(workItem)
    },
    recorded: dropProgress,
    get: (workItem) => table.get(workItem),
    silentSince: (workItem) => Math.max(table.get(workItem)?.lastSeenMono ?? awakeSince, awakeSince),
    stillSince: (workItem) => Math.max(table.get(workItem)?.movedMono ?? awakeSince, awakeSince),
    woke: () => {
      awakeSince = world.monotonic()
    },
    awakeSince: () => awakeSince,
    changed: (workItem, before, after) => {
      if (!isHeld(after)) {
        table.delete(workItem)
        return
      }
      // A new lease has nothing to do with the progress told under the old one, and what has been recorded is volatile no longer.
      const isOtherLease = isHeld(before) && before.lease.number !== after.lease.number
      if (isOtherLease || (before.status !== 'absent' && before.progressAt !== after.progressAt)) dropProgress(workItem)
    },
  }
}
