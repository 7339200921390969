// Puts express over the routes and Node's server around express: limits of the transport, what no route answers, and how it stops.
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express, type Request, type Response } from 'express'
import type { Logger } from 'pino'
import type { Engine } from '../engine/engine.ts'
import { routeList, routes, type RouteName } from '../wire/routes.ts'
import type { World } from '../world.ts'
import { problemReply, send, type Reply } from './answer.ts'
import { createAuthenticate } from './auth.ts'
import { answerClientError } from './client-error.ts'
import { createDialect, isDialect } from './dialect/endpoint.ts'
import { createChannels } from './channel.ts'
import { createEndpoint, generalHeaders, overHttp, requestIdOf, type AnyHandle, type Endpoint, type Host } from './endpoint.ts'
import { createForwarder } from './forward.ts'
import { createBesides, createHandlers } from './handlers.ts'
import { createLeaseAnswers, type LeaseAnswers } from './lease-answers.ts'
import { createMetrics } from './metrics.ts'
import { invalid, problem } from './problem.ts'
import { pathOf, patternOf, type AnyRoute } from './request.ts'
import { defaultApiSettings, isAuthConfigured, isLoopback, type ApiSettings } from './settings.ts'

export interface ServerOptions {
  readonly engine: Engine
  readonly world: World
  readonly log: Logger
  readonly settings?: Partial<ApiSettings>
}

export interface ApiServer {
  /** Resolves when requests are taken; rejects when it cannot listen there, or may not without auth. Port 0: any free one. */
  readonly listen: (port: number, host: string) => Promise<AddressInfo>
  /**
   * Stops listening, answers every long poll at once and lets what was taken be answered; what is not done after `graceMs` is cut.
   * The engine must still run: stop it afterwards.
   */
  readonly close: (options: { readonly graceMs: number }) => Promise<void>
}

const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
/** Longer than the usual idle time of proxies, so that they close first and no request meets a closing connection. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000
/** How often the timeouts of all connections are looked at. */
const TIMEOUT_CHECK_MS = 5_000
const HEADER_BYTES_MAX = 16 * 1024
/** Connections that may wait to be taken: a fleet that reconnects comes all at once. */
const BACKLOG = 4_096

/** Methods of the routes at a path; none when no route is there. */
const methodsAt = (path: string): readonly string[] => {
  const segments = path.split('/')
  const fits = (route: { readonly path: string }): boolean => {
    const wanted = route.path.split('/')
    return wanted.length === segments.length && wanted.every((part, index) => (part.startsWith('{') ? segments[index] !== '' : part === segments[index]))
  }
  const found = new Set<string>(routeList.filter(fits).map((route) => route.method))
  if (found.has('GET')) found.add('HEAD')
  return found.size === 0 ? [] : [...found, 'OPTIONS']
}

/** What no route answers: OPTIONS, other methods, other paths, and paths that cannot be decoded. */
const otherwise = (req: Pick<Request, 'method' | 'url'>, error: unknown, host: Host): Reply => {
  const path = pathOf(req.url)
  const methods = methodsAt(path)
  const isUndecodable = error instanceof URIError || (error as { readonly status?: unknown } | null | undefined)?.status === 400
  if (isUndecodable && methods.length > 0) return problemReply(invalid([{ path: '/params', code: 'pattern', detail: 'Expected percent-encoded UTF-8.' }]), path)
  if (!isUndecodable && error !== undefined && error !== null) {
    host.log.error({ err: error }, 'a request met a defect before its route')
    return problemReply(problem('internal'), path)
  }
  if (methods.length === 0) return problemReply(problem('not-found', 'Nothing is at this path.'), path)
  const allow = methods.join(', ')
  if (req.method === 'OPTIONS') return { status: 204, headers: ['Allow', allow] }
  return problemReply({ ...problem('method-not-allowed'), headers: { Allow: allow } }, path)
}

