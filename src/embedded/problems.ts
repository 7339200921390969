// The refusals that the middleware itself gives, as problem documents (RFC 9457). `code` is what a program should look at.
import type { Reply } from './contract-store.ts'

export interface Problem {
  readonly code: string
  readonly status: number
  readonly title: string
  readonly detail: string
  readonly headers: Reply['headers']
}

const TITLES: Readonly<Record<string, string>> = {
  'idempotency-key-missing': 'An Idempotency-Key is required.',
  invalid: 'The request is not valid.',
  'too-large': 'The request is too large.',
  pending: 'The first request with this key is still running.',
  'fingerprint-mismatch': 'This key was used before for another request.',
  released: 'The reply to this request has been released.',
  'reply-not-kept': 'The reply to this request was too large to be kept.',
  interrupted: 'The request was interrupted.',
  aborted: 'The request was aborted.',
  cancelled: 'The request was cancelled.',
  'stale-lease': 'Another execution has taken this one’s place.',
  'over-quota': 'More is stored than is allowed.',
  'store-unavailable': 'The log cannot be written.',
  'not-found': 'There is no such thing.',
  'method-not-allowed': 'This path does not take this method.',
}

/** What the header is and what servers do with it, for people who meet it here first. */
const KEY_DOCUMENT = '<https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header>; rel="help"'
const ABOUT_KEYS: ReadonlySet<string> = new Set(['idempotency-key-missing', 'fingerprint-mismatch', 'invalid'])

export const problemOf = (code: string, status: number, detail: string, headers: Reply['headers'] = []): Problem => ({
  code,
  status,
  title: TITLES[code] ?? 'The request was refused.',
  detail,
  headers: ABOUT_KEYS.has(code) ? [...headers, ['Link', KEY_DOCUMENT]] : headers,
})

/** The problem as it is sent. Its type is a name, as nobody knows whether the app has a page for it. */
export const problemReply = ({ code, status, title, detail, headers }: Problem): Reply => ({
  status,
  headers: [...headers, ['Content-Type', 'application/problem+json'], ['Cache-Control', 'no-store']],
  body: Buffer.from(JSON.stringify({ type: `urn:stint:problem:${code}`, title, status, code, detail })),
})
