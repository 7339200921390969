// Replies to requests (C), many in one exchange, with the next lease request beside them: what workers send all the time.
import type * as t from 'io-ts'
import { inContract } from './contracts.ts'
import { itemId, route } from './items.ts'
import { heldReply, leasedRequest, leaseRequestsBody, replied } from './requests.ts'
import { fields } from './schema.ts'
import { leaseBeside } from './tasks.ts'

export const replyBeside = leaseBeside(leaseRequestsBody, leasedRequest)
export type ReplyBeside = t.TypeOf<typeof replyBeside.asks>
export type RepliedBeside = t.TypeOf<typeof replyBeside.answers>

export const replyToRequests = route({
  name: 'replyToRequests',
  method: 'POST',
  path: '/v1/contracts/{contract}/replies',
  tag: 'requests',
  summary: 'Reply to requests, once each; beside `items`, `lease` asks for the next ones in the same exchange',
  roles: 'known',
  params: inContract,
  body: fields({ id: itemId, ...heldReply.required }, heldReply.optional),
  many: true,
  beside: replyBeside,
  answers: { 200: replied },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled', 'not-possible', 'no-leader'],
})
