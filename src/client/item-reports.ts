// Tells Stint what a task's handler says while it works: phases in order, of progress the latest, at most one report a task each 250 ms. A handler that says nothing
// costs nothing here: how it ended travels with the other endings.
import type { Outcome } from '../wire/items.ts'
import { reportTask } from '../wire/tasks.ts'
import { pause } from '../world.ts'
import type { OnProblem } from './complaints.ts'
import { StintError } from './errors.ts'
import type { Http } from './http.ts'
import type { Report } from './outbox.ts'
import { bare, isBare } from './outcomes.ts'
import { mayPass, type Reachability } from './reachability.ts'
import type { HeldTask } from './worker-task.ts'

const BETWEEN_REPORTS_MS = 250
const TIMEOUT_MS = 10_000

/** Refusals that say: this task is not yours. */
const FENCING: ReadonlySet<string> = new Set(['stale-lease', 'settled', 'forbidden', 'not-found'])

export const isFencing = (failure: unknown): failure is StintError => failure instanceof StintError && FENCING.has(failure.code)

/** An outcome that can travel with those of other tasks. */
export type PlainOutcome = Exclude<Outcome, { readonly aborted: unknown }>

const plainOutcome = ({ outcome, ...said }: Report): PlainOutcome | undefined =>
  outcome === undefined || 'aborted' in outcome || Object.keys(said).length > 0 ? undefined : outcome

export interface TaskReportsSetting {
  readonly http: Http
  readonly queue: { readonly app: string; readonly queue: string }
  readonly reachability: Reachability
  readonly over: AbortSignal
  /** All that it said has been told but how it ended. */
  readonly onEnding: (task: HeldTask, outcome: PlainOutcome) => void
  /** How it ended has been told along with what it said. */
  readonly onTold: (task: HeldTask, outcome: Outcome) => void
  readonly onLost: (task: HeldTask, refusal: StintError) => void
  readonly onProblem: OnProblem
}

export interface TaskReports {
  /** The task has something to say. */
  readonly changed: (task: HeldTask) => void
  /** Tasks of which something is being told. */
  readonly size: () => number
  /** Resolves when nothing is left to tell; never, while Stint does not answer. */
  readonly quiet: () => Promise<void>
  /** Resolves when all exchanges have ended, after `over`. */
  readonly ended: () => Promise<void>
}

export const createTaskReports = ({ http, queue, reachability, over, onEnding, onTold, onLost, onProblem }: TaskReportsSetting): TaskReports => {
  const { world } = http
  const telling = new Map<HeldTask, Promise<void>>()

  /** One report; false when it has to be sent again. */
  const send = async (task: HeldTask, report: Report, repeat: number): Promise<boolean> => {
    const { held, id, lease } = task
    try {
      const { directive, receipt } = await http.call(reportTask, { params: { ...queue, id }, body: { lease, ...report }, signal: over, timeoutMs: TIMEOUT_MS, attemptsMax: 1 })
      reachability.reached()
      held.outbox.done()
      held.told(receipt === undefined ? { directive } : { directive, receipt })
      if (report.outcome !== undefined) onTold(task, report.outcome)
      return true
    } catch (failure) {
      held.outbox.undecided()
      if (over.aborted) return false
      if (isFencing(failure)) onLost(task, failure)
      else if (mayPass(failure)) {
        await reachability.pause(failure, repeat, over)
        return false
      } else {
        onProblem(failure as Error, task.id)
        held.outbox.head()
        // What cannot be told must not keep the outcome from being told.
        if (report.outcome === undefined || isBare(report.outcome)) held.outbox.done()
        else held.outbox.replace({ outcome: bare(report.outcome) })
      }
      return true
    }
  }

  /** Begins when the turn is over: what is said in one turn is told in one report. */
  const tell = async (task: HeldTask): Promise<void> => {
    const { held } = task
    await Promise.resolve()
    for (let repeat = 0; !over.aborted && !task.isGivenBack;) {
      const report = held.outbox.head()
      if (report === undefined) return
      const outcome = plainOutcome(report)
      if (outcome !== undefined) return onEnding(task, outcome)
      const isDone = await send(task, report, repeat)
      repeat = isDone ? 0 : repeat + 1
      if (isDone && !held.isEnded()) await pause(world, BETWEEN_REPORTS_MS, held.over)
    }
  }

  return {
    changed: (task) => {
      const { outbox } = task.held
      if (telling.has(task) || outbox.isEmpty()) return
      const outcome = outbox.hasOutcome() ? plainOutcome(outbox.head() ?? {}) : undefined
      if (outcome !== undefined) return onEnding(task, outcome)
      const told = tell(task)
      telling.set(task, told)
      void told.finally(() => telling.delete(task))
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
