// The long-operation list: every operation that the node was given and whose end the management node has not acknowledged. It lies in the node's own log; here is what is
// in memory of it. Short operations are among them while they run, and are neither shown nor reported on: whoever sent them waits for their answer.
import * as E from 'fp-ts/lib/Either.js'
import type { OnProblem } from '../../client/complaints.ts'
import type { CarriedOut } from '../../domain/work-item/events.ts'
import { isHeld, isOwing, type Existing } from '../../domain/work-item/state.ts'
import { fromRefusal, invalid, problem, type Problem } from '../../api/messages.ts'
import { longTaskId } from '../../domain/ids.ts'
import type { Outcome } from '../../wire/items.ts'
import type { SentOperation } from '../../wire/long-tasks.ts'
import type { Entity as ShownEntity } from '../../wire/nodes.ts'
import type { World } from '../../world.ts'
import type { Operations } from './declared.ts'
import { createEntity, type Entity, type EntitySetting } from './entity.ts'
import { isLong, type Logged, type OwnLog } from './own-log.ts'
import type { Runner } from './runner.ts'

/** What is said to an operation that was sent. */
export type Taken =
  /** It is on the list. */
  | { readonly type: 'listed' }
  /** It has ended, and this is how. */
  | { readonly type: 'answered'; readonly outcome: Outcome }
  | { readonly type: 'refused'; readonly problem: Problem }

export interface OperationList {
  /** Takes an operation once, whatever is sent. On the list it is durable when this resolves. */
  readonly take: (sent: SentOperation) => Promise<Taken>
  readonly get: (id: string) => Entity | undefined
  /** What the management node is told of. */
  readonly reported: () => Iterable<Entity>
  readonly shown: () => readonly ShownEntity[]
  /** The management node knows how it ended, or does not want to: it leaves the list. */
  readonly acknowledge: (entity: Entity, outcome: CarriedOut['outcome'], code?: string) => Promise<void>
  /** Goes on with what an earlier process left, as each class says. Rejects when that was a node of another name, of which nobody would hear. */
  readonly restore: () => Promise<void>
  /** Resolves when nothing that was said is on its way to the log. */
  readonly quiet: () => Promise<void>
}

export interface ListSetting {
  readonly world: World
  readonly node: string
  readonly log: OwnLog
  readonly operations: Operations
  readonly runner: Runner
  readonly onProblem: OnProblem
  /** There is more to tell, or sooner. */
  readonly onNews: () => void
  /** Aborts when nothing is taken any more. */
  readonly closing: AbortSignal
  readonly over: AbortSignal
}

/** Characters that the outcomes on the list may take together when it is shown: what is beyond is told by report. */
const SHOWN_CHARACTERS_MAX = 4 * 1024 * 1024

const STOPPED = 'Its node stopped before it ended, and it is not run again.'
const refused = (refusal: Problem): Taken => ({ type: 'refused', problem: refusal })

const unknownOperation = (operations: Operations): Taken =>
  refused(problem('unknown-operation', operations.size === 0 ? 'This node knows none.' : `This node knows ${[...operations.keys()].toSorted().join(', ')}.`))

/** Where the management node has lost its data, its ids are new to it alone. */
const takenBefore = (id: string): Problem =>
  problem(
    'exists-with-other-content',
    `This node has taken another operation under the id ${id} before, or the same one of an earlier log of its management node. Another id is needed.`,
  )

/** How it ended was erased with everything else that was known of it, when its time was over. */
const FORGOTTEN: Outcome = { failed: { code: 'erased', message: 'It was run here before, and how it ended is not kept any more.' } }

const shownOf = (entities: readonly ShownEntity[]): readonly ShownEntity[] => {
  let characters = 0
  return entities.map((entity) => {
    const { outcome, ...others } = entity
    characters += outcome === undefined ? 0 : JSON.stringify(outcome).length
    return characters > SHOWN_CHARACTERS_MAX ? others : entity
  })
}

/** Whoever waited for its answer is gone. A long one of which its class says so has failed with its lease, unless that could not be ended. */
const hasBrokenOff = (item: Existing): boolean => isHeld(item) || !isLong(item)

/** What it comes to; undefined when `signal` aborts before. Nothing of it is left behind at the signal, which outlives thousands of them. */
const unlessAborted = <Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return resolve(undefined)
    const stop = (): void => resolve(undefined)
    signal.addEventListener('abort', stop, { once: true })
    value.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })

