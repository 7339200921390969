// What can be made to go wrong in one node of the double, and what it has counted.

/**
 * What happens to one append, in place of the usual:
 * `lost`: stored, and no answer ever comes · `dropped after`: stored, then the connection is cut · `dropped before`: the connection is cut first ·
 * `ignored`: neither stored nor answered · `timed out`: stored, and answered that it took too long · `timed out before`: not stored, and the same answer ·
 * `busy`, `not ready`: refused, nothing stored · `denied`: the user may not write · `bad request`: the server cannot make sense of it.
 */
export type AppendFault = 'lost' | 'dropped after' | 'dropped before' | 'ignored' | 'timed out' | 'timed out before' | 'busy' | 'not ready' | 'denied' | 'bad request' | 'unknown'

/** What happens to one read, in place of the usual. */
export type ReadFault = 'dropped' | 'silent' | 'not ready' | 'denied' | 'internal' | 'exhausted'

export interface Faults {
  /** Each append takes the first of these away. */
  readonly appends: AppendFault[]
  /** Each read that is no subscription takes the first of these away. */
  readonly reads: ReadFault[]
  /** A server that starts: answers everything with "Server Is Not Ready". */
  isStarting: boolean
  /** A follower whose leader nobody knows, as during an election. */
  isLeaderless: boolean
  /** The user may read streams, but not $all. */
  deniesAll: boolean
  /** Bytes of one append. */
  maxAppendSize: number
  /** Live subscriptions stay open and show nothing any more. */
  isMute: boolean
  /** Held appends are taken and wait until they are let go. */
  isHolding: boolean
}

export const noFaults = (): Faults => ({
  appends: [],
  reads: [],
  isStarting: false,
  isLeaderless: false,
  deniesAll: false,
  maxAppendSize: 1_048_576,
  isHolding: false,
  isMute: false,
})

export interface Counts {
  /** Appends that arrived, whatever became of them. */
  appends: number
  reads: number
  /** Calls of batch append that are open. */
  appendCalls: number
  /** Subscriptions that are open. */
  subscriptions: number
  /** Subscriptions that were ever opened. */
  subscribed: number
  /** Where they began. */
  readonly subscribedFrom: (bigint | 'start' | 'end')[]
  /** Connections that are open. */
  connections: number
}

export const noCounts = (): Counts => ({ appends: 0, reads: 0, appendCalls: 0, subscriptions: 0, subscribed: 0, subscribedFrom: [], connections: 0 })
