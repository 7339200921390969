// Runs what is on the list: leased in the node's own log, made by its class and run, so many at a time as the node may. What waits for its turn waits in the order in which it was taken.
import * as E from 'fp-ts/lib/Either.js'
import type { OnProblem } from '../../client/complaints.ts'
import { Closed } from '../../client/errors.ts'
import type { HeldJob } from '../../client/job.ts'
import type { Before, OperationContext } from '../../client/long-task-class.ts'
import { completed, outcomeOf } from '../../client/outcomes.ts'
import { pause, type World } from '../../world.ts'
import type { Operations } from './declared.ts'
import type { Entity } from './entity.ts'
import type { OwnLog } from './own-log.ts'

/** After a fault of the store it is begun again after this. */
const TRY_AGAIN_MS = 1_000

export interface Runner {
  /** It is run as soon as there is a place for it. */
  readonly add: (entity: Entity) => void
  /** It is run at once, whatever else runs: somebody waits for its answer. */
  readonly addAtOnce: (entity: Entity) => void
  /** It cannot be run (again): it fails. */
  readonly refuse: (entity: Entity, code: string, message: string) => Promise<void>
  /** Begins with what was added; nothing is run before. */
  readonly open: () => void
  /** Begins nothing more. */
  readonly hold: () => void
  /** Stops what runs without an end. */
  readonly stop: () => void
  /** Resolves when nothing runs any more. */
  readonly idle: () => Promise<void>
}

export interface RunnerSetting {
  readonly world: World
  readonly log: OwnLog
  readonly operations: Operations
  /** Long operations that run at the same time, at most. */
  readonly runningMax: number
  readonly onProblem: OnProblem
  readonly over: AbortSignal
}

const contextOf = ({ job }: Pick<HeldJob, 'job'>, before: Before | undefined): OperationContext =>
  // What it is told changes while it runs, so that the job is looked at and not copied.
  before === undefined ? job : (Object.create(job, { before: { value: before, enumerable: true } }) as OperationContext)

export const createRunner = ({ world, log, operations, runningMax, onProblem, over }: RunnerSetting): Runner => {
  const waiting = new Set<Entity>()
  const underWay = new Map<Entity, Promise<void>>()
  let isHolding = true
  let isStopped = false

  /** Nobody runs it, and nobody wants it to wait. */
  const isReady = (entity: Entity): boolean => {
    const item = entity.item()
    return !over.aborted && item.status === 'waiting' && item.will === 'normal'
  }

  const refuse: Runner['refuse'] = async (entity, code, message) => {
    const failed = await log.fail(entity.workItem, code, message)
    if (E.isLeft(failed)) return onProblem(new Error(`Expected to note that it cannot be run (${message}), but the log does not take it.`), entity.id)
    entity.settle((await log.outcomeOf(entity.workItem)) ?? { failed: { code, message } })
  }

  const run = async (entity: Entity): Promise<void> => {
    const { operation } = entity.operation
    const declared = operations.get(operation)
    if (declared === undefined) return refuse(entity, 'unknown-operation', `Its node does not know ${operation} any more.`)
    const args = declared.argsOf(await log.argsOf(entity.workItem))
    if (E.isLeft(args))
      return refuse(entity, 'invalid', `Its node does not take its arguments any more: ${args.left.map(({ path, detail }) => `/args${path} ${detail}`).join(' ')}`)
    const before = entity.item().attempt === 0 ? undefined : await log.beforeOf(entity.workItem)
    if (isStopped) return
    const leased = await log.lease(entity.workItem)
    if (isStopped) return
    // A directive has overtaken it: it is paused, and comes again when it is resumed, or it has been aborted.
    if (E.isLeft(leased)) return isReady(entity) ? void waiting.add(entity) : undefined
    const held = entity.begin(leased.right)
    // The stop came while it was leased, and found nothing to stop.
    if (isStopped) return entity.stop(new Closed('implementation node'))
    try {
      entity.end(completed(await declared.run(args.right, contextOf(held, before))))
    } catch (thrown) {
      // The next start of the node decides what becomes of it.
      if (!(held.stopReason() instanceof Closed)) entity.end(outcomeOf(held, thrown))
    }
  }

  /** Those that somebody waits for take no place. */
  const uncounted = new WeakSet<Entity>()
  const counted = (): number => [...underWay.keys()].filter((entity) => !uncounted.has(entity)).length

  const begin = (entity: Entity): void => {
    const running = run(entity)
      .catch(async (fault: Error) => {
        onProblem(fault, entity.id)
        await pause(world, TRY_AGAIN_MS, over)
        if (isReady(entity)) waiting.add(entity)
      })
      .finally(() => {
        underWay.delete(entity)
        next()
      })
    underWay.set(entity, running)
  }

  const next = (): void => {
    for (const entity of waiting) {
      if (isHolding || counted() >= runningMax) return
      waiting.delete(entity)
      begin(entity)
    }
  }

  return {
    add: (entity) => {
      if (underWay.has(entity)) return
      waiting.add(entity)
      next()
    },
    addAtOnce: (entity) => {
      if (isHolding) return
      uncounted.add(entity)
      begin(entity)
    },
    refuse,
    open: () => {
      isHolding = over.aborted
      next()
    },
    hold: () => {
      isHolding = true
    },
    stop: () => {
      isHolding = true
      isStopped = true
      for (const entity of underWay.keys()) entity.stop(new Closed('implementation node'))
    },
    idle: async () => {
      while (underWay.size > 0) await Promise.allSettled(underWay.values())
    },
  }
}
