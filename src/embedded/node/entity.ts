// One operation in the hands of this node: how it stands, what its run is told and says, and what the management node has still to hear of it.
//
//   what run() says ─┬─▶ own outbox ─▶ the node's log, one report after another        an outcome goes on only from here: what the management node is told
//                    └─▶ told outbox ─▶ the reporter, at the operation's interval  ◀───┘ of an end is there after a crash too
//
//   waiting ─▶ running ⇄ paused ─▶ ended ─▶ (acknowledged) off the list
import * as E from 'fp-ts/lib/Either.js'
import type { OnProblem } from '../../client/complaints.ts'
import { LeaseLost } from '../../client/errors.ts'
import { createJob, type HeldJob } from '../../client/job.ts'
import { createOutbox, type Outbox, type Report } from '../../client/outbox.ts'
import { bare, isBare } from '../../client/outcomes.ts'
import { isValid } from '../../client/validity.ts'
import { isParked, surfaceState, type Existing, type Held } from '../../domain/work-item/state.ts'
import type { Refusal } from '../../engine/command.ts'
import { outcome as outcomeCodec, type Outcome, type Progress, type Receipt } from '../../wire/items.ts'
import type { Entity as ShownEntity } from '../../wire/nodes.ts'
import type { World } from '../../world.ts'
import { directiveNumberOf, isLong, recordable, type GivenDirective, type Logged, type OwnLog } from './own-log.ts'
import { createScribe } from './scribe.ts'

/** Why the management node wants no more of it: it has settled there, or is not known there at all. */
export type Unwanted = 'settled' | 'unknown'

export interface Entity extends Pick<Logged, 'id' | 'workItem' | 'operation'> {
  readonly isLong: boolean
  /** What the management node has still to hear. */
  readonly told: Outbox
  /** Monotonic time of the last report that it answered; from the beginning that of being taken. */
  lastSign: number
  /** Monotonic time before which nothing is told of it: its report was refused for want of a right. */
  notBefore: number
  /** How it stands in the node's log. */
  readonly item: () => Existing
  /** As the node's list shows it. */
  readonly shown: () => ShownEntity
  readonly outcome: () => Outcome | undefined
  readonly unwanted: () => Unwanted | undefined
  /** Resolves with its outcome. */
  readonly ended: Promise<Outcome>
  /** It is run from now on; what it says goes to the log under this lease. */
  readonly begin: (held: Held) => HeldJob<{ readonly id: string }>
  /** It has come to an end: recorded, then told. */
  readonly end: (outcome: Outcome) => void
  /** The log says that it has ended, however it came to that. */
  readonly settle: (outcome: Outcome) => void
  /** What the administrator wants; a directive before the last one that is known says nothing new. */
  readonly direct: (given: GivenDirective) => Promise<E.Either<Refusal, Existing>>
  /** The management node wants no more of it: it is off the list, and to stop. */
  readonly abandon: (why: Unwanted, reason: string) => Promise<void>
  /** Stops it from outside without an end: it goes on at the next start, or fails then. */
  readonly stop: (reason: Error) => void
  /** Resolves when nothing that was said is on its way to the log. */
  readonly quiet: () => Promise<void>
}

export interface EntitySetting {
  readonly world: World
  readonly log: OwnLog
  readonly onProblem: OnProblem
  /** There is something that the management node should not wait for. */
  readonly onPressing: (entity: Entity) => void
  /** It may be run (again). */
  readonly onReady: (entity: Entity) => void
  /** It has ended. */
  readonly onEnded: (entity: Entity) => void
  /** Aborts when nothing is written any more. */
  readonly over: AbortSignal
}

const WILL = { normal: 'normal', pause: 'pause', abort: 'abort' } as const

/** What the operation is told of a directive, in the form of an answer to a job's report. */
const answerOf = (item: Existing, { number, directive, by, reason }: GivenDirective, world: World) => {
  const receipt: Receipt = { number, directive, by, givenAt: new Date(world.now()).toISOString(), ...(reason === undefined ? {} : { reason }) }
  return { directive: WILL[item.will], receipt }
}

/** An outcome that its author made too large is told without what is too much; what it was is told apart. */
const fitting = (outcome: Outcome, complain: (problem: Error) => void): Outcome => {
  if (isBare(outcome) || isValid(outcomeCodec, outcome)) return recordable(outcome)
  complain(new Error('Expected an outcome that the management node takes, but it is too large: it is told without its result.'))
  return recordable(bare(outcome))
}

