// One task or request in the hands of this worker: what the worker keeps of it beside what its handler is given.
import type { LeasedTask } from '../wire/tasks.ts'
import type { World } from '../world.ts'
import { createJob, type HeldJob } from './job.ts'

/** What whatever was leased says of itself, a task or a request. */
export type LeasedItem = Pick<LeasedTask, 'id' | 'lease' | 'leaseUntil' | 'updatedAt' | 'attempt' | 'directive' | 'receipt'> & {
  /** Of a request: ids are its caller's own. */
  readonly caller?: string | undefined
}

/** The side of a task or request that the worker sees. */
export interface HeldItem<Leased extends LeasedItem = LeasedItem> {
  readonly id: string
  readonly lease: string
  readonly leased: Leased
  readonly held: HeldJob<Leased>
  /** From when the lease counts, by this process's monotonic clock, and how long. */
  term: { readonly from: number; readonly ms: number }
  /** Times that its lease was extended by itself. */
  extensions: number
  /** Its handler runs, or has run. */
  isBegun: boolean
  /** Stint is being asked what the administrator wants of it. */
  isAskedFor: boolean
  /** It goes back to where it was leased: whatever its handler does from now on is not told. */
  isGivenBack: boolean
}

/** How long the lease was given for: both times are the server's. */
const termMs = ({ leaseUntil, updatedAt }: LeasedItem): number => Math.max(1, Date.parse(leaseUntil) - Date.parse(updatedAt))

export interface HeldItemSetting {
  readonly world: World
  /** Its answer came later than it was given: the lease runs since nobody knows when. */
  readonly isLate: boolean
  readonly onChange: (item: HeldItem) => void
  readonly onProblem: (problem: Error, id: string) => void
}

export const holdItem = <Leased extends LeasedItem>(leased: Leased, { world, isLate, onChange, onProblem }: HeldItemSetting): HeldItem<Leased> => {
  const { id, lease, receipt, directive, attempt } = leased
  const ms = termMs(leased)
  const held = createJob({ world, registration: leased, onChange: () => onChange(item), onProblem: (problem) => onProblem(problem, id), onSettled: () => undefined })
  const item: HeldItem<Leased> = {
    id,
    lease,
    leased,
    held,
    term: { from: world.monotonic() - (isLate ? ms : 0), ms },
    extensions: 0,
    isBegun: false,
    isAskedFor: false,
    isGivenBack: false,
  }
  held.registered(lease, attempt)
  if (receipt !== undefined) held.told({ directive, receipt })
  return item
}
