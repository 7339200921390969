// The node's own log: each operation that it took is a work item there, under the same rules as anywhere, so that the long-operation list outlives the process.
//
//   taken ─▶ OperationDispatched { reportTo }     leased ─▶ Leased      said ─▶ PhaseEntered · ProgressReported · Paused · …     ended ─▶ Completed · Failed · Aborted
//                                                                                    told, and acknowledged by the management node ─▶ EffectsCarriedOut { reply }
import * as E from 'fp-ts/lib/Either.js'
import type { Before } from '../../client/long-task-class.ts'
import type { Report } from '../../client/outbox.ts'
import { longTaskId, parseWorkItemId, streamOf, type WorkItemId } from '../../domain/ids.ts'
import { isRunHere } from '../../domain/work-item/operations.ts'
import type { CarriedOut, DirectiveName, WorkItemEvent } from '../../domain/work-item/events.ts'
import { isHeld, type Existing, type Held, type OperationFacts } from '../../domain/work-item/state.ts'
import { contentDigest } from '../../engine/digest.ts'
import type { CommandToDo, Context, Done, Refusal } from '../../engine/command.ts'
import type { Engine } from '../../engine/engine.ts'
import { readEvent } from '../../projections/fold.ts'
import type { Outcome } from '../../wire/items.ts'
import type { SentOperation } from '../../wire/long-tasks.ts'
import { pause, type World } from '../../world.ts'
import { EMBEDDED } from '../engine-contract.ts'

/** Who gave the node its operations, as its log has it. */
const MANAGEMENT = 'management'
/** A day: what holds it cannot be gone while the engine is there. */
const LEASE_MS = 86_400_000
const TOKEN_LENGTH = 8
const JSON_TYPE = 'application/json'
/** After a fault of the store, or while it takes no births, it is tried again after this. */
const TRY_AGAIN_MS = 1_000
const TABLES_WAIT_MS = 60_000
/** Events read at once. */
const PAGE = 1_000

/** An operation as it lies in the log. */
export interface Logged {
  readonly id: string
  readonly workItem: WorkItemId
  readonly item: Existing
  readonly operation: OperationFacts
}

export interface GivenDirective {
  /** Of the management node. */
  readonly number: number
  readonly directive: DirectiveName
  readonly by: string
  readonly reason?: string | undefined
}

export interface OwnLog {
  /** Puts it on the list; what was taken before stays as it is, whether it is the same or another. */
  readonly take: (sent: SentOperation, onRestart: 'resume' | 'fail' | undefined) => Promise<E.Either<Refusal, Done>>
  readonly lease: (workItem: WorkItemId) => Promise<E.Either<Refusal, Held>>
  /** What the operation said, under its lease in this log. */
  readonly say: (workItem: WorkItemId, lease: string, report: Report) => Promise<E.Either<Refusal, Existing>>
  readonly direct: (workItem: WorkItemId, given: GivenDirective) => Promise<E.Either<Refusal, Existing>>
  readonly fail: (workItem: WorkItemId, code: string, message: string) => Promise<E.Either<Refusal, Existing>>
  /** The management node knows how it ended, or does not want to. */
  readonly acknowledge: (workItem: WorkItemId, outcome: CarriedOut['outcome'], code?: string) => Promise<E.Either<Refusal, Existing>>
  /** The arguments as they came; undefined when none did. */
  readonly argsOf: (workItem: WorkItemId) => Promise<unknown>
  /** How it ended; undefined while it has not, and when that was erased. */
  readonly outcomeOf: (workItem: WorkItemId) => Promise<Outcome | undefined>
  /** What was last said of it, in whichever attempt. */
  readonly beforeOf: (workItem: WorkItemId) => Promise<Before | undefined>
  readonly live: (workItem: WorkItemId) => Existing | undefined
  /** What an earlier process left: unsettled, or with an end that is not acknowledged; oldest first. */
  readonly left: () => Promise<readonly Logged[]>
}

