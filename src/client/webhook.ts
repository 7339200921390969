// For receivers of Stint's messages: whether one comes from who knows the secret, whole and fresh, by the Standard Webhooks specification. WebCrypto alone, so it runs anywhere.
import { realWorld } from '../world.ts'
import { fromBase64 } from './base64.ts'

/** `missing`: a header is not there · `stale`: sent too long ago, or by a clock that is ahead · `signature`: none of the signatures is right. */
export type WebhookFault = 'missing' | 'stale' | 'signature'

/** The message is not to be trusted: answer 401 and do nothing. */
export class WebhookRejected extends Error {
  override readonly name = 'WebhookRejected'
  readonly fault: WebhookFault

  constructor(fault: WebhookFault, detail: string) {
    super(detail)
    this.fault = fault
  }
}

/** A `Headers`, or the headers of a request of Node: `request.headers`. */
export type WebhookHeaders = Pick<Headers, 'get'> | Readonly<Record<string, string | readonly string[] | undefined>>

export interface VerifyOptions {
  /** Milliseconds since 1970 UTC; the machine's clock, unless given. */
  readonly now?: () => number
  /** How far the time of sending may be from now, to either side, in seconds (300). */
  readonly toleranceSeconds?: number
}

export interface VerifiedWebhook {
  /** The same however often the message is sent: what was seen before need not be done again. */
  readonly id: string
  /** When this attempt was sent. */
  readonly sentAt: Date
}

const PREFIX = 'whsec_'

const isHeaders = (headers: WebhookHeaders): headers is Pick<Headers, 'get'> => typeof headers.get === 'function'

const headerOf = (headers: WebhookHeaders, name: string): string => {
  const value = isHeaders(headers) ? headers.get(name) : headers[name]
  if (typeof value === 'string' && value !== '') return value
  throw new WebhookRejected('missing', `Expected the header ${name}, but it is missing.`)
}

const keyOf = (secret: string): Promise<CryptoKey> => {
  try {
    const bytes = Uint8Array.from(fromBase64(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : ''))
    if (bytes.length > 0) return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
  } catch {
    // What is no base64 is no secret, as said below.
  }
  throw new TypeError(`Expected a secret of the form ${PREFIX} and base64.`)
}

/** The signatures of a version that is known here; others are for other receivers. */
const signaturesIn = (header: string): readonly Uint8Array<ArrayBuffer>[] =>
  header.split(' ').flatMap((entry) => {
    if (!entry.startsWith('v1,')) return []
    try {
      return [Uint8Array.from(fromBase64(entry.slice(3)))]
    } catch {
      // It cannot be right, and another one may be.
      return []
    }
  })

const signedBytes = (id: string, timestamp: string, body: string | Uint8Array): Uint8Array<ArrayBuffer> => {
  const before = new TextEncoder().encode(`${id}.${timestamp}.`)
  const after = typeof body === 'string' ? new TextEncoder().encode(body) : body
  const bytes = new Uint8Array(before.length + after.length)
  bytes.set(before)
  bytes.set(after, before.length)
  return bytes
}

/**
 * Verifies a message that Stint has sent. `body` is the body as it came, byte for byte and not parsed; `secrets` is one secret or, while it is being changed, several.
 * Rejects with `WebhookRejected` when the message is not to be trusted, with TypeError when a secret is none. Comparing takes the same time whatever is wrong.
 */
export const verifyWebhook = async (
  headers: WebhookHeaders,
  body: string | Uint8Array,
  secrets: string | readonly string[],
  { now = realWorld.now, toleranceSeconds = 300 }: VerifyOptions = {},
): Promise<VerifiedWebhook> => {
  const keys = await Promise.all((typeof secrets === 'string' ? [secrets] : secrets).map(keyOf))
  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  const signatures = signaturesIn(headerOf(headers, 'webhook-signature'))
  const sentAt = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) * 1_000 : Number.NaN
  // Not a number is not within any tolerance.
  if (!(Math.abs(now() - sentAt) <= toleranceSeconds * 1_000))
    throw new WebhookRejected('stale', `Expected to be told within ${toleranceSeconds} s of sending, but it was sent at ${timestamp}.`)
  const bytes = signedBytes(id, timestamp, body)
  const checks = await Promise.all(keys.flatMap((key) => signatures.map((signature) => crypto.subtle.verify('HMAC', key, signature, bytes))))
  if (!checks.includes(true)) throw new WebhookRejected('signature', 'Expected a signature with a secret that is known, but there is none.')
  return { id, sentAt: new Date(sentAt) }
}
