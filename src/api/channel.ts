// Channels: connections over which many calls travel at the same time, without what HTTP puts around each. Every call is served by the endpoint of its route, as it would be alone.
//
//   WebSocket ─▶ message ─▶ head, body ─▶ route ─▶ endpoint ─▶ answer ─▶ message
//
// A channel is read no further while its answers pile up, so a caller that does not read them cannot fill the memory. A page in a browser opens none: it would be let in by where it runs.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import * as E from 'fp-ts/lib/Either.js'
import createRouter from 'find-my-way'
import { WebSocketServer, type WebSocket } from 'ws'
import { CHANNEL_CALLS_MAX, CHANNEL_MESSAGE_BYTES_MAX, CHANNEL_PATH, CHANNEL_PROTOCOL, messageOf, type AnswerHead, type Parts } from '../wire/channel.ts'
import { problemReply, type Reply } from './answer.ts'
import { generalHeaders, requestIdOf, type Endpoint, type Host, type Made } from './endpoint.ts'
import type { WholeBody } from './body.ts'
import type { Asking, Outgoing } from './exchange.ts'
import { invalid, problem, type Problem } from './problem.ts'
import type { AnyRoute } from './request.ts'

/** Bytes of answers that may wait to be sent; beyond, the channel is not read. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024
/** Between two signs of life of a channel; one that shows none until the next is cut. */
const PING_MS = 30_000
/** Normal closure of an endpoint that goes away (RFC 6455). */
const GOING_AWAY = 1_001
/** A message that is none of a channel's. */
const PROTOCOL_ERROR = 1_002
const CLOSE_MS = 1_000

/** What is sent as the answer to a call that has no route. */
type Otherwise = (req: { readonly url: string; readonly method: string }, error?: unknown) => Reply

export interface Channels {
  /** Whether a request wants to become a channel. */
  readonly wants: (req: IncomingMessage) => boolean
  readonly upgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Ends every channel; what is not answered by then is not. */
  readonly close: () => Promise<void>
}

/** Counts what is under way. */
export interface Turnstile {
  readonly enter: () => () => void
}

/** The way back of one call. */
class Way implements Outgoing {
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
class CallMessage implements Asking, WholeBody {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly content: Buffer
  params: unknown = undefined

  constructor(method: string, url: string, headers: IncomingHttpHeaders, rawHeaders: string[], content: Buffer) {
    this.method = method
    this.url = url
    this.headers = headers
    this.rawHeaders = rawHeaders
    this.content = content
  }

