// Requests (C): called once under an id, worked off by the contract's workers, and answered with the one reply, again and again until it is released.
import * as t from 'io-ts'
import { contractName, inContract, releasePolicy } from './contracts.ts'
import {
  common,
  directiveAnswer,
  directiveBody,
  failure,
  givenAnswer,
  historyEvent,
  itemId,
  lease,
  page,
  pageQuery,
  reason,
  reportAnswer,
  reportBody,
  route,
  state,
  why,
} from './items.ts'
import { appName, key, queueName, tag } from './queues.ts'
import { base64, exactlyOne, HEADER_CHARACTERS_MAX, fields, headerFields, instant, json, number, numberText, oneOf, storedHeaders, text } from './schema.ts'
import { DELAY_SECONDS_MAX, ending, endingFields, extended, LEASE_SECONDS_MAX, LEASE_TASKS_MAX } from './tasks.ts'

/** Bytes of a request's body, at most. */
export const REQUEST_BYTES_MAX = 1024 * 1024
/** Bytes of a reply's body that are kept, at most. */
export const REPLY_BYTES_MAX = 1024 * 1024
/** Effects of one reply, at most. */
export const EFFECTS_MAX = 100

export const callerName = text({ min: 1, max: 320, description: 'the subject of whoever calls' })
export const fingerprint = text({ min: 1, max: 43, pattern: /^[A-Za-z0-9_-]{43}$/, description: 'SHA-256 in base64url of what makes two requests the same' })
const oneRequest = fields({ contract: contractName, id: itemId })
const ofCaller = fields({}, { caller: callerName })
export const mediaType = text({ min: 1, max: 200, pattern: /^[\x20-\x7e]+$/ })
const bodyType = text({
  max: HEADER_CHARACTERS_MAX,
  pattern: /^[\x20-\x7e\x80-\xff\t]*$/,
  description: 'of the body: a string under a type that is not JSON is sent as that text, everything else as JSON',
})
/** As a header said it, and as it is given on. */
const storedMediaType = text({ max: HEADER_CHARACTERS_MAX })
const url = text({ min: 1, max: 2_000 })

/** In place of a body that is over the limit: the reply went to its client and is not kept. The digest is SHA-256 in base64url, once the end of the body was seen. */
const unkept = fields({ bytes: number({ min: 0, integer: true }) }, { digest: fingerprint })
export const replyBody = fields(
  { status: number({ min: 200, max: 999, integer: true }) },
  { headers: headerFields, body: json, bodyBase64: base64(REPLY_BYTES_MAX), mediaType: bodyType, unkept },
)
export type ReplyBody = t.TypeOf<typeof replyBody>

export const effect = exactlyOne({
  task: fields(
    { app: appName, queue: queueName },
    {
      id: text({ min: 1, max: 500, pattern: /^[A-Za-z0-9_-]+$/ }),
      payload: json,
      payloadBase64: base64(REQUEST_BYTES_MAX),
      mediaType,
      tag,
      priority: number({ min: -1_000, max: 1_000, integer: true }),
      key,
      delaySeconds: number({ min: 0, max: DELAY_SECONDS_MAX }),
    },
  ),
  request: fields({ contract: contractName }, { id: itemId, body: json, bodyBase64: base64(REQUEST_BYTES_MAX), mediaType: bodyType }),
  directive: fields({ workItem: text({ min: 1, max: 1_000 }), directive: oneOf('abort', 'pause', 'resume') }, { reason }),
  callback: fields({ url }, { body: json, bodyBase64: base64(REQUEST_BYTES_MAX), mediaType: bodyType }),
})
export type EffectBody = t.TypeOf<typeof effect>

export const shownReply = fields(
  { status: number({ integer: true }), headers: storedHeaders, bytes: number({ min: 0, integer: true }), kept: t.boolean },
  { body: json, bodyBase64: text({ max: 2 * REPLY_BYTES_MAX }), mediaType: storedMediaType },
)

