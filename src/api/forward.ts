// Passes a call on to the server that gives out what it asks for, and its answer back as it is (rules 28). The caller's own credential goes along, so it is authorised there as here;
// a call that was passed on once is never passed on again.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import * as E from 'fp-ts/lib/Either.js'
import type { Logger } from 'pino'
import type { RouteName } from '../wire/routes.ts'
import { contractLine, queueLine } from '../wire/words.ts'
import type { Engine } from '../engine/engine.ts'
import type { Reply } from './answer.ts'
import type { Waits } from './call.ts'
import type { Incoming, Outgoing } from './exchange.ts'
import { problem, type Problem } from './problem.ts'
import type { AnyRoute, Many, One } from './request.ts'

/** How long a call waits until this server has seen what its caller, or the server that passed it on, had: the caller may lease what it has just inserted there. */
const SEE_MS = 1_000

/** Belong to one connection, are made anew by whoever sends, or tell a browser's page from others, which was looked at already. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'origin',
  'proxy-connection',
  'sec-fetch-site',
  'stint-forwarded',
  'stint-position',
  'stint-request-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Of the answer: whoever passes it on says these for itself. */
const NOT_PASSED_BACK: ReadonlySet<string> = new Set([...NOT_PASSED, 'date'])

export interface PassedOn {
  readonly reply: Reply
  /** What the answer reflects. */
  readonly position?: string | undefined
}

export interface Asked {
  readonly req: Incoming
  readonly res: Outgoing
  readonly body?: Uint8Array | undefined
  readonly requestId: string
}

export interface Forwarder {
  /**
   * The answer of the server that leads the line; undefined: it is this one. Left: nobody leads at the moment, or the leader is gone before it has answered.
   */
  readonly pass: (line: string, asked: Asked) => Promise<E.Either<Problem, PassedOn> | undefined>
  readonly close: () => void
}

interface Given {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

const PASSED_ON: ReadonlySet<string> = new Set(['leaseTasks', 'leaseRequests', 'completeTask', 'replyToRequests'] satisfies readonly RouteName[])

/** The line that a call leases from; undefined for one that leases nothing. */
export const lineOf = ({ name }: AnyRoute, params: unknown, taken: One | Many): string | undefined => {
  const carriesLease = taken.many && (taken.beside as { readonly lease?: unknown } | undefined)?.lease !== undefined
  if (name === 'leaseRequests' || (name === 'replyToRequests' && carriesLease)) return contractLine((params as { readonly contract: string }).contract)
  return name === 'leaseTasks' || (name === 'completeTask' && carriesLease) ? queueLine(params as { readonly app: string; readonly queue: string }) : undefined
}

/** Whether a call may be passed on, so that its body has to be kept as it came. */
export const mayBePassedOn = ({ name }: AnyRoute): boolean => PASSED_ON.has(name)

const pairsOf = (raw: readonly string[], without: ReadonlySet<string>): readonly (readonly [string, string])[] => {
  const pairs: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = '', value = ''] = raw.slice(at, at + 2)
    if (!without.has(name.toLowerCase())) pairs.push([name, value])
  }
  return pairs
}

/** What a request line names a server by. A caller may write any, and must not choose by it where the call is passed on to. */
const SERVER_NAMED = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i

/** Path and query as they came: an address that is put together anew could become another path than the one that was looked at. */
const targetOf = (url: string): string => url.replace(SERVER_NAMED, '')

const wholeAnswer = (answer: IncomingMessage): Promise<Given> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    answer.on('data', (chunk: Buffer) => chunks.push(chunk))
    answer.once('error', reject)
    answer.once('close', () => {
      if (!answer.complete) return reject(new Error('The answer was cut off.'))
      resolve({ status: answer.statusCode ?? 502, headers: pairsOf(answer.rawHeaders, new Set()), body: Buffer.concat(chunks) })
    })
  })

export const createForwarder = (options: { readonly engine: Engine; readonly waits: Waits; readonly log: Logger; readonly isStopping: () => boolean }): Forwarder => {
  const { engine, waits, log } = options
  /** Addresses of which it is said that they cannot be reached: once, until they can. */
  const unreached = new Set<string>()
  const agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) }

  const send = (server: string, { req, body, requestId }: Asked, signal: AbortSignal): Promise<Given> =>
    new Promise((resolve, reject) => {
      const url = new URL(server)
      const isSecure = url.protocol === 'https:'
      const sent = (isSecure ? httpsRequest : httpRequest)(url, {
        method: req.method,
        path: targetOf(req.url ?? '/'),
        agent: isSecure ? agents.https : agents.http,
        signal,
        headers: [
          ...pairsOf(req.rawHeaders, NOT_PASSED).flat(),
          ...['Host', url.host, 'Stint-Forwarded', '1', 'Stint-Request-Id', requestId, 'Stint-Position', engine.position()],
          ...['Content-Length', String(body?.byteLength ?? 0)],
        ],
      })
      sent.once('error', reject)
      sent.once('response', (answer) => void wholeAnswer(answer).then(resolve, reject))
      sent.end(body)
    })

  /** Aborts when the caller is gone, this server stops, or the other one is gone: a machine that has died closes no connection. */
  const untilOver = (res: Outgoing): AbortController => {
    const over = new AbortController()
    waits.add(over)
    res.once('close', () => {
      waits.delete(over)
      over.abort()
    })
    if (options.isStopping() || res.destroyed) over.abort()
    return over
  }

  const given = ({ status, headers, body }: Given): PassedOn => ({
    reply: { status, headers: headers.filter(([name]) => !NOT_PASSED_BACK.has(name.toLowerCase())).flat(), body },
    position: headers.find(([name]) => name.toLowerCase() === 'stint-position')?.[1],
  })

  return {
    pass: async (line, asked) => {
      const { req, res } = asked
      const wasPassedOn = req.headers['stint-forwarded'] !== undefined
      const seen = req.headers['stint-position']
      if (typeof seen === 'string') await engine.reached(seen, SEE_MS, 'live')
      const leader = await engine.leaderOf(line)
      if (leader === 'here') return undefined
      if (leader === undefined || wasPassedOn || leader.url === '') return E.left(problem('no-leader'))
      const over = untilOver(res)
      void engine.untilGone(leader, over.signal).then(() => over.abort())
      try {
        const answer = await send(leader.url, asked, over.signal)
        unreached.delete(leader.url)
        return E.right(given(answer))
      } catch (cause) {
        // Whatever became of it there, nobody here will hear: a repeat finds out.
        if (options.isStopping()) return E.left(problem('stopping'))
        if (over.signal.aborted) return E.left(problem('no-leader'))
        if (!unreached.has(leader.url))
          log.warn({ err: cause, server: leader.server, url: leader.url }, 'another server cannot be reached where it says (--advertise), so calls for what it gives out fail')
        unreached.add(leader.url)
        return E.left(problem('no-leader', `${leader.server} gives it out, and cannot be reached from this server.`))
      } finally {
        waits.delete(over)
        over.abort()
      }
    },
    close: () => {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}
