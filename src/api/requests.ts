// Requests (C) over HTTP, as callers meet them: called, shown, listed, released. What workers do with them is in request-work.ts.
import * as E from 'fp-ts/lib/Either.js'
import { bodyFingerprint } from '../engine/digest.ts'
import type { Done, Refusal } from '../engine/command.ts'
import { mediaType as mediaTypeCodec, REQUEST_BYTES_MAX } from '../wire/requests.ts'
import type * as wire from '../wire/requests.ts'
import { itemId } from '../wire/items.ts'
import { decode } from '../wire/schema.ts'
import {
  isHeld,
  nameIn,
  parseWorkItemId,
  requestId,
  surfaceState,
  WORK_ITEM_ID_BYTES_MAX,
  type ContractConfig,
  type Existing,
  type Settled,
  type WorkItemId,
} from '../wire/words.ts'
import { ok, type Call, type Handle, type Handled } from './call.ts'
import { waitHeaders } from './change-wait.ts'
import { pollDirective } from './directive-poll.ts'
import { direct, findVisible, limitOf, pageAnswer, readVisible, showHistory, showItem, showWhy, visible } from './items.ts'
import { contractFor, mayWithContract } from './permission.ts'
import { fromRefusal, invalid, problem, type Problem } from './problem.ts'
import { requestPath, requestView } from './request-views.ts'
import { giveReply, settledReply, untilSettled } from './settled-reply.ts'
import { instantOf } from './views.ts'

const RETRY_AFTER_SECONDS = '1'

/** The work item of a request; Left when the names together are too long to be one. */
export const requestOf = (contract: string, caller: string, id: string, path: string): E.Either<Problem, WorkItemId> => {
  const workItem = requestId(contract, caller, id)
  // Its segments are written as they have to be, so it is only to be seen that it is not too long.
  if (workItem.length <= WORK_ITEM_ID_BYTES_MAX && contract !== '' && caller !== '' && id !== '') return E.right(workItem)
  const parsed = parseWorkItemId(workItem)
  return E.isLeft(parsed) ? E.left(invalid([{ path, code: 'length', detail: `Expected contract, caller and id to make a work-item ID: ${parsed.left}.` }])) : E.right(workItem)
}

/** Rules and policy as the contract has them now: what it says later holds for later requests. */
export const factsOf = (contract: string, caller: string, config: ContractConfig, runs: 'workers' | 'middleware', bytes: number, dueAt: number) => ({
  contract,
  caller,
  runs,
  release: config.release,
  onInterrupted: config.onInterrupted,
  ...(config.attemptsMax === undefined ? {} : { attemptsMax: config.attemptsMax }),
  interruptedAfterMs: config.interruptedAfterMs,
  bytes,
  dueAt,
})

/** A command of its own for each try: the request is named by its id, so nothing rests on the command's. */
export const acceptContext = (call: Call) => ({ ...call.context, commandId: call.world.uuid() })

const mismatch = (workItem: WorkItemId, firstAt: number): Problem => ({
  code: 'fingerprint-mismatch',
  detail: `The first request with this id came at ${instantOf(firstAt)}.`,
  workItem,
})

/** A holder that lives extends its lease at half its time: one of which less than a third is left has a silent holder. */
const SILENT_SHARE = 1 / 3
const RETRY_AFTER_SECONDS_MAX = 30

/** Soon, while somebody works on it; when its lease ends, where its holder is silent: nothing comes before, unless the holder returns. */
const retryAfterOf = (item: Existing | undefined, now: number): string => {
  if (item === undefined || !isHeld(item)) return RETRY_AFTER_SECONDS
  const left = item.lease.until - now
  if (left > item.lease.termMs * SILENT_SHARE) return RETRY_AFTER_SECONDS
  return String(Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, Math.ceil(left / 1_000))))
}

export const pending = (call: Call, location: string, item: Existing | undefined): Problem => ({
  code: 'pending',
  state: item && surfaceState(item),
  headers: { Location: location, 'Retry-After': retryAfterOf(item, call.engine.now()) },
})

/** What is answered to a call whose request is settled. */
const answerSettled = async (call: Call, workItem: WorkItemId, item: Settled, isReplayed: boolean): Promise<Handled<never>> => {
  const reply = await settledReply(call, workItem, item)
  return E.isLeft(reply) ? reply : E.right(giveReply(workItem, item, reply.right, isReplayed))
}

