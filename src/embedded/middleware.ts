// The exactly-once contract around the handlers of an express app: a request begins once, runs once, and its reply is durable before the client sees a byte of it.
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { BeginRequest, Begun, ContractStore, Execution, Kept, Refused, Reply, ReplyHead, ReplyInfo, UnkeptReply } from './contract-store.ts'
import { beginExecution, executionOf } from './execution.ts'
import { fingerprintOf, keptBody, pathOf, type Content } from './fingerprint.ts'
import { holdResponse, type HeldResponse } from './held-response.ts'
import { idOf, keyOf, waitSecondsOf, type KeyFault } from './idempotency-key.ts'
import { interactionsOf } from './interactions.ts'
import type { MiddlewareOptions } from './options.ts'
import { problemOf, problemReply, type Problem } from './problems.ts'
import { releaseText, setHeaders } from './reply-headers.ts'
import { takeBody } from './request-body.ts'
import { AbortRequested } from '../client/errors.ts'
import { contentDigest } from '../engine/digest.ts'

export interface ContractMiddleware extends RequestHandler {
  /** Mount it where `interactions` says: `app.use('/payments/interactions', once.interactions)`. */
  readonly interactions: RequestHandler
}

const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE']
const WAIT_SECONDS_MAX = 60
/** The one name of all callers where the app does not say who they are. */
const EVERYONE = 'everyone'
const NOT_KEPT = ['Stint-Kept', 'false'] as const
const REPLAYED = ['Idempotency-Replayed', 'true'] as const

const KEY_FAULTS: Readonly<Record<KeyFault, string>> = {
  missing: 'Send an Idempotency-Key header with a value of your own that no other request has, a UUID for instance, and the same one when you send this request again.',
  'not-a-string': 'Expected Idempotency-Key to be one string, in double quotes or bare without spaces and commas.',
  empty: 'Expected Idempotency-Key not to be empty.',
  dots: 'Expected Idempotency-Key not to be `.` or `..`.',
  'too-long': 'Expected Idempotency-Key to have 1,000 characters at most.',
}

const trouble = (what: string, cause: unknown): void => process.emitWarning(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { type: 'StintWarning' })

const isoTime = (ms: number): string => new Date(ms).toISOString()

/** What an unsuccessful beginning is answered with. */
const refusalOf = (begun: Exclude<Begun, { type: 'execute' | 'replay' }>, url: string, isShared: boolean): Problem => {
  switch (begun.type) {
    case 'pending':
      return problemOf('pending', 409, 'It goes on; this one was cancelled as its duplicate. Send it again later, or with Prefer: wait=N to get the reply of the first.', [
        ['Location', url],
        ['Retry-After', String(begun.retryAfterSeconds)],
        ['Stint-Work-Item', begun.workItem],
      ])
    case 'mismatch': {
      const other = isShared ? 'another method, path, query or body, or with other credentials' : 'another method, path, query or body'
      return problemOf(
        'fingerprint-mismatch',
        422,
        `The same key first came${begun.firstAt === undefined ? '' : ` at ${isoTime(begun.firstAt)}`} with ${other}. Nothing was run. Use a new key for a new request.`,
      )
    }
    case 'released':
      return problemOf('released', 410, 'It was run once and is not run again. Use a new key for a new request.', [REPLAYED])
    case 'not-kept':
      return problemOf('reply-not-kept', 409, `It was run once and answered with status ${begun.status}; the body was sent then and not kept. It is not run again.`, [
        REPLAYED,
        ['Stint-Work-Item', begun.info.workItem],
      ])
    case 'settled':
      return problemOf(begun.code, 409, begun.detail, [REPLAYED])
    case 'refused':
      return problemOf(begun.code, begun.status, begun.detail, begun.retryAfterSeconds === undefined ? [] : [['Retry-After', String(begun.retryAfterSeconds)]])
  }
}

const unavailable = (what: string): Refused => ({
  type: 'refused',
  status: 503,
  code: 'store-unavailable',
  detail: `${what} Send the same request with the same key again.`,
  retryAfterSeconds: 1,
})

const tooLarge = (bytesMax: number): Problem => problemOf('too-large', 413, `Expected a body of ${bytesMax} bytes at most.`)

/** A response that is held, and what becomes of it. */
interface Holding {
  readonly response: HeldResponse
  /** Aborts when the client leaves. */
  readonly left: AbortSignal
  /** Lets the handlers run, and their reply out when it is durable. */
  readonly run: (execution: Execution, next: NextFunction) => void
}

