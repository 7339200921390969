// How long a reply is given: a function of the request's stream and the time, so that it is the same on every server and in every replay (rules 18).
import type { Settled } from '../work-item/state.ts'

/** When a settled request is released by time, milliseconds since 1970 UTC; undefined: not by time, or it is no request. */
export const expiryOf = ({ request, settledAt }: Settled): number | undefined => {
  if (request === undefined || request.release.policy === 'required') return undefined
  return request.release.retainMs === undefined ? undefined : settledAt + request.release.retainMs
}

/** Whether its time is over, though nothing in the stream says so yet. */
export const isExpired = (item: Settled, now: number): boolean => {
  const expiry = expiryOf(item)
  return expiry !== undefined && now >= expiry
}

/** Whether a reply is given no more: released in the stream, or by the time that has come. */
export const isGone = (item: Settled, now: number): boolean => item.released !== undefined || isExpired(item, now)

/** Whether a request has settled and there never was a reply: nothing is kept for its caller, who has nothing to release. */
export const hasNoReply = ({ kind, end }: Settled): boolean => kind === 'request' && end !== 'completed'

/** Whether whoever calls again needs no more of it than its tombstone. What ended without a reply is told with its reason for as long as a reply would be kept. */
export const isDispensable = (item: Settled, now: number): boolean => isGone(item, now) || (hasNoReply(item) && expiryOf(item) === undefined)