export interface OwnLogOptions {
  readonly engine: Engine
  readonly world: World
  readonly node: string
  readonly instance: string
  /** The management node that is told. */
  readonly reportTo: string
  /** Aborts when the log is written no more. */
  readonly over: AbortSignal
}

const NUMBERED = /^management-(\d+)$/

/** The management node's number of the directive that this item was last given; 0: none. */
export const directiveNumberOf = ({ receipt }: Existing): number => Number(NUMBERED.exec(receipt?.commandId ?? '')?.[1] ?? 0)

/** It is on the long-operation list and reported on; else its outcome is the answer to whoever sent it. */
export const isLong = ({ operation }: Existing): boolean => operation?.onRestart !== undefined

/** The log may take it later: nothing is wrong with it. */
const isForLater = (refusal: Refusal): boolean =>
  refusal instanceof Error || ('type' in refusal && (refusal.type === 'too-many-live' || refusal.type === 'lagging' || refusal.type === 'stopping'))

/** How an event that ends an operation reads as the outcome that the management node is told; undefined for every other event. */
const outcomeOfEvent = (event: WorkItemEvent): Outcome | undefined => {
  switch (event.type) {
    case 'Completed': {
      const { result, partial } = event
      return { completed: { ...(result === undefined ? {} : { result }), ...(partial === undefined ? {} : { partial }) } }
    }
    case 'Failed': {
      const { code, message, detail } = event
      return { failed: { code, message, ...(detail === undefined ? {} : { detail }) } }
    }
    case 'Aborted': {
      const { reason, partial } = event
      return { aborted: { reason, ...(partial === undefined ? {} : { partial }) } }
    }
    case 'Cancelled':
      return { aborted: { reason: event.reason ?? 'It was aborted before it began.' } }
    default:
      return undefined
  }
}

/** What is told is what is recorded, so that it is the same again when it has to be read from the log: a long task is not tried again, so nobody is told whether to. */
export const recordable = (outcome: Outcome): Outcome => {
  if (!('failed' in outcome)) return outcome
  const { code, message, detail } = outcome.failed
  return { failed: { code, message, ...(detail === undefined ? {} : { detail }) } }
}

/** A refusal of a directive names it by the number that it has in this log. */
const refusalIn = (item: Existing | undefined, { refuse }: Report): Report['refuse'] =>
  refuse !== undefined && item?.receipt !== undefined && directiveNumberOf(item) === refuse.directive ? { ...refuse, directive: item.receipt.number } : undefined

/** The facts of the last attempt that said anything. */
const lastSaid = (events: readonly WorkItemEvent[]): Before | undefined => {
  let said: Before | undefined
  let isNew = true
  for (const event of events) {
    if (event.type === 'Leased') isNew = true
    const news = event.type === 'PhaseEntered' ? { phase: event.phase } : event.type === 'ProgressReported' ? { progress: event.progress } : undefined
    if (news === undefined) continue
    said = isNew ? news : { ...said, ...news }
    isNew = false
  }
  return said
}

const readingOf = ({ engine }: Pick<OwnLogOptions, 'engine'>): Pick<OwnLog, 'argsOf' | 'outcomeOf' | 'beforeOf'> => {
  const eventsFrom = async (workItem: WorkItemId, from: number, max: number) => {
    const read = await engine.history(workItem, { from, max })
    if (E.isLeft(read)) throw read.left instanceof Error ? read.left : new Error(`Expected ${streamOf(workItem)} to be readable, but it is not (${read.left.type}).`)
    return read.right
  }
  return {
    argsOf: async (workItem) => {
      const [birth] = await eventsFrom(workItem, 0, 1)
      return birth?.payload === undefined ? undefined : (JSON.parse(Buffer.from(birth.payload).toString('utf8')) as unknown)
    },
    outcomeOf: async (workItem) => {
      const read = await engine.read(workItem)
      if (E.isLeft(read) && read.left instanceof Error) throw read.left
      return E.isLeft(read) || read.right.ending === undefined ? undefined : outcomeOfEvent(read.right.ending)
    },
    beforeOf: async (workItem) => {
      const events: WorkItemEvent[] = []
      for (let from = 0; ;) {
        const page = await eventsFrom(workItem, from, PAGE)
        for (const recorded of page) {
          const event = readEvent(recorded)
          if (E.isRight(event)) events.push(event.right)
        }
        const last = page.at(-1)
        if (last === undefined || page.length < PAGE) return lastSaid(events)
        from = last.revision + 1
      }
    },
  }
}

