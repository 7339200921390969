// What a failure on the wire means. The client gives typed errors for some, bare gRPC errors for others, and sometimes an error with neither code nor type, so
// the type, the code and, at last, the words are looked at.
import { StoreFault } from '../port.ts'

/**
 * `unsent`: it never left this process ·
 * `transient`: it may pass, and what was asked may have been done ·
 * `denied`: these credentials may not ·
 * `deleted`: the stream was deleted for good, by hand ·
 * `bad-position`: no event is there ·
 * `final`: asking again would not help.
 */
export type FailureKind = 'unsent' | 'transient' | 'denied' | 'deleted' | 'bad-position' | 'final'

interface Failure {
  readonly code?: unknown
  readonly type?: unknown
  readonly details?: unknown
  readonly message?: unknown
  readonly metadata?: { readonly getMap?: () => Record<string, unknown> }
}

const INVALID_ARGUMENT = 3
const PERMISSION_DENIED = 7
const UNIMPLEMENTED = 12
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16

/** Said before a byte of the call has left: no connection, no name, no node of the cluster, a channel that is closed. */
const UNSENT =
  /No connection established|Name resolution failed|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|Failed to discover|Channel has been shut down|Channel closed before call started/
const BAD_POSITION = /ReadAllResult: (?:Error|InvalidPosition)|InvalidPosition/

const wordsOf = ({ details, message }: Failure): string => [details, message].filter((words) => typeof words === 'string').join(' ')

const typeOf = ({ type, metadata }: Failure): string => {
  if (typeof type === 'string') return type
  const exception = metadata?.getMap?.()['exception']
  return typeof exception === 'string' || exception instanceof Uint8Array ? Buffer.from(exception).toString() : ''
}

export const kindOfFailure = (error: unknown): FailureKind => {
  const failure: Failure = error ?? {}
  switch (typeOf(failure)) {
    case 'access-denied':
      return 'denied'
    case 'stream-deleted':
      return 'deleted'
    case 'not-leader':
      return 'transient'
  }
  const words = wordsOf(failure)
  if (BAD_POSITION.test(words)) return 'bad-position'
  if ((failure.code === UNAVAILABLE || failure.code === undefined) && UNSENT.test(words)) return 'unsent'
  switch (failure.code) {
    case PERMISSION_DENIED:
    case UNAUTHENTICATED:
      return 'denied'
    case INVALID_ARGUMENT:
    case UNIMPLEMENTED:
      return 'final'
    default:
      return 'transient'
  }
}

/** The words of an error for people; some of the client's have none. */
export const saidBy = (error: unknown): string => {
  const failure: Failure = error ?? {}
  const words = wordsOf(failure).trim()
  if (words !== '') return words
  return failure.code === undefined ? 'no reason given' : `gRPC code ${String(failure.code)}`
}

/** What the port says of it, where nothing of the asker's was stored. */
export const faultOf = (error: unknown, what: string): StoreFault => {
  if (error instanceof StoreFault) return error
  switch (kindOfFailure(error)) {
    case 'denied':
      return new StoreFault('unavailable', `${what}: EventStoreDB denies access; check the user and its rights in the connection string`, { cause: error })
    case 'deleted':
      return new StoreFault('damaged', `${what}: the stream was deleted in EventStoreDB by hand`, { cause: error })
    case 'bad-position':
      return new StoreFault('foreign-position', `${what}: no event of this log is at that position`, { cause: error })
    case 'unsent':
    case 'transient':
    case 'final':
      return new StoreFault('unavailable', `${what}: ${saidBy(error)}`, { cause: error })
  }
}