const promised = <Value>() => {
  let resolve: (value: Value) => void = () => undefined
  const promise = new Promise<Value>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

export const createEntity = ({ id, workItem, item: found, operation }: Logged, setting: EntitySetting): Entity => {
  const { world, log, onProblem, over } = setting
  const own = createOutbox()
  const told = createOutbox()
  const ended = promised<Outcome>()
  let item = found
  let held: HeldJob<{ readonly id: string }> | undefined
  let lease = ''
  let phase: string | undefined = found.phase
  let progress: Progress | undefined = found.progress
  /** As it said last, which may be on its way to the log. */
  let parked: boolean | undefined
  let outcome: Outcome | undefined
  let unwanted: Unwanted | undefined
  let isEndedOtherwise = false
  /** The management node's number of the last directive. */
  let known = directiveNumberOf(found)

  const current = (): Existing => (item = log.live(workItem) ?? item)
  const complain = (problem: Error): void => onProblem(problem, id)
  const pressing = (): void => {
    if (isLong(found) && told.isPressing()) setting.onPressing(entity)
  }
  const tell = (report: Report): void => {
    told.add(report)
    pressing()
  }

  const settle = (final: Outcome): void => {
    if (outcome !== undefined) return
    outcome = final
    tell({ outcome: final })
    ended.resolve(final)
    setting.onEnded(entity)
  }

  /** The log has ended it by itself: its stream is full, say. What it comes to after that is a late result there. */
  const endedOtherwise = async (): Promise<void> => {
    if (isEndedOtherwise) return
    isEndedOtherwise = true
    const final = await log.outcomeOf(workItem)
    held?.stop(new LeaseLost(id, 'settled', surfaceState(current())))
    settle(final ?? { failed: { code: 'interrupted', message: 'It ended, and how is not known any more.' } })
  }

  const scribe = createScribe({
    world,
    own,
    over,
    say: (report) => log.say(workItem, lease, report),
    onSaid: (report, after) => {
      item = after
      if (after.status !== 'settled') return
      if (report.outcome === undefined || isEndedOtherwise) void endedOtherwise().catch(complain)
      else settle(report.outcome)
    },
    onRefused: (report, refusal) => {
      complain(new Error(`Expected the node's log to take what the operation said, but it did not (${'type' in refusal ? refusal.type : refusal.kind}).`))
      if (report.outcome !== undefined) settle(report.outcome)
    },
    onDefect: complain,
    ending: () => held?.over ?? over,
  })

  /** What the run says goes both ways; how it ended goes to the log alone, and from there on. */
  const outbox: Outbox = {
    ...own,
    add: (report) => {
      phase = report.phase ?? phase
      progress = report.progress ?? progress
      parked = report.state === undefined ? parked : report.state === 'paused'
      own.add(report)
      if (report.outcome === undefined && unwanted === undefined) told.add(report)
    },
    clear: () => {
      own.clear()
      told.clear()
    },
  }

  const begin: Entity['begin'] = (leased) => {
    item = leased
    lease = leased.lease.token
    phase = undefined
    progress = undefined
    const changed = (): void => {
      scribe.changed()
      pressing()
    }
    held = createJob({ world, registration: { id }, outbox, onChange: changed, onProblem: complain, onSettled: () => undefined })
    held.registered(lease, leased.attempt)
    return held
  }

  /** What became of a directive that the log has taken. */
  const directed = (after: Existing, given: GivenDirective): void => {
    item = after
    if (after.status === 'settled') return settle({ aborted: { reason: given.reason ?? 'It was aborted before it began.' } })
    if (held !== undefined) return held.told(answerOf(after, given, world))
    // Nobody runs it, so that it is obeyed at once.
    if (given.directive === 'pause') tell({ state: 'paused' })
    if (given.directive !== 'resume') return
    tell({ state: 'running' })
    setting.onReady(entity)
  }

  const direct: Entity['direct'] = async (given) => {
    if (given.number <= known) return E.right(current())
    const before = known
    known = given.number
    // It was resumed before it was sent: here it was never anything else.
    if (given.directive === 'resume' && current().receipt === undefined) return E.right(current())
    const done = await log.direct(workItem, given)
    if (E.isRight(done)) directed(done.right, given)
    else if (known === given.number) known = before
    return done
  }

  const stateOf = (now: Existing): ShownEntity['state'] => {
    if (outcome !== undefined || now.status === 'settled') return 'ended'
    if (now.status === 'waiting') return now.will === 'pause' ? 'paused' : 'waiting'
    return (parked ?? isParked(now)) ? 'paused' : 'running'
  }

  const entity: Entity = {
    id,
    workItem,
    operation,
    isLong: isLong(found),
    told,
    lastSign: world.monotonic(),
    notBefore: Number.NEGATIVE_INFINITY,
    item: current,
    shown: () => ({
      ...{ id, lease: operation.lease, operation: operation.operation, state: stateOf(current()), attempt: current().attempt },
      ...(phase === undefined ? {} : { phase }),
      ...(progress === undefined ? {} : { progress }),
      ...(outcome === undefined ? {} : { outcome }),
    }),
    outcome: () => outcome,
    unwanted: () => unwanted,
    ended: ended.promise,
    begin,
    end: (final) => held?.end(fitting(final, complain)),
    settle,
    direct,
    abandon: async (why, reason) => {
      if (unwanted !== undefined) return
      unwanted = why
      // Only its end is heard there now, as a late result: nothing may stand before that.
      if (!told.hasOutcome()) told.clear()
      const given: GivenDirective = { number: known + 1, directive: 'abort', by: 'the management node', reason }
      const done = await direct(given)
      // It is to stop, whether the log could be told or not; where it is to stop already, nothing is new.
      if (E.isLeft(done)) held?.told({ directive: 'abort', receipt: { ...given, givenAt: new Date(world.now()).toISOString(), reason } })
    },
    stop: (reason) => held?.stop(reason),
    quiet: scribe.quiet,
  }
  return entity
}
