// One place that every request passes: authenticate, authorise, decode, handle, encode. It holds the only try/catch for defects.
import type { Request, Response } from 'express'
import type { IncomingHttpHeaders } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import type { Logger } from 'pino'
import type { Context } from '../engine/command.ts'
import type { Engine } from '../engine/engine.ts'
import type { ProblemCode } from '../wire/problems.ts'
import { decode } from '../wire/schema.ts'
import type { World } from '../world.ts'
import { jsonReply, problemReply, send, type Reply } from './answer.ts'
import { auditStranger } from './audit.ts'
import type { Authenticate } from './auth.ts'
import type { Incoming, Outgoing } from './exchange.ts'
import { lineOf, mayBePassedOn, type Forwarder } from './forward.ts'
import { createCall, POSITION_WAIT_MS, type Answer, type Call, type Handle, type HandleBeside, type Handled, type Input, type Waits } from './call.ts'
import type { Metrics } from './metrics.ts'
import { hasRole, NOBODY, type Principal } from './principal.ts'
import { fromThrown, invalid, needsToken, problem, problemDocument, retryAfterSeconds, type Problem } from './problem.ts'
import { decodeParams, decodeQuery, pathOf, takeBody, takeKey, type AnyRoute, type Many, type One } from './request.ts'
import type { ApiSettings } from './settings.ts'

export type AnyHandle = Handle<AnyRoute>

/** What all endpoints of a server share. */
export interface Host {
  readonly engine: Engine
  readonly world: World
  readonly log: Logger
  readonly settings: ApiSettings
  readonly authenticate: Authenticate
  readonly metrics: Metrics
  readonly waits: Waits
  /** Over a shared log: passes calls on to the server that gives out what they ask for. */
  readonly forwarder: Forwarder
  readonly isStopping: () => boolean
}

const REQUEST_ID = /^[\w.:~+/=-]{1,100}$/

/** The id that the caller gave, if it is harmless, or a new one. */
export const requestIdOf = (req: { readonly headers: IncomingHttpHeaders }, world: World): string => {
  const given = req.headers['stint-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : world.uuid()
}

/** Refusals that somebody may want to see later: who tried what is not theirs, and who used an id again for something else. */
const AUDITED: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['forbidden', 'fingerprint-mismatch'])

/** Refusals that rest on what this server knows, which over a shared log may be behind it (rules 11). */
const DOUBTFUL: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['unauthenticated', 'forbidden', 'not-found', 'stale-lease', 'queue-removed', 'not-served'])

/** Decides once more what was refused, when more is known by then than at the first time. */
export const surely = async <Refused, Decided>(
  engine: Engine,
  isDoubtful: (refused: Refused) => boolean,
  decide: () => E.Either<Refused, Decided> | Promise<E.Either<Refused, Decided>>,
): Promise<E.Either<Refused, Decided>> => {
  if (!engine.isShared) return decide()
  const since = engine.known()
  const decided = await decide()
  if (E.isRight(decided) || !isDoubtful(decided.left) || !(await engine.catchUp(since))) return decided
  return decide()
}
export const isInDoubt = ({ code }: Problem): boolean => DOUBTFUL.has(code)

/** What middleware is told has a reply in it instead. */
const hasReply = (body: unknown): boolean => typeof body === 'object' && body !== null && 'reply' in body && body.reply !== undefined

/** What every answer carries (surface 12). */
export const generalHeaders = (position: string, requestId: string, isStopping: boolean): string[] => {
  const headers = ['Stint-Position', position, 'Stint-Request-Id', requestId]
  // The client is asked to go elsewhere with its next request.
  if (isStopping) headers.push('Connection', 'close')
  return headers
}

const principalFor = (route: AnyRoute, principal: Principal | undefined): E.Either<Problem, Principal | undefined> => {
  if (route.roles === 'anyone') return E.right(principal)
  if (principal === undefined) return E.left(needsToken)
  if (route.roles === 'known' || hasRole(principal, route.roles)) return E.right(principal)
  const wanted = route.roles.length === 0 ? 'admin' : [...route.roles, 'admin'].join(' or ')
  return E.left(problem('forbidden', `Expected the role ${wanted}.`))
}

const isAcceptable = (route: AnyRoute, req: Incoming): boolean => {
  const { accept } = req.headers
  return route.mediaType === '*/*' || accept === undefined || accept === '*/*' || accept.includes(route.mediaType) || req.accepts(route.mediaType) !== false
}

/** Waits until the position that a query names is in what it reads; who reads one item does not wait for the tables. */
const awaitPosition = async (engine: Engine, route: AnyRoute, req: Incoming): Promise<Problem | undefined> => {
  const wanted = req.headers['stint-position']
  if (wanted === undefined || (req.method !== 'GET' && req.method !== 'HEAD')) return undefined
  switch (await engine.reached(String(wanted), POSITION_WAIT_MS, route.fromTables ? 'tables' : 'live')) {
    case 'reached':
      return undefined
    case 'behind':
      return problem('behind')
    case 'other-log':
      return problem('other-log')
  }
}

