// Fingerprints of content: equal for equal JSON, whatever the order of its keys, as long as reading it as JSON loses nothing of it.
import { hash } from 'node:crypto'

/** Whether its JSON is canonical as it stands: no key before one that sorts ahead of it. What is undefined within it is left out, or null, either way. */
const isCanonical = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isCanonical)
  let last = ''
  for (const key of Object.keys(value)) {
    if (key < last || !isCanonical((value as Readonly<Record<string, unknown>>)[key])) return false
    last = key
  }
  return true
}

const sorted = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((item) => sorted(item ?? null)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  let text = ''
  for (const key of Object.keys(value).sort()) {
    const field = (value as Readonly<Record<string, unknown>>)[key]
    if (field !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${sorted(field)}`
  }
  return `{${text}}`
}

/** JSON with sorted keys and without what is undefined. */
export const canonicalJson = (value: unknown): string => (value !== undefined && isCanonical(value) ? JSON.stringify(value) : sorted(value))

/** The text that was digested last: most completions bring no result and say the same. */
let last = { json: '', digest: hash('sha256', '', 'base64url') }

const digestOf = (json: string): string => {
  if (json !== last.json) last = { json, digest: hash('sha256', json, 'base64url') }
  return last.digest
}

/** SHA-256 of the canonical JSON, and of raw bytes that belong to it; 43 characters of base64url. Bytes that are text in UTF-8 may be given as the text: that is cheaper. */
export const contentDigest = (value: unknown, bytes?: Uint8Array | string): string => {
  const json = canonicalJson(value)
  if (bytes === undefined) return digestOf(json)
  return hash('sha256', typeof bytes === 'string' ? `${json}\n${bytes}` : Buffer.concat([Buffer.from(`${json}\n`), bytes]), 'base64url')
}

const JSON_MEDIA_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i
export const isJsonMediaType = (mediaType: string): boolean => JSON_MEDIA_TYPE.test(mediaType)

const BACKSLASH = 0x5c

/** Index of the quote that ends the string which begins at `opens`. Most strings have no escape, and then the next quote is it. */
const endOfString = (text: string, opens: number): number => {
  for (let from = opens + 1; ;) {
    const closes = text.indexOf('"', from)
    let escapes = closes
    while (text.charCodeAt(escapes - 1) === BACKSLASH) escapes -= 1
    if (closes < 0 || (closes - escapes) % 2 === 0) return closes
    from = closes + 1
  }
}

/** What of a sound JSON text stands outside of its strings: there each colon is a key, and each digit belongs to a number. */
const outsideStrings = (text: string): string => {
  let outside = ''
  for (let at = 0; ;) {
    const opens = text.indexOf('"', at)
    if (opens < 0) return outside + text.slice(at)
    outside += text.slice(at, opens)
    at = endOfString(text, opens) + 1
  }
}

const colonsIn = (text: string): number => {
  let colons = 0
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) colons += 1
  return colons
}

const keysIn = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0
  let keys = Array.isArray(value) ? 0 : Object.keys(value).length
  for (const field of Object.values(value)) keys += keysIn(field)
  return keys
}

/** The digits that count, and the power of ten of the first of them. */
const decimal = (text: string): string => {
  const [, whole = '', fraction = '', exponent = '0'] = /^-?(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const digits = (whole + fraction).replace(/^0+/, '')
  return digits === '' ? '0' : `${digits.replace(/0+$/, '')}e${Number(exponent) + digits.length - fraction.length}`
}

/** Every number of up to 15 digits has a double of its own. */
const DIGITS_SURELY_KEPT = 15
/** No double is written longer, and to look at longer ones would take long. */
const NUMBER_CHARACTERS_MAX = 400
const isKept = (number: string): boolean =>
  (number.length <= DIGITS_SURELY_KEPT && !/e/i.test(number)) || (number.length <= NUMBER_CHARACTERS_MAX && decimal(String(Number(number))) === decimal(number))

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What the bytes say as JSON. Undefined: they are none, or reading them loses something: digits, a key that comes twice, bytes that are no UTF-8. */
export const exactJson = (bytes: Uint8Array): { readonly value: unknown } | undefined => {
  try {
    const text = utf8.decode(bytes)
    const value = JSON.parse(text) as unknown
    const outside = outsideStrings(text)
    if (colonsIn(outside) !== keysIn(value)) return undefined
    return (outside.match(/-?\d[\d.eE+-]*/g) ?? []).every(isKept) ? { value } : undefined
  } catch {
    // No JSON, or nested too deeply to tell.
    return undefined
  }
}

/** Canonical JSON of bytes that are JSON and lose nothing by it. */
export const canonicalBytes = (bytes: Uint8Array): string | undefined => {
  const read = exactJson(bytes)
  try {
    return read && canonicalJson(read.value)
  } catch {
    return undefined
  }
}

/**
 * The fingerprint of a request's body: the same for the same JSON, however it is written and whether and how its type says that it is (rules 33);
 * for another body by its bytes and its type without parameters. `mediaType` undefined: none was named.
 */
export const bodyFingerprint = (mediaType: string | undefined, bytes: Uint8Array): string => {
  const canonical = mediaType === undefined || isJsonMediaType(mediaType) ? canonicalBytes(bytes) : undefined
  if (canonical !== undefined) return hash('sha256', `json\n${canonical}`, 'base64url')
  const [essence = ''] = (mediaType ?? 'application/octet-stream').split(';', 1)
  return contentDigest({ mediaType: essence.trim().toLowerCase() }, bytes)
}
