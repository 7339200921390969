// What a request counts for its caller for as long as it is kept, and when that is more than its contract grants (spec C 6).
import type { ContractConfig } from '../contract.ts'
import type { RequestFacts, WorkItem } from '../work-item/state.ts'
import { hasNoReply } from './release.ts'

/** What a caller has at a contract. A request is pending until it settles, and then unreleased until its reply is released; one that settles without a reply leaves nothing to release. */
export interface Usage {
  readonly pending: number
  readonly unreleased: number
  /** Stored for both: bodies of requests, and of replies that are kept. */
  readonly bytes: number
}

export const NO_USAGE: Usage = { pending: 0, unreleased: 0, bytes: 0 }

/** What one request adds to the usage of its caller; undefined once it is released or erased or has ended without a reply, and for what is no request. */
export const kept = (item: WorkItem): (Usage & Pick<RequestFacts, 'contract' | 'caller'>) | undefined => {
  if (item.status === 'absent' || item.request === undefined) return undefined
  const { contract, caller, bytes } = item.request
  if (item.status !== 'settled') return { contract, caller, pending: 1, unreleased: 0, bytes }
  if (item.released !== undefined || item.erased === true || hasNoReply(item)) return undefined
  const reply = item.reply?.kept === true ? item.reply.bytes : 0
  return { contract, caller, pending: 0, unreleased: 1, bytes: bytes + reply }
}

/** One after the other; with `sign` -1 the second is taken from the first. */
export const plus = (a: Usage, b: Usage, sign: 1 | -1 = 1): Usage => ({
  pending: a.pending + sign * b.pending,
  unreleased: a.unreleased + sign * b.unreleased,
  bytes: a.bytes + sign * b.bytes,
})

/** Which limit this usage is beyond, as a sentence; undefined when it is within. */
export const beyondQuota = (usage: Usage, quota: ContractConfig['quota']): string | undefined => {
  const requests = usage.pending + usage.unreleased
  if (quota?.requests !== undefined && requests > quota.requests)
    return `Expected at most ${quota.requests} requests unreleased, pending ones among them, but with this one there would be ${requests}.`
  if (quota?.bytes !== undefined && usage.bytes > quota.bytes) return `Expected at most ${quota.bytes} bytes unreleased, but this would make ${usage.bytes}.`
  return undefined
}
