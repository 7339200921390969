// Many calls in one exchange: each item is decided as PUT or `GET …/reply` decide it, and their answer put into JSON, byte for byte.
import { isUtf8 } from 'node:buffer'
import * as E from 'fp-ts/lib/Either.js'
import { REPLIES_BYTES_MAX, type Called, type CallsAnswer, type RepliedAs } from '../wire/calls.ts'
import type * as wire from '../wire/calls.ts'
import { REQUEST_BYTES_MAX } from '../wire/requests.ts'
import { tooLarge } from './body.ts'
import type { Answer, Call, Handle, Handled } from './call.ts'
import { invalid, type Problem } from './problem.ts'
import { headersView } from './request-views.ts'
import { callWith, showReply, type Taken } from './requests.ts'
import { REPLAYED } from './settled-reply.ts'

const takenFrom = ({ text, bodyBase64, mediaType, callback }: Called): E.Either<Problem, Taken> => {
  if (text !== undefined && bodyBase64 !== undefined)
    return E.left(invalid([{ path: '/call/bodyBase64', code: 'choice', detail: 'Expected the body as `text` or as `bodyBase64`, not as both.' }]))
  const bytes = bodyBase64 === undefined ? Buffer.from(text ?? '') : Buffer.from(bodyBase64, 'base64')
  if (bytes.byteLength > REQUEST_BYTES_MAX) return E.left(tooLarge(REQUEST_BYTES_MAX))
  return E.right({ bytes, mediaType, callback: callback === undefined ? undefined : { url: callback, path: '/call/callback' } })
}

const repliedAs = ({ status, given, headers = {} }: Answer<unknown>): RepliedAs => {
  const { headers: own, body } = given ?? { headers: [], body: new Uint8Array() }
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return {
    status,
    headers: headersView({ headers: [...own, ...Object.entries(headers)] }),
    ...(isUtf8(bytes) ? { text: bytes.toString() } : { bodyBase64: bytes.toString('base64') }),
  }
}

const isReplay = ({ headers = {} }: Answer<unknown>): boolean => 'Idempotency-Replayed' in headers

/** The reply does not fit into this answer: it is there, and is asked for once more. */
const forLater = (id: string, answer: Answer<unknown>): Handled<CallsAnswer> => {
  const state = 'completed'
  return isReplay(answer) ? E.left({ code: 'pending', state }) : E.right({ status: 202, body: { id, state } })
}

/** As it is said among others. Of a call it stays beside it that it is a duplicate, for whoever counts them; who only asks for a reply is none. */
const saidOf = (call: Call, id: string, isCall: boolean, answer: Answer<{ readonly state: CallsAnswer['state'] } | undefined>): Handled<CallsAnswer> => {
  const { status, body, given } = answer
  if (given === undefined) return E.right({ status, body: { id, state: body?.state } })
  if (call.gathering?.takes(given.body.byteLength, REPLIES_BYTES_MAX) === false) return forLater(id, answer)
  return E.right({ status: 200, body: { id, reply: repliedAs(answer) }, headers: isCall && isReplay(answer) ? REPLAYED : {} })
}

const isPending = (handled: Handled<unknown>): boolean => (E.isLeft(handled) ? handled.left.code === 'pending' : handled.right.given === undefined)

export const callRequests: Handle<typeof wire.callRequests> = async ({ params: { contract }, body: { id, call: called } }, call) => {
  const { gathering } = call
  gathering?.begin()
  let isKnown = true
  try {
    const handled =
      called === undefined
        ? await showReply({ params: { contract, id }, query: {}, body: undefined }, call)
        : await callWith(call, contract, id, () => Promise.resolve(takenFrom(called)))
    isKnown = !isPending(handled)
    return E.isLeft(handled) ? handled : saidOf(call, id, called !== undefined, handled.right)
  } finally {
    gathering?.end(isKnown)
  }
}
