// The requests of a contract for a worker: leased and replied to together, but each extended, reported and given up by itself.
import * as E from 'fp-ts/lib/Either.js'
import {
  askRequestDirective,
  effect,
  EFFECTS_MAX,
  extendRequest,
  failRequest,
  leaseRequests,
  leaseRequestsBody,
  releaseRequest,
  replyBody,
  reportRequest,
  type EffectBody,
  type LeasedRequest,
  type ReplyBody,
} from '../wire/requests.ts'
import { replyToRequests, type RepliedBeside } from '../wire/replies.ts'
import type { Route } from '../wire/route.ts'
import type { ManyAnswer } from './answer.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { contentOf, JSON_TYPE, jsonText } from './content.ts'
import { PermanentFailure, StintError } from './errors.ts'
import type { Handed } from './handed.ts'
import type { HeldItem } from './held-item.ts'
import type { CallOptions, Http } from './http.ts'
import { faceOf } from './job.ts'
import { bare, isBare } from './outcomes.ts'
import { invalid, valid } from './validity.ts'
import type { Ending, PlainOutcome, Verb, WorkSource } from './work-source.ts'

/** Replies in one exchange, at most. */
const TOGETHER_MAX = 1_000
/** Failures on their way at the same time, requests given back, and leases extended, at most. */
const EXCHANGES_MAX = 16
const EXTENDED_MAX = 64
const NO_CONTENT = 204
const REFUSED_CODE = 'reply-refused'

/** What a handler of requests is given. */
export interface WorkerRequest<Body = unknown> extends Handed {
  /** Who called: ids are the caller's own, so that two callers may use the same. */
  readonly caller: string
  /** From 1; above it an earlier execution broke off, and what it did outside Stint may have been done. Attempts that were given back do not count. */
  readonly attempt: number
  /** JSON as a value, everything else as a `Uint8Array`; undefined when nothing was sent. */
  readonly body: Body
  /** The body as bytes; JSON in its shortest form. */
  readonly bytes: Uint8Array
  readonly mediaType: string | undefined
  /** Of a request that came by middleware. */
  readonly method: string | undefined
  readonly path: string | undefined
  /** The body read as JSON, whatever its media type says. Throws `SyntaxError`. */
  readonly json: () => unknown
}

/** Carried out by Stint exactly once after the reply is stored, 100 at most: a task, another request, a directive, or a message to a URL. */
export type Effect = EffectBody

/**
 * What a handler may return for a reply in full; it is taken for one when it has nothing but these fields, and `body`, `effects` or a number as `status`. Anything else that it
 * returns is the body of a reply with the status 200, `undefined` a reply with 204.
 */
export interface HandlerReply {
  /** 200 to 599 (200, or 204 without a body). Any status is a reply: it is stored, and given again to duplicates. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** A value as JSON, a `Uint8Array` or, with a media type other than JSON, a string as it is; 1 MiB at most. */
  readonly body?: unknown
  readonly mediaType?: string
  readonly effects?: readonly Effect[]
}

const REPLY_FIELDS: ReadonlySet<string> = new Set(['status', 'headers', 'body', 'mediaType', 'effects'] satisfies readonly (keyof HandlerReply)[])

const isReply = (value: unknown): value is HandlerReply => {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || Array.isArray(value)) return false
  if (!Object.keys(value).every((name) => REPLY_FIELDS.has(name))) return false
  return 'body' in value || 'effects' in value || ('status' in value && typeof value.status === 'number')
}

const typeIn = (headers: HandlerReply['headers'] = {}): string | undefined => {
  const found = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1]
  return typeof found === 'string' ? found : found?.[0]
}

const writtenBody = (body: unknown, mediaType: string | undefined): Partial<ReplyBody> => {
  if (body === undefined) return mediaType === undefined ? {} : { mediaType }
  if (!(body instanceof Uint8Array) && (typeof body !== 'string' || mediaType === undefined))
    return { body: JSON.parse(jsonText(body)) as unknown, mediaType: mediaType ?? JSON_TYPE }
  const content = contentOf(body, mediaType)
  return { bodyBase64: toBase64(content.bytes), mediaType: content.mediaType }
}

/** What a handler returned as the reply that is sent. Throws `StintError` (`invalid`) for what can be none. */
export const writtenReply = (value: unknown): { readonly reply: ReplyBody; readonly effects?: readonly EffectBody[] } => {
  const { status, headers, body, mediaType, effects = [] } = isReply(value) ? value : { body: value }
  if (effects.length > EFFECTS_MAX) throw invalid(`Expected at most ${EFFECTS_MAX} effects, but there are ${effects.length}.`)
  const said = { status: status ?? (body === undefined ? NO_CONTENT : 200), ...(headers === undefined ? {} : { headers }), ...writtenBody(body, mediaType ?? typeIn(headers)) }
  const reply = valid(replyBody, said)
  return effects.length === 0 ? { reply } : { reply, effects: effects.map((one) => valid(effect, JSON.parse(jsonText(one)))) }
}

