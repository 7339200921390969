// Tells the management node how the operations on the list are doing: each before its own interval is over, all that are due in one message, what is unchanged with its lease alone as a
// sign of life. What ended, and what answers a directive, is told at once, and again until it is acknowledged. Never more than one message is out.
//
//   due ─▶ message of at most 1,000 items ─▶ answers ─▶ directives to the operations; ended ones off the list; what is not wanted any more is aborted here
//    ▲                                        │
//    └── pause, longer each time ◀── missed ──┘
import * as E from 'fp-ts/lib/Either.js'
import type { OnProblem, Outage } from '../../client/complaints.ts'
import { StintError, UnexpectedAnswer } from '../../client/errors.ts'
import type { Http } from '../../client/http.ts'
import type { Report } from '../../client/outbox.ts'
import { bare, isBare } from '../../client/outcomes.ts'
import { mayPass, type Reachability } from '../../client/reachability.ts'
import { follow } from '../../client/signals.ts'
import type { ReportAnswer } from '../../wire/items.ts'
import { reportLongTasks } from '../../wire/long-tasks.ts'
import type { BodyOf } from '../../wire/route.ts'
import { pause, type World } from '../../world.ts'
import type { Entity } from './entity.ts'
import type { OperationList } from './list.ts'
import { isUnknown, type Registration } from './registration.ts'

/** Between the beginnings of two messages, at least; less where an operation has to be told of more often. */
export const BETWEEN_MESSAGES_MS = 200
const TOGETHER_MAX = 1_000
/** Characters that the ends in one message may take; none takes more than three bytes, and a message may have 32 MiB. */
const CHARACTERS_MAX = 8 * 1024 * 1024
const TIMEOUT_LEAST_MS = 2_000
const TIMEOUT_MOST_MS = 15_000
/** Before a report that was refused for want of a right is told again. */
const PUT_OFF_MS = 5_000
/** Of an interval, after which an operation is told of again: what is left is the way of the message, so that what is shown is not older than the interval. */
const TOLD_AFTER = 0.9
/** Of an interval, after which an operation goes along with others that are due. Less than half of the above: two halves would never come together. */
const GOES_ALONG_AFTER = 0.4
/** A node that has nothing to tell looks this often whether it is still known. */
const IDLE_MS = 30_000

/** Refusals that say: this is over, or not yours. */
const OVER: ReadonlySet<string> = new Set(['settled', 'stale-lease'])
/** Refusals that another setting on either side puts right: the operation has nothing to do with them. */
const OF_THE_NODE: ReadonlySet<string> = new Set(['forbidden', 'unauthenticated'])

export interface ReporterSetting {
  readonly http: Pick<Http, 'callMany'>
  readonly world: World
  readonly node: string
  readonly list: Pick<OperationList, 'reported' | 'acknowledge'>
  readonly registration: Registration
  readonly reachability: Reachability
  readonly outage: Outage
  readonly onProblem: OnProblem
  /** Aborts when nothing is told any more. */
  readonly over: AbortSignal
}

export interface Reporter {
  /** There is more to tell, or sooner. */
  readonly changed: () => void
  /** Resolves when no end is left to be told. */
  readonly told: () => Promise<void>
  /** Resolves when it has stopped, after `over`. */
  readonly ended: Promise<void>
}

type Item = BodyOf<typeof reportLongTasks>

interface Said {
  readonly entity: Entity
  readonly report: Report | undefined
  /** One report could not say all that there was to say. */
  readonly hasMore: boolean
  readonly item: Item
}

/** What is not wanted any more is told of no more but for its end, which is a late result there. */
const isHeard = (entity: Entity): boolean => entity.unwanted() === undefined || (entity.unwanted() === 'settled' && entity.told.hasOutcome())

