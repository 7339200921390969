// Lease calls over HTTP: what is leased goes to the worker in the answer, and comes back at once when the answer did not get there (rules 27).
import * as E from 'fp-ts/lib/Either.js'
import type { LeasedItem } from '../engine/engine.ts'
import type { LeaseAnswer, LeaseBody } from '../wire/tasks.ts'
import { PAYLOAD_BYTES_MAX } from '../wire/tasks.ts'
import type { QueueConfig, WorkItemId } from '../wire/words.ts'
import type { Cancel, World } from '../world.ts'
import type { Call } from './call.ts'
import { fromRefusal, type Problem } from './problem.ts'
import { leasedTaskView } from './views.ts'

/** Payload bytes of one answer, at most: in base64 they are 32 MiB and some (rules 13). The first task always fits. */
const ANSWER_BYTES_MAX = 23 * 1024 * 1024
/** How long a call that has a name may be repeated before what it leased goes back. */
const REPEAT_WITHIN_MS = 10_000

export interface LeaseAnswers {
  /** Leases for one call. `waitMs`: how long to wait for work; 0 not at all. */
  readonly lease: (call: Call, config: QueueConfig, body: LeaseBody, waitMs: number) => Promise<E.Either<Problem, LeaseAnswer>>
  /** Gives back what is still kept for a repeat; resolves when all of it is back. */
  readonly close: () => Promise<void>
}

/** @param onDefect told what nobody waits for: the lease then ends by its time */
export const createLeaseAnswers = (world: World, onDefect: (cause: unknown) => void): LeaseAnswers => {
  /** Under a lease whose answer got lost, kept for the call's repeat: by work item and lease. */
  const kept = new Map<string, { readonly cancel: Cancel; readonly giveBack: () => void }>()
  const under = new Set<Promise<unknown>>()

  const keyOf = (workItem: WorkItemId, lease: string): string => `${workItem} ${lease}`

  const giveBack = (call: Call, { workItem, item }: LeasedItem): void => {
    const going = call.engine
      .takeBack(workItem, item.lease.token, { ...call.context, commandId: world.uuid() })
      .catch(onDefect)
      .finally(() => under.delete(going))
    under.add(going)
  }

  const lost = (call: Call, task: LeasedItem, isNamed: boolean): void => {
    if (!isNamed) return giveBack(call, task)
    const key = keyOf(task.workItem, task.item.lease.token)
    const back = (): void => {
      kept.delete(key)
      giveBack(call, task)
    }
    kept.set(key, { cancel: world.timer(REPEAT_WITHIN_MS, back), giveBack: back })
  }

  const claim = ({ workItem, item }: LeasedItem): void => {
    const key = keyOf(workItem, item.lease.token)
    kept.get(key)?.cancel()
    kept.delete(key)
  }

  const isFull = (leased: readonly LeasedItem[]): boolean => leased.reduce((bytes, { payload }) => bytes + (payload?.byteLength ?? 0), 0) + PAYLOAD_BYTES_MAX > ANSWER_BYTES_MAX

  return {
    lease: async (call, config, { max = 1, leaseSeconds, worker, tag, sameTag, requestId }, waitMs) => {
      const { app, queue, stint } = config
      const { subject } = call.principal
      const leased = await call.engine.leaseTasks(
        {
          app,
          queue,
          max,
          termMs: leaseSeconds === undefined ? stint.defaultLeaseMs : Math.round(leaseSeconds * 1_000),
          holder: { subject, name: worker ?? '', ...(worker === undefined ? {} : { instance: worker }) },
          tag,
          sameTag,
          requestId,
          bytesMax: ANSWER_BYTES_MAX,
          waitMs,
          ...(waitMs > 0 ? { signal: call.signal } : {}),
        },
        call.context,
      )
      if (E.isLeft(leased)) return E.left(fromRefusal(leased.left))
      const tasks = leased.right
      for (const task of tasks) claim(task)
      if (tasks.length > 0) call.onEnd((isWritten) => isWritten || tasks.forEach((task) => lost(call, task, requestId !== undefined)))
      const more = tasks.length < max && isFull(tasks) && call.engine.queues.figuresOf(config).waiting > 0
      return E.right({ items: tasks.map((task) => leasedTaskView({ ...task, presence: call.engine.presence(task.workItem) }, task.payload)), more: more ? true : undefined })
    },
    close: async () => {
      for (const { cancel, giveBack: back } of [...kept.values()]) {
        cancel()
        back()
      }
      await Promise.all(under)
    },
  }
}
