// A contract over a Stint server: what several processes share. Each execution is leased; its lease is extended while the handler runs, and a lease that is lost ends it.
import { hash } from 'node:crypto'
import * as E from 'fp-ts/lib/Either.js'
import type { TypeOf } from 'io-ts'
import { AbortRequested, StintError, Unreachable } from '../client/errors.ts'
import type { Stint } from '../client/connect.ts'
import { putContract, showContract, type ContractBody } from '../wire/contracts.ts'
import {
  askRequestDirective,
  beginExecution,
  extendRequest,
  failRequest,
  releaseReply,
  releaseRequest,
  mediaType as wireMediaType,
  replyToRequest,
  reportRequest,
  REPLY_BYTES_MAX,
  REQUEST_BYTES_MAX,
  type executionAnswer,
  type shownReply,
} from '../wire/requests.ts'
import { pause, type World } from '../world.ts'
import type { ContractSettings } from './contract-settings.ts'
import type { BeginRequest, Begun, ContractStore, Execution, Kept, Refused, Reply, ReplyHead, ReplyInfo, RequestName } from './contract-store.ts'
import { watchLease } from './lease-watch.ts'

export interface ServerContractOptions {
  readonly stint: Stint
  readonly world: World
  readonly contract: string
}

type Answer = TypeOf<typeof executionAnswer>
type ShownReply = TypeOf<typeof shownReply>

/** Tries of a call whose first answer may have been lost; the server knows each by its lease or by the name of this execution. */
const TRIES_MAX = 4
/** A reply is sent until it is known what became of it, because what it tells of has been done: this often at least. */
const REPLY_AGAIN_MS_MAX = 5_000
/** A client is not kept waiting longer for a server that is away. */
const ANSWER_WITHIN_MS = 30_000
/** A server that refuses a reply so refuses it however often it is sent: there is more of it than is taken. */
const REFUSED_AS_IT_IS: ReadonlySet<number> = new Set([400, 413, 431])
const AGAIN_MS = 100
/** The longest wait that a server takes; longer ones are asked for again. */
const WAIT_SECONDS_MAX = 60
const WAIT_BEYOND_MS = 30_000
const DIRECTIVE_WAIT_SECONDS = 30

const infoOf = ({ workItem, release, expiresAt }: Answer): ReplyInfo => ({ workItem, policy: release, expiresAt: expiresAt === undefined ? undefined : Date.parse(expiresAt) })

const refusedOf = (thrown: unknown): Refused => {
  if (thrown instanceof StintError) {
    const { code, status, problem, retryAfterMs } = thrown
    return {
      type: 'refused',
      status,
      code,
      detail: problem.detail ?? problem.title ?? code,
      ...(retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(retryAfterMs / 1_000) }),
    }
  }
  return { type: 'refused', status: 503, code: 'store-unavailable', detail: 'Stint cannot be reached. Send the same request with the same key again.', retryAfterSeconds: 1 }
}

/** Why a server does not let a request begin, or what became of it. */
const begunOf = (thrown: unknown, workItem: string): Begun => {
  if (!(thrown instanceof StintError)) return refusedOf(thrown)
  const detail = thrown.problem.detail ?? ''
  switch (thrown.code) {
    case 'pending':
      return { type: 'pending', workItem, retryAfterSeconds: Math.ceil((thrown.retryAfterMs ?? 1_000) / 1_000) }
    case 'fingerprint-mismatch': {
      const firstAt = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(detail)?.[0]
      return { type: 'mismatch', firstAt: firstAt === undefined ? undefined : Date.parse(firstAt) }
    }
    case 'released':
      return { type: 'released' }
    case 'reply-not-kept':
      return { type: 'not-kept', status: Number(/status (\d{3})/.exec(detail)?.[1] ?? 0), info: { workItem, policy: 'none-required' } }
    case 'interrupted':
    case 'aborted':
    case 'cancelled':
      return { type: 'settled', code: thrown.code, detail: detail === '' ? 'It settled without a reply.' : detail }
    case 'not-found':
    case 'forbidden':
    case 'unauthenticated':
      // That this app may not is no fault of its client.
      return { type: 'refused', status: 503, code: 'store-unavailable', detail: 'The app may not use its contract at the Stint server.' }
    default:
      return refusedOf(thrown)
  }
}

const replyOf = ({ status, headers, bodyBase64 = '' }: ShownReply): Reply => ({
  status,
  headers: Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as const] : value.map((one) => [name, one] as const))),
  body: Buffer.from(bodyBase64, 'base64'),
})

const headersOf = (headers: ReplyHead['headers']): Record<string, string | string[]> => {
  const shown: Record<string, string | string[]> = {}
  for (const [name, value] of headers) {
    const known = shown[name]
    shown[name] = known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value]
  }
  return shown
}

interface Sent {
  readonly status: number
  readonly headers: Record<string, string | string[]>
  readonly bodyBase64?: string
  readonly unkept?: { readonly bytes: number; readonly digest?: string }
}