/** An answer that is ready to go out. */
export interface Made {
  readonly reply: Reply
  /** What every answer carries. */
  readonly general: readonly string[]
  readonly requestId: string
}

/** Serves a route, however the request came: it never rejects. */
export type Endpoint = (req: Incoming, res: Outgoing) => Promise<Made>

/** Makes the endpoint of a route. */
export const createEndpoint = (host: Host, route: AnyRoute, handle: AnyHandle, handleBeside?: HandleBeside): Endpoint => {
  const { engine, world, settings, metrics } = host
  const takesPrefer = route.headers.includes('Prefer')
  const takesKey = route.headers.includes('Idempotency-Key')
  const limits = { one: route.carriesContent ? settings.manyBytesMax : settings.bodyBytesMax, many: settings.manyBytesMax }

  const audit = (refused: Problem, context: () => Context, url: string): void => {
    if (!AUDITED.has(refused.code)) return
    engine.audit({ code: refused.code, route: route.name, target: refused.workItem ?? url.slice(0, 1_000), detail: refused.detail }, context())
  }

  /** The route calls a contract. */
  const isCall = route.problems.includes('fingerprint-mismatch')
  const countDuplicate = (handled: Handled<unknown>): void => {
    const { headers } = E.isRight(handled) ? handled.right : handled.left
    if (headers === undefined ? E.isRight(handled) && hasReply(handled.right.body) : 'Idempotency-Replayed' in headers) metrics.duplicate('replayed')
    else if (E.isLeft(handled) && handled.left.code === 'fingerprint-mismatch') metrics.duplicate('mismatched')
  }

  const refuseItem = (item: unknown, refused: Problem): object => {
    const named = typeof item === 'object' && item !== null && 'id' in item && typeof item.id === 'string' ? { id: item.id } : {}
    // One by one it would stand in a header.
    const again = isCall ? retryAfterSeconds(refused.code) : undefined
    return { ...named, ...problemDocument(refused), ...(again === undefined ? {} : { retryAfter: again }) }
  }

  const handleItem = async (item: unknown, index: number, { params, query }: Omit<Input<AnyRoute>, 'body'>, call: Call, url: string): Promise<object> => {
    const body = route.body === undefined ? E.right(undefined) : decode(route.body, item)
    const own = call.forItem(index)
    if (E.isLeft(body)) {
      // Its answer is there before it has begun, and the others are not to hold it back.
      if (isCall) own.gathering?.begin()
      if (isCall) own.gathering?.end(true)
      return refuseItem(item, invalid(body.left))
    }
    const input = { params, query, body: body.right }
    const handled = await (engine.isShared ? surely(engine, isInDoubt, () => handle(input, own)) : handle(input, own))
    if (isCall) countDuplicate(handled)
    if (E.isRight(handled)) return { ...(handled.right.body as object), status: handled.right.status }
    audit(handled.left, () => own.context, url)
    return refuseItem(item, handled.left)
  }

  const encode = ({ status, body, given, text, headers, stream }: Answer<unknown>): Reply => {
    const all: string[] = []
    for (const name in headers) all.push(name, headers[name] as string)
    if (given !== undefined) return { status, headers: [...given.headers.flat(), ...all], body: given.body }
    if (stream !== undefined) return { status, headers: ['Content-Type', route.mediaType, ...all], stream }
    if (status === 304 || status === 204) return { status, headers: all }
    if (text === undefined) return jsonReply(status, body, all)
    return { status, headers: headers?.['Content-Type'] === undefined ? ['Content-Type', route.mediaType, ...all] : all, body: text }
  }

  const run = async (
    taken: One | Many,
    input: Omit<Input<AnyRoute>, 'body'>,
    call: Call,
    { url }: Incoming,
    { part }: Outgoing,
  ): Promise<{ reply: Reply; position?: string | undefined }> => {
    if (taken.many) {
      // Sent off together, so that their appends share a commit; answered in the order in which they came.
      const each = (item: unknown, index: number): Promise<object> => handleItem(item, index, input, call, url)
      const told = part && (async (item: unknown, index: number): Promise<void> => part(index, await each(item, index)))
      const results = told === undefined ? Promise.all(taken.items.map(each)) : Promise.all(taken.items.map(told)).then((): object[] => [])
      if (taken.beside === undefined || handleBeside === undefined) return { reply: jsonReply(200, { items: await results }) }
      // Awaited together, so that a defect in one of them while the other is under way is the call's, not the process's.
      const [items, beside] = await Promise.all([results, handleBeside({ ...input, body: taken.beside, items: results }, call)])
      return { reply: jsonReply(200, { items, ...beside }) }
    }
    const whole = { params: input.params, query: input.query, body: taken.body }
    const handled = await (engine.isShared ? surely(engine, isInDoubt, () => handle(whole, call)) : handle(whole, call))
    if (isCall) countDuplicate(handled)
    if (E.isRight(handled)) return { reply: encode(handled.right), position: handled.right.position }
    audit(handled.left, () => call.context, url)
    return { reply: problemReply(handled.left, pathOf(url)) }
  }

  const serve = async (req: Incoming, res: Outgoing, requestId: string): Promise<{ reply: Reply; position?: string | undefined }> => {
    const refuse = (refused: Problem) => ({ reply: problemReply(refused, pathOf(req.url)) })
    if (host.isStopping() && route.roles !== 'anyone') return refuse(problem('stopping'))
    const checked = engine.isShared ? surely(engine, isInDoubt, () => host.authenticate(req.headers)) : host.authenticate(req.headers)
    const who = checked instanceof Promise ? await checked : checked
    if (E.isLeft(who)) {
      auditStranger(host, who.left, route.name, pathOf(req.url))
      return refuse(who.left)
    }
    const allowed = principalFor(route, who.right)
    const principal = who.right ?? NOBODY
    if (E.isLeft(allowed)) {
      if (who.right !== undefined) audit(allowed.left, () => ({ subject: principal.subject, actor: principal.email, commandId: world.uuid() }), req.url)
      return refuse(allowed.left)
    }
    if (!isAcceptable(route, req)) return refuse(problem('not-acceptable', `This answers in ${route.mediaType}.`))
    const params = decodeParams(route, req.params)
    const query = decodeQuery(route, req.url)
    if (E.isLeft(params) || E.isLeft(query)) return refuse(invalid([...(E.isLeft(params) ? params.left : []), ...(E.isLeft(query) ? query.left : [])]))
    const key = takesKey ? takeKey(req) : E.right(undefined)
    if (E.isLeft(key)) return refuse(key.left)
    const taken = await takeBody(route, req, limits, engine.isShared && mayBePassedOn(route))
    if (E.isLeft(taken)) return refuse(taken.left)
    const behind = req.headers['stint-position'] === undefined ? undefined : await awaitPosition(engine, route, req)
    if (behind !== undefined) return refuse(behind)
    const line = engine.isShared ? lineOf(route, params.right, taken.right) : undefined
    const passed = line === undefined ? undefined : await host.forwarder.pass(line, { req, res, body: taken.right.bytes, requestId })
    if (passed !== undefined) return E.isLeft(passed) ? refuse(passed.left) : passed.right
    const letInAgain = async (): Promise<boolean> => {
      const again = await host.authenticate(req.headers)
      // Whoever was let in is not shut out because the keys cannot be read just now.
      if (E.isLeft(again)) return again.left.code === 'keys-unavailable'
      return again.right?.subject === who.right?.subject && E.isRight(principalFor(route, again.right))
    }
    let asking: Promise<boolean> | undefined
    // Items that are woken together ask together.
    const isStillAllowed = (): Promise<boolean> =>
      (asking ??= letInAgain().finally(() => {
        asking = undefined
      }))
    const call = createCall({ engine, world, principal, req, res, key: key.right, takesPrefer, waits: host.waits, isStopping: host.isStopping, isStillAllowed })
    return run(taken.right, { params: params.right, query: query.right }, call, req, res)
  }

  return async (req, res) => {
    const startedAt = world.monotonic()
    const requestId = requestIdOf(req, world)
    let reply: Reply
    let position: string | undefined
    try {
      ;({ reply, position } = await serve(req, res, requestId))
    } catch (thrown) {
      const fault = fromThrown(thrown)
      host.log.error({ err: thrown, requestId, route: route.name }, fault === undefined ? 'a request met a defect' : 'a request met a fault of the store')
      reply = problemReply(fault ?? problem('internal'), pathOf(req.url))
    }
    metrics.answered(route.name, reply.status, (world.monotonic() - startedAt) / 1_000)
    return { reply, general: generalHeaders(position ?? engine.position(), requestId, host.isStopping()), requestId }
  }
}

/** The express handler of an endpoint. */
export const overHttp =
  (host: Host, route: AnyRoute, endpoint: Endpoint) =>
  async (req: Request, res: Response): Promise<void> => {
    const { reply, general, requestId } = await endpoint(req, res)
    send(res, reply, general)
    if (reply.stream === undefined) return
    if (req.method === 'HEAD') {
      res.end()
      return
    }
    try {
      await reply.stream(res)
    } catch (defect) {
      host.log.error({ err: defect, requestId, route: route.name }, 'a stream met a defect')
    }
    res.end()
  }
