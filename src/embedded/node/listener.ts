// What the node answers itself: takes an operation, shows its list, hands on a directive. Messages have to be signed by the management node, unless the node listens on loopback
// without a secret; problems, limits and headers are those of a Stint server.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express, type Request, type Response } from 'express'
import * as E from 'fp-ts/lib/Either.js'
import {
  answerClientError,
  decodeParams,
  decodeQuery,
  fromRefusal,
  invalid,
  isLoopback,
  jsonReply,
  parseJson,
  problem,
  problemReply,
  readBody,
  readBytes,
  send,
  type AnyRoute,
  type Problem,
  type Reply,
} from '../../api/messages.ts'
import { verifyWebhook, WebhookRejected } from '../../client/webhook.ts'
import { surfaceState } from '../../domain/work-item/state.ts'
import { ARGS_BYTES_MAX } from '../../wire/long-tasks.ts'
import { askedForList } from '../../domain/node.ts'
import { directOperation, listOperations, takeOperation } from '../../wire/nodes.ts'
import type { BodyOf, ParamsOf, Route } from '../../wire/route.ts'
import { decode } from '../../wire/schema.ts'
import type { World } from '../../world.ts'
import type { OperationList } from './list.ts'

const MIB = 1024 * 1024
/** The arguments, and as much again for how they are written and what stands beside them. */
const BODY_BYTES_MAX = 2 * ARGS_BYTES_MAX
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const HEADER_BYTES_MAX = 16 * 1024
const TIMEOUT_CHECK_MS = 5_000

export interface ListenerSetting {
  readonly world: World
  readonly node: string
  readonly instance: string
  /** What messages are signed with, several while it is being changed; none: loopback only. */
  readonly secrets: readonly string[]
  readonly list: Pick<OperationList, 'take' | 'get' | 'shown'>
  /** Why nothing is answered, if so: the log cannot be written any more, say. */
  readonly refusal: () => Problem | undefined
  /** Nothing more is taken. */
  readonly isClosing: () => boolean
  readonly onTrouble: (what: string, cause: unknown) => void
}

