// The payload of a task as it is inserted: JSON or bytes in base64, kept as raw bytes with their media type (rules 2).
import { isJsonMediaType } from '../engine/digest.ts'
import * as E from 'fp-ts/lib/Either.js'
import type { FieldError } from '../wire/schema.ts'
import { PAYLOAD_BYTES_MAX, type InsertBody } from '../wire/tasks.ts'
import { invalid, type Problem } from './problem.ts'

export interface Payload {
  readonly mediaType: string
  readonly bytes: Uint8Array | undefined
  /** What the bytes are in UTF-8, where they were made from it. */
  readonly text?: string | undefined
}

const bad = (path: string, code: FieldError['code'], detail: string): E.Either<Problem, never> => E.left(invalid([{ path, code, detail }]))

const tooLong = (path: string, bytes: number): E.Either<Problem, never> => bad(path, 'length', `Expected at most ${PAYLOAD_BYTES_MAX} bytes, but there are ${bytes}.`)

const fromBase64 = (text: string, mediaType: string | undefined): E.Either<Problem, Payload> => {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) return bad('/payloadBase64', 'pattern', 'Expected padded base64.')
  if (mediaType !== undefined && isJsonMediaType(mediaType)) return bad('/payloadBase64', 'choice', 'Expected JSON to come in payload, not in payloadBase64.')
  return bytes.length > PAYLOAD_BYTES_MAX ? tooLong('/payloadBase64', bytes.length) : E.right({ mediaType: mediaType ?? 'application/octet-stream', bytes })
}

/** The payload of a body, none if it has none. */
export const payloadOf = ({ payload, payloadBase64, mediaType }: InsertBody): E.Either<Problem, Payload> => {
  if (payload !== undefined && payloadBase64 !== undefined) return bad('/payloadBase64', 'choice', 'Expected payload or payloadBase64, not both.')
  if (payloadBase64 !== undefined) return fromBase64(payloadBase64, mediaType)
  if (payload === undefined) return E.right({ mediaType: mediaType ?? 'application/json', bytes: undefined })
  if (mediaType !== undefined && !isJsonMediaType(mediaType)) return bad('/mediaType', 'choice', 'Expected a JSON media type; send other payloads in payloadBase64.')
  const text = JSON.stringify(payload)
  const bytes = Buffer.from(text)
  return bytes.length > PAYLOAD_BYTES_MAX ? tooLong('/payload', bytes.length) : E.right({ mediaType: mediaType ?? 'application/json', bytes, text })
}
