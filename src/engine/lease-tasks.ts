// Leasing tasks: takes candidates that the ready index claims, leases each by its own append, and waits for work when there is none.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import { isHeld, surfaceState } from '../domain/work-item/state.ts'
import { readEvent } from '../projections/fold.ts'
import type { EventStore } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Context, Done, Engine, LeasedTask, LeaseRequest, Refusal } from './engine.ts'
import { uuidV5 } from './envelope.ts'
import type { Handler } from './handle.ts'
import { queueOf, type ReadyQueues } from './ready.ts'

const LEASE_TOKEN_LENGTH = 8

export const createLeaseTasks = (options: { readonly store: EventStore; readonly handler: Handler; readonly ready: ReadyQueues; readonly world: World; readonly isStopping: () => boolean }): Engine['leaseTasks'] => {
  const { store, handler, ready, world } = options

  const withPayload = async (workItem: WorkItemId, done: Done): Promise<E.Either<Refusal, LeasedTask>> => {
    const { item } = done
    // A stream that is full ends its task in place of leasing it.
    if (!isHeld(item)) return E.left({ type: 'stale-lease', state: surfaceState(item), detail: 'Its stream is full.' })
    const first = await store.readStream(streamOf(workItem), { from: 0, max: 1 })()
    if (E.isLeft(first)) return first
    const [recorded] = first.right
    const birth = recorded === undefined ? undefined : readEvent(recorded)
    if (birth === undefined || E.isLeft(birth) || birth.right.type !== 'TaskInserted') throw new Error(`The stream of ${workItem} does not begin with its birth`)
    return E.right({ ...done, item, workItem, birth: birth.right, payload: recorded?.payload })
  }

  const leaseOne = async (request: LeaseRequest, context: Context, workItem: WorkItemId): Promise<E.Either<Refusal, LeasedTask>> => {
    const command = { type: 'LeaseTask', holder: request.holder, token: world.token(LEASE_TOKEN_LENGTH), termMs: request.termMs } as const
    const done = await handler.execute(workItem, command, { ...context, commandId: uuidV5(context.commandId, workItem) })
    if (E.isRight(done)) return withPayload(workItem, done.right)
    ready.giveBack(workItem)
    return done
  }

  const leaseWhatIsThere = async (request: LeaseRequest, context: Context): Promise<E.Either<Refusal, readonly LeasedTask[]>> => {
    const candidates = ready.take(queueOf(request), request.max)
    const tried = await Promise.all(candidates.map((workItem) => leaseOne(request, context, workItem)))
    const leased = tried.flatMap((one) => (E.isRight(one) ? [one.right] : []))
    const failed = tried.find(E.isLeft)
    // A task that slipped away is nobody's failure; a store that does not answer is.
    return leased.length === 0 && failed !== undefined && failed.left instanceof Error ? failed : E.right(leased)
  }

  return async (request, context) => {
    const until = world.monotonic() + request.waitMs
    for (;;) {
      if (options.isStopping()) return E.right([])
      const leased = await leaseWhatIsThere(request, context)
      if (E.isLeft(leased) || leased.right.length > 0) return leased
      const left = until - world.monotonic()
      if (left <= 0 || request.signal?.aborted) return leased
      await ready.wait(queueOf(request), left, request.signal)
    }
  }
}