const accepted = async (
  call: Call,
  workItem: WorkItemId,
  location: string,
  mayStill: () => E.Either<Problem, unknown>,
  { item, before, position }: Done,
): Promise<Handled<wire.RequestShown>> => {
  if (item.status === 'settled') return answerSettled(call, workItem, item, true)
  const isFirst = before.status === 'absent'
  const waited = call.waitMs === undefined || call.waitMs === 0 ? E.right(item) : await untilSettled(call, workItem, call.waitMs, mayStill)
  if (E.isLeft(waited)) return waited
  const now = waited.right ?? item
  if (now.status === 'settled') return answerSettled(call, workItem, now, !isFirst)
  if (!isFirst) return E.left(pending(call, location, now))
  return E.right({
    status: 202,
    body: requestView({ workItem, item: now, position, presence: call.engine.presence(workItem) }),
    headers: { Location: location, 'Retry-After': RETRY_AFTER_SECONDS, ...waitHeaders(call, call.waitMs) },
  })
}

const CALLBACK_CHARACTERS_MAX = 2_000

/** What is called with: the body, and what stands around it. */
export interface Taken {
  readonly bytes: Uint8Array
  /** Undefined: none was named. */
  readonly mediaType: string | undefined
  /** Where the caller wants its reply delivered, and where it says so. */
  readonly callback: { readonly url: unknown; readonly path: string } | undefined
}

/** The address for the reply, if there is one and Stint may call there. */
const callbackOf = (call: Call, contract: string, said: Taken['callback']): E.Either<Problem, { readonly callback?: string }> => {
  if (said === undefined) return E.right({})
  const { url, path } = said
  const bad = (code: 'length' | 'pattern', detail: string) => E.left(invalid([{ path, code, detail }]))
  if (typeof url !== 'string' || url.length > CALLBACK_CHARACTERS_MAX) return bad('length', `Expected one URL of at most ${CALLBACK_CHARACTERS_MAX} characters.`)
  const addressee = call.engine.contracts.addresseeFor(contract, url)
  return E.isLeft(addressee) ? bad('pattern', `Expected a URL that may be called. ${addressee.left}`) : E.right({ callback: url })
}

/** What a caller could release to come within its quota again, at most. */
const OLDEST_MAX = 10

/** A call that was not accepted; who is over its quota is told what it could release. */
export const notAccepted = async (
  call: Call,
  { contract, caller, workItem }: { readonly contract: string; readonly caller: string; readonly workItem: WorkItemId },
  refusal: Refusal,
): Promise<Problem> => {
  if ('type' in refusal && refusal.type === 'fingerprint-mismatch') return mismatch(workItem, refusal.firstAt)
  const refused = fromRefusal(refusal)
  if (refused.code !== 'over-quota') return refused
  const page = await call.engine.tables.requests({ contract, caller, released: false, settledBefore: Number.MAX_SAFE_INTEGER, order: 'oldest', limit: OLDEST_MAX })
  const oldest =
    'invalid' in page ? [] : page.items.flatMap(({ workItem: of, item }) => (item.status === 'settled' ? [{ id: nameIn(of), settledAt: instantOf(item.settledAt) }] : []))
  return { ...refused, unreleased: { oldest, callers: `/v1/contracts/${encodeURIComponent(contract)}/callers` } }
}

const MEDIA_TYPE_PATH = '/headers/content-type'
const mediaTypeFault = (said: string): Problem | undefined => {
  const decoded = decode(mediaTypeCodec, said)
  return E.isLeft(decoded) ? invalid(decoded.left.map((fault) => ({ ...fault, path: MEDIA_TYPE_PATH }))) : undefined
}

/** By its body and headers. */
const takenFromRequest = async (call: Call): Promise<E.Either<Problem, Taken>> => {
  const body = await call.bytes(REQUEST_BYTES_MAX)
  if (E.isLeft(body)) return body
  const { bytes, mediaType } = body.right
  const wrong = mediaTypeFault(mediaType)
  if (wrong !== undefined) return E.left(wrong)
  const { 'stint-callback': url, 'content-type': named } = call.headers
  return E.right({ bytes, mediaType: named === undefined ? undefined : mediaType, callback: url === undefined ? undefined : { url, path: '/headers/stint-callback' } })
}

const UNNAMED_TYPE = 'application/octet-stream'