export const createOwnLog = (options: OwnLogOptions): OwnLog => {
  const { engine, world, node, instance, reportTo, over } = options
  const context = (): Context => ({ subject: EMBEDDED, actor: node, commandId: world.uuid() })
  const holder = { subject: EMBEDDED, name: node, instance }

  /** Tried again until the log takes it or refuses it; the last fault when the node stops first. */
  const surely = async (workItem: WorkItemId, command: CommandToDo): Promise<E.Either<Refusal, Existing>> => {
    const own = context()
    for (;;) {
      const done = await engine.execute(workItem, command, own)
      if (E.isRight(done)) return E.right(done.right.item)
      if (!isForLater(done.left) || over.aborted) return done
      await pause(world, TRY_AGAIN_MS, over)
    }
  }

  return {
    ...readingOf(options),
    take: ({ id, lease, operation, progressEverySeconds, args }, onRestart) => {
      const digest = contentDigest({ operation, lease, progressEverySeconds, args })
      const facts: OperationFacts = { operation, node, lease, progressEveryMs: Math.round(progressEverySeconds * 1_000), reportTo, onRestart }
      const command: CommandToDo = { type: 'DispatchOperation', by: MANAGEMENT, operation: facts, mediaType: JSON_TYPE, digest }
      return engine.execute(longTaskId(id), command, context(), args === undefined ? undefined : Buffer.from(JSON.stringify(args)))
    },
    lease: async (workItem) => {
      const leased = await surely(workItem, { type: 'LeaseItem', holder, token: world.token(TOKEN_LENGTH), termMs: LEASE_MS })
      if (E.isLeft(leased)) return leased
      if (!isHeld(leased.right)) throw new Error(`${workItem} was leased and is not held`)
      return E.right(leased.right)
    },
    say: (workItem, lease, report) => {
      const { refuse: _asTold, ...said } = report
      const refuse = refusalIn(engine.live(workItem), report)
      const digest = report.outcome === undefined ? {} : { digest: contentDigest(report.outcome) }
      return surely(workItem, { type: 'Report', by: EMBEDDED, lease, ...said, ...(refuse === undefined ? {} : { refuse }), ...digest, retry: { pauseMs: 0 } })
    },
    direct: (workItem, { number, directive, by, reason }) => surely(workItem, { type: 'GiveDirective', by, commandId: `management-${number}`, directive, reason }),
    fail: (workItem, code, message) => surely(workItem, { type: 'FailOperation', code, message }),
    acknowledge: (workItem, outcome, code) => surely(workItem, { type: 'NoteEffects', effects: [{ entry: 'reply', outcome, ...(code === undefined ? {} : { code }) }] }),
    live: engine.live,
    left: async () => {
      while (!(await engine.tables.reached(engine.position(), TABLES_WAIT_MS))) if (over.aborted) return []
      const { items } = await engine.tables.liveItems()
      return items
        .flatMap(({ workItem }): readonly Logged[] => {
          const item = engine.live(workItem)
          const parsed = parseWorkItemId(workItem)
          if (item?.operation === undefined || !isRunHere(item) || E.isLeft(parsed)) return []
          return [{ id: parsed.right.id, workItem, item, operation: item.operation }]
        })
        .toSorted((a, b) => a.item.createdAt - b.item.createdAt)
    },
  }
}