/** What stays of a reply that is more than the server takes. A final status below 200 is none that anybody could be told. */
const unkeptOf = (status: number, unkept: NonNullable<Sent['unkept']>): Sent => ({ status: Math.max(200, status), headers: {}, unkept })

export const serverContract = ({ stint, world, contract }: ServerContractOptions): ContractStore => {
  const closing = new AbortController()
  const workItemOf = ({ caller, id }: RequestName): string => ['request', contract, caller, id].map(encodeURIComponent).join('/')

  /** Sends again what may not have arrived; every call here is known to the server by its lease or its worker. */
  const surely = async <Result>(send: () => Promise<Result>): Promise<Result> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await send()
      } catch (thrown) {
        if (!(thrown instanceof Unreachable) || tries >= TRIES_MAX || closing.signal.aborted) throw thrown
        await new Promise<void>((resolve) => void world.timer(AGAIN_MS * 2 ** tries, resolve))
      }
    }
  }

  /** Sends until the server has an answer to it, or this process closes. */
  const untilKnown = async <Result>(send: () => Promise<Result>): Promise<Result> => {
    for (let againMs = AGAIN_MS; ; againMs = Math.min(2 * againMs, REPLY_AGAIN_MS_MAX)) {
      try {
        return await send()
      } catch (thrown) {
        const isAnswer = thrown instanceof StintError ? thrown.status < 500 && thrown.status !== 429 : !(thrown instanceof Unreachable)
        if (isAnswer || closing.signal.aborted) throw thrown
        await pause(world, againMs, closing.signal)
      }
    }
  }

  const executionOf = (name: RequestName, answer: Answer, execute: NonNullable<Answer['execute']>): Execution => {
    const { lease, attempt, leaseSeconds } = execute
    const { caller, id } = name
    const params = { contract, id }
    const info = infoOf(answer)
    let etag: string | undefined
    const watch = watchLease({
      world,
      workItem: info.workItem,
      leaseMs: leaseSeconds * 1_000,
      extend: async (signal) => void (await stint.call(extendRequest, { params, body: { lease, caller, leaseSeconds }, signal, attemptsMax: 1 })),
      abortAsked: async (signal) => {
        const headers = { 'Stint-Lease': lease, Prefer: `wait=${DIRECTIVE_WAIT_SECONDS}`, 'If-None-Match': etag }
        const asked = await stint.exchange(askRequestDirective, {
          params,
          query: { caller },
          headers,
          signal,
          timeoutMs: DIRECTIVE_WAIT_SECONDS * 1_000 + WAIT_BEYOND_MS,
          attemptsMax: 1,
        })
        etag = asked.headers.get('etag') ?? etag
        const { directive, receipt } = asked.body ?? {}
        return directive === 'abort' ? new AbortRequested(receipt?.number ?? 0, receipt?.by ?? 'an administrator', receipt?.reason) : undefined
      },
    })

    const send = (reply: Sent) => stint.call(replyToRequest, { params, body: { lease, caller, reply }, attemptsMax: 1 })
    /** By the event that settled it, as every duplicate is told. */
    const keptInfo = (expiresAt: string | undefined): ReplyInfo => (expiresAt === undefined ? info : { ...info, expiresAt: Date.parse(expiresAt) })
    /** Stores the reply, or, if it is more than the server takes, that there was one. */
    const storing = async (reply: Sent, rest: Sent): Promise<Kept | Refused> => {
      for (let sent = reply; ; sent = rest) {
        try {
          const ended = await untilKnown(() => send(sent))
          if (ended.late === true) return { type: 'refused', status: 409, code: 'stale-lease', detail: 'The request was settled without this reply.' }
          return { type: 'kept', info: keptInfo(ended.expiresAt), ...(sent === rest ? { withoutReply: true } : {}) }
        } catch (thrown) {
          if (sent === rest || !(thrown instanceof StintError) || !REFUSED_AS_IT_IS.has(thrown.status)) return refusedOf(thrown)
        }
      }
    }
    /** The lease is kept until it is known what became of the reply; whoever waits for that is told after a while that nobody knows. */
    const store = (reply: Sent, rest: Sent): Promise<Kept | Refused> => {
      const over = new AbortController()
      const stored = storing(reply, rest).finally(() => {
        watch.end()
        over.abort()
      })
      return Promise.race([stored, pause(world, ANSWER_WITHIN_MS, over.signal).then(() => (over.signal.aborted ? stored : refusedOf(undefined)))])
    }

    return {
      info,
      attempt,
      signal: watch.signal,
      reply: ({ status, headers, body }) =>
        store(
          { status, headers: headersOf(headers), bodyBase64: Buffer.from(body).toString('base64') },
          unkeptOf(status, { bytes: body.byteLength, digest: hash('sha256', body, 'base64url') }),
        ),
      pass: ({ status, headers, bytes }) => store({ status, headers: headersOf(headers), unkept: { bytes } }, unkeptOf(status, { bytes })),
      passed: async ({ status, headers, bytes, digest }) => {
        try {
          await surely(() => send({ status, headers: headersOf(headers), unkept: { bytes, digest } }))
          return { type: 'kept', info }
        } catch (thrown) {
          return refusedOf(thrown)
        }
      },
      giveUp: async (how, reason) => {
        watch.end()
        const end = (): Promise<unknown> => {
          if (how === 'undone') return stint.call(releaseRequest, { params, body: { lease, caller, reason } })
          if (how === 'aborted') return stint.call(reportRequest, { params, query: { caller }, body: { lease, outcome: { aborted: { reason } } } })
          return stint.call(failRequest, { params, body: { lease, caller, failed: { code: 'interrupted', message: reason } } })
        }
        await surely(end).catch((thrown: unknown) => {
          // Whose it is now has the say.
          if (!(thrown instanceof StintError) || thrown.status >= 500) throw thrown
        })
      },
    }
  }

  const beginOnce = async (request: BeginRequest, waitSeconds: number): Promise<Begun> => {
    const { caller, id, fingerprint, method, path, mediaType, body, signal } = request
    // A name of its own: a repeat of this very call gets the lease that the first one got.
    const worker = world.uuid()
    const bodyBase64 = Buffer.from(body).toString('base64')
    try {
      const answer = await surely(() =>
        stint.call(beginExecution, {
          params: { contract },
          body: { id, caller, fingerprint, worker, method, path: path.slice(0, 4_000), ...(E.isRight(wireMediaType.decode(mediaType)) ? { mediaType } : {}), bodyBase64 },
          headers: { Prefer: waitSeconds > 0 ? `wait=${waitSeconds}` : undefined },
          timeoutMs: waitSeconds * 1_000 + WAIT_BEYOND_MS,
          attemptsMax: 1,
          // Only a wait is cut short: what is accepted has to be heard of.
          signal: waitSeconds > 0 ? signal : undefined,
        }),
      )
      if (answer.execute !== undefined) return { type: 'execute', execution: executionOf({ caller, id }, answer, answer.execute) }
      if (answer.reply !== undefined) return { type: 'replay', reply: replyOf(answer.reply), info: infoOf(answer) }
      throw new Error('Expected an execution or a reply')
    } catch (thrown) {
      return begunOf(thrown, workItemOf(request))
    }
  }

  return {
    replyBytesMax: REPLY_BYTES_MAX,
    requestBytesMax: REQUEST_BYTES_MAX,
    begin: async (request) => {
      const until = world.monotonic() + request.waitMs
      // Without a wait first: a client that leaves must not leave an execution that nobody hears of.
      let begun = await beginOnce(request, 0)
      while (begun.type === 'pending' && request.signal?.aborted !== true) {
        const left = Math.min(WAIT_SECONDS_MAX, Math.ceil((until - world.monotonic()) / 1_000))
        if (left <= 0) break
        begun = await beginOnce(request, left)
      }
      return begun
    },
    release: async ({ caller, id }) => {
      try {
        await stint.call(releaseReply, { params: { contract, id }, query: { caller } })
        return 'released'
      } catch (thrown) {
        if (!(thrown instanceof StintError)) return refusedOf(thrown)
        if (thrown.code === 'erased') return 'released'
        return thrown.code === 'pending' || thrown.code === 'not-found' ? thrown.code : refusedOf(thrown)
      }
    },
    close: async () => closing.abort(),
  }
}

