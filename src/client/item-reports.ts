// Tells Stint what a handler says of its task or request while it works: phases in order, of progress the latest, at most one report each 250 ms. A handler that says nothing
// costs nothing here: how it ended travels with the other endings.
import type { Outcome } from '../wire/items.ts'
import { pause, type World } from '../world.ts'
import type { OnProblem } from './complaints.ts'
import { StintError } from './errors.ts'
import type { HeldItem } from './held-item.ts'
import type { Report } from './outbox.ts'
import { bare, isBare } from './outcomes.ts'
import { mayPass, type Reachability } from './reachability.ts'
import type { PlainOutcome, WorkSource } from './work-source.ts'

const BETWEEN_REPORTS_MS = 250
const TIMEOUT_MS = 10_000

/** Refusals that say: this is not yours. */
const FENCING: ReadonlySet<string> = new Set(['stale-lease', 'settled', 'forbidden', 'not-found'])

export const isFencing = (failure: unknown): failure is StintError => failure instanceof StintError && FENCING.has(failure.code)

const plainOutcome = ({ outcome, ...said }: Report): PlainOutcome | undefined =>
  outcome === undefined || 'aborted' in outcome || Object.keys(said).length > 0 ? undefined : outcome

export interface ItemReportsSetting {
  readonly world: World
  readonly source: Pick<WorkSource<never>, 'report' | 'completesApart'>
  readonly reachability: Reachability
  readonly over: AbortSignal
  /** All that it said has been told but how it ended. */
  readonly onEnding: (item: HeldItem, outcome: PlainOutcome) => void
  /** How it ended has been told along with what it said. */
  readonly onTold: (item: HeldItem, outcome: Outcome) => void
  readonly onLost: (item: HeldItem, refusal: StintError) => void
  readonly onProblem: OnProblem
}

export interface ItemReports {
  /** It has something to say. */
  readonly changed: (item: HeldItem) => void
  /** Items of which something is being told. */
  readonly size: () => number
  /** Resolves when nothing is left to tell; never, while Stint does not answer. */
  readonly quiet: () => Promise<void>
  /** Resolves when all exchanges have ended, after `over`. */
  readonly ended: () => Promise<void>
}

export const createItemReports = ({ world, source, reachability, over, onEnding, onTold, onLost, onProblem }: ItemReportsSetting): ItemReports => {
  const telling = new Map<HeldItem, Promise<void>>()

  /** What of a report can be told in one, and what is left of it then. */
  const parted = (report: Report): { readonly report: Report; readonly rest?: Report } => {
    const { outcome, ...said } = report
    return source.completesApart && outcome !== undefined && !('aborted' in outcome) ? { report: said, rest: { outcome } } : { report }
  }

  /** One report; false when it has to be sent again. */
  const send = async (item: HeldItem, whole: Report, repeat: number): Promise<boolean> => {
    const { held } = item
    const { report, rest } = parted(whole)
    const done = (): void => (rest === undefined ? held.outbox.done() : held.outbox.replace(rest))
    try {
      const { directive, receipt } = await source.report(item, report, { signal: over, timeoutMs: TIMEOUT_MS, attemptsMax: 1 })
      reachability.reached()
      done()
      held.told(receipt === undefined ? { directive } : { directive, receipt })
      if (report.outcome !== undefined) onTold(item, report.outcome)
      return true
    } catch (failure) {
      held.outbox.undecided()
      if (over.aborted) return false
      if (isFencing(failure)) onLost(item, failure)
      else if (mayPass(failure)) {
        await reachability.pause(failure, repeat, over)
        return false
      } else {
        onProblem(failure as Error, item.id)
        held.outbox.head()
        // What cannot be told must not keep the outcome from being told.
        if (report.outcome === undefined || isBare(report.outcome)) done()
        else held.outbox.replace({ outcome: bare(report.outcome) })
      }
      return true
    }
  }

  /** Begins when the turn is over: what is said in one turn is told in one report. */
  const tell = async (item: HeldItem): Promise<void> => {
    const { held } = item
    await Promise.resolve()
    for (let repeat = 0; !over.aborted && !item.isGivenBack;) {
      const report = held.outbox.head()
      if (report === undefined) return
      const outcome = plainOutcome(report)
      if (outcome !== undefined) return onEnding(item, outcome)
      const isDone = await send(item, report, repeat)
      repeat = isDone ? 0 : repeat + 1
      if (isDone && !held.isEnded()) await pause(world, BETWEEN_REPORTS_MS, held.over)
    }
  }

  return {
    changed: (item) => {
      const { outbox } = item.held
      if (telling.has(item) || outbox.isEmpty()) return
      const outcome = outbox.hasOutcome() ? plainOutcome(outbox.head() ?? {}) : undefined
      if (outcome !== undefined) return onEnding(item, outcome)
      const told = tell(item)
      telling.set(item, told)
      void told.finally(() => telling.delete(item))
    },
    size: () => telling.size,
    quiet: async () => {
      while (telling.size > 0) await Promise.race(telling.values())
    },
    ended: async () => {
      await Promise.all(telling.values())
    },
  }
}
