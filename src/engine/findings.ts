// What the engine finds out about its items and itself beside what the log says: signs of life, what holds an item back, checks and figures.
import type { Progress } from '../domain/work-item/events.ts'
import type { Position } from '../store/port.ts'

/** Volatile signs of life (rules 16): in memory, outside replay equality. */
export interface Presence {
  readonly lastSeenAt: number
  /** Reported, not recorded yet. */
  readonly progress?: Progress | undefined
}

/** What a task's queue holds it back by, beside the task's own state. */
export interface QueueGate {
  readonly gate: 'queue-paused' | 'queue-removed' | 'not-served' | 'key' | 'rate' | 'no-worker'
  /** When it opens by itself, milliseconds since 1970 UTC. */
  readonly until?: number | undefined
}

/** What a long task waits for beside its own state. */
export interface NodeGate {
  /** `sending`: to be taken by its node, which is there as far as anybody knows. */
  readonly gate: 'node-unknown' | 'node-down' | 'sending'
  /** A sentence. */
  readonly detail: string
  /** When its time is over, milliseconds since 1970 UTC. */
  readonly until?: number | undefined
}

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail?: string
}

/** What time has released and erased since the start of this server. */
export interface SweeperFigures {
  /** Replies whose time was over. */
  readonly released: number
  /** Work items past their retention. */
  readonly erased: number
  /** Erased events that were deleted, or that no stream shows any more. */
  readonly pruned: number
  /** What was due and could not be done. */
  readonly refused: number
  readonly isSweeping: boolean
  /** What was erased may not be taken out of the store yet. */
  readonly isOwing: boolean
  /** When a sweep last came to its end, milliseconds since 1970 UTC. */
  readonly lastSweptAt?: number | undefined
  /** Why the last sweep did not, if so. */
  readonly failing?: string | undefined
}

export interface Status {
  readonly status: 'ready' | 'degraded' | 'not-ready'
  readonly checks: readonly Check[]
  readonly position: Position
  readonly liveItems: number
  /** Held jobs and tasks. */
  readonly heldItems: number
  /** Requests that are not settled. */
  readonly pendingRequests: number
  readonly waitingPolls: number
  /** For how long the tables have not shown what the log has, in milliseconds. */
  readonly tablesBehindMs: number
  readonly sweeper: SweeperFigures
}
