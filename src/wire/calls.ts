// Many calls of a contract in one exchange: each is the call that PUT would make, or the question for the reply to one, and is answered by itself.
import type * as t from 'io-ts'
import { inContract } from './contracts.ts'
import { itemId, route, state } from './items.ts'
import { callProblems, mediaType, REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from './requests.ts'
import { BASE64, fields, number, storedHeaders, text } from './schema.ts'

/** Bytes of the replies that one exchange gives back, at most, beside the first: the others are asked for again. */
export const REPLIES_BYTES_MAX = 8 * REPLY_BYTES_MAX

/** A body that is too large is refused by its bytes, as it is by PUT; these are only the limits within which they are counted. */
const BODY_CHARACTERS_MAX = 32 * REQUEST_BYTES_MAX

/** What PUT says by its body and headers. Neither `text` nor `bodyBase64`: the body is empty. */
const called = fields(
  {},
  {
    text: text({ max: BODY_CHARACTERS_MAX, description: 'the body, whose bytes are this text in UTF-8' }),
    bodyBase64: text({ max: BODY_CHARACTERS_MAX, pattern: BASE64, description: 'the body, in place of `text`' }),
    mediaType,
    callback: text({ min: 1, max: 2_000, description: 'where the reply is delivered when it is there' }),
  },
)
export type Called = t.TypeOf<typeof called>

/** With `call` a call under this id; without it only the reply is asked for, as `GET …/reply` does. */
export const callsBody = fields({ id: itemId }, { call: called })

/** The reply with the headers that the answer to `PUT` or `GET …/reply` would have. */
const givenReply = fields(
  { status: number({ integer: true }), headers: storedHeaders },
  { text: text({ max: 2 * REPLY_BYTES_MAX }), bodyBase64: text({ max: 2 * REPLY_BYTES_MAX }) },
)
export type RepliedAs = t.TypeOf<typeof givenReply>

/** 200 with `reply`; 202 with `state`: accepted as the first with this id, and pending. */
export const callsAnswer = fields({ id: itemId }, { reply: givenReply, state })
export type CallsAnswer = t.TypeOf<typeof callsAnswer>

export const callRequests = route({
  name: 'callRequests',
  method: 'POST',
  path: '/v1/contracts/{contract}/calls',
  tag: 'requests',
  summary: 'Call many: each item is answered as PUT or `GET …/reply` answer it. With Prefer: wait the answer is held back for as long as none of them has its own',
  roles: 'known',
  params: inContract,
  body: callsBody,
  carriesContent: true,
  many: true,
  answers: { 200: callsAnswer, 202: callsAnswer },
  headers: ['Prefer'],
  problems: callProblems,
})
