// How EventStoreDB 23.10 says no: the trailers of a failed call, and the details inside an answer of a batch append.
import { Metadata, status, type ServiceError } from '@grpc/grpc-js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import statuses from '@eventstore/db-client/generated/status_pb.js'
import anys from 'google-protobuf/google/protobuf/any_pb.js'
import empties from 'google-protobuf/google/protobuf/empty_pb.js'
import type { Status } from '@eventstore/db-client/generated/status_pb.js'
import type { Expected } from './log.ts'

/** A call that ends badly, with the trailers that the client makes its typed errors from. */
export const callError = (code: number, details: string, trailers: Readonly<Record<string, string>> = {}): ServiceError => {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value)
  return Object.assign(new Error(details), { code, details, metadata })
}

export const notReady = (): ServiceError => callError(status.UNAVAILABLE, 'Server Is Not Ready')
export const notLeader = (leader: { readonly host: string; readonly port: number } | undefined): ServiceError =>
  leader === undefined
    ? callError(status.UNKNOWN, 'No leader info available in response')
    : callError(status.NOT_FOUND, 'Leader info available', { exception: 'not-leader', 'leader-endpoint-host': leader.host, 'leader-endpoint-port': String(leader.port) })
export const streamDeleted = (stream: string): ServiceError =>
  callError(status.FAILED_PRECONDITION, `Event stream '${encodeURI(stream)}' is deleted.`, { exception: 'stream-deleted', 'stream-name': encodeURI(stream) })
export const accessDenied = (): ServiceError => callError(status.PERMISSION_DENIED, 'Access Denied', { exception: 'access-denied' })
/** For `$all` from a position where no record begins. */
export const badPosition = (): ServiceError => callError(status.UNKNOWN, 'Unexpected FilteredReadAllResult: Error')
export const tooSlow = (): ServiceError => callError(status.ABORTED, 'Operation timed out: Consumer too slow to handle event while live. Client resubscription required.')

const packed = (name: string, bytes: Uint8Array): InstanceType<typeof anys.Any> => {
  const any = new anys.Any()
  any.pack(bytes, name)
  return any
}

const statusOf = (code: 0 | 2 | 3 | 4 | 5 | 6 | 7, message: string, details: InstanceType<typeof anys.Any>): Status => {
  const made = new statuses.Status()
  made.setCode(code)
  made.setMessage(message)
  made.setDetails(details)
  return made
}

/** Details inside the answer to one append; the call itself goes on. */
export const answers = {
  conflict: (actual: number, expected: Expected): Status => {
    const details = new shared.WrongExpectedVersion()
    if (actual < 0) details.setCurrentNoStream(new empties.Empty())
    else details.setCurrentStreamRevision(String(actual))
    if (expected === 'any') details.setExpectedAny(new empties.Empty())
    else if (expected === 'noStream') details.setExpectedNoStream(new empties.Empty())
    else if (expected === 'streamExists') details.setExpectedStreamExists(new empties.Empty())
    else details.setExpectedStreamPosition(String(expected))
    return statusOf(6, 'WrongExpectedVersion', packed('event_store.client.WrongExpectedVersion', details.serializeBinary()))
  },
  deleted: (): Status => statusOf(5, 'StreamDeleted', packed('event_store.client.StreamDeleted', new shared.StreamDeleted().serializeBinary())),
  denied: (): Status => statusOf(7, 'AccessDenied', packed('event_store.client.AccessDenied', new shared.AccessDenied().serializeBinary())),
  timeout: (): Status => statusOf(4, 'Timeout', packed('event_store.client.Timeout', new shared.Timeout().serializeBinary())),
  unknown: (): Status => statusOf(2, 'Unknown', packed('event_store.client.Unknown', new shared.Unknown().serializeBinary())),
  tooLarge: (limit: number): Status => {
    const details = new shared.MaximumAppendSizeExceeded()
    details.setMaxappendsize(limit)
    return statusOf(3, 'MaximumAppendSizeExceeded', packed('event_store.client.MaximumAppendSizeExceeded', details.serializeBinary()))
  },
  bad: (message: string): Status => {
    const details = new shared.BadRequest()
    details.setMessage(message)
    return statusOf(3, 'BadRequest', packed('event_store.client.BadRequest', details.serializeBinary()))
  },
  /** "Server Is Not Ready", "Server Is Busy", "No leader info available in response": without code or type, nothing was stored. */
  notHandled: (message: string): Status => statusOf(0, message, packed('google.protobuf.Empty', new empties.Empty().serializeBinary())),
}