/** The middleware over a store that may still be opening. */
export const contractMiddleware = (store: () => Promise<ContractStore>, options: MiddlewareOptions): ContractMiddleware => {
  const { caller, required = true, methods = METHODS, requestBody = 'keep', keep = () => true, omitHeaders = [], waitSecondsMax = WAIT_SECONDS_MAX, onTrouble = trouble } = options
  if (options.interactions !== undefined && caller === undefined) throw new TypeError('exactlyOnce: `interactions` needs `caller`, because only its caller may release a reply')
  const held = new Set(methods.map((method) => method.toUpperCase()))
  const omit = new Set(omitHeaders.map((name) => name.toLowerCase()))

  const known = (outcome: Promise<Kept | Refused>): Promise<Kept | Refused> =>
    outcome.catch((cause: unknown) => {
      onTrouble('A reply could not be stored', cause)
      return unavailable('Nobody knows whether the reply is stored, so it is not given.')
    })
  const notBegun = (cause: unknown): Refused => {
    onTrouble('A request could not be begun', cause)
    return unavailable('The request could not be begun.')
  }

  const refuse = (problem: Problem, req: Request, res: Response): void => {
    if (res.headersSent || res.destroyed) return
    if (options.onProblem !== undefined) {
      setHeaders(res, problem.headers)
      options.onProblem(problem, req, res)
      return
    }
    const { status, headers, body } = problemReply(problem)
    res.statusCode = status
    setHeaders(res, headers)
    res.end(body)
  }

  const told = (info: ReplyInfo, id: string): Reply['headers'] => [
    ['Stint-Work-Item', info.workItem],
    ['Stint-Release', releaseText(info, options.interactions === undefined ? undefined : `${options.interactions}/${encodeURIComponent(id)}`)],
  ]

  const replay = ({ status, headers, body }: Reply, info: ReplyInfo, id: string, res: Response): void => {
    if (res.destroyed) return
    res.statusCode = status
    setHeaders(res, headers)
    setHeaders(res, [...told(info, id), REPLAYED])
    if (status === 204 || status === 304) res.removeHeader('content-length')
    else if (res.req.method !== 'HEAD') res.setHeader('Content-Length', body.length)
    res.end(body)
  }

  /** Holds the response from before the request begins, so that a client that leaves meanwhile takes nothing away from the handler. */
  const hold = (id: string, bytesMax: number, req: Request, res: Response): Holding => {
    const left = new AbortController()
    let execution: Execution | undefined
    let isKilled = false

    const giveUp = async (how: 'broken' | 'undone' | 'aborted', reason: string): Promise<void> => {
      await execution?.giveUp(how, reason).catch((cause: unknown) => onTrouble(`${execution?.info.workItem} could not be given up`, cause))
    }
    const refused = ({ code, status, detail, retryAfterSeconds }: Refused): void =>
      response.answer(problemReply(problemOf(code, status, detail, retryAfterSeconds === undefined ? [] : [['Retry-After', String(retryAfterSeconds)]])))
    const onReply = async (reply: Reply, { reply: store, info, signal }: Execution): Promise<void> => {
      // A handler that was told to end and answers with an error has done so; one that succeeded all the same has its reply kept.
      if (signal.reason instanceof AbortRequested && reply.status >= 400) {
        await giveUp('aborted', signal.reason.reason)
        return refused({ type: 'refused', status: 409, code: 'aborted', detail: signal.reason.reason })
      }
      if (keep(reply)) {
        const outcome = await known(store(reply))
        if (outcome.type === 'kept') response.send([...told(outcome.info, id), ...(outcome.withoutReply === true ? [NOT_KEPT] : [])])
        else refused(outcome)
        return
      }
      await giveUp('undone', `A reply with status ${reply.status} is not kept.`)
      response.send([['Stint-Work-Item', info.workItem], NOT_KEPT])
    }
    const onPass = async (head: ReplyHead & { readonly bytes: number }, { pass }: Execution): Promise<void> => {
      const outcome = await known(pass(head))
      if (outcome.type === 'kept') response.letThrough([...told(outcome.info, id), NOT_KEPT])
      else refused(outcome)
    }
    const onPassed = async (reply: UnkeptReply, { passed }: Execution): Promise<void> => {
      const outcome = await known(passed(reply))
      if (outcome.type === 'kept') response.close()
      else response.cut()
    }
    /** A `keep` that throws, or a defect of ours: the client must not be left without an answer, nor get what is not stored. */
    const surely = (step: Promise<void>): void => {
      step.catch((cause: unknown) => {
        onTrouble('A reply could not be carried through', cause)
        response.cut()
      })
    }

    const response = holdResponse(req, res, {
      bytesMax,
      omit,
      events: {
        onReply: (reply) => execution !== undefined && surely(onReply(reply, execution)),
        onPass: (head) => execution !== undefined && surely(onPass(head, execution)),
        onPassed: (reply) => execution !== undefined && surely(onPassed(reply, execution)),
        onKill: () => {
          isKilled = true
          surely(giveUp('broken', 'The connection was ended before the reply was complete.'))
        },
        onGone: () => left.abort(),
      },
    })
    if (res.destroyed) left.abort()
    return {
      response,
      left: left.signal,
      run: (begun, next) => {
        execution = begun
        if (isKilled) {
          surely(giveUp('broken', 'The connection was ended before the handler could run.'))
          return
        }
        beginExecution(req, { workItem: begun.info.workItem, attempt: begun.attempt, signal: begun.signal })
        next()
      },
    }
  }

  const contentOf = async (req: Request, bytesMax: number): Promise<Content | Problem | undefined> => {
    if (requestBody === 'stream') return { type: 'bytes', bytes: Buffer.alloc(0) }
    const taken = await takeBody(req, bytesMax)
    switch (taken.type) {
      case 'bytes':
      case 'parsed':
        return taken
      case 'gone':
        return undefined
      case 'too-large':
        return tooLarge(bytesMax)
      case 'consumed':
        throw new Error('exactlyOnce: the body was read before and nothing is left of it in req.body; put exactlyOnce before whatever reads it, or say requestBody: "stream"')
    }
  }

  const fingerprint = async (req: Request, content: Content): Promise<string | undefined> => {
    const { authorization, cookie } = req.headers
    const credentials = caller === undefined ? { authorization, cookie } : undefined
    if (options.fingerprint !== undefined) return contentDigest({ fingerprint: await options.fingerprint(req), credentials })
    return fingerprintOf(req, req.originalUrl, content, { credentials, digest: requestBody === 'stream' ? req.headers['content-digest'] : undefined })
  }

  const serve = async (id: string, req: Request, res: Response, next: NextFunction): Promise<void> => {
    const opened = await store().catch((cause: unknown) => {
      onTrouble('The store cannot be opened', cause)
      return undefined
    })
    if (opened === undefined) return refuse(problemOf('store-unavailable', 503, 'The store cannot be opened. Nothing was run.', [['Retry-After', '1']]), req, res)
    const name = caller === undefined ? EVERYONE : await caller(req)
    if (typeof name !== 'string' || name === '') throw new Error('exactlyOnce: `caller` named nobody')
    const content = await contentOf(req, opened.requestBytesMax)
    if (content === undefined) return
    if ('code' in content) return refuse(content, req, res)
    const print = await fingerprint(req, content)
    const body = keptBody(content)
    if (print === undefined || body === undefined) return refuse(problemOf('invalid', 400, 'The body cannot be compared with that of another request.'), req, res)
    if (body.length > opened.requestBytesMax) return refuse(tooLarge(opened.requestBytesMax), req, res)
    const waitSeconds = waitSecondsOf(req.get('prefer'), waitSecondsMax)
    if (waitSeconds !== undefined) res.setHeader('Preference-Applied', `wait=${waitSeconds}`)
    const holding = hold(id, opened.replyBytesMax, req, res)
    const request: BeginRequest = {
      caller: name,
      id,
      fingerprint: print,
      method: req.method,
      path: pathOf(req.originalUrl),
      mediaType: req.headers['content-type'],
      body,
      waitMs: (waitSeconds ?? 0) * 1_000,
      signal: holding.left,
    }
    const begun = await opened.begin(request).catch(notBegun)
    if (begun.type === 'execute') return holding.run(begun.execution, next)
    holding.response.letGo()
    if (begun.type === 'replay') replay(begun.reply, begun.info, id, res)
    else refuse(refusalOf(begun, req.originalUrl, caller === undefined), req, res)
  }

  const middleware: RequestHandler = (req, res, next) => {
    if (!held.has(req.method) || executionOf(req) !== undefined) return next()
    const key = keyOf(req.get('idempotency-key'))
    if ('key' in key) {
      serve(idOf(key.key), req, res, next).catch(next)
      return
    }
    if (key.fault === 'missing' && !required) return next()
    refuse(problemOf(key.fault === 'missing' ? 'idempotency-key-missing' : 'invalid', 400, KEY_FAULTS[key.fault]), req, res)
  }
  return Object.assign(middleware, { interactions: interactionsOf(store, caller, refuse) })
}