export const createReporter = ({ http, world, node, list, registration, reachability, outage, onProblem, over }: ReporterSetting): Reporter => {
  let together = TOGETHER_MAX
  let wake = new AbortController()
  let lastAnswer = world.monotonic()
  const waitingForEnds = new Set<() => void>()

  const heardOf = (): readonly Entity[] => [...list.reported()].filter(isHeard)

  /** Milliseconds until there is something to tell or, failing that, to ask. */
  const dueInMs = (): number => {
    let due = lastAnswer + IDLE_MS - world.monotonic()
    for (const { told, lastSign, notBefore, operation } of heardOf()) {
      const at = Math.max(told.isPressing() ? Number.NEGATIVE_INFINITY : lastSign + operation.progressEveryMs * TOLD_AFTER, notBefore)
      due = Math.min(due, at - world.monotonic())
    }
    return due
  }

  const takeUp = (): readonly Said[] => {
    const now = world.monotonic()
    const said: Said[] = []
    let characters = 0
    for (const entity of heardOf()) {
      if (now < entity.notBefore) continue
      const outcome = entity.outcome()
      characters += outcome === undefined ? 0 : JSON.stringify(outcome).length
      if (said.length >= together || (said.length > 0 && characters > CHARACTERS_MAX)) break
      // Whoever is due soon goes along, so that operations of one interval come to be told of in one message.
      if (!entity.told.isPressing() && now - entity.lastSign < entity.operation.progressEveryMs * GOES_ALONG_AFTER) continue
      const hasMore = entity.told.size() > 1
      const report = entity.told.head()
      said.push({ entity, report, hasMore, item: { id: entity.id, lease: entity.operation.lease, ...report } })
    }
    return said
  }

  const acknowledged = async (entity: Entity, how: 'done' | 'refused', code?: string): Promise<void> => {
    await list.acknowledge(entity, how, code)
    for (const look of waitingForEnds) look()
  }

  const answered = async ({ entity, report, hasMore }: Said, answer: ReportAnswer, at: number): Promise<void> => {
    entity.notBefore = Number.NEGATIVE_INFINITY
    // What is left to say is due as it was.
    if (!hasMore) entity.lastSign = Math.max(entity.lastSign, at)
    entity.told.done()
    if (report?.outcome !== undefined) return acknowledged(entity, 'done')
    const { receipt } = answer
    // A directive that was refused or overtaken asks for nothing any more.
    if (receipt === undefined || receipt.resolution === 'refused' || receipt.resolution === 'overtaken') return
    const { number, directive, by, reason } = receipt
    const done = await entity.direct({ number, directive, by, reason })
    if (E.isLeft(done) && !('type' in done.left)) onProblem(new Error('Expected to note a directive, but the log does not take it.'), entity.id)
  }

  const refused = async ({ entity, report }: Said, failure: StintError): Promise<void> => {
    onProblem(failure, entity.id)
    if (report?.outcome !== undefined && !isBare(report.outcome)) return entity.told.replace({ ...report, outcome: bare(report.outcome) })
    entity.told.done()
    if (report?.outcome !== undefined) await acknowledged(entity, 'refused', failure.code)
  }

  const unwanted = async ({ entity, report }: Said, why: 'settled' | 'unknown', failure: StintError): Promise<void> => {
    entity.told.done()
    if (report?.outcome !== undefined) return acknowledged(entity, 'refused', failure.code)
    const { state } = failure.problem
    await entity.abandon(why, why === 'unknown' ? 'The management node does not know it.' : `It has ended at the management node${state === undefined ? '' : `: ${state}`}.`)
    // It may have ended meanwhile.
    if (why === 'unknown' && entity.outcome() !== undefined) await acknowledged(entity, 'refused', failure.code)
  }

  /** Another setting on either side puts it right; until then it holds up nobody else. */
  const putOff = ({ entity }: Said, failure: StintError): void => {
    entity.told.undecided()
    if (entity.notBefore === Number.NEGATIVE_INFINITY) onProblem(failure, entity.id)
    entity.notBefore = world.monotonic() + Math.max(PUT_OFF_MS, entity.operation.progressEveryMs)
  }

  /** What an answer means for its operation; the failure if it is to be told again. */
  const heard = async (said: Said, answer: E.Either<StintError, ReportAnswer>, at: number): Promise<Error | undefined> => {
    if (E.isRight(answer)) {
      await answered(said, answer.right, at)
      return undefined
    }
    const failure = answer.left
    if (mayPass(failure)) {
      said.entity.told.undecided()
      return failure
    }
    if (OF_THE_NODE.has(failure.code)) putOff(said, failure)
    else if (OVER.has(failure.code)) await unwanted(said, 'settled', failure)
    else if (failure.code === 'not-found') await unwanted(said, 'unknown', failure)
    else await refused(said, failure)
    return undefined
  }

  /** The whole message was refused. Halving it finds the item that is too much. */
  const refusedAll = async (said: readonly Said[], failure: Error): Promise<Error> => {
    for (const { entity } of said) entity.told.undecided()
    if (isUnknown(failure)) registration.forgotten()
    const status = failure instanceof StintError || failure instanceof UnexpectedAnswer ? failure.status : 0
    if (status !== 400 && status !== 413) return failure
    together = Math.max(1, Math.floor(said.length / 2))
    const [only] = said
    if (said.length > 1 || only === undefined || !(failure instanceof StintError)) return failure
    only.entity.told.head()
    await refused(only, failure)
    return failure
  }

  /** An item that is not found is one thing, and a node that is not known another: then nothing of it is. */
  const isNodeKnown = async (answers: readonly E.Either<StintError, ReportAnswer>[]): Promise<boolean> =>
    !answers.some((answer) => E.isLeft(answer) && answer.left.code === 'not-found') || registration.confirm()

  const exchange = async (said: readonly Said[]): Promise<Error | undefined> => {
    const at = world.monotonic()
    const shortestMs = Math.min(...said.map(({ entity }) => entity.operation.progressEveryMs))
    const timeoutMs = Math.min(TIMEOUT_MOST_MS, Math.max(TIMEOUT_LEAST_MS, 2 * shortestMs))
    const items = said.map(({ item }) => item)
    const answers = await http.callMany(reportLongTasks, items, { params: { node }, attemptsMax: 1, timeoutMs, signal: over })
    reachability.reached()
    if (!(await isNodeKnown(answers))) {
      for (const { entity } of said) entity.told.undecided()
      return undefined
    }
    const missed = await Promise.all(said.map((each, index) => heard(each, answers[index] ?? E.left(new StintError({ code: 'internal', status: 500 })), at)))
    together = Math.min(TOGETHER_MAX, together * 2)
    return missed.find((failure) => failure !== undefined)
  }

  /** One message, or the question whether the node is still known; what has to be said again, and why. */
  const turn = async (said: readonly Said[]): Promise<Error | undefined> => {
    try {
      if (said.length === 0) await registration.confirm()
      const missed = said.length === 0 ? undefined : await exchange(said)
      lastAnswer = world.monotonic()
      if (missed === undefined) outage.over()
      else outage.met(missed)
      return missed
    } catch (thrown) {
      if (over.aborted) return undefined
      const missed = await refusedAll(said, thrown as Error)
      outage.met(missed)
      return missed
    }
  }

  const sleep = async (ms: number): Promise<void> => {
    const rest = new AbortController()
    const unlink = follow(rest, over, wake.signal)
    await pause(world, ms, rest.signal)
    unlink()
  }

  /** What has to be told of more often than messages go out at most makes them go out more often; an end does not wait for a rest after each of the phases before it. */
  const betweenMs = (): number =>
    Math.min(BETWEEN_MESSAGES_MS, ...heardOf().map(({ told, operation }) => (told.hasOutcome() && told.size() > 1 ? 0 : operation.progressEveryMs / 2)))

  const run = async (): Promise<void> => {
    for (let repeat = 0; !over.aborted;) {
      await registration.standing()
      wake = new AbortController()
      const due = dueInMs()
      if (due > 0) {
        await sleep(due)
        continue
      }
      const began = world.monotonic()
      const missed = await turn(takeUp())
      if (over.aborted) return
      if (missed !== undefined) await reachability.pause(missed, repeat, over)
      repeat = missed === undefined ? 0 : repeat + 1
      const restMs = began + betweenMs() - world.monotonic()
      if (restMs > 0) await pause(world, restMs, over)
    }
  }

  return {
    changed: () => wake.abort(),
    told: () =>
      new Promise((resolve) => {
        const look = (): void => {
          if ([...list.reported()].some((entity) => entity.outcome() !== undefined)) return
          waitingForEnds.delete(look)
          resolve()
        }
        waitingForEnds.add(look)
        look()
      }),
    ended: run(),
  }
}
