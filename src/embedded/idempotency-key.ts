// What a request says about itself in its headers: the key that makes it one request however often it is sent, and how long it would wait.
import { hash } from 'node:crypto'

/** The id alphabet and length of Stint's surface. */
const ID = /^[A-Za-z0-9._~-]{1,200}$/
/** A string of RFC 8941, and parameters after it, which mean nothing here. */
const QUOTED = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"\s*(?:;.*)?$/
/** Without quotes: visible characters, none of which could be read as a list or as a broken string. */
const BARE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+$/
const KEY_CHARACTERS_MAX = 1_000

export type KeyFault = 'missing' | 'not-a-string' | 'empty' | 'too-long' | 'dots'

/**
 * The key in an `Idempotency-Key` header, quoted (RFC 8941) or bare.
 * Two headers reach us joined by a comma, which neither form allows outside of quotes: they are refused rather than taken for one key.
 */
export const keyOf = (header: string | undefined): { readonly key: string } | { readonly fault: KeyFault } => {
  if (header === undefined) return { fault: 'missing' }
  const text = header.trim()
  const quoted = QUOTED.exec(text)
  if (quoted === null && text !== '' && !BARE.test(text)) return { fault: 'not-a-string' }
  const key = quoted === null ? text : (quoted[1] ?? '').replaceAll(/\\(["\\])/g, '$1')
  if (key === '') return { fault: 'empty' }
  // As parts of an address they mean others, so nobody could ask for such a request or release it.
  if (key === '.' || key === '..') return { fault: 'dots' }
  return key.length > KEY_CHARACTERS_MAX ? { fault: 'too-long' } : { key }
}

/** The request's id: the key itself where it is one, otherwise (longer, or with other characters) its SHA-256. The same key has the same id for ever. */
export const idOf = (key: string): string => (ID.test(key) ? key : `sha256~${hash('sha256', key, 'base64url')}`)

/** Seconds in `Prefer: wait=N` (RFC 7240); larger ones are cut to `max`. Undefined: the caller does not want to wait. */
export const waitSecondsOf = (prefer: string | undefined, max: number): number | undefined => {
  const asked = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?(?:$|[,;\s])/i.exec(prefer ?? '')
  return asked === null ? undefined : Math.min(Number(asked[1]), max)
}
