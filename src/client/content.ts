// What an author gives as a body, as the bytes that are sent: JSON of a value, and bytes or text as they are.
import type { Content } from './http.ts'
import { invalid } from './validity.ts'

export const JSON_TYPE = 'application/json'
const BYTES_TYPE = 'application/octet-stream'

const isJson = (mediaType: string): boolean => /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(mediaType)

const TO_BYTES = new TextEncoder()

/** A value as JSON. Throws `StintError` (`invalid`) for what JSON cannot say. */
export const jsonText = (value: unknown): string => {
  try {
    const text = JSON.stringify(value) as string | undefined
    if (text !== undefined) return text
  } catch (thrown) {
    throw invalid(`Expected a body that JSON can say, but ${thrown instanceof Error ? thrown.message : String(thrown)}.`)
  }
  throw invalid(`Expected a body that JSON can say, a text with its media type, or a Uint8Array, but it is a ${typeof value}.`)
}

/**
 * The bytes of a body: a `Uint8Array` as it is (`application/octet-stream` unless said), a string as it is where the media type is another than JSON, nothing for `undefined`,
 * and everything else as JSON.
 */
export const contentOf = (body: unknown, mediaType?: string): Content => {
  if (body instanceof Uint8Array) return { bytes: body, mediaType: mediaType ?? BYTES_TYPE }
  if (body === undefined) return { bytes: new Uint8Array(), mediaType: mediaType ?? BYTES_TYPE }
  const isText = typeof body === 'string' && mediaType !== undefined && !isJson(mediaType)
  return { bytes: TO_BYTES.encode(isText ? body : jsonText(body)), mediaType: mediaType ?? JSON_TYPE }
}
