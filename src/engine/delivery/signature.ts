// Signs what Stint sends, as the Standard Webhooks specification says, so that a receiver can tell it from what anybody else sends.
import * as E from 'fp-ts/lib/Either.js'
import { createHmac } from 'node:crypto'

/** The key of one secret; never logged or shown. */
export type Secret = Uint8Array

const PREFIX = 'whsec_'
const KEY_BYTES_MIN = 24
const KEY_BYTES_MAX = 64
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/** Reads `whsec_<base64>`, several separated by spaces: the new and the old one while a receiver changes over. Left: a sentence that does not tell the secret. */
export const parseSecrets = (text: string): E.Either<string, readonly Secret[]> => {
  const secrets: Secret[] = []
  for (const part of text.split(/\s+/).filter((word) => word !== '')) {
    const encoded = part.startsWith(PREFIX) ? part.slice(PREFIX.length) : ''
    const key = BASE64.test(encoded) ? Buffer.from(encoded, 'base64') : undefined
    if (key === undefined || key.length < KEY_BYTES_MIN || key.length > KEY_BYTES_MAX)
      return E.left(`Expected ${PREFIX} and then ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes in base64; several secrets are separated by spaces.`)
    secrets.push(key)
  }
  return secrets.length === 0 ? E.left(`Expected a secret that begins with ${PREFIX}, but there is none.`) : E.right(secrets)
}

/** The headers of one attempt. `seconds` since 1970 is when it is sent; without secrets it is not signed. */
export const webhookHeaders = (id: string, seconds: number, body: string | Uint8Array, secrets: readonly Secret[]): Readonly<Record<string, string>> => {
  const signatures = secrets.map((secret) => `v1,${createHmac('sha256', secret).update(`${id}.${seconds}.`).update(body).digest('base64')}`)
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), ...(signatures.length === 0 ? {} : { 'webhook-signature': signatures.join(' ') }) }
}
