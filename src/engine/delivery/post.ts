// One attempt: a POST over `node:http` or `node:https`. Not `fetch`: that has no place for a lookup of one's own without another library, follows redirects unless told not
// to, and gives no hold on when a connection is made. Each attempt has a connection of its own, so that none meets a receiver's half-dead one.
import { lookup as systemLookup } from 'node:dns'
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AllowedUrl } from '../../domain/policy/url-pattern.ts'
import { addressOf, AddressRefused, isPublicAddress, publicLookup, type Lookup } from './addresses.ts'

/** What came back. Nothing of an answer's body is kept or shown, so that nobody reads through Stint what only it can reach. */
export interface Answered {
  readonly status: number
  readonly retryAfter?: string | undefined
}

/** A receiver's answer is read to its end so far, for good manners; then the connection is cut. In bytes. */
export const ANSWER_BYTES_MAX = 64 * 1024

export interface Post {
  readonly to: AllowedUrl
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  /** Cuts the attempt. What was answered before it still counts. */
  readonly signal: AbortSignal
}

/** Reads up to the limit; resolves however the answer ends. */
const finished = (answer: IncomingMessage, sent: ClientRequest): Promise<void> =>
  new Promise((resolve) => {
    let bytes = 0
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength
      if (bytes > ANSWER_BYTES_MAX) sent.destroy()
    })
    // What is cut after its status was read has been answered all the same.
    answer.on('error', () => sent.destroy())
    answer.once('close', () => resolve())
  })

/** Sends once. Rejects with AddressRefused, the signal's reason, or an error of the network. Redirects are answers like any other. */
export const post = ({ to, headers, body, signal }: Post, lookup: Lookup = systemLookup): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const url = new URL(to.href)
    const address = addressOf(url.hostname)
    if (!to.isExact && address !== undefined && !isPublicAddress(address)) {
      reject(new AddressRefused(url.hostname))
      return
    }
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body
    const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: false,
      headers: { ...headers, 'Content-Length': bytes.byteLength },
      lookup: to.isExact ? lookup : publicLookup(lookup),
    })
    const cut = (): void => void sent.destroy(signal.reason as Error)
    if (signal.aborted) cut()
    else signal.addEventListener('abort', cut, { once: true })
    let isAnswered = false
    sent.once('response', (answer) => {
      isAnswered = true
      const answered: Answered = { status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] }
      void finished(answer, sent).then(() => resolve(answered))
    })
    // After the answer has come an error only ends its body.
    sent.on('error', (error) => {
      if (!isAnswered) reject(error)
    })
    sent.once('close', () => {
      signal.removeEventListener('abort', cut)
      // An answer that changes the protocol ends the connection without an error.
      if (!isAnswered) reject(new Error('The connection was closed without an answer.'))
    })
    sent.end(bytes)
  })