/** The one way to call, however the call travels. `take` is asked for the body once it is known that the caller may call. */
export const callWith = async (call: Call, contract: string, id: string, take: (call: Call) => Promise<E.Either<Problem, Taken>>): Promise<Handled<wire.RequestShown>> => {
  const allowed = contractFor(call, contract, 'insert')
  if (E.isLeft(allowed)) return allowed
  const { subject } = call.principal
  const workItem = requestOf(contract, subject, id, '/params/id')
  if (E.isLeft(workItem)) return workItem
  const taken = await take(call)
  if (E.isLeft(taken)) return taken
  const { bytes, mediaType } = taken.right
  const callback = callbackOf(call, contract, taken.right.callback)
  if (E.isLeft(callback)) return callback
  const done = await call.engine.contracts.accept(
    workItem.right,
    {
      type: 'AcceptRequest',
      by: subject,
      request: { ...factsOf(contract, subject, allowed.right, 'workers', bytes.byteLength, call.engine.now()), ...callback.right },
      mediaType: mediaType ?? UNNAMED_TYPE,
      digest: bodyFingerprint(mediaType, bytes),
    },
    acceptContext(call),
    bytes,
  )
  if (E.isRight(done)) return accepted(call, workItem.right, requestPath(contract, id), () => contractFor(call, contract, 'insert'), done.right)
  return E.left(await notAccepted(call, { contract, caller: subject, workItem: workItem.right }, done.left))
}

export const callRequest: Handle<typeof wire.callRequest> = ({ params }, call) => callWith(call, params.contract, params.id, takenFromRequest)

export const callRequestByKey: Handle<typeof wire.callRequestByKey> = ({ params }, call) => {
  const path = '/headers/idempotency-key'
  if (call.key === undefined) return E.left(invalid([{ path, code: 'required', detail: 'Expected an Idempotency-Key: it is the id of the request.' }]))
  if (!itemId.is(call.key) || E.isLeft(itemId.decode(call.key)))
    return E.left(invalid([{ path, code: 'pattern', detail: 'Expected 1 to 200 characters of A-Z, a-z, 0-9, `.`, `_`, `~` and `-`: it is the id of the request.' }]))
  return callWith(call, params.contract, call.key, takenFromRequest)
}

/** The request that is meant: the caller's own, or, for those who look after or work the contract, that of the caller they name. */
export const meant = (call: Call, params: { readonly contract: string; readonly id: string }, query: { readonly caller?: string | undefined }): E.Either<Problem, WorkItemId> =>
  requestOf(params.contract, query.caller ?? call.principal.subject, params.id, '/params/id')

const mayHaveReply = (call: Call, params: { readonly contract: string }, item: Existing): boolean => {
  const config = call.engine.contracts.configOf(params.contract)
  if (mayWithContract(config, call.principal, 'consume')) return true
  return item.request?.caller === call.principal.subject && mayWithContract(config, call.principal, 'insert')
}

const replyFor = (call: Call, params: { readonly contract: string }, item: Existing): E.Either<Problem, unknown> =>
  mayHaveReply(call, params, item) ? E.right(item) : E.left(problem('forbidden', 'Replies go to their caller and to the workers of the contract.'))

export const showRequest: Handle<typeof wire.showRequest> = async ({ params, query }, call) => {
  const workItem = meant(call, params, query)
  if (E.isLeft(workItem)) return workItem
  const row = await readVisible(call, workItem.right)
  if (E.isLeft(row)) return row
  // Who names the version that it has waits for any change, as everywhere; who does not waits for the end.
  if (call.headers['if-none-match'] === undefined && call.waitMs !== undefined && row.right.item.status !== 'settled') {
    const waited = await untilSettled(call, workItem.right, call.waitMs, () => visible(call, workItem.right, row.right.item))
    if (E.isLeft(waited)) return waited
  }
  const again = await readVisible(call, workItem.right)
  if (E.isLeft(again)) return again
  const { item } = again.right
  const reply = item.status === 'settled' && mayHaveReply(call, params, item) ? await settledReply(call, workItem.right, item) : undefined
  return showItem(call, workItem.right, (one) => requestView(one, reply !== undefined && E.isRight(reply) ? reply.right : undefined))
}

export const showReply: Handle<typeof wire.showReply> = async ({ params, query }, call) => {
  const workItem = meant(call, params, query)
  if (E.isLeft(workItem)) return workItem
  const found = await findVisible(call, workItem.right)
  if (E.isLeft(found)) return found.left.code === 'erased' ? E.left({ code: 'released' }) : found
  const allowed = replyFor(call, params, found.right)
  if (E.isLeft(allowed)) return allowed
  const waited = found.right.status === 'settled' ? found : await untilSettled(call, workItem.right, call.waitMs ?? 0, () => replyFor(call, params, found.right))
  if (E.isLeft(waited)) return waited
  const item = waited.right ?? found.right
  return item.status === 'settled' ? answerSettled(call, workItem.right, item, true) : E.left(pending(call, requestPath(params.contract, params.id), item))
}

