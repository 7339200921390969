// Lease calls that wait: each stands in the line of its queue until tasks are claimed for it, a birth hands it one, its time is over, or its caller is gone.
import type { WorkItemId } from '../../domain/ids.ts'
import type { LeaseGrant } from '../../domain/work-item/commands.ts'
import type { World } from '../../world.ts'
import type { LeasedItem } from '../command.ts'
import type { Ask, QueueIndex, Waiter } from './queue-index.ts'

/** Work items that were claimed, or the one task that was leased already as it was born. */
export type Found = readonly WorkItemId[] | { readonly handed: LeasedItem }

interface LeaseWaiter extends Waiter {
  /** With all that a lease for it needs, so that a birth can carry it. */
  readonly grant: LeaseGrant
  readonly hand: (leased: LeasedItem) => void
}

export interface LeaseLine {
  /** Waits at most `ms` milliseconds; with nothing when it is over or the queue has to be looked at again. */
  readonly wait: (index: QueueIndex, call: { readonly ask: Ask; readonly grant: LeaseGrant; readonly ms: number; readonly signal: AbortSignal }) => Promise<Found>
  readonly grantOf: (waiter: Waiter) => LeaseGrant
  readonly hand: (waiter: Waiter, leased: LeasedItem) => void
}

/** Every waiter in the indexes was made here. */
const own = (waiter: Waiter): LeaseWaiter => waiter as LeaseWaiter

export const createLeaseLine = (world: World): LeaseLine => ({
  wait: (index, { ask, grant, ms, signal }) =>
    new Promise((resolve) => {
      let isOver = false
      const finish = (found: Found): void => {
        cancel()
        signal.removeEventListener('abort', give)
        resolve(found)
      }
      // Whoever is reserved for a birth that is on its way hears of it in a moment, whatever the clock and the caller say.
      const give = (): void => {
        if (index.leave(waiter)) finish([])
        else isOver = true
      }
      const waiter: LeaseWaiter = { ask, grant, serve: finish, isOver: () => isOver, hand: (handed) => finish({ handed }) }
      const cancel = world.timer(ms, give)
      signal.addEventListener('abort', give, { once: true })
      index.wait(waiter)
    }),
  grantOf: (waiter) => own(waiter).grant,
  hand: (waiter, leased) => own(waiter).hand(leased),
})
