// Where a worker's items come from and go back to: the one thing in which a worker of a queue and a worker of a contract differ.
import type { Outcome, ReportAnswer } from '../wire/items.ts'
import type { Extended, LeaseBody } from '../wire/tasks.ts'
import type { Exchange, ManyAnswer } from './answer.ts'
import type { ProblemDocument } from './errors.ts'
import type { HeldItem, LeasedItem } from './held-item.ts'
import type { CallOptions } from './http.ts'
import type { Report } from './outbox.ts'
import type { DirectiveAnswer } from './wish.ts'

export type Verb = 'complete' | 'fail' | 'release'

/** An outcome that can travel with those of other items. */
export type PlainOutcome = Exclude<Outcome, { readonly aborted: unknown }>

export interface Ending {
  readonly item: HeldItem
  readonly verb: Verb
  /** The body as JSON. */
  readonly text: string
  /** What is told in its place if it is refused for what it says, because that may be too large or malformed; undefined when there is nothing to leave out. */
  readonly otherwise?: Pick<Ending, 'verb' | 'text'> | undefined
}

/** What a lease request asks for. */
export type LeaseAsked = LeaseBody & { readonly max: number; readonly requestId: string }

/** What a lease request brought along with completions. */
export type LeasedBeside<Leased> = { readonly items: readonly Leased[]; readonly problem?: ProblemDocument | undefined } | undefined

export interface EndingAnswers<Leased> {
  /** One for each ending, in the order sent. */
  readonly items: readonly ManyAnswer<unknown>[]
  readonly leased?: LeasedBeside<Leased>
}

export interface WorkSource<Leased extends LeasedItem> {
  /** What every lease request says. */
  readonly asks: Omit<LeaseBody, 'max' | 'requestId'>
  readonly lease: (asked: LeaseAsked, options: CallOptions) => Promise<Exchange<{ readonly items: readonly Leased[] }>>
  /** Extends leases from now; one answer for each, in their order. */
  readonly extend: (leases: readonly (readonly [item: HeldItem, seconds: number])[], options: CallOptions) => Promise<readonly ManyAnswer<Extended>[]>
  readonly report: (item: HeldItem, report: Report, options: CallOptions) => Promise<ReportAnswer>
  readonly askDirective: (item: HeldItem, options: CallOptions) => Promise<Exchange<DirectiveAnswer>>
  /** Tells how items ended, all by the same verb. With `asked`, completions carry the next lease request. */
  readonly end: (verb: Verb, endings: readonly Ending[], asked: LeaseAsked | undefined, options: CallOptions) => Promise<EndingAnswers<Leased>>
  /** Endings of one verb in one exchange, and leases extended in one, at most. */
  readonly togetherMax: Readonly<Record<Verb, number>>
  readonly extendedMax: number
  /** Exchanges of one verb that are out at the same time, at most. */
  readonly exchangesMax: Readonly<Record<Verb, number>>
  /** A completion has a road of its own: it cannot travel in a report. */
  readonly completesApart: boolean
  /** What a handler's result comes to; throws what the handler should have, if it cannot be told at all. */
  readonly completed: (item: HeldItem, value: unknown) => Outcome
  readonly endingOf: (item: HeldItem, outcome: PlainOutcome) => Ending
  readonly release: (item: HeldItem, said: { readonly reason: string; readonly busy?: boolean; readonly delaySeconds?: number | undefined }) => Ending
}
