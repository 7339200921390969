// Fingerprints of content: equal for equal JSON, whatever the order of its keys.
import { hash } from 'node:crypto'

/** JSON with sorted keys and without what is undefined. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`
}

/** SHA-256 of the canonical JSON, and of raw bytes that belong to it; 43 characters of base64url. */
export const contentDigest = (value: unknown, bytes?: Uint8Array): string =>
  hash('sha256', bytes === undefined ? canonicalJson(value) : Buffer.concat([Buffer.from(`${canonicalJson(value)}\n`), bytes]), 'base64url')
