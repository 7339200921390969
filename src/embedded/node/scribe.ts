// Writes what one operation says into the node's log, a report at a time: what comes meanwhile is one more, and progress alone is not written more often than the log takes it.
import * as E from 'fp-ts/lib/Either.js'
import type { Outbox, Report } from '../../client/outbox.ts'
import { bare, isBare } from '../../client/outcomes.ts'
import { PROGRESS_INTERVAL_MS } from '../../domain/policy/streams.ts'
import type { Existing } from '../../domain/work-item/state.ts'
import type { Refusal } from '../../engine/command.ts'
import { pause, type World } from '../../world.ts'

export interface ScribeSetting {
  readonly world: World
  /** What was said and is not written. */
  readonly own: Outbox
  /** Aborts when nothing is written any more. */
  readonly over: AbortSignal
  readonly say: (report: Report) => Promise<E.Either<Refusal, Existing>>
  readonly onSaid: (report: Report, item: Existing) => void
  readonly onRefused: (report: Report, refusal: Refusal) => void
  readonly onDefect: (defect: Error) => void
  /** Aborts when it ends: what is left to say then does not wait. */
  readonly ending: () => AbortSignal
}

export interface Scribe {
  /** There is something to write. */
  readonly changed: () => void
  /** Resolves when nothing is being written. */
  readonly quiet: () => Promise<void>
}

const isProgressAlone = (report: Report): boolean => Object.keys(report).every((field) => field === 'progress')

export const createScribe = (options: ScribeSetting): Scribe => {
  const { world, own, over, say, onSaid, onRefused, ending } = options
  let writing: Promise<void> | undefined
  let writtenAt = Number.NEGATIVE_INFINITY

  const one = async (report: Report): Promise<void> => {
    const said = await say(report)
    if (E.isRight(said)) {
      own.done()
      return onSaid(report, said.right)
    }
    if (over.aborted) return
    const { outcome } = report
    // What cannot be stored must not keep the end from being stored.
    if (outcome !== undefined && !isBare(outcome) && 'kind' in said.left && said.left.kind === 'tooLarge') return own.replace({ outcome: bare(outcome) })
    own.done()
    onRefused(report, said.left)
  }

  const write = async (): Promise<void> => {
    // What is said in one turn is written in one report.
    await Promise.resolve()
    try {
      while (!over.aborted) {
        const report = own.head()
        if (report === undefined) return
        const restMs = writtenAt + PROGRESS_INTERVAL_MS - world.monotonic()
        if (isProgressAlone(report) && restMs > 0 && !ending().aborted) {
          own.undecided()
          await pause(world, restMs, ending())
          continue
        }
        await one(report)
        writtenAt = world.monotonic()
      }
    } catch (defect) {
      own.undecided()
      options.onDefect(defect as Error)
    } finally {
      // At once: what is said next begins anew.
      writing = undefined
    }
  }

  return {
    changed: (): void => {
      writing ??= write()
    },
    quiet: async (): Promise<void> => {
      while (writing !== undefined) await writing
    },
  }
}
