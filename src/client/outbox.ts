// What one job still has to say, in the order in which it was said: phases one by one, of progress only the latest, the outcome last.
import type { ReportBody } from '../wire/items.ts'

export type Report = Omit<ReportBody, 'lease'>

/** Reports that wait, at most: a job that enters more phases than this while Stint is away loses the oldest of them. */
const WAITING_MAX = 1_000

export interface Outbox {
  readonly add: (report: Report) => void
  /** The next report to send, undefined if there is none; the same again until it is done with. */
  readonly head: () => Report | undefined
  /** The head was sent and is answered for. */
  readonly done: () => void
  /** The head was sent, and it is not known whether it arrived. */
  readonly undecided: () => void
  /** Puts another report in the place of the head. */
  readonly replace: (report: Report) => void
  readonly clear: () => void
  readonly isEmpty: () => boolean
  readonly hasOutcome: () => boolean
  /** Something in it answers a directive, or is the outcome. */
  readonly isPressing: () => boolean
  /** Reports that wait. */
  readonly size: () => number
}

/** Within one report the server takes phase and progress first, then the outcome, else the refusal, else the state: what would be passed over needs a report of its own. */
const isFull = (tail: Report, more: Report): boolean => {
  const hasAnswer = tail.state !== undefined || tail.refuse !== undefined
  return hasAnswer ? more.progress === undefined : more.phase !== undefined && tail.phase !== undefined
}

export const createOutbox = (): Outbox => {
  let reports: Report[] = []
  let isSending = false

  return {
    add: (report) => {
      const tail = reports.at(-1)
      if (tail?.outcome !== undefined) return
      const isOpen = tail !== undefined && !(isSending && reports.length === 1)
      if (isOpen && !isFull(tail, report)) reports[reports.length - 1] = { ...tail, ...report }
      else reports.push(report)
      if (reports.length > WAITING_MAX) reports.splice(isSending ? 1 : 0, 1)
    },
    head: () => {
      isSending = reports.length > 0
      return reports[0]
    },
    done: () => {
      if (isSending) reports.shift()
      isSending = false
    },
    undecided: () => {
      isSending = false
    },
    replace: (report) => {
      if (isSending) reports[0] = report
      isSending = false
    },
    clear: () => {
      reports = []
      isSending = false
    },
    isEmpty: () => reports.length === 0,
    hasOutcome: () => reports.at(-1)?.outcome !== undefined,
    isPressing: () => reports.some(({ state, refuse, outcome }) => (state ?? refuse ?? outcome) !== undefined),
    size: () => reports.length,
  }
}
