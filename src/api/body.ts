// Takes the bytes of a request body, as many as are allowed and only in the one form that is understood.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import { problem, type Problem } from './problem.ts'

/** A request whose body came whole; Node's own come in parts. */
export interface WholeBody {
  readonly headers: IncomingHttpHeaders
  readonly content: Buffer
}
export type BodySource = IncomingMessage | WholeBody

const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i

/** What would be read past the limit before the connection is cut: enough for a client to notice the answer, too little to be a burden. */
const DRAINED_BYTES_MAX = 64 * 1024 * 1024

/** A body that is encoded is not read: its bytes would be taken for the content. */
const badEncoding = ({ headers: { 'content-encoding': encoding } }: BodySource): Problem | undefined =>
  encoding !== undefined && encoding.toLowerCase() !== 'identity' ? problem('unsupported-media-type', 'Expected no Content-Encoding.') : undefined

/** Why a body cannot be understood as JSON, judged by its headers alone. */
const badHeaders = (req: BodySource): Problem | undefined => {
  const encoded = badEncoding(req)
  if (encoded !== undefined) return encoded
  const { 'content-type': type, 'content-length': length, 'transfer-encoding': transfer } = req.headers
  // No body at all is the body's fault, not that of its type.
  if (type === undefined && transfer === undefined && (length === undefined || length === '0')) return undefined
  return type !== undefined && JSON_TYPE.test(type) ? undefined : problem('unsupported-media-type', 'Expected Content-Type application/json, in UTF-8.')
}

export const tooLarge = (limit: number): Problem => problem('too-large', `The body is larger than ${limit} bytes.`)

/** Lets the rest of a body that is too large go by, so that the client comes to read the answer. */
const drain = (req: IncomingMessage): void => {
  let drained = 0
  req.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > DRAINED_BYTES_MAX) req.destroy()
  })
}

/** The whole body as JSON text, at most `limit` bytes. Left: it is too large, not JSON by its headers, or the client is gone. */
export const readBody = (req: BodySource, limit: number): Promise<E.Either<Problem, Buffer>> => readAll(req, limit, badHeaders(req))

/** The whole body whatever it is, at most `limit` bytes. */
export const readBytes = (req: BodySource, limit: number): Promise<E.Either<Problem, Buffer>> => readAll(req, limit, badEncoding(req))

const readAll = (req: BodySource, limit: number, bad: Problem | undefined): Promise<E.Either<Problem, Buffer>> => {
  if (bad !== undefined) return Promise.resolve(E.left(bad))
  if ('content' in req) return Promise.resolve(req.content.length > limit ? E.left(tooLarge(limit)) : E.right(req.content))
  if (Number(req.headers['content-length'] ?? 0) > limit) {
    drain(req)
    return Promise.resolve(E.left(tooLarge(limit)))
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    req.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= limit) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      req.removeAllListeners('data')
      drain(req)
      resolve(E.left(tooLarge(limit)))
    })
    req.on('end', () => resolve(E.right(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length))))
    // `close` comes after `end` too, and then changes nothing.
    req.on('close', () => resolve(E.left(problem('invalid', 'The connection was closed before the body was there.'))))
    req.on('error', () => resolve(E.left(problem('invalid', 'The body could not be read.'))))
  })
}