const requestFields = {
  required: { ...common.required, contract: contractName, caller: callerName, release: releasePolicy, bytes: number({ min: 0, integer: true }) },
  optional: {
    ...common.optional,
    /** When the reply is released by itself; there from its settlement to its release, unless only its caller releases it. */
    expiresAt: instant,
    /** Where to release it; there until it is. */
    interaction: text({ max: 2_000 }),
    reply: shownReply,
    released: fields({ how: oneOf('client', 'time', 'force', 'erased'), at: instant }),
    /** Effects that are not carried out yet. */
    openEffects: number({ min: 0, integer: true }),
    failure: fields({ code: text({ max: 100 }), message: text({ max: 4_000 }) }),
    leaseUntil: instant,
  },
}
export const request = fields(requestFields.required, requestFields.optional)
export type RequestShown = t.TypeOf<typeof request>

const bodyFields = { body: json, bodyBase64: text({ max: 2 * REQUEST_BYTES_MAX }), mediaType: storedMediaType, method: text({ max: 20 }), path: text({ max: 4_000 }) }
export const leasedRequest = fields({ ...requestFields.required, lease, leaseUntil: instant }, { ...requestFields.optional, ...bodyFields })
export type LeasedRequest = t.TypeOf<typeof leasedRequest>

/** Why a call is not answered with its reply, however it travels. */
export const callProblems = [
  'not-found',
  'pending',
  'fingerprint-mismatch',
  'released',
  'reply-not-kept',
  'interrupted',
  'aborted',
  'cancelled',
  'over-quota',
  'too-many-live',
  'lagging',
] as const

const call = {
  tag: 'requests',
  roles: 'known',
  bytes: true,
  answers: { 202: request, 200: undefined },
  mediaType: '*/*',
  headers: ['Prefer', 'Idempotency-Key', 'Stint-Callback'],
  problems: callProblems,
} as const

export const callRequest = route({
  ...call,
  name: 'callRequest',
  method: 'PUT',
  path: '/v1/contracts/{contract}/requests/{id}',
  summary:
    'Call: the body is the request. 202, or with Prefer: wait the reply itself, which alone carries `Stint-Release`. Equal JSON is the same request, unless its Content-Type says that it is none: `curl -d` says so, `curl --json` does not',
  params: oneRequest,
})

export const callRequestByKey = route({
  ...call,
  name: 'callRequestByKey',
  method: 'POST',
  path: '/v1/contracts/{contract}/requests',
  summary: 'Call under the id that Idempotency-Key names',
  params: inContract,
})

export const listRequests = route({
  name: 'listRequests',
  method: 'GET',
  path: '/v1/contracts/{contract}/requests',
  tag: 'requests',
  summary: 'List the requests of a contract, newest first: all of them for administrators, their own for callers',
  roles: 'known',
  fromTables: true,
  params: inContract,
  query: fields({}, { state, caller: callerName, olderThanSeconds: numberText({ min: 0, max: 1_000_000_000 }), released: oneOf('true', 'false'), ...pageQuery }),
  answers: { 200: page(request) },
  problems: ['not-found'],
})

export const usage = fields(
  { caller: callerName, pending: number({ min: 0, integer: true }), unreleased: number({ min: 0, integer: true }), bytes: number({ min: 0, integer: true }) },
  { oldest: fields({ workItem: text({ max: 1_000 }), at: instant }) },
)
export const listCallers = route({
  name: 'listCallers',
  method: 'GET',
  path: '/v1/contracts/{contract}/callers',
  tag: 'contracts',
  summary: 'What each caller has pending and unreleased, with its oldest',
  roles: 'known',
  fromTables: true,
  params: inContract,
  query: fields({}, { caller: callerName, ...pageQuery }),
  answers: { 200: page(usage) },
  problems: ['not-found'],
})