/** All requests for those who look after or work the contract, their own for its callers. */
export const listRequests: Handle<typeof wire.listRequests> = async ({ params, query }, call) => {
  const looks = contractFor(call, params.contract, 'look')
  const isOwnOnly = E.isLeft(looks)
  const allowed = isOwnOnly ? contractFor(call, params.contract, 'insert') : looks
  if (E.isLeft(allowed)) return looks as typeof allowed
  const { state, after, olderThanSeconds, released } = query
  const filter = {
    contract: params.contract,
    caller: isOwnOnly ? call.principal.subject : query.caller,
    state,
    released: released === undefined ? undefined : released === 'true',
    settledBefore: olderThanSeconds === undefined ? undefined : call.engine.now() - olderThanSeconds * 1_000,
    order: 'newest',
    limit: limitOf(query),
    after,
  } as const
  return pageAnswer(call, await call.engine.tables.requests(filter), (one) => requestView(one))
}

/** What each caller has: of all for those who look after or work the contract, of themselves for its callers. */
export const listCallers: Handle<typeof wire.listCallers> = async ({ params, query }, call) => {
  const looks = contractFor(call, params.contract, 'look')
  const isOwnOnly = E.isLeft(looks)
  const allowed = isOwnOnly ? contractFor(call, params.contract, 'insert') : looks
  if (E.isLeft(allowed)) return looks as typeof allowed
  const caller = isOwnOnly ? call.principal.subject : query.caller
  const page = await call.engine.tables.usage({ contract: params.contract, caller, limit: limitOf(query), after: query.after })
  if ('invalid' in page) return E.left(invalid([{ path: '/query/after', code: 'pattern', detail: 'Expected `next` of the page before.' }]))
  const items = page.items.map(({ caller: name, pending: open, unreleased, bytes, oldestUnreleased: oldest }) => ({
    caller: name,
    pending: open,
    unreleased,
    bytes,
    oldest: oldest && { workItem: oldest.workItem, at: instantOf(oldest.settledAt) },
  }))
  return E.right({ status: 200, body: { items, next: page.next }, position: page.position })
}

/** Callers release their own; administrators any, by force, which is kept in the audit stream. */
export const releaseReply: Handle<typeof wire.releaseReply> = async ({ params, query }, call) => {
  const { subject, email } = call.principal
  const isForced = query.caller !== undefined && query.caller !== subject
  const allowed = contractFor(call, params.contract, isForced ? 'manage' : 'insert')
  if (E.isLeft(allowed)) return allowed
  const workItem = meant(call, params, query)
  if (E.isLeft(workItem)) return workItem
  const done = await call.engine.execute(workItem.right, { type: 'ReleaseReply', by: isForced ? email : subject, how: isForced ? 'force' : 'client' }, call.context)
  if (E.isLeft(done)) return E.left(fromRefusal(done.left))
  const { item } = done.right
  if (item.status !== 'settled' || item.released === undefined) throw new Error(`${workItem.right} was released and is not`)
  if (isForced) call.engine.audit({ code: 'released-by-force', route: 'releaseReply', target: workItem.right, detail: email }, call.context)
  return ok({ id: params.id, state: surfaceState(item), released: { how: item.released.how, at: instantOf(item.released.at) } })
}

export const requestHistory: Handle<typeof wire.requestHistory> = ({ params, query }, call) => {
  const workItem = meant(call, params, query)
  return E.isLeft(workItem) ? workItem : showHistory(call, workItem.right, query)
}

export const requestWhy: Handle<typeof wire.requestWhy> = ({ params, query }, call) => {
  const workItem = meant(call, params, query)
  return E.isLeft(workItem) ? workItem : showWhy(call, workItem.right)
}

export const askRequestDirective: Handle<typeof wire.askRequestDirective> = ({ params, query }, call) => {
  const workItem = meant(call, params, query)
  return E.isLeft(workItem) ? workItem : pollDirective(call, workItem.right)
}

export const directRequest: Handle<typeof wire.directRequest> = ({ params, query, body }, call) => {
  const workItem = meant(call, params, query)
  return E.isLeft(workItem) ? workItem : direct(call, workItem.right, body)
}
