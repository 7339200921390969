// One append as the wire asks and answers it.
import type { Status } from '@eventstore/db-client/generated/status_pb.js'
import type { BatchAppendReq, BatchAppendResp } from '@eventstore/db-client/generated/streams_pb.js'
import type { Library } from './client.ts'
import type { StoredForm } from './event-codec.ts'
import { saidBy } from './failures.ts'

/** Where the stream must end. `any` is not among them: a repeat of it would be told from a new append only by a cache of the server's. */
export type WireExpected = 'noStream' | number

/**
 * `stored`: with revision and place of the last event ·
 * `busy`: not stored, and may be asked again · `unsent`: the same, as it never left ·
 * `unknown`: it may be stored · `final`: not stored, and asking again would not help.
 */
export type Answer =
  | { readonly kind: 'stored'; readonly revision: number; readonly commit: bigint }
  | { readonly kind: 'conflict'; readonly actual: number }
  | { readonly kind: 'tooLarge'; readonly limitBytes: number }
  | { readonly kind: 'busy' | 'unsent' | 'unknown' | 'final'; readonly cause: unknown }

export interface WireAppend {
  readonly stream: string
  readonly expected: WireExpected
  /** Ids of the events; the same in every attempt at one append, and never in two. */
  readonly ids: readonly string[]
  readonly events: readonly StoredForm[]
}

export const requestOf = ({ streams, shared }: Library, correlationId: string, { stream, expected, ids, events }: WireAppend): BatchAppendReq => {
  const uuid = (text: string) => {
    const made = new shared.UUID()
    made.setString(text)
    return made
  }
  const identifier = new shared.StreamIdentifier()
  identifier.setStreamName(new TextEncoder().encode(stream))
  // Without a deadline: it would be a time of day, and wrong wherever two clocks differ. The server's own limit holds.
  const options = new streams.BatchAppendReq.Options()
  options.setStreamIdentifier(identifier)
  if (expected === 'noStream') options.setNoStream(new shared.Empty())
  else options.setStreamPosition(String(expected))
  const request = new streams.BatchAppendReq()
  request.setCorrelationId(uuid(correlationId))
  request.setOptions(options)
  request.setProposedMessagesList(
    events.map(({ type, isJson, data, metadata }, index) => {
      const message = new streams.BatchAppendReq.ProposedMessage()
      message.setId(uuid(ids[index] ?? ''))
      message
        .getMetadataMap()
        .set('type', type)
        .set('content-type', isJson ? 'application/json' : 'application/octet-stream')
      message.setData(data)
      message.setCustomMetadata(metadata)
      return message
    }),
  )
  request.setIsFinal(true)
  return request
}

const PACKAGE = 'event_store.client.'
/** The code of answers that are no failure of the append itself: the node does not take any. */
const NOT_HANDLED = 0

const meaningOf = ({ shared }: Library, error: Status): Answer => {
  const details = error.getDetails()
  const type = details?.getTypeName() ?? ''
  const cause = new Error(error.getMessage())
  switch (type.slice(PACKAGE.length)) {
    case 'WrongExpectedVersion': {
      const conflict = details?.unpack((bytes) => shared.WrongExpectedVersion.deserializeBinary(bytes), type)
      return { kind: 'conflict', actual: conflict?.hasCurrentStreamRevision() === true ? Number(conflict.getCurrentStreamRevision()) : -1 }
    }
    case 'MaximumAppendSizeExceeded':
      return { kind: 'tooLarge', limitBytes: details?.unpack((bytes) => shared.MaximumAppendSizeExceeded.deserializeBinary(bytes), type)?.getMaxappendsize() ?? 0 }
    case 'AccessDenied':
      return { kind: 'final', cause: Object.assign(cause, { type: 'access-denied' }) }
    case 'StreamDeleted':
      return { kind: 'final', cause: Object.assign(cause, { type: 'stream-deleted' }) }
    case 'BadRequest':
      return { kind: 'final', cause: new Error(details?.unpack((bytes) => shared.BadRequest.deserializeBinary(bytes), type)?.getMessage() ?? saidBy(cause)) }
  }
  // "Server Is Not Ready", "Server Is Busy", no leader: said before the append is looked at.
  const code: number = error.getCode()
  return { kind: code === NOT_HANDLED ? 'busy' : 'unknown', cause }
}

export const answerOf = (library: Library, response: BatchAppendResp): Answer => {
  const error = response.getError()
  if (error !== undefined) return meaningOf(library, error)
  const success = response.getSuccess()
  return { kind: 'stored', revision: Number(success?.getCurrentRevision() ?? '0'), commit: BigInt(success?.getPosition()?.getCommitPosition() ?? '0') }
}
