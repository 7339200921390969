// One call of a channel: how it is read from its message, what its endpoint sees of it, and the way back to its caller.
import type { IncomingHttpHeaders } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import express from 'express'
import { CHANNEL_HEAD_BYTES_MAX } from '../wire/channel.ts'
import type { WholeBody } from './body.ts'
import type { Asking, Outgoing } from './exchange.ts'
import { invalid, problem, type Problem } from './problem.ts'

/** The way back of one call. */
export class Way implements Outgoing {
  closed = false
  writableFinished = false
  /** There when the caller takes parts. */
  readonly part: Outgoing['part']
  #listeners: (() => void)[] | undefined

  constructor(part?: Outgoing['part']) {
    this.part = part
  }

  get destroyed(): boolean {
    return this.closed
  }

  once(_event: 'close', run: () => void): void {
    if (this.#listeners === undefined) this.#listeners = [run]
    else this.#listeners.push(run)
  }

  /** @param isWritten the whole answer was handed over */
  end(isWritten: boolean): void {
    if (this.closed) return
    this.closed = true
    this.writableFinished = isWritten
    for (const run of this.#listeners ?? []) run()
  }
}

/** One call as its endpoint sees it. */
export class CallMessage implements Asking, WholeBody {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly content: Buffer
  params: unknown = undefined

  constructor(method: string, url: string, headers: IncomingHttpHeaders, content: Buffer) {
    this.method = method
    this.url = url
    this.headers = headers
    this.content = content
  }

  /** Only for whoever passes the call on: it says there what it was taken for here, and nothing else. */
  get rawHeaders(): string[] {
    return Object.entries(this.headers).flatMap(([name, value]) => (typeof value === 'string' ? [name, value] : []))
  }

  accepts(mediaType: string): unknown {
    return express.request.accepts.call(this as unknown as typeof express.request, mediaType)
  }
}

export interface Head {
  readonly id: number
  readonly cancel?: unknown
  readonly method?: unknown
  readonly path?: unknown
  readonly headers?: unknown
  readonly parts?: unknown
}

export interface Message {
  readonly head: Head
  /** Bytes of the head as it came. */
  readonly headBytes: number
  readonly content: Buffer
}

const LINE_BREAK = 10

const isHead = (head: unknown): head is Head => typeof head === 'object' && head !== null && 'id' in head && Number.isSafeInteger(head.id)

/** Undefined: there is no head that names a call. */
export const messageFrom = (data: Buffer): Message | undefined => {
  const at = data.indexOf(LINE_BREAK)
  const headBytes = at === -1 ? data.length : at
  try {
    const head: unknown = JSON.parse(data.toString('utf8', 0, headBytes))
    return isHead(head) ? { head, headBytes, content: data.subarray(at === -1 ? headBytes : headBytes + 1) } : undefined
  } catch {
    return undefined
  }
}

const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/
const ILLEGAL = /[^\t\x20-\x7e\x80-\xff]/
const METHOD = /^[A-Z]{1,20}$/
/** As in the first line of a request. */
const PATH = /^\/[\x21-\x7e]*$/

const isFlat = (headers: unknown): headers is readonly string[] =>
  Array.isArray(headers) && headers.length % 2 === 0 && headers.every((text, index) => typeof text === 'string' && (index % 2 === 0 ? NAME.test(text) : !ILLEGAL.test(text)))

/** By their names in lower case; values of a name that comes twice stand in a row, as in a request. */
export const headersOf = (flat: readonly string[]): IncomingHttpHeaders => {
  const headers: IncomingHttpHeaders = {}
  for (let at = 0; at < flat.length; at += 2) {
    const name = (flat[at] as string).toLowerCase()
    headers[name] = Object.hasOwn(headers, name) ? `${String(headers[name])}, ${flat[at + 1]}` : flat[at + 1]
  }
  return headers
}

/** @param kept what holds for each call that does not say otherwise */
export const callFrom = ({ head, headBytes, content }: Message, kept: IncomingHttpHeaders): E.Either<Problem, CallMessage> => {
  const { method, path, headers = [] } = head
  if (headBytes > CHANNEL_HEAD_BYTES_MAX) return E.left(problem('headers-too-large', `The head of a call has at most ${CHANNEL_HEAD_BYTES_MAX} bytes.`))
  if (!isFlat(headers)) return E.left(invalid([{ path: '/headers', code: 'type', detail: 'Expected an array of names and values in turn, as they may stand in a request.' }]))
  if (typeof method !== 'string' || !METHOD.test(method))
    return E.left(invalid([{ path: '/method', code: 'pattern', detail: 'Expected a method in capital letters, for instance GET.' }]))
  if (typeof path !== 'string' || !PATH.test(path))
    return E.left(invalid([{ path: '/path', code: 'pattern', detail: 'Expected a path with its query, percent-encoded, as in the first line of a request.' }]))
  const all = { ...kept, ...headersOf(headers) }
  // Servers say it to each other, in requests; whatever stands before them takes it out of those of others.
  delete all['stint-forwarded']
  if (content.length > 0 && all['content-type'] === undefined) all['content-type'] = 'application/json'
  return E.right(new CallMessage(method, path, all, content))
}