const createEndpoints = (host: Host, answers: LeaseAnswers): ReadonlyMap<AnyRoute, Endpoint> => {
  const handlers = createHandlers(host.world, host.settings, host.metrics, answers)
  const besides = createBesides(answers)
  const made = (Object.keys(routes) as RouteName[]).map((name): [AnyRoute, Endpoint] => {
    const route = routes[name] as unknown as AnyRoute
    return [route, createEndpoint(host, route, handlers[name] as AnyHandle, besides[name])]
  })
  return new Map(made)
}

const createApp = (host: Host, endpoints: ReadonlyMap<AnyRoute, Endpoint>): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  app.enable('case sensitive routing')
  app.enable('strict routing')
  const dialect = createDialect(host)
  app.use((req, res, next) => (isDialect(req.url) ? void dialect(req, res) : next()))
  for (const [route, endpoint] of endpoints) {
    const method = route.method.toLowerCase() as 'get' | 'post' | 'put' | 'delete'
    const serve = overHttp(host, route, endpoint)
    app[method](patternOf(route), (req, res) => void serve(req, res))
  }
  return app
}

/** Counts requests under way, so that a stop knows when the last one is answered. */
const createTurnstile = () => {
  let inside = 0
  let whenEmpty: (() => void) | undefined
  return {
    /** The returned function says that it is answered, or that nobody waits any more. */
    enter: (): (() => void) => {
      inside += 1
      return () => {
        inside -= 1
        if (inside === 0) whenEmpty?.()
      }
    },
    empty: (): Promise<void> => (inside === 0 ? Promise.resolve() : new Promise((resolve) => (whenEmpty = resolve))),
  }
}

const listenOn = (server: Server, port: number, host: string): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve(server.address() as AddressInfo)
    })
  })

/** The HTTP side of Stint over an open engine. It neither opens nor closes the engine. */
export const createServer = ({ engine: given, world, log, settings: some }: ServerOptions): ApiServer => {
  const settings: ApiSettings = { ...defaultApiSettings, ...some }
  const metrics = createMetrics(given)
  const engine = metrics.counting(given)
  const waits = new Set<AbortController>()
  let stopping = false
  const forwarder = createForwarder({ engine, waits, log, isStopping: () => stopping })
  const host: Host = { engine, world, log, settings, metrics, waits, forwarder, authenticate: createAuthenticate(settings, engine.tokens, world), isStopping: () => stopping }
  const answers = createLeaseAnswers(world, (cause) => log.error({ err: cause }, 'a lease of which nobody heard could not be taken back'))
  const endpoints = createEndpoints(host, answers)
  const app = createApp(host, endpoints)
  const turnstile = createTurnstile()
  const channels = createChannels(host, endpoints, (req, error) => otherwise(req, error, host), turnstile)

  const server = createHttpServer(
    {
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      // Whatever else somebody would like to speak is answered as the request that it is.
      shouldUpgradeCallback: channels.wants,
    },
    (incoming, outgoing) => {
      const req = incoming as Request
      const res = outgoing as Response
      res.once('close', turnstile.enter())
      const fallback = (error?: unknown): void => send(res, otherwise(req, error, host), generalHeaders(engine.position(), requestIdOf(req, world), stopping))
      if (req.method === 'OPTIONS') fallback()
      else app(req, res, fallback)
    },
  )
  server.maxConnections = settings.connectionsMax
  server.on('clientError', answerClientError)
  server.on('upgrade', channels.upgrade)

  const close: ApiServer['close'] = async ({ graceMs }) => {
    stopping = true
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const wait of waits) wait.abort()
    const cut = world.timer(graceMs, () => {
      server.closeAllConnections()
      channels.cut()
    })
    await turnstile.empty()
    // Whom an answer did not reach will not ask this server again.
    await answers.close()
    await channels.close()
    // What is still open now has asked for nothing, or for nothing more.
    server.closeAllConnections()
    await closed
    forwarder.close()
    cut()
  }

  return {
    listen: async (port, address) => {
      if (!isAuthConfigured(settings.auth) && !isLoopback(address)) {
        throw new Error(`Refusing to listen on ${address} without auth: everybody there would be an administrator. Configure auth (tokens or jwt), or listen on 127.0.0.1.`)
      }
      return listenOn(server, port, address)
    },
    close,
  }
}