  /** Whatever the route makes: nothing else is asked for in vain over a channel. */
  accepts(): boolean {
    return false
  }
}

interface Head {
  readonly id: number
  readonly cancel?: unknown
  readonly method?: unknown
  readonly path?: unknown
  readonly headers?: unknown
  readonly parts?: unknown
}

const LINE_BREAK = 10

const isHead = (head: unknown): head is Head => typeof head === 'object' && head !== null && 'id' in head && Number.isSafeInteger(head.id)
const isFlat = (headers: unknown): headers is readonly string[] => Array.isArray(headers) && headers.length % 2 === 0 && headers.every((text) => typeof text === 'string')

const headOf = (message: Buffer): { readonly head: Head; readonly content: Buffer } | undefined => {
  const at = message.indexOf(LINE_BREAK)
  try {
    const head: unknown = JSON.parse(message.toString('utf8', 0, at === -1 ? message.length : at))
    return isHead(head) ? { head, content: at === -1 ? message.subarray(message.length) : message.subarray(at + 1) } : undefined
  } catch {
    return undefined
  }
}

/** Of the request that opened the channel, what holds for every call. */
const KEPT = ['authorization', 'stint-as', 'host'] as const

const keptHeaders = ({ headers }: IncomingMessage): readonly string[] =>
  KEPT.flatMap((name) => {
    const value = headers[name]
    return typeof value === 'string' ? [name, value] : []
  })

/** By their names in lower case; of one that comes twice the last counts. */
const headersOf = (flat: readonly string[]): IncomingHttpHeaders => {
  const headers: IncomingHttpHeaders = {}
  for (let at = 0; at < flat.length; at += 2) headers[(flat[at] as string).toLowerCase()] = flat[at + 1]
  return headers
}

const ILLEGAL = /[^\t\x20-\x7e\x80-\xff]/

const badHeaders = (flat: unknown): Problem | undefined =>
  isFlat(flat) && !flat.some((text) => ILLEGAL.test(text))
    ? undefined
    : invalid([{ path: '/headers', code: 'type', detail: 'Expected an array of names and values in turn, each a text without line breaks.' }])

export const createChannels = (host: Host, endpoints: ReadonlyMap<AnyRoute, Endpoint>, otherwise: Otherwise, turnstile: Turnstile): Channels => {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: CHANNEL_MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handleProtocols: (asked) => (asked.has(CHANNEL_PROTOCOL) ? CHANNEL_PROTOCOL : false),
  })
  const router = createRouter({ caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: CHANNEL_MESSAGE_BYTES_MAX })
  const known = new Map<unknown, Endpoint>()
  for (const [route, endpoint] of endpoints) {
    const handler = (): void => undefined
    known.set(handler, endpoint)
    router.on(route.method, route.path.replace(/\{(\w+)\}/g, ':$1'), handler)
  }

  const serve = (req: CallMessage, way: Way): Promise<Made> => {
    const bare = (reply: Reply): Promise<Made> => {
      const requestId = requestIdOf(req, host.world)
      return Promise.resolve({ reply, general: generalHeaders(host.engine.position(), requestId, host.isStopping()), requestId })
    }
    const found = router.find(req.method as 'GET', req.url)
    const endpoint = found === null ? undefined : known.get(found.handler)
    if (found === null || endpoint === undefined) return bare(otherwise(req))
    req.params = found.params
    return endpoint(req, way)
  }

  const take = (channel: WebSocket, opening: IncomingMessage): void => {
    const { socket } = opening
    const kept = keptHeaders(opening)
    const keptAsMap = headersOf(kept)
    const open = new Map<number, Way>()
    let isCorked = false
    let isAlive = true

    /** What is answered in the same turn of the loop goes out in one piece. */
    const cork = (): void => {
      if (isCorked) return
      isCorked = true
      socket.cork()
      process.nextTick(() => {
        isCorked = false
        socket.uncork()
      })
    }

    const unblocked = (): void => {
      if (channel.isPaused && channel.bufferedAmount <= UNSENT_BYTES_MAX) channel.resume()
    }

    const sendOut = (message: string | Buffer, done: (failure?: Error | null) => void): void => {
      cork()
      channel.send(message, { binary: typeof message !== 'string' }, done)
      if (channel.bufferedAmount > UNSENT_BYTES_MAX) channel.pause()
    }
    const sendText = (message: string): void => sendOut(message, unblocked)

    const send = (id: number, { reply, general }: Made, way: Way): void => {
      if (way.closed) return
      const { status, headers, body } = reply
      const head: AnswerHead = { id, status, headers: [...headers, ...general] }
      const message = body === undefined || typeof body === 'string' ? messageOf(head, body) : Buffer.concat([Buffer.from(messageOf(head)), body])
      sendOut(message, (failure) => {
        open.delete(id)
        way.end(failure === undefined || failure === null)
        unblocked()
      })
    }

    /** What lasts goes by HTTP. */
    const withoutStream = async (made: Promise<Made>, path: string): Promise<Made> => {
      const { reply, ...rest } = await made
      return {
        ...rest,
        reply: reply.stream === undefined ? reply : problemReply(problem('not-acceptable', 'A stream is opened by a request of its own, not over a channel.'), path),
      }
    }

    /** Items of one call that are done: told together at the end of this turn of the loop, and before the answer. */
    const partsOf = (id: number): { readonly part: NonNullable<Outgoing['part']>; readonly tell: () => void } => {
      let done: (readonly [number, object])[] = []
      const tell = (): void => {
        if (done.length > 0 && open.has(id)) sendText(messageOf({ id, part: true }, JSON.stringify(done satisfies Parts)))
        done = []
      }
      return {
        tell,
        part: (index, item) => {
          if (done.length === 0) process.nextTick(tell)
          done.push([index, item])
        },
      }
    }

    const begin = ({ id, method, path, headers = [], parts }: Head, content: Buffer): void => {
      const told = parts === true ? partsOf(id) : undefined
      const way = new Way(told?.part)
      const leave = turnstile.enter()
      way.once('close', leave)
      open.set(id, way)
      const refused = (refusal: Problem): void => send(id, { reply: problemReply(refusal, CHANNEL_PATH), general: [], requestId: '' }, way)
      const bad = badHeaders(headers)
      if (bad !== undefined) return refused(bad)
      if (typeof method !== 'string' || typeof path !== 'string' || !path.startsWith('/'))
        return refused(invalid([{ path: '/path', code: 'type', detail: 'Expected `method` and `path` as in the first line of a request.' }]))
      if (open.size > CHANNEL_CALLS_MAX) return refused(problem('overloaded', `This channel has ${CHANNEL_CALLS_MAX} calls under way.`))
      const said = headers as readonly string[]
      const all = { ...keptAsMap, ...headersOf(said) }
      const raw = [...kept, ...said]
      if (content.length > 0 && all['content-type'] === undefined) {
        all['content-type'] = 'application/json'
        raw.push('Content-Type', 'application/json')
      }
      const req = new CallMessage(method, path, all, raw, content)
      void withoutStream(serve(req, way), path).then((made) => {
        told?.tell()
        send(id, made, way)
      })
    }

    channel.on('message', (data: Buffer) => {
      const message = headOf(data)
      if (message === undefined) return channel.close(PROTOCOL_ERROR, 'Expected a head in JSON with a whole number as its id.')
      const { head, content } = message
      if (head.cancel === true) {
        open.get(head.id)?.end(false)
        open.delete(head.id)
      } else if (open.has(head.id)) channel.close(PROTOCOL_ERROR, 'A call with this id is under way.')
      else begin(head, content)
    })
    channel.on('pong', () => {
      isAlive = true
    })
    const tend = (): void => {
      if (!isAlive) return channel.terminate()
      isAlive = false
      channel.ping()
      cancel = host.world.timer(PING_MS, tend)
    }
    let cancel = host.world.timer(PING_MS, tend)
    channel.on('error', (cause) => host.log.debug({ err: cause }, 'a channel broke off'))
    channel.once('close', () => {
      cancel()
      for (const way of [...open.values()]) way.end(false)
      open.clear()
    })
  }

  const refuse = (socket: Duplex, { status, headers, body = '' }: Reply): void => {
    const lines = [`HTTP/1.1 ${status} Refused`, 'Connection: close', `Content-Length: ${Buffer.byteLength(body)}`]
    for (let at = 0; at < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
    socket.end(`${lines.join('\r\n')}\r\n\r\n${typeof body === 'string' ? body : ''}`)
  }

  const mayOpen = async (req: IncomingMessage): Promise<Problem | undefined> => {
    if (host.isStopping()) return problem('stopping')
    if (req.headers.origin !== undefined) return problem('forbidden', 'A channel is not for pages in a browser.')
    const who = await host.authenticate(req.headers)
    return E.isLeft(who) ? who.left : undefined
  }

  const upgrade = async (req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const bad = await mayOpen(req).catch(() => problem('internal'))
    if (socket.destroyed) return
    if (bad !== undefined) return refuse(socket, problemReply(bad, CHANNEL_PATH))
    server.handleUpgrade(req, socket, head, (channel) => take(channel, req))
  }

  return {
    wants: ({ url = '', headers }) => url.split('?', 1)[0] === CHANNEL_PATH && headers.upgrade?.toLowerCase() === 'websocket',
    upgrade: (req, socket, head) => {
      // Until it is a channel nobody else listens, and an error without a listener would end the process.
      socket.on('error', () => socket.destroy())
      void upgrade(req, socket, head)
    },
    close: async () => {
      const gone = [...server.clients].map((channel) => new Promise<void>((resolve) => channel.once('close', () => resolve())))
      for (const channel of server.clients) channel.close(GOING_AWAY, 'stopping')
      const cut = host.world.timer(CLOSE_MS, () => {
        for (const channel of server.clients) channel.terminate()
      })
      await Promise.all(gone)
      cut()
    },
  }
}
