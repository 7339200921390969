// A task as a producer gives it, checked and written down at once: what is sent, and sent again, is what was given, whatever becomes of the caller's objects.
import { problems } from '../wire/problems.ts'
import { insertBody, PAYLOAD_BYTES_MAX } from '../wire/tasks.ts'
import type { World } from '../world.ts'
import { toBase64 } from './base64.ts'
import { StintError } from './errors.ts'
import { uuidv7 } from './ids.ts'
import { valid } from './validity.ts'

export interface TaskOptions {
  /** Your name for it, 1–500 of `[A-Za-z0-9_-]`: the same again, with the same content, is the same task. A UUIDv7 if left out. */
  readonly id?: string | undefined
  /** What workers may lease by; up to 500 characters. */
  readonly tag?: string | undefined
  /** −1,000 to 1,000; higher goes first (0). */
  readonly priority?: number | undefined
  /** Tasks of one key are not worked on at the same time, unless the queue says so. */
  readonly key?: string | undefined
  /** Not before so many seconds from now, 30 days at most. */
  readonly delaySeconds?: number | undefined
  /** What the payload is; `application/json`, or `application/octet-stream` for bytes, unless given. */
  readonly mediaType?: string | undefined
}

export interface NewTask extends TaskOptions {
  /** Anything JSON can say, or bytes; 1 MiB at most. */
  readonly payload?: unknown
}

export interface WrittenTask {
  readonly id: string
  /** The body as JSON. */
  readonly text: string
}

const tooLarge = (bytes: number): StintError =>
  new StintError({
    status: problems.invalid.status,
    code: 'invalid',
    title: problems.invalid.title,
    errors: [{ path: '/payload', code: 'length', detail: `Expected at most ${PAYLOAD_BYTES_MAX} bytes, but there are ${bytes}.` }],
  })

/** The payload as JSON; undefined when there is none. */
const jsonOf = (payload: unknown): string | undefined => {
  if (payload === undefined) return undefined
  const text = JSON.stringify(payload) as string | undefined
  if (text === undefined) throw new TypeError(`Expected a payload that JSON can say or a Uint8Array, but it is a ${typeof payload}.`)
  // No character takes more than three bytes: most payloads need not be counted.
  if (text.length * 3 <= PAYLOAD_BYTES_MAX) return text
  const { length } = new TextEncoder().encode(text)
  if (length > PAYLOAD_BYTES_MAX) throw tooLarge(length)
  return text
}

/** Throws `StintError` (`invalid`) on what the server would refuse as malformed, `TypeError` on what JSON cannot say. */
export const writtenTask = (world: World, { payload, id = uuidv7(world), tag, priority, key, delaySeconds, mediaType }: NewTask): WrittenTask => {
  if (payload instanceof Uint8Array && payload.length > PAYLOAD_BYTES_MAX) throw tooLarge(payload.length)
  const binary = payload instanceof Uint8Array ? { payloadBase64: toBase64(payload) } : {}
  const given = Object.entries({ id, tag, priority, key, delaySeconds, mediaType, ...binary }).filter(([, value]) => value !== undefined)
  const text = JSON.stringify(valid(insertBody, Object.fromEntries(given)))
  const json = payload instanceof Uint8Array ? undefined : jsonOf(payload)
  return { id, text: json === undefined ? text : `${text.slice(0, -1)},"payload":${json}}` }
}