export const showRequest = route({
  name: 'showRequest',
  method: 'GET',
  path: '/v1/contracts/{contract}/requests/{id}',
  tag: 'requests',
  summary: 'Show a request, with its reply if it has one; with Prefer: wait once it is settled',
  roles: 'known',
  params: oneRequest,
  query: ofCaller,
  answers: { 200: request },
  headers: ['If-None-Match', 'Prefer'],
  problems: ['not-found', 'erased'],
})

export const showReply = route({
  name: 'showReply',
  method: 'GET',
  path: '/v1/contracts/{contract}/requests/{id}/reply',
  tag: 'requests',
  summary: 'The reply as it was made: status, headers and bytes; with Prefer: wait once it is there',
  roles: 'known',
  params: oneRequest,
  query: ofCaller,
  answers: { 200: undefined },
  mediaType: '*/*',
  headers: ['Prefer'],
  problems: ['not-found', 'pending', 'released', 'reply-not-kept', 'interrupted', 'aborted', 'cancelled'],
})

export const releaseReply = route({
  name: 'releaseReply',
  method: 'DELETE',
  path: '/v1/contracts/{contract}/requests/{id}/interaction',
  tag: 'requests',
  summary: 'Release: the reply is needed no more. Administrators release by force with `?caller=`',
  roles: 'known',
  params: oneRequest,
  query: ofCaller,
  answers: { 200: fields({ id: itemId, state, released: fields({ how: oneOf('client', 'time', 'force', 'erased'), at: instant }) }) },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'pending', 'erased'],
})

export const leaseRequestsBody = fields(
  {},
  {
    max: number({ min: 1, max: LEASE_TASKS_MAX, integer: true, description: 'requests, at most (1)' }),
    leaseSeconds: number({ min: 0.1, max: LEASE_SECONDS_MAX, description: 'as the contract says, unless given' }),
    worker: text({ min: 1, max: 200, description: 'made by the SDK once per process; tells workers of one principal apart' }),
    requestId: text({ min: 1, max: 100, description: 'names the call: a repeat is given what is still under its lease; without one an Idempotency-Key names it' }),
  },
)
export const leaseRequests = route({
  name: 'leaseRequests',
  method: 'POST',
  path: '/v1/contracts/{contract}/lease',
  tag: 'requests',
  summary: 'Lease waiting requests, oldest first; with Prefer: wait the call waits for some',
  roles: 'known',
  params: inContract,
  body: leaseRequestsBody,
  answers: { 200: fields({ items: t.array(leasedRequest) }, { more: t.boolean }) },
  headers: ['Prefer', 'Idempotency-Key'],
  problems: ['not-found', 'superseded', 'no-leader'],
})

const held = { required: { lease }, optional: { caller: callerName } }
const onLease = <Body, Answer>(
  name: string,
  verb: string,
  summary: string,
  body: t.Type<Body, unknown, unknown>,
  answer: t.Type<Answer, unknown, unknown>,
  carriesContent = false,
) =>
  route({
    name,
    method: 'POST',
    path: `/v1/contracts/{contract}/requests/{id}/${verb}`,
    tag: 'requests',
    summary,
    roles: 'known',
    params: oneRequest,
    body,
    carriesContent,
    answers: { 200: answer },
    headers: ['Idempotency-Key'],
    problems: ['not-found', 'stale-lease', 'settled', 'not-possible'],
  })