export const createList = (setting: ListSetting): OperationList => {
  const { world, log, operations, runner, onProblem, closing } = setting
  const entities = new Map<string, Entity>()

  const acknowledge: OperationList['acknowledge'] = async (entity, outcome, code) => {
    const noted = await log.acknowledge(entity.workItem, outcome, code)
    if (E.isRight(noted)) entities.delete(entity.id)
    else if (!setting.over.aborted) onProblem(new Error('Expected to note that its end is known, but the log does not take it.'), entity.id)
  }

  const entitySetting: EntitySetting = {
    world,
    log,
    onProblem,
    over: setting.over,
    onPressing: setting.onNews,
    onReady: runner.add,
    onEnded: (entity) => {
      // Its answer is its report; sent again, it is answered from the log.
      if (!entity.isLong || entity.unwanted() === 'unknown') acknowledge(entity, 'done').catch((defect: Error) => onProblem(defect, entity.id))
    },
  }

  const adopt = (logged: Logged): Entity => {
    const known = entities.get(logged.id)
    if (known !== undefined) return known
    const entity = createEntity(logged, entitySetting)
    entities.set(logged.id, entity)
    setting.onNews()
    return entity
  }

  const answerOf = async (entity: Entity): Promise<Taken> => {
    const outcome = entity.outcome() ?? (await unlessAborted(entity.ended, closing))
    return outcome === undefined ? refused(problem('stopping')) : { type: 'answered', outcome }
  }

  const take: OperationList['take'] = async (sent) => {
    const declared = operations.get(sent.operation)
    if (declared === undefined) return unknownOperation(operations)
    const args = declared.argsOf(sent.args)
    if (E.isLeft(args)) return refused(invalid(args.left.map((error) => ({ ...error, path: `/args${error.path}` }))))
    const done = await log.take(sent, declared.onRestart)
    if (E.isLeft(done)) return refused('type' in done.left && done.left.type === 'exists-with-other-content' ? takenBefore(sent.id) : fromRefusal(done.left))
    const { item, before } = done.right
    const workItem = longTaskId(sent.id)
    const isOver = item.status === 'settled' && !isOwing(item)
    const entity = entities.get(sent.id) ?? (isOver || item.operation === undefined ? undefined : adopt({ id: sent.id, workItem, item, operation: item.operation }))
    if (entity === undefined) return { type: 'answered', outcome: (await log.outcomeOf(workItem)) ?? FORGOTTEN }
    if (before.status === 'absent') {
      if (entity.isLong) runner.add(entity)
      else runner.addAtOnce(entity)
    }
    return entity.isLong ? { type: 'listed' } : answerOf(entity)
  }

  const goOn = async (logged: Logged): Promise<void> => {
    const entity = adopt(logged)
    const { item, workItem } = logged
    // Nobody has heard of it since the node stopped.
    entity.lastSign = Number.NEGATIVE_INFINITY
    if (item.status === 'settled') {
      const { phase, progress } = item
      // It may have been said and not heard.
      if (phase !== undefined || progress !== undefined) entity.told.add({ ...(phase === undefined ? {} : { phase }), ...(progress === undefined ? {} : { progress }) })
      return entity.settle((await log.outcomeOf(workItem)) ?? FORGOTTEN)
    }
    if (hasBrokenOff(item)) return runner.refuse(entity, 'interrupted', STOPPED)
    // What the management node believes of it is from before; an answer to a directive may not have reached it.
    if (item.receipt !== undefined) entity.told.add({ state: item.will === 'pause' ? 'paused' : 'running' })
    if (item.will !== 'pause') runner.add(entity)
  }

  return {
    take,
    get: (id) => entities.get(id),
    reported: function* () {
      for (const entity of entities.values()) if (entity.isLong) yield entity
    },
    shown: () => shownOf([...entities.values()].filter((entity) => entity.isLong && entity.unwanted() === undefined).map((entity) => entity.shown())),
    acknowledge,
    restore: async () => {
      const left = await log.left()
      const stranger = left.find(({ operation }) => operation.node !== setting.node)
      if (stranger !== undefined)
        throw new Error(
          `Expected the list of ${setting.node}, but its directory has operations of ${stranger.operation.node}: start it under that name, or on a directory of its own.`,
        )
      for (const logged of left) await goOn(logged)
    },
    quiet: async () => {
      await Promise.all([...entities.values()].map((entity) => entity.quiet()))
    },
  }
}
