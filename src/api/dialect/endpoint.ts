// One place that every call of the v1beta2 Task Queue API passes: find the method, authenticate, find the queue, authorise, decode, handle, encode.
import type { Request, Response } from 'express'
import * as E from 'fp-ts/lib/Either.js'
import type { Context } from '../../engine/command.ts'
import type { QueueView } from '../../engine/queues/queues.ts'
import { queueLine } from '../../wire/words.ts'
import { inQueue } from '../../wire/queues.ts'
import { decode } from '../../wire/schema.ts'
import { send, type Reply } from '../answer.ts'
import { generalHeaders, requestIdOf, surely, type Host } from '../endpoint.ts'
import { mayDo } from '../permission.ts'
import { auditStranger } from '../audit.ts'
import type { Principal } from '../principal.ts'
import { fromThrown } from '../problem.ts'
import { isAuthConfigured } from '../settings.ts'
import { errorAnswer, jsonAnswer } from './answer.ts'
import { readTaskBody } from './body.ts'
import { appOf, type DialectCall, type Handle } from './call.ts'
import { directory, DIRECTORY_PATH, discoveryDocument, DOCUMENT_PATH } from './discovery.ts'
import { applyMask, readMask, type Mask } from './fields.ts'
import * as leases from './leases.ts'
import { BASE_PATH, type Method, type MethodName } from './methods.ts'
import { readGeneral, readQuery, readValues, tokenOf, type General, type Values } from './parameters.ts'
import { pathOf } from '../request.ts'
import { findMethod, type Found, type Missed } from './path.ts'
import { badParameter, badRequest, fromProblem, leaseExpired, loginRequired, notAllowed, notFound, pushQueue, unknownQueue, type DialectError } from './refusal.ts'
import { schemas } from './schemas.ts'
import * as taskqueues from './taskqueues.ts'
import * as tasks from './tasks.ts'

const handlers: Readonly<Record<MethodName, Handle>> = {
  'tasks.lease': leases.lease,
  'tasks.update': leases.update,
  'tasks.patch': leases.patch,
  'tasks.delete': tasks.remove,
  'tasks.get': tasks.get,
  'tasks.insert': tasks.insert,
  'tasks.list': tasks.list,
  'taskqueues.get': taskqueues.get,
}

/** Whether the dialect answers at this address. */
export const isDialect = (url: string): boolean => url.startsWith(BASE_PATH) || url.startsWith(DIRECTORY_PATH)

/**
 * A lease call is so plain a POST that any web page could send it to this machine, where without auth everybody passes:
 * browsers say where a call comes from, and other pages' calls are refused.
 */
const isFromOtherPage = ({ headers, method }: Request): boolean => {
  if (method === 'GET' || method === 'HEAD') return false
  const { origin, host, 'sec-fetch-site': site } = headers
  return (origin !== undefined && origin !== `http://${host}`) || (site !== undefined && site !== 'same-origin' && site !== 'none')
}

const HOST = /^[\w.:[\]-]{1,300}$/

/** Where the server was asked; a proxy in front of it says when that was by https. */
const rootOf = ({ headers }: Request): string | undefined => {
  const { host = '', 'x-forwarded-proto': scheme } = headers
  return HOST.test(host) ? `${/^https\b/i.test(String(scheme)) ? 'https' : 'http'}://${host}/` : undefined
}

interface Asked {
  readonly found: Found
  readonly principal: Principal
  readonly context: Context
  readonly body: DialectCall['body']
}

/** Refusals that rest on what this server knows, which over a shared log may be behind it: of callers, queues, tasks and leases. */
const isInDoubt = ({ status, reason }: DialectError): boolean => [401, 403, 404, 410].includes(status) || reason === leaseExpired().reason

interface Decoded {
  readonly general: General
  readonly values: Values
  readonly mask: Mask
}

const decodeQuery = (method: Method, url: string): E.Either<DialectError, Decoded> => {
  const query = readQuery(url)
  if (E.isLeft(query)) return query
  const general = readGeneral(query.right)
  if (E.isLeft(general)) return general
  const values = readValues(method, query.right)
  if (E.isLeft(values)) return values
  const { fields } = general.right
  const mask = fields === undefined || method.response === undefined ? E.right<string, Mask>('all') : readMask(fields, schemas[method.response].properties)
  return E.isLeft(mask) ? E.left(badParameter('fields', mask.left)) : E.right({ general: general.right, values: values.right, mask: mask.right })
}

const wrongVerb = (allow: readonly string[]): DialectError => ({
  status: 405,
  domain: 'global',
  reason: 'httpMethodNotAllowed',
  message: `Expected ${allow.join(' or ')} at this path.`,
  headers: { Allow: allow.join(', ') },
})

const missedAnswer = (missed: Missed): DialectError => {
  switch (missed.missed) {
    case 'path':
      return notFound('Nothing is at this path.')
    case 'encoding':
      return badRequest('INVALID_REQUEST', 'The path must be percent-encoded UTF-8.')
    case 'verb':
      return wrongVerb(missed.allow)
  }
}

