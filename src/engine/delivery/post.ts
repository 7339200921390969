// One attempt to deliver a message: a POST over a connection of its own, so that none meets a receiver's half-dead one.
import type { AllowedUrl } from '../../domain/policy/url-pattern.ts'
import type { Lookup } from './addresses.ts'
import { exchange, type Exchanged } from './exchange.ts'

/** What came back. Nothing of an answer's body is kept or shown, so that nobody reads through Stint what only it can reach. */
export type Answered = Pick<Exchanged, 'status' | 'retryAfter'>

/** A receiver's answer is read to its end so far, for good manners; then the connection is cut. In bytes. */
export const ANSWER_BYTES_MAX = 64 * 1024

export interface Post {
  readonly to: AllowedUrl
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  /** Cuts the attempt. What was answered before it still counts. */
  readonly signal: AbortSignal
}

/** Sends once. Rejects with AddressRefused, the signal's reason, or an error of the network. Redirects are answers like any other. */
export const post = (message: Post, lookup?: Lookup): Promise<Answered> => exchange({ ...message, method: 'POST', answerBytesMax: ANSWER_BYTES_MAX, keepsBody: false }, lookup)