/** `expiresAt`: when the reply is released by time; not there where only its caller releases it. */
export const replied = fields(endingFields.required, { ...endingFields.optional, expiresAt: instant })
/** What is said of a request that is replied to. */
export const heldReply = { required: { ...held.required, reply: replyBody }, optional: { ...held.optional, effects: t.array(effect) } }
export const replyToRequest = onLease(
  'replyToRequest',
  'reply',
  'Reply, once; effects are carried out after it is stored',
  fields(heldReply.required, heldReply.optional),
  replied,
  true,
)
export const failRequest = onLease(
  'failRequest',
  'fail',
  'End an execution without a reply: again, or failed',
  fields({ ...held.required, failed: failure }, held.optional),
  ending,
)
export const releaseRequest = onLease(
  'releaseRequest',
  'release',
  'Give a leased request back; burns no attempt',
  fields(held.required, { ...held.optional, reason, busy: t.boolean, delaySeconds: number({ min: 0, max: DELAY_SECONDS_MAX }) }),
  ending,
)
export const extendRequest = route({
  name: 'extendRequest',
  method: 'POST',
  path: '/v1/contracts/{contract}/requests/{id}/extend',
  tag: 'requests',
  summary: 'Extend a lease from now, and learn the directive; 0 seconds give the request back at once',
  roles: 'known',
  params: oneRequest,
  body: fields({ ...held.required, leaseSeconds: number({ min: 0, max: LEASE_SECONDS_MAX }) }, held.optional),
  answers: { 200: extended },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled', 'not-possible'],
})
export const reportRequest = route({
  name: 'reportRequest',
  method: 'POST',
  path: '/v1/contracts/{contract}/requests/{id}/reports',
  tag: 'requests',
  summary: 'Report phase and progress of a leased request, and learn the directive',
  roles: 'known',
  params: oneRequest,
  query: ofCaller,
  body: reportBody,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

/** What a service that takes calls itself hands over, on behalf of its caller. */
export const executionBody = fields(
  { id: itemId, caller: callerName, fingerprint, worker: text({ min: 1, max: 200 }) },
  { leaseSeconds: number({ min: 1, max: LEASE_SECONDS_MAX }), mediaType, method: text({ min: 1, max: 20 }), path: text({ max: 4_000 }), bodyBase64: base64(REQUEST_BYTES_MAX) },
)
/** Either the lease under which to run it, or the reply that there is. */
export const executionAnswer = fields(
  { workItem: text({ max: 1_000 }), release: releasePolicy },
  { execute: fields({ lease, leaseUntil: instant, leaseSeconds: number({ min: 0 }), attempt: number({ min: 1, integer: true }) }), reply: shownReply, expiresAt: instant },
)
export const beginExecution = route({
  name: 'beginExecution',
  method: 'POST',
  path: '/v1/contracts/{contract}/executions',
  tag: 'requests',
  summary: 'For middleware: accept a call and run it here, or learn what has become of the first with its id; with Prefer: wait a duplicate waits for the reply',
  roles: 'known',
  params: inContract,
  body: executionBody,
  carriesContent: true,
  answers: { 200: executionAnswer, 201: executionAnswer },
  headers: ['Prefer'],
  problems: callProblems,
})

const shared = { tag: 'requests', params: oneRequest, query: ofCaller } as const
export const requestHistory = route({
  ...shared,
  name: 'requestHistory',
  method: 'GET',
  path: '/v1/contracts/{contract}/requests/{id}/history',
  summary: 'Every change of a request, in order',
  roles: 'known',
  query: fields({}, { caller: callerName, ...pageQuery }),
  answers: { 200: page(historyEvent) },
  problems: ['not-found'],
})
export const requestWhy = route({
  ...shared,
  name: 'requestWhy',
  method: 'GET',
  path: '/v1/contracts/{contract}/requests/{id}/why',
  summary: 'Why is it in the state it is in?',
  roles: 'known',
  answers: { 200: why },
  problems: ['not-found'],
})
export const askRequestDirective = route({
  ...shared,
  name: 'askRequestDirective',
  method: 'GET',
  path: '/v1/contracts/{contract}/requests/{id}/directive',
  summary: 'What does the administrator want?',
  roles: 'known',
  answers: { 200: directiveAnswer },
  headers: ['If-None-Match', 'Prefer', 'Stint-Lease'],
  problems: ['not-found', 'stale-lease', 'settled'],
})
export const directRequest = route({
  ...shared,
  name: 'directRequest',
  method: 'POST',
  path: '/v1/contracts/{contract}/requests/{id}/directives',
  summary: 'Abort, pause or resume a request',
  roles: [],
  body: directiveBody,
  answers: { 200: givenAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'settled', 'aborting'],
})
