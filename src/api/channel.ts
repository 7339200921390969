// Channels: connections over which many calls travel at the same time, without what HTTP puts around each. Every call is served by the endpoint of its route, as it would be alone.
//
//   WebSocket ─▶ message ─▶ head, body ─▶ route ─▶ endpoint ─▶ answer ─▶ message
//
// Who opens one, and when they end. A page in a browser opens none: it would be let in by where it runs.
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import * as E from 'fp-ts/lib/Either.js'
import createRouter from 'find-my-way'
import { WebSocketServer } from 'ws'
import { CHANNEL_MESSAGE_BYTES_MAX, CHANNEL_PATH, CHANNEL_PROTOCOL } from '../wire/channel.ts'
import { problemReply, send, type Reply } from './answer.ts'
import { auditStranger } from './audit.ts'
import type { CallMessage } from './channel-call.ts'
import { serveChannel, type Serve, type Turnstile } from './channel-peer.ts'
import { generalHeaders, isInDoubt, requestIdOf, surely, type Endpoint, type Host, type Made } from './endpoint.ts'
import { invalid, needsToken, problem, type Problem } from './problem.ts'
import { pathOf, patternOf, type AnyRoute } from './request.ts'

/** Closure by an endpoint that goes away (RFC 6455). */
const GOING_AWAY = 1_001
const CLOSE_MS = 1_000
const STREAM = 'text/event-stream'
/** What is carried: the rest is for whoever looks after servers, one by one and past what stands before them. */
const CARRIED = '/v1/'

/** What is sent as the answer to a call that has no route. */
type Otherwise = (req: { readonly url: string; readonly method: string }, error?: unknown) => Reply

export interface Channels {
  /** Whether a request wants to become a channel. */
  readonly wants: (req: IncomingMessage) => boolean
  readonly upgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Ends every channel; what is not answered by then is not. Whoever does not say goodbye within a second is cut. */
  readonly close: () => Promise<void>
  /** Cuts what is still open. */
  readonly cut: () => void
}

const isDecodable = (path: string): boolean => {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

/** Finds the endpoint of a call as HTTP would, and has it answered. */
const createServe = (host: Host, endpoints: ReadonlyMap<AnyRoute, Endpoint>, otherwise: Otherwise): Serve => {
  const router = createRouter({ caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: CHANNEL_MESSAGE_BYTES_MAX })
  const known = new Map<unknown, { readonly route: AnyRoute; readonly endpoint: Endpoint }>()
  for (const [route, endpoint] of endpoints) {
    const handler = (): void => undefined
    known.set(handler, { route, endpoint })
    router.on(route.method, patternOf(route), handler)
  }

  const bare = (call: CallMessage, reply: Reply): Made => {
    const requestId = requestIdOf(call, host.world)
    return { reply, general: generalHeaders(host.engine.position(), requestId, host.isStopping()), requestId }
  }

  const find = ({ method, url }: CallMessage) => {
    const found = router.find((method === 'HEAD' ? 'GET' : method) as 'GET', url)
    const at = known.get(found?.handler)
    // A segment that is empty is none.
    return found === null || at === undefined || Object.values(found.params).includes('') ? undefined : { ...at, params: found.params }
  }

  return async (call, way) => {
    try {
      if (!call.url.startsWith(CARRIED)) return bare(call, problemReply(problem('not-found', `Only what is under ${CARRIED} is there over a channel.`), pathOf(call.url)))
      const found = find(call)
      if (found === undefined) return bare(call, otherwise(call, call.method === 'OPTIONS' || isDecodable(pathOf(call.url)) ? undefined : new URIError()))
      if (found.route.mediaType === STREAM)
        return bare(call, problemReply(problem('not-acceptable', 'A stream is opened by a request of its own, not over a channel.'), pathOf(call.url)))
      call.params = found.params
      return await found.endpoint(call, way)
    } catch (defect) {
      return bare(call, otherwise(call, defect))
    }
  }
}

export const createChannels = (host: Host, endpoints: ReadonlyMap<AnyRoute, Endpoint>, otherwise: Otherwise, turnstile: Turnstile): Channels => {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: CHANNEL_MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handleProtocols: (asked) => (asked.has(CHANNEL_PROTOCOL) ? CHANNEL_PROTOCOL : false),
  })
  const peering = { host, serve: createServe(host, endpoints, otherwise), turnstile }
  /** Of channels, and of requests that want to become one: the HTTP server knows of neither. */
  const sockets = new Set<Duplex>()

  /** As any other request is answered, and the connection ends with it. */
  const refuse = (req: IncomingMessage, socket: Duplex, refusal: Problem): void => {
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    res.assignSocket(socket as Socket)
    res.once('finish', () => socket.end(() => socket.destroy()))
    send(res, problemReply(refusal, CHANNEL_PATH), generalHeaders(host.engine.position(), requestIdOf(req, host.world), false))
  }
  server.on('wsClientError', ({ message }, socket, req) => refuse(req, socket, invalid([{ path: '/headers', code: 'pattern', detail: `${message}.` }])))

  const mayOpen = async (req: IncomingMessage): Promise<Problem | undefined> => {
    if (req.headers.origin !== undefined) return problem('forbidden', 'A channel is not for pages in a browser.')
    const who = await surely(host.engine, isInDoubt, () => host.authenticate(req.headers))
    if (E.isLeft(who)) {
      auditStranger(host, who.left, 'channel', CHANNEL_PATH)
      return who.left
    }
    if (who.right === undefined) return needsToken
    return host.isStopping() ? problem('stopping') : undefined
  }

  const upgrade = async (req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const bad = await mayOpen(req).catch((defect: unknown) => {
      host.log.error({ err: defect }, 'a channel met a defect before it was open')
      return problem('internal')
    })
    if (socket.destroyed) return
    if (bad !== undefined) return refuse(req, socket, bad)
    server.handleUpgrade(req, socket, head, (channel) => serveChannel(channel, req, peering))
  }

  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }

  return {
    wants: ({ method, url = '', headers }) => method === 'GET' && pathOf(url) === CHANNEL_PATH && headers.upgrade?.toLowerCase() === 'websocket',
    upgrade: (req, socket, head) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      // Until it is a channel nobody else listens, and an error without a listener would end the process.
      socket.on('error', () => socket.destroy())
      void upgrade(req, socket, head)
    },
    close: async () => {
      const gone = [...sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())))
      for (const channel of server.clients) channel.close(GOING_AWAY, 'stopping')
      const cancel = host.world.timer(CLOSE_MS, cut)
      await Promise.all(gone)
      cancel()
    },
    cut,
  }
}
