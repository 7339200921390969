// What the services of one node of the double share.
import type { Counts, Faults } from './faults.ts'
import type { DoubleLog } from './log.ts'

export type Told = 'append' | 'read' | 'subscription' | 'checkpoint' | 'disconnection'

export interface NodeState {
  readonly log: DoubleLog
  readonly faults: Faults
  readonly counts: Counts
  readonly isLeader: () => boolean
  readonly leaderAddress: () => { readonly host: string; readonly port: number }
  /** Cuts every connection to this node. */
  readonly dropConnections: () => void
  /** Runs now, or when held appends are let go; in order. */
  readonly whenLetGo: (run: () => void) => void
  /** Says that something arrived, to a test that waits for it. */
  readonly told: (what: Told) => void
  /** Ends with the node's subscriptions; each is told to drop its reader. */
  readonly subscriptions: Set<(reason: 'slow' | 'gone') => void>
}
