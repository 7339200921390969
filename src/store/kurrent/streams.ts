// Which streams of an EventStoreDB are Stint's: what the store reads out of $all, and what it may append to.
import type { Position } from '../port.ts'

/** The stream in which a store keeps who it is. Not to be seen through the port. */
export const IDENTITY_STREAM = 'stint-log'

/** How the names of Stint's streams begin (rules 1, 28). */
export const STINT_PREFIXES: readonly string[] = ['workItem-', 'queue-', 'contract-', 'node-', 'audit-', 'tokens', 'servers', 'leaders']

/** `all`: every stream that is not the server's own. */
export type Prefixes = readonly string[] | 'all'

/** Names that begin with `$` are the server's own: metadata, links of projections, statistics. */
const isSystem = (name: string): boolean => name.startsWith('$')

export interface StreamNames {
  /** Whether this store reads the stream, so that it may append to it. */
  readonly isOurs: (stream: string) => boolean
  /** What the server filters $all by; the store's own stream is let through, as the mark before which nothing of Stint's is. */
  readonly filter: { readonly prefixes: readonly string[] } | { readonly regex: string }
}

export const streamNames = (prefixes: Prefixes): StreamNames =>
  prefixes === 'all'
    ? { isOurs: (stream) => !isSystem(stream) && stream !== IDENTITY_STREAM, filter: { regex: '^[^$]' } }
    : { isOurs: (stream) => prefixes.some((prefix) => stream.startsWith(prefix)), filter: { prefixes: [...prefixes, IDENTITY_STREAM] } }

/** Events of the server in streams of ours: links, deletions. */
export const isSystemEvent = (type: string): boolean => isSystem(type)

const DIGITS = 16

/** The position of the event that the server keeps at this place of its log. Its events have one place each, so one number is enough. */
export const positionOf = (incarnation: string, commit: bigint): Position => `${incarnation}.${String(commit).padStart(DIGITS, '0')}`

export const commitOf = (position: Position): bigint => BigInt(position.slice(-DIGITS))