/** What these settings are in the words of the server; undefined: nothing is said about them. */
export const bodyOf = ({ release, retainSeconds, onInterrupted, interruptedAfterSeconds, attemptsMax }: ContractSettings): ContractBody | undefined => {
  const said = Object.fromEntries(Object.entries({ release, retainSeconds, onInterrupted, interruptedAfterSeconds, attemptsMax }).filter(([, value]) => value !== undefined))
  return Object.keys(said).length === 0 ? undefined : said
}

/**
 * A server that was set up by an administrator says itself what its contracts are. One that lets everybody in has every contract with the defaults;
 * there the app's own settings are written down the first time.
 */
export const agreeOnContract = async (stint: Stint, settings: ContractSettings, onTrouble: (what: string, cause: unknown) => void): Promise<void> => {
  const body = bodyOf(settings)
  if (body === undefined) return
  const params = { contract: settings.contract }
  const shown = await stint.call(showContract, { params })
  if (!shown.configured) {
    await stint.call(putContract, { params, body })
    return
  }
  const differs = Object.entries(body).filter(([name, value]) => shown[name as keyof typeof shown] !== value)
  for (const [name, value] of differs)
    onTrouble(
      `The contract ${settings.contract} has ${name} ${String(shown[name as keyof typeof shown])} at the server, not ${String(value)} as here; what the server says holds`,
      undefined,
    )
}