const bytesOf = ({ body, bodyBase64 }: LeasedRequest): Uint8Array => {
  if (bodyBase64 !== undefined) return fromBase64(bodyBase64)
  return body === undefined ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(body))
}

export const handedRequest = <Body>(item: HeldItem<LeasedRequest>, extend: Handed['extend']): WorkerRequest<Body> => {
  const { leased } = item
  const { caller, body, bodyBase64, mediaType, method, path } = leased
  const request = faceOf(item.held, {
    caller,
    body: (bodyBase64 === undefined ? body : fromBase64(bodyBase64)) as Body,
    mediaType,
    method,
    path,
    extend,
    json: () => (bodyBase64 === undefined && body !== undefined ? body : (JSON.parse(new TextDecoder().decode(bytesOf(leased))) as unknown)),
  })
  // Most handlers never ask for them.
  return Object.defineProperty(request as WorkerRequest<Body>, 'bytes', { get: () => bytesOf(leased), enumerable: true, configurable: true })
}

export interface RequestSourceOptions {
  readonly contract: string
  readonly leaseSeconds?: number | undefined
  readonly worker: string
}

/** A refusal as the answer for one of many; what else went wrong goes wrong for the whole exchange. */
const answered = async <Answer>(call: Promise<Answer>): Promise<ManyAnswer<Answer>> => {
  try {
    return E.right(await call)
  } catch (thrown) {
    if (thrown instanceof StintError) return E.left(thrown)
    throw thrown
  }
}

export const requestSource = (http: Http, { contract, ...asked }: RequestSourceOptions): WorkSource<LeasedRequest> => {
  /** What handlers replied, until it is told. */
  const replies = new WeakMap<HeldItem, string>()

  const paramsOf = ({ id }: HeldItem) => ({ contract, id })
  const textOf = ({ lease, leased: { caller } }: HeldItem, fields: object): string => JSON.stringify({ lease, caller, ...fields })
  const failing = (item: HeldItem, outcome: PlainOutcome): Pick<Ending, 'verb' | 'text'> => ({ verb: 'fail', text: textOf(item, outcome) })
  const sending =
    <Body, Answer>(route: Route<{ readonly contract: string; readonly id: string }, {}, Body, Answer>) =>
    ({ item, text }: Ending, options: CallOptions): Promise<unknown> =>
      http.callText(route, text, { ...options, params: paramsOf(item) })
  const send = { fail: sending(failRequest), release: sending(releaseRequest) } as const satisfies Record<Exclude<Verb, 'complete'>, unknown>

  return {
    asks: valid(leaseRequestsBody, Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))),
    lease: (body, options) => http.exchange(leaseRequests, { ...options, params: { contract }, body }),
    extend: (leases, options) =>
      Promise.all(
        leases.map(([item, leaseSeconds]) =>
          answered(http.call(extendRequest, { ...options, params: paramsOf(item), body: { lease: item.lease, caller: item.leased.caller, leaseSeconds } })),
        ),
      ),
    report: (item, report, options) =>
      http.call(reportRequest, { ...options, params: paramsOf(item), query: { caller: item.leased.caller }, body: { lease: item.lease, ...report } }),
    askDirective: (item, options) => http.exchange(askRequestDirective, { ...options, params: paramsOf(item), query: { caller: item.leased.caller } }),
    end: async (verb, endings, next, options) => {
      if (verb !== 'complete') return { items: await Promise.all(endings.map((ending) => answered(send[verb](ending, options)))) }
      const texts = endings.map(({ text }) => text)
      const { items, beside } = await http.sendMany(replyToRequests, texts, { ...options, params: { contract }, beside: next === undefined ? undefined : { lease: next } })
      return { items, leased: (beside as RepliedBeside | undefined)?.leased }
    },
    togetherMax: { complete: TOGETHER_MAX, fail: 1, release: 1 },
    extendedMax: EXTENDED_MAX,
    // While one exchange with replies is on its way, what ends meanwhile need not wait for it.
    exchangesMax: { complete: 2, fail: EXCHANGES_MAX, release: EXCHANGES_MAX },
    completesApart: true,
    completed: (item, value) => {
      try {
        replies.set(item, textOf(item, { id: item.id, ...writtenReply(value) }))
        return { completed: {} }
      } catch (thrown) {
        // The same handler would return the same again.
        throw new PermanentFailure((thrown as Error).message, { code: REFUSED_CODE, cause: thrown })
      }
    },
    endingOf: (item, outcome) => {
      const text = replies.get(item)
      if ('completed' in outcome && text !== undefined) {
        const failed = {
          code: REFUSED_CODE,
          message: 'Stint did not take the reply of the handler: it is too large, or its effects are not there or not for the worker to have.',
          retry: false,
        }
        return { item, verb: 'complete', text, otherwise: failing(item, { failed }) }
      }
      return { item, ...failing(item, outcome), ...(isBare(outcome) ? {} : { otherwise: failing(item, bare(outcome) as PlainOutcome) }) }
    },
    release: (item, said) => ({ item, verb: 'release', text: textOf(item, said), otherwise: { verb: 'release', text: textOf(item, { reason: said.reason }) } }),
  }
}
