// Leases that an earlier process left behind. What holds the lock on the log knows that their holder, which lived in the process that had it before, is gone (rules 17).
import * as E from 'fp-ts/lib/Either.js'
import type { RetryPolicy } from '../domain/work-item/commands.ts'
import { hasPromisedSilence } from '../domain/work-item/operations.ts'
import { isHeld, type Existing } from '../domain/work-item/state.ts'
import type { World } from '../world.ts'
import type { Handler } from './handle.ts'
import type { Live } from './live.ts'

export interface LeftLeases {
  readonly live: Live
  readonly handler: Handler
  readonly world: World
  readonly retryFor: (item: Existing) => RetryPolicy
  readonly onTrouble: (what: string, cause: unknown) => void
}

/** Ends every lease of a task, a request or an operation of this node that this subject holds, as if its time had come. A holder elsewhere, that of a job or a long task, may live. */
export const endLeasesOf = async (subject: string, { live, handler, world, retryFor, onTrouble }: LeftLeases): Promise<void> => {
  for (const [workItem, { item }] of [...live.entries()]) {
    if (!isHeld(item) || hasPromisedSilence(item) || item.lease.holder.subject !== subject) continue
    const { number: lease, until: reached } = item.lease
    const context = { subject: 'stint', actor: 'stint', commandId: world.uuid() }
    const ended = await handler.execute(workItem, { type: 'ExpireLease', lease, reached, retry: retryFor(item) }, context)
    if (E.isLeft(ended)) onTrouble(`The lease of ${workItem} could not be ended`, ended.left)
  }
}
