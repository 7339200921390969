// The body of a request: read before the handler sees the request, and put back so that whoever reads it next, a parser or `req.pipe`, finds it whole.
import type { IncomingMessage } from 'node:http'

export type TakenBody =
  /** As it came over the wire; still to be read by the handler. */
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  /** A parser before us took it, and this is what it made of it. */
  | { readonly type: 'parsed'; readonly value: unknown }
  | { readonly type: 'too-large' }
  /** The client left before it was complete. */
  | { readonly type: 'gone' }
  /** Somebody took it and left nothing to tell two requests apart by. */
  | { readonly type: 'consumed' }

const NOTHING = Buffer.alloc(0)

const hasBody = ({ headers }: IncomingMessage): boolean => headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/**
 * Reads until the message is complete, and takes care never to read past the last byte: a stream that is asked for more says `end`,
 * and what has said `end` cannot be given back.
 */
const drained = (req: IncomingMessage, bytesMax: number): Promise<TakenBody> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (taken: TakenBody): void => {
      req.off('readable', onReadable)
      req.off('close', onClose)
      req.off('error', onClose)
      resolve(taken)
    }
    const onClose = (): void => settle({ type: 'gone' })
    const onReadable = (): void => {
      while (req.readableLength > 0) {
        const chunk: unknown = req.read()
        if (chunk === null) break
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, req.readableEncoding ?? 'utf8') : (chunk as Buffer)
        chunks.push(bytes)
        size += bytes.length
        if (size <= bytesMax) continue
        settle({ type: 'too-large' })
        return
      }
      if (!req.complete) return
      const bytes = Buffer.concat(chunks)
      if (bytes.length > 0) req.unshift(bytes)
      settle({ type: 'bytes', bytes })
    }
    req.on('close', onClose)
    req.on('error', onClose)
    if (req.complete) onReadable()
    else req.on('readable', onReadable)
  })

/** Takes a body of at most `bytesMax` bytes, before or after the parsers of the app. */
export const takeBody = async (req: IncomingMessage & { readonly body?: unknown }, bytesMax: number): Promise<TakenBody> => {
  const isUntouched = !req.readableDidRead && !req.readableEnded
  if (isUntouched && hasBody(req)) {
    if (req.destroyed) return { type: 'gone' }
    if (Number(req.headers['content-length'] ?? 0) > bytesMax) return { type: 'too-large' }
    return drained(req, bytesMax)
  }
  if (req.body !== undefined) return { type: 'parsed', value: req.body }
  return hasBody(req) ? { type: 'consumed' } : { type: 'bytes', bytes: NOTHING }
}
