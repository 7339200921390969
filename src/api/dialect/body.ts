// Reads the body of a call: JSON, zipped or not, of one task. What the client says that only the server can know is passed over.
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import * as E from 'fp-ts/lib/Either.js'
import { PAYLOAD_BYTES_MAX } from '../../wire/tasks.ts'
import { parseJson } from '../json-text.ts'
import { badRequest, type DialectError } from './refusal.ts'

export interface TaskBody {
  readonly id?: string | undefined
  readonly queueName?: string | undefined
  readonly payloadBase64?: string | undefined
  /** Microseconds since 1970. */
  readonly leaseTimestamp?: number | undefined
  readonly tag?: string | undefined
}

/** A payload of the largest size in base64, with room for all other fields. */
const BODY_BYTES_MAX = Math.ceil(PAYLOAD_BYTES_MAX / 3) * 4 + 64 * 1024

const JSON_TYPE = /^application\/json\s*(?:;.*)?$/i

const unzip = promisify(gunzip)

const tooLarge = (): E.Either<DialectError, never> =>
  E.left(badRequest('TASK_TOO_LARGE', `The body must have at most ${BODY_BYTES_MAX} bytes, so that its payload can have ${PAYLOAD_BYTES_MAX}.`))

/** The bytes as they came. What is too large is let go by unread, as Node does with a body that nobody asks for. */
const readBytes = (req: IncomingMessage): Promise<E.Either<DialectError, Buffer>> => {
  if (Number(req.headers['content-length'] ?? 0) > BODY_BYTES_MAX) return Promise.resolve(tooLarge())
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    req.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= BODY_BYTES_MAX) chunks.push(chunk)
      else {
        chunks.length = 0
        resolve(tooLarge())
      }
    })
    req.on('end', () => resolve(E.right(Buffer.concat(chunks))))
    // `close` comes after `end` too, and then changes nothing.
    for (const broken of ['close', 'error']) req.on(broken, () => resolve(E.left(badRequest('INVALID_REQUEST', 'The connection was closed before the body was there.'))))
  })
}

const unzipped = async (bytes: Buffer): Promise<E.Either<DialectError, Buffer>> => {
  try {
    return E.right(await unzip(bytes, { maxOutputLength: BODY_BYTES_MAX }))
  } catch (cause) {
    return cause instanceof RangeError ? tooLarge() : E.left(badRequest('INVALID_REQUEST', 'The body is not zipped as its Content-Encoding says.'))
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

const textFields = ['id', 'queueName', 'payloadBase64', 'tag'] as const

/** An int64 as text or number; undefined when it is none. One that JavaScript cannot hold is no time of this age, and stays the largest that it can. */
const int64Of = (value: unknown): number | undefined => {
  if (typeof value === 'number') return Number.isInteger(value) ? value : undefined
  return typeof value === 'string' && /^-?\d{1,19}$/.test(value) ? Number(value) : undefined
}

const readTask = (value: unknown): E.Either<DialectError, TaskBody> => {
  if (!isObject(value)) return E.left(badRequest('INVALID_REQUEST', 'The body must be a task, as a JSON object.'))
  const task: Record<string, string> = {}
  for (const name of textFields) {
    const given = value[name]
    if (given === undefined || given === null) continue
    if (typeof given !== 'string' || !given.isWellFormed()) return E.left(badRequest('INVALID_REQUEST', `${name} must be a string.`))
    task[name] = given
  }
  const { leaseTimestamp } = value
  if (leaseTimestamp === undefined || leaseTimestamp === null) return E.right(task)
  const timestamp = int64Of(leaseTimestamp)
  return timestamp === undefined
    ? E.left(badRequest('INVALID_REQUEST', 'leaseTimestamp must be an integer of microseconds, as a string.'))
    : E.right({ ...task, leaseTimestamp: timestamp })
}

/** The task that the body spells. Left: there is none, it is too large, or not to be read. */
export const readTaskBody = async (req: IncomingMessage): Promise<E.Either<DialectError, TaskBody>> => {
  const { 'content-type': type, 'content-encoding': encoding = 'identity' } = req.headers
  const bytes = await readBytes(req)
  if (E.isLeft(bytes)) return bytes
  if (bytes.right.length === 0) return E.left(badRequest('INVALID_REQUEST', 'The body must be a task, but there is none.'))
  if (type === undefined || !JSON_TYPE.test(type)) return E.left(badRequest('INVALID_REQUEST', 'The Content-Type of the body must be application/json.'))
  const isZipped = /^(?:x-)?gzip$/i.test(encoding)
  if (!isZipped && encoding.toLowerCase() !== 'identity') return E.left(badRequest('INVALID_REQUEST', 'The Content-Encoding of the body must be gzip, or none.'))
  const plain = isZipped ? await unzipped(bytes.right) : bytes
  if (E.isLeft(plain)) return plain
  const value = parseJson(plain.right)
  return E.isLeft(value) ? E.left(badRequest('INVALID_REQUEST', value.left[0]?.detail ?? 'The body must be JSON.')) : readTask(value.right)
}