export interface Listener {
  /** Resolves when messages are taken; rejects when it cannot listen there. Port 0: any free one. */
  readonly listen: (port: number, host: string) => Promise<AddressInfo>
  /** Takes no more connections, lets what is under way be answered, and cuts what is not after `graceMs`. */
  readonly close: (graceMs: number) => Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

type Handled = E.Either<Problem, Answer>
type Handle<R> = (input: { readonly params: ParamsOf<R>; readonly body: BodyOf<R> }) => Promise<Handled>

const answer = <Params, Query, Body, Given>(_route: Route<Params, Query, Body, Given>, status: number, body: Given): Handled => E.right({ status, body })

const pathOf = (url: string): string => url.split('?', 1)[0] ?? url
const hostName = (host: string): string => host.replace(/:\d{1,5}$/, '')

const taking =
  ({ list, node, isClosing }: ListenerSetting): Handle<typeof takeOperation> =>
  async ({ body }) => {
    if (isClosing()) return E.left(problem('stopping'))
    // It had this address before, or whoever sends this has read it on its way there.
    if (body.node !== node) return E.left(problem('forbidden', `This is the node ${node}, and the operation is for ${body.node}.`))
    const taken = await list.take(body)
    switch (taken.type) {
      case 'listed':
        return answer(takeOperation, 202, { id: body.id })
      case 'answered':
        return answer(takeOperation, 200, { id: body.id, outcome: taken.outcome })
      case 'refused':
        return E.left(taken.problem)
    }
  }

const listing =
  ({ list, node, instance }: ListenerSetting): Handle<typeof listOperations> =>
  async () =>
    answer(listOperations, 200, { node, instance, items: [...list.shown()] })

const directing =
  ({ list }: ListenerSetting): Handle<typeof directOperation> =>
  async ({ params: { id }, body: { lease, number, directive, reason } }) => {
    const entity = list.get(id)
    if (entity === undefined || !entity.isLong) return E.left(problem('not-found', 'It is not on the list of this node.'))
    const state = surfaceState(entity.item())
    if (entity.operation.lease !== lease) return E.left({ ...problem('stale-lease', 'Expected the lease that it was sent with.'), state })
    if (entity.outcome() !== undefined) return E.left({ ...problem('settled'), state })
    const directed = await entity.direct({ number, directive, by: 'the management node', reason })
    return E.isLeft(directed) ? E.left(fromRefusal(directed.left)) : answer(directOperation, 200, { id, directive: directed.right.will })
  }

/** Whether the message comes from who may give orders here. Of two that say the same the second does nothing; what was sent too long ago is refused. */
const createGate =
  ({ secrets, world, node }: ListenerSetting, hasBody: boolean) =>
  async ({ headers }: IncomingMessage, bytes: Uint8Array): Promise<Problem | undefined> => {
    if (secrets.length === 0) {
      // No web page can reach the node under a name of its own.
      return isLoopback(hostName(headers.host ?? 'localhost')) ? undefined : problem('forbidden', 'Without a secret this node answers only requests to a loopback host.')
    }
    try {
      await verifyWebhook(headers, hasBody ? bytes : Buffer.from(askedForList(node)), secrets, { now: world.now })
      return undefined
    } catch (thrown) {
      if (thrown instanceof WebhookRejected) return problem('unauthenticated', thrown.message)
      throw thrown
    }
  }

const createEndpoint = <Params, Query, Body, Given>(
  setting: ListenerSetting,
  typed: Route<Params, Query, Body, Given>,
  handle: (input: { readonly params: Params; readonly body: Body }) => Promise<Handled>,
) => {
  const route = typed as unknown as AnyRoute
  const gate = createGate(setting, route.body !== undefined)

  const handled = async (req: Request): Promise<Handled> => {
    const bytes = await (route.body === undefined ? readBytes(req, MIB) : readBody(req, BODY_BYTES_MAX))
    if (E.isLeft(bytes)) return bytes
    const stranger = await gate(req, bytes.right)
    if (stranger !== undefined) return E.left(stranger)
    const refusal = setting.refusal()
    if (refusal !== undefined) return E.left(refusal)
    const params = decodeParams(route, req.params)
    const query = decodeQuery(route, req.url)
    if (E.isLeft(params) || E.isLeft(query)) return E.left(invalid([...(E.isLeft(params) ? params.left : []), ...(E.isLeft(query) ? query.left : [])]))
    if (route.body === undefined) return handle({ params: params.right as Params, body: undefined as Body })
    const value = parseJson(bytes.right)
    const body = E.isLeft(value) ? value : decode(route.body, value.right)
    return E.isLeft(body) ? E.left(invalid(body.left)) : handle({ params: params.right as Params, body: body.right as Body })
  }

  return async (req: Request): Promise<Reply> => {
    try {
      const done = await handled(req)
      return E.isLeft(done) ? problemReply(done.left, pathOf(req.url)) : jsonReply(done.right.status, done.right.body)
    } catch (defect) {
      setting.onTrouble(`A call of ${route.name} met a defect`, defect)
      return problemReply(problem('internal'), pathOf(req.url))
    }
  }
}

const ROUTES: readonly Pick<AnyRoute, 'path' | 'method'>[] = [takeOperation, listOperations, directOperation]

/** What no route answers. */
const otherwise = (req: Request, error: unknown): Reply => {
  const path = pathOf(req.url)
  if (error instanceof URIError) return problemReply(invalid([{ path: '/params', code: 'pattern', detail: 'Expected percent-encoded UTF-8.' }]), path)
  const segments = path.split('/')
  const fits = (wanted: readonly string[]): boolean => wanted.length === segments.length && wanted.every((part, index) => part.startsWith('{') || part === segments[index])
  const methods = ROUTES.filter((route) => fits(route.path.split('/'))).map(({ method }) => method)
  if (methods.length === 0) return problemReply(problem('not-found', 'Nothing is at this path.'), path)
  return problemReply({ ...problem('method-not-allowed'), headers: { Allow: methods.join(', ') } }, path)
}

const createApp = (setting: ListenerSetting): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  app.enable('case sensitive routing')
  app.enable('strict routing')
  const reply = (res: Response, what: Reply): void => {
    const general = ['Stint-Request-Id', setting.world.uuid(), ...(setting.isClosing() ? ['Connection', 'close'] : [])]
    send(res, what, general)
  }
  const take = createEndpoint(setting, takeOperation, taking(setting))
  const show = createEndpoint(setting, listOperations, listing(setting))
  const direct = createEndpoint(setting, directOperation, directing(setting))
  app.post('/v1/node/operations', (req, res) => void take(req).then((what) => reply(res, what)))
  app.get('/v1/node/operations', (req, res) => void show(req).then((what) => reply(res, what)))
  app.post('/v1/node/operations/:id/directives', (req, res) => void direct(req as Request).then((what) => reply(res, what)))
  app.use((req, res) => reply(res, otherwise(req, undefined)))
  app.use((error: unknown, req: Request, res: Response, _next: unknown) => reply(res, otherwise(req, error)))
  return app
}

export const createListener = (setting: ListenerSetting): Listener => {
  const { world } = setting
  const app = createApp(setting)
  const underWay = new Set<ServerResponse>()
  let whenIdle: (() => void) | undefined
  const server = createServer(
    { connectionsCheckingInterval: TIMEOUT_CHECK_MS, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: HEADER_BYTES_MAX },
    (req, res) => {
      underWay.add(res)
      res.once('close', () => {
        underWay.delete(res)
        if (underWay.size === 0) whenIdle?.()
      })
      app(req, res)
    },
  )
  server.on('clientError', answerClientError)
  return {
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen({ port, host }, () => {
          server.off('error', reject)
          resolve(server.address() as AddressInfo)
        })
      }),
    close: async (graceMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const cut = world.timer(graceMs, () => server.closeAllConnections())
      if (underWay.size > 0) await new Promise<void>((resolve) => (whenIdle = resolve))
      // What is still open now has asked for nothing, or for nothing more.
      server.closeAllConnections()
      await closed
      cut()
    },
  }
}
