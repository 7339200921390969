// What node's responses are called with, in all their forms, taken as node takes it.
import type { ServerResponse } from 'node:http'

export type Callback = (error?: Error | null) => void

export const failure = (code: string, message: string, Type: ErrorConstructor | TypeErrorConstructor = Error): Error => Object.assign(new Type(message), { code })

/** What `write` and `end` are called with, in all their forms. */
export const chunkOf = (args: readonly unknown[]): { readonly chunk: unknown; readonly encoding: BufferEncoding | undefined; readonly done: Callback | undefined } => {
  const done = args.find((arg) => typeof arg === 'function') as Callback | undefined
  const [chunk, encoding] = args
  return { chunk: typeof chunk === 'function' ? undefined : chunk, encoding: typeof encoding === 'string' ? (encoding as BufferEncoding) : undefined, done }
}

/** A copy: whoever wrote it may use its buffer again. */
export const bytesOf = (chunk: unknown, encoding: BufferEncoding | undefined): Buffer => {
  if (chunk === null) throw failure('ERR_STREAM_NULL_VALUES', 'May not write null values to stream', TypeError)
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding)
  if (chunk instanceof Uint8Array) return Buffer.from(chunk)
  throw failure('ERR_INVALID_ARG_TYPE', `The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. Received ${typeof chunk}`, TypeError)
}

/** As node takes the headers of `writeHead`: an object, or names and values one after another. */
export const applyHead = (res: ServerResponse, headers: unknown): void => {
  if (Array.isArray(headers)) {
    const flat = headers.flat() as string[]
    for (let at = 0; at < flat.length; at += 2) res.removeHeader(flat[at] ?? '')
    for (let at = 0; at < flat.length; at += 2) res.appendHeader(flat[at] ?? '', flat[at + 1] ?? '')
  } else if (typeof headers === 'object' && headers !== null) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value as string)
  }
}
