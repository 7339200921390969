// The one reply to a request, with its effects: by itself, or with those to other requests of the contract and the next lease. Only the `workers` of the contract may, and each
// of many is asked about by itself.
import * as E from 'fp-ts/lib/Either.js'
import { contentDigest } from '../engine/digest.ts'
import type { RepliedBeside, replyToRequests as replyToRequestsRoute, ReplyBeside } from '../wire/replies.ts'
import type * as wire from '../wire/requests.ts'
import { EFFECTS_MAX, REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from '../wire/requests.ts'
import type { AnswerOf, BodyOf } from '../wire/route.ts'
import { expiryOf, type Effect, type ReplyHead } from '../wire/words.ts'
import { ok, type Call, type Handle, type HandleBeside, type Handled } from './call.ts'
import { leasedBeside, type LeaseAnswers } from './lease-answers.ts'
import { contractFor, queueFor } from './permission.ts'
import { fromRefusal, problem, type Problem } from './problem.ts'
import { leasedRequestView } from './request-views.ts'
import { bad, contentOf, leaseSourceOf, under } from './request-work.ts'
import { msOf } from './task-commands.ts'
import { instantOf } from './views.ts'

type HeldReply = BodyOf<typeof wire.replyToRequest>

const CONTENT_TYPE = 'content-type'
/** Belong to one connection or to one sending of an answer, or are what Stint itself says of it: they are made anew for each. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'idempotency-replayed',
  'keep-alive',
  'preference-applied',
  'proxy-connection',
  'stint-kept',
  'stint-position',
  'stint-release',
  'stint-request-id',
  'stint-work-item',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The reply as it is kept. */
const replyOf = (said: wire.ReplyBody): E.Either<Problem, { readonly head: ReplyHead; readonly bytes: Buffer | undefined }> => {
  if (said.unkept !== undefined && (said.body !== undefined || said.bodyBase64 !== undefined))
    return bad('/reply/unkept', 'choice', 'Expected a body, or what stays of one, not both.')
  const typed = Object.entries(said.headers ?? {}).find(([name]) => name.toLowerCase() === CONTENT_TYPE)?.[1]
  const typeInHeaders = typeof typed === 'object' ? typed[0] : typed
  const content = contentOf({ ...said, mediaType: said.mediaType ?? typeInHeaders }, '/reply', REPLY_BYTES_MAX)
  if (E.isLeft(content)) return content
  const { bytes, mediaType } = content.right
  const headers = Object.entries(said.headers ?? {})
    .filter(([name]) => !NOT_KEPT.has(name.toLowerCase()))
    .flatMap(([name, value]): [string, string][] => (typeof value === 'string' ? [[name, value]] : value.map((one) => [name, one])))
  const hasType = headers.some(([name]) => name.toLowerCase() === CONTENT_TYPE)
  if (mediaType !== undefined && !hasType) headers.unshift([CONTENT_TYPE, mediaType])
  if (said.unkept === undefined) return E.right({ head: { status: said.status, headers, bytes: bytes.byteLength, kept: true }, bytes })
  const { bytes: length, digest } = said.unkept
  return E.right({ head: { status: said.status, headers, bytes: length, kept: false, ...(digest === undefined ? {} : { bodyDigest: digest }) }, bytes: undefined })
}

/** One effect as it is stored, if the worker itself may do what it asks for. */
const effectOf = (call: Call, contract: string, said: wire.EffectBody, path: string): E.Either<Problem, Effect> => {
  if ('task' in said) {
    const { app, queue, payload, payloadBase64, mediaType, delaySeconds, id, tag, priority, key } = said.task
    const allowed = queueFor(call, { app, queue }, 'insert')
    if (E.isLeft(allowed)) return allowed
    const content = contentOf({ body: payload, bodyBase64: payloadBase64, mediaType }, `${path}/task`, REQUEST_BYTES_MAX)
    if (E.isLeft(content)) return content
    const facts = { id, tag, priority, key, delayMs: delaySeconds === undefined ? undefined : msOf(delaySeconds) }
    const known = Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
    return E.right({ task: { app, queue, ...known, mediaType: content.right.mediaType ?? 'application/json', bodyBase64: content.right.bytes.toString('base64') } })
  }
  if ('request' in said) {
    const { contract: other, id } = said.request
    const allowed = contractFor(call, other, 'insert')
    if (E.isLeft(allowed)) return allowed
    const content = contentOf(said.request, `${path}/request`, REQUEST_BYTES_MAX)
    if (E.isLeft(content)) return content
    const { bytes, mediaType } = content.right
    const known = { ...(id === undefined ? {} : { id }), ...(mediaType === undefined ? {} : { mediaType }) }
    return E.right({ request: { contract: other, ...known, bodyBase64: bytes.toString('base64') } })
  }
  if ('directive' in said) {
    if (!call.principal.roles.has('admin')) return E.left(problem('forbidden', 'Expected the role admin for an effect that is a directive.'))
    const { workItem, directive, reason } = said.directive
    return E.right({ directive: { workItem, directive, ...(reason === undefined ? {} : { reason }) } })
  }
  const { url } = said.callback
  const addressee = call.engine.contracts.addresseeFor(contract, url)
  if (E.isLeft(addressee)) return bad(`${path}/callback/url`, 'pattern', `Expected a URL that may be called. ${addressee.left}`)
  const content = contentOf(said.callback, `${path}/callback`, REQUEST_BYTES_MAX)
  if (E.isLeft(content)) return content
  return E.right({ callback: { url, mediaType: content.right.mediaType ?? 'application/octet-stream', bodyBase64: content.right.bytes.toString('base64') } })
}

const effectsOf = (call: Call, contract: string, said: readonly wire.EffectBody[]): E.Either<Problem, readonly Effect[]> => {
  if (said.length > EFFECTS_MAX) return bad('/effects', 'length', `Expected at most ${EFFECTS_MAX} effects, but there are ${said.length}.`)
  const effects: Effect[] = []
  for (const [index, one] of said.entries()) {
    const effect = effectOf(call, contract, one, `/effects/${index}`)
    if (E.isLeft(effect)) return effect
    effects.push(effect.right)
  }
  return E.right(effects)
}

/** The one reply, however it came. */
const replying = async (call: Call, params: { readonly contract: string; readonly id: string }, body: HeldReply): Promise<Handled<AnswerOf<typeof wire.replyToRequest>>> => {
  const workItem = under(call, params, body)
  if (E.isLeft(workItem)) return workItem
  const reply = replyOf(body.reply)
  if (E.isLeft(reply)) return reply
  const effects = effectsOf(call, params.contract, body.effects ?? [])
  if (E.isLeft(effects)) return effects
  const { head, bytes } = reply.right
  const digest = contentDigest({ head, effects: effects.right }, bytes)
  const done = await call.engine.contracts.reply(
    workItem.right,
    { type: 'Reply', by: call.principal.subject, lease: body.lease, reply: head, digest, effects: effects.right },
    call.context,
    bytes,
  )
  if (E.isLeft(done)) return E.left(fromRefusal(done.left))
  const { item } = done.right
  const isLate = item.status === 'settled' && item.late?.digest === digest
  const expiry = item.status === 'settled' && !isLate ? expiryOf(item) : undefined
  return ok({
    id: params.id,
    state: item.status === 'settled' ? item.end : 'running',
    recorded: true,
    late: isLate ? true : undefined,
    expiresAt: expiry === undefined ? undefined : instantOf(expiry),
  })
}

export const replyToRequest: Handle<typeof wire.replyToRequest> = ({ params, body }, call) => replying(call, params, body)

export const replyToRequests: Handle<typeof replyToRequestsRoute> = ({ params: { contract }, body }, call) => replying(call, { contract, id: body.id }, body)

/** The next lease beside replies. It never waits, since the replies are answered with it. */
export const createReplyBeside =
  (answers: LeaseAnswers): HandleBeside =>
  async ({ params, body, items }, call) => {
    const { lease } = body as ReplyBeside
    if (lease === undefined) return {}
    const next = async () => {
      const source = leaseSourceOf(call, (params as { readonly contract: string }).contract)
      if (E.isLeft(source)) return source
      const leased = await answers.give(call, source.right, lease, 0)
      return E.isLeft(leased) ? leased : E.right({ items: leased.right.map(leasedRequestView) })
    }
    const answer: RepliedBeside = { leased: await leasedBeside(next, items) }
    return answer
  }
