// One request and its answer over `node:http` or `node:https`. Not `fetch`: that has no place for a lookup of one's own without another library, follows redirects unless told
// not to, and gives no hold on when a connection is made. The address that is looked at is the one that is connected to.
import { lookup as systemLookup } from 'node:dns'
import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AllowedUrl } from '../../domain/policy/url-pattern.ts'
import { addressOf, AddressRefused, isPublicAddress, publicLookup, type Lookup } from './addresses.ts'

export interface Exchange {
  readonly method: 'GET' | 'POST'
  readonly to: AllowedUrl
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | undefined
  /** Cuts it. What was answered before still counts. */
  readonly signal: AbortSignal
  /** Keeps connections for the next request; none: each has one of its own. It must be used for addresses of one kind only, exact ones or public ones. */
  readonly agent?: Agent | undefined
  /** An answer is read to its end so far, in bytes; then the connection is cut. */
  readonly answerBytesMax: number
  /** Whether what was answered is wanted, or only its head. */
  readonly keepsBody: boolean
}

export interface Exchanged {
  readonly status: number
  readonly retryAfter?: string | undefined
  /** All of it, if it was wanted and came whole. */
  readonly body?: Buffer | undefined
  /** It was longer than the limit. */
  readonly isTooLong: boolean
}

/** Reads up to the limit; resolves however the answer ends. */
const finished = (answer: IncomingMessage, sent: ClientRequest, { answerBytesMax, keepsBody }: Exchange): Promise<Pick<Exchanged, 'body' | 'isTooLong'>> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength
      if (bytes > answerBytesMax) sent.destroy()
      else if (keepsBody) chunks.push(chunk)
    })
    // What is cut after its status was read has been answered all the same.
    answer.on('error', () => sent.destroy())
    answer.once('close', () => resolve({ isTooLong: bytes > answerBytesMax, body: keepsBody && answer.complete && bytes <= answerBytesMax ? Buffer.concat(chunks) : undefined }))
  })

const once = (asked: Exchange, lookup: Lookup): Promise<Exchanged | 'went-stale'> =>
  new Promise((resolve, reject) => {
    const { to, method, headers, signal, agent } = asked
    const url = new URL(to.href)
    const address = addressOf(url.hostname)
    if (!to.isExact && address !== undefined && !isPublicAddress(address)) {
      reject(new AddressRefused(url.hostname))
      return
    }
    const bytes = typeof asked.body === 'string' ? Buffer.from(asked.body, 'utf8') : asked.body
    const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method,
      agent: agent ?? false,
      headers: { ...headers, ...(bytes === undefined ? {} : { 'Content-Length': bytes.byteLength }) },
      lookup: to.isExact ? lookup : publicLookup(lookup),
    })
    const cut = (): void => void sent.destroy(signal.reason as Error)
    if (signal.aborted) cut()
    else signal.addEventListener('abort', cut, { once: true })
    let isAnswered = false
    sent.once('response', (answer) => {
      isAnswered = true
      void finished(answer, sent, asked).then((read) => resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'], ...read }))
    })
    // After the answer has come an error only ends its body.
    sent.on('error', (error) => {
      if (isAnswered) return
      // A connection that was kept may have been closed by the other side just as it was used again.
      if (sent.reusedSocket && !signal.aborted) resolve('went-stale')
      else reject(error)
    })
    sent.once('close', () => {
      signal.removeEventListener('abort', cut)
      // An answer that changes the protocol ends the connection without an error.
      if (!isAnswered) reject(new Error('The connection was closed without an answer.'))
    })
    sent.end(bytes)
  })

/**
 * Sends once; what met a kept connection that had gone stale is sent again over a new one, so with an agent only what may arrive twice should be sent. Rejects with
 * AddressRefused, the signal's reason, or an error of the network. Redirects are answers like any other.
 */
export const exchange = async (asked: Exchange, lookup: Lookup = systemLookup): Promise<Exchanged> => {
  const first = await once(asked, lookup)
  if (first !== 'went-stale') return first
  const second = await once({ ...asked, agent: undefined }, lookup)
  if (second === 'went-stale') throw new Error('A connection of its own was kept.')
  return second
}
