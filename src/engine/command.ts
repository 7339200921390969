// What every command comes with and what it comes to, and calls for work that waits.
import type * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../domain/ids.ts'
import type { QueueRejection } from '../domain/queue/decide.ts'
import type { Command, Rejection } from '../domain/work-item/commands.ts'
import type { Holder, WorkItemEvent } from '../domain/work-item/events.ts'
import type { Existing, Held, WorkItem } from '../domain/work-item/state.ts'
import type { Birth } from '../projections/tables.ts'
import type { AppendTooLarge, Position, StoreFault } from '../store/port.ts'

/** On whose behalf something is done; goes into the envelope of every event. */
export interface Context {
  /** Stable subject of the principal, never the credential (rules 1). */
  readonly subject: string
  /** How people read it: the e-mail. */
  readonly actor: string
  /** UUID; the same for a repeat (rules 5). */
  readonly commandId: string
  readonly correlationId?: string | undefined
  readonly traceparent?: string | undefined
}

/** A command without its time: only the engine dates facts. */
export type Timeless<C> = C extends Command ? Omit<C, 'time'> : never
export type CommandToDo = Timeless<Command>

/** The engine cannot take it now, whoever asks. */
export interface Busy {
  readonly type: 'too-many-live' | 'lagging' | 'stopping'
}

/** This server does not give out what waits in the line, and at the moment cannot say who does. */
export interface NoLeader {
  readonly type: 'no-leader'
}

/** More is stored than the caller's limit allows. */
export interface OverQuota {
  readonly type: 'over-quota'
  readonly detail: string
}

/** Another call with the same requestId has taken this one's place (rules 27). */
export interface Superseded {
  readonly type: 'superseded'
}

export type Refusal = Rejection | QueueRejection | AppendTooLarge | StoreFault | Busy | OverQuota | Superseded | NoLeader

export interface Done {
  /** The item after the command. */
  readonly item: Existing
  /** What it was before. */
  readonly before: WorkItem
  /** What was recorded; nothing for a repeat and for what is only volatile. */
  readonly events: readonly WorkItemEvent[]
  /** Everything the command said is durable; false when its progress is only noted (rules 19). */
  readonly recorded: boolean
  /** Position of the item's last event. */
  readonly position: Position
}

/** Load, decide, append, retry: the one way in which anything happens to a work item. Commands on one item run one after another (rules 8). */
export type Execute = (workItem: WorkItemId, command: CommandToDo, context: Context, payload?: Uint8Array) => Promise<E.Either<Refusal, Done>>

/** One call for work that waits in a line. */
export interface LeaseCall {
  readonly max: number
  readonly termMs: number
  /** An empty name: a caller that names no worker (the dialect). */
  readonly holder: Holder
  /** Only tasks with this tag. */
  readonly tag?: string | undefined
  /** Only tasks with the tag of the oldest. */
  readonly sameTag?: boolean | undefined
  /** A repeat with the same id gets what the first got (rules 27). */
  readonly requestId?: string | undefined
  /** Bytes of payload that the tasks may have together; the first is given whatever its size. */
  readonly bytesMax?: number | undefined
  /** How long to wait for work when there is none. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
  /** Whether the caller may still be given anything: asked when it gets in line, and again whenever the lists have changed. */
  readonly mayStill?: (() => boolean) | undefined
}

export interface LeaseRequest extends LeaseCall {
  readonly app: string
  readonly queue: string
}

export interface LeasedItem extends Done {
  readonly workItem: WorkItemId
  readonly item: Held
  readonly birth: Birth
  readonly payload: Uint8Array | undefined
}
