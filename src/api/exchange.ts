// What an endpoint needs of a request and of the way back to its caller: Node's own have it, and so have the calls of a channel.
import type { Request } from 'express'
import type { BodySource } from './body.ts'

/** A call as it is seen beside its body. */
export interface Asking extends Pick<Request, 'method' | 'url' | 'headers' | 'rawHeaders'> {
  /** Of the path, decoded. */
  readonly params: unknown
  /** Whether its `Accept` takes the media type. */
  readonly accepts: (mediaType: string) => unknown
}

export type Incoming = Asking & BodySource

export interface Outgoing {
  /** Nobody can be answered any more: the answer is out, or the caller is gone. */
  readonly destroyed: boolean
  readonly closed: boolean
  /** All of the answer was handed over. */
  readonly writableFinished: boolean
  /** Runs when the answer is out or the caller is gone. */
  readonly once: (event: 'close', run: () => void) => unknown
  /** Tells of one of many items as soon as it is done; the answer then has no items. */
  readonly part?: ((index: number, item: object) => void) | undefined
}
