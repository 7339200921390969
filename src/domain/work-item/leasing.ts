// Giving a lease: the event that carries it, and its number, which grows by one with each.
import type { LeaseGrant } from './commands.ts'
import type { WorkItemEvent } from './events.ts'
import { isHeld, type Existing } from './state.ts'

export const nextLease = (item: Existing): number => (isHeld(item) ? item.lease.number : (item.ended?.number ?? 0)) + 1

export const leasedTo = (to: LeaseGrant, lease: number, time: number): WorkItemEvent => ({
  type: 'Leased',
  lease,
  token: `${lease}.${to.token}`,
  holder: to.holder,
  termMs: to.termMs,
  until: time + to.termMs,
  ...(to.requestId === undefined ? {} : { requestId: to.requestId }),
})