/** Makes the handler of everything below the dialect's paths. */
export const createDialect = (host: Host): ((req: Request, res: Response) => Promise<void>) => {
  const { engine, world, settings, metrics } = host

  const authenticate = async (req: Request): Promise<E.Either<DialectError, Principal | undefined>> => {
    if (!isAuthConfigured(settings.auth) && isFromOtherPage(req)) return E.left(notAllowed('Without auth this server takes no calls from web pages of other origins.'))
    const token = req.headers.authorization === undefined ? tokenOf(req.url) : undefined
    const who = await host.authenticate(token === undefined ? req.headers : { ...req.headers, authorization: `Bearer ${token}` })
    if (E.isRight(who)) return who
    auditStranger(host, who.left, 'taskqueue', pathOf(req.url))
    return E.left(fromProblem(who.left))
  }

  const contextOf = ({ subject, email }: Principal): Context => ({ subject, actor: email, commandId: world.uuid() })

  const onEnd = (res: Response): DialectCall['onEnd'] => {
    const afterwards = (run: Parameters<DialectCall['onEnd']>[0]): void => {
      run(res.writableFinished)?.catch((defect: unknown) => host.log.error({ err: defect }, 'what was to be done after an answer met a defect'))
    }
    return (run) => (res.closed ? afterwards(run) : void res.once('close', () => afterwards(run)))
  }

  /** The queue, if it is there, pulled from, and the caller's to use so. */
  const admit = ({ method, place }: Found, principal: Principal): E.Either<DialectError, QueueView> => {
    const app = appOf(place.project)
    // A server without queue files has a queue of every name, but only of names that a file could give it.
    const isName = E.isRight(decode(inQueue, { app, queue: place.taskqueue }))
    const queue = isName ? engine.queues.get({ app, queue: place.taskqueue }) : undefined
    if (queue === undefined) return E.left(unknownQueue(`There is no queue ${place.taskqueue} of ${app}.`))
    if (!mayDo(queue.config, principal, method.deed)) return E.left(notAllowed(`You are not a ${method.deed === 'insert' ? 'writer_email' : 'user_email'} of this queue.`))
    return queue.config.mode === 'push' ? E.left(pushQueue) : E.right(queue)
  }

  const perform = async ({ found, principal, context, body }: Asked, req: Request, res: Response): Promise<E.Either<DialectError, Reply>> => {
    const queue = admit(found, principal)
    if (E.isLeft(queue)) return queue
    const decoded = decodeQuery(found.method, req.url)
    if (E.isLeft(decoded)) return decoded
    const { general, values, mask } = decoded.right
    if (found.name === 'tasks.lease' && engine.isShared) {
      const passed = await host.forwarder.pass(queueLine(queue.right.config), { req, res, requestId: requestIdOf(req, world) })
      if (passed !== undefined) return E.isLeft(passed) ? E.left(fromProblem(passed.left)) : E.right(passed.right.reply)
    }
    const call = { engine, world, principal, context, queue: queue.right, task: found.place.task, values, mask, body, onEnd: onEnd(res) }
    const handled = await handlers[found.name](call)
    if (E.isLeft(handled)) return handled
    if (handled.right === undefined) return E.right({ status: 204, headers: [] })
    return E.right(await jsonAnswer(200, applyMask(mask, handled.right), { isPretty: general.isPretty, accepted: req.headers['accept-encoding'] }))
  }

  const serveMethod = async (found: Found, req: Request, res: Response): Promise<E.Either<DialectError, Reply>> => {
    const who = await surely(engine, isInDoubt, () => authenticate(req))
    if (E.isLeft(who)) return who
    const principal = who.right
    if (principal === undefined) return E.left(loginRequired)
    const context = contextOf(principal)
    let read: ReturnType<typeof readTaskBody> | undefined
    const body = (): ReturnType<typeof readTaskBody> => (read ??= readTaskBody(req))
    const performed = await surely(engine, isInDoubt, () => perform({ found, principal, context, body }, req, res))
    // Never the query: it may carry the token.
    if (E.isLeft(performed) && performed.left.status === 403)
      engine.audit({ code: 'forbidden', route: found.method.name, target: pathOf(req.url).slice(0, 1_000), detail: performed.left.message }, context)
    return performed
  }

  /** The documents say nothing that a caller has to be known for, but a wrong host or token is wrong here too. */
  const serveDocument = async (req: Request): Promise<E.Either<DialectError, Reply>> => {
    const path = pathOf(req.url)
    const make = path === DOCUMENT_PATH ? discoveryDocument : path === DIRECTORY_PATH ? directory : undefined
    if (make === undefined) return E.left(notFound('Nothing is at this path.'))
    if (req.method !== 'GET' && req.method !== 'HEAD') return E.left(wrongVerb(['GET']))
    const who = await authenticate(req)
    if (E.isLeft(who)) return who
    const root = rootOf(req)
    if (root === undefined) return E.left(badRequest('INVALID_REQUEST', 'The Host header must be a host name.'))
    return E.right(await jsonAnswer(200, make(root), { accepted: req.headers['accept-encoding'] }))
  }

  const serve = async (found: Found | Missed | undefined, req: Request, res: Response): Promise<E.Either<DialectError, Reply>> => {
    if (host.isStopping()) return E.left(fromProblem({ code: 'stopping' }))
    if (found === undefined) return serveDocument(req)
    return 'missed' in found ? E.left(missedAnswer(found)) : serveMethod(found, req, res)
  }

  return async (req, res) => {
    const startedAt = world.monotonic()
    const requestId = requestIdOf(req, world)
    const found = req.url.startsWith(BASE_PATH) ? findMethod(req) : undefined
    const name = found === undefined || 'missed' in found ? 'taskqueue' : `taskqueue.${found.name}`
    let reply: Reply
    try {
      const served = await serve(found, req, res)
      reply = E.isRight(served) ? served.right : await errorAnswer(served.left)
    } catch (thrown) {
      const fault = fromThrown(thrown)
      host.log.error({ err: thrown, requestId, route: name }, fault === undefined ? 'a request met a defect' : 'a request met a fault of the store')
      reply = await errorAnswer(fromProblem(fault ?? { code: 'internal' }))
    }
    send(res, reply, generalHeaders(engine.position(), requestId, host.isStopping()))
    metrics.answered(name, reply.status, (world.monotonic() - startedAt) / 1_000)
    await reply.stream?.(res)
  }
}
