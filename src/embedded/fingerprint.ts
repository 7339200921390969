// What makes two requests the same: method, path with its parameters, query in any order, and the body, as canonical JSON where it is JSON, otherwise byte for byte.
import type { IncomingMessage } from 'node:http'
import { canonicalBytes, canonicalJson, contentDigest, isJsonMediaType } from '../engine/digest.ts'
import type { TakenBody } from './request-body.ts'

export type Content = Extract<TakenBody, { type: 'bytes' | 'parsed' }>

const BOUNDARY = /^multipart\/.*;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i

/** JSON whose keys are in order; undefined: it is none, or nested too deeply to tell. */
const canonical = (read: () => unknown): Buffer | undefined => {
  try {
    return Buffer.from(canonicalJson(read()))
  } catch {
    return undefined
  }
}

const fromText = (text: string | undefined): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text))

/** A form that is sent again has another boundary; what stands between the boundaries is what was said. */
const withoutBoundary = (bytes: Buffer, mediaType: string): Buffer => {
  const found = BOUNDARY.exec(mediaType)
  const boundary = found?.[1] ?? found?.[2]
  if (boundary === undefined) return bytes
  const delimiter = new RegExp(`(^|\\r\\n)--${boundary.replaceAll(/[^\w]/g, '\\$&')}(--)?[ \\t]*(?=\\r\\n|$)`, 'g')
  // Parts and their lengths, so that no content can be taken for a boundary.
  const parts = bytes.toString('latin1').split(delimiter)
  return Buffer.from(`${parts.map((part) => (part ?? '').length).join()}\n${parts.join('')}`, 'latin1')
}

/** The bytes that stand for a body in the fingerprint; undefined: a parser left something that is not JSON. */
const comparable = (content: Content, mediaType: string): Buffer | undefined => {
  if (content.type === 'bytes') {
    const { bytes } = content
    return (isJsonMediaType(mediaType) ? fromText(canonicalBytes(bytes)) : undefined) ?? withoutBoundary(bytes, mediaType)
  }
  const { value } = content
  if (value instanceof Uint8Array) return withoutBoundary(Buffer.from(value), mediaType)
  return typeof value === 'string' && !isJsonMediaType(mediaType) ? Buffer.from(value) : canonical(() => value)
}

/** The bytes that are kept with the acceptance; undefined as for the fingerprint. */
export const keptBody = (content: Content): Buffer | undefined => {
  if (content.type === 'bytes') return content.bytes
  const { value } = content
  if (value instanceof Uint8Array) return Buffer.from(value)
  return typeof value === 'string' ? Buffer.from(value) : canonical(() => value)
}

export const pathOf = (url: string): string => url.split('?', 1)[0] ?? url

const queryOf = (url: string): readonly (readonly [string, string])[] => {
  const query = new URLSearchParams(url.slice(pathOf(url).length))
  query.sort()
  return [...query]
}

/** `more`: what else tells two requests apart. Undefined: the body cannot be compared. */
export const fingerprintOf = ({ method, headers }: IncomingMessage, url: string, content: Content, more: unknown): string | undefined => {
  const body = comparable(content, headers['content-type'] ?? '')
  return body === undefined ? undefined : contentDigest({ method, path: pathOf(url), query: queryOf(url), more }, body)
}
