// What workers and middleware do with requests, beside the one reply: lease, report, extend, give back, fail. Only the `workers` of the contract may.
import * as E from 'fp-ts/lib/Either.js'
import { isJsonMediaType } from '../engine/digest.ts'
import type { CommandToDo } from '../engine/command.ts'
import type * as wire from '../wire/requests.ts'
import { REQUEST_BYTES_MAX } from '../wire/requests.ts'
import type { FieldError } from '../wire/schema.ts'
import { expiryOf, isHeld, requestId, type WorkItemId } from '../wire/words.ts'
import { execute, noLongerLetIn, ok, type Call, type Handle, type Handled } from './call.ts'
import { waitHeaders } from './change-wait.ts'
import { reportCommand, reportView } from './items.ts'
import type { LeaseAnswers, LeaseSource } from './lease-answers.ts'
import { contractFor } from './permission.ts'
import { invalid, problem, type Problem } from './problem.ts'
import { acceptContext, factsOf, notAccepted, pending, requestOf } from './requests.ts'
import { exactReplyView, leasedRequestView, requestPath } from './request-views.ts'
import { settledReply } from './settled-reply.ts'
import { concerning, extendCommand, extending, msOf, releaseCommand } from './task-commands.ts'
import { instantOf } from './views.ts'

const LEASE_TOKEN_LENGTH = 8

export const bad = (path: string, code: FieldError['code'], detail: string): E.Either<Problem, never> => E.left(invalid([{ path, code, detail }]))

interface Content {
  readonly bytes: Buffer
  readonly mediaType: string | undefined
}

/** JSON, text where the media type is another than JSON, bytes in base64, or nothing. */
export const contentOf = (
  said: { readonly body?: unknown; readonly bodyBase64?: string | undefined; readonly mediaType?: string | undefined },
  path: string,
  limit: number,
): E.Either<Problem, Content> => {
  const { body, bodyBase64, mediaType } = said
  if (body !== undefined && bodyBase64 !== undefined) return bad(`${path}/bodyBase64`, 'choice', 'Expected body or bodyBase64, not both.')
  const isText = typeof body === 'string' && mediaType !== undefined && !isJsonMediaType(mediaType)
  const isBase64 = bodyBase64 !== undefined
  const bytes = isBase64 ? Buffer.from(bodyBase64, 'base64') : Buffer.from(isText ? body : body === undefined ? '' : JSON.stringify(body))
  if (isBase64 && bytes.toString('base64') !== bodyBase64) return bad(`${path}/bodyBase64`, 'pattern', 'Expected padded base64.')
  if (bytes.byteLength > limit) return bad(`${path}/${isBase64 ? 'bodyBase64' : 'body'}`, 'length', `Expected at most ${limit} bytes, but there are ${bytes.byteLength}.`)
  return E.right({ bytes, mediaType: mediaType ?? (body === undefined ? undefined : 'application/json') })
}

/** The request that a worker means: of the caller it names, else the one that it holds under this lease. */
export const under = (
  call: Call,
  params: { readonly contract: string; readonly id: string },
  held: { readonly lease: string; readonly caller?: string | undefined },
): E.Either<Problem, WorkItemId> => {
  const allowed = contractFor(call, params.contract, 'consume')
  if (E.isLeft(allowed)) return allowed
  if (held.caller !== undefined) return E.right(requestId(params.contract, held.caller, params.id))
  const workItem = call.engine.contracts.heldUnder(params.contract, params.id, held.lease)
  return workItem === undefined ? E.left(problem('stale-lease', 'Nobody holds this request under this lease, or it ended long ago: send `caller` too.')) : E.right(workItem)
}

/** What the contract gives out to its workers, as far as the caller is one of them. */
export const leaseSourceOf = (call: Call, contract: string): E.Either<Problem, LeaseSource> => {
  const allowed = contractFor(call, contract, 'consume')
  if (E.isLeft(allowed)) return allowed
  return E.right({
    lease: (request, context) => call.engine.contracts.lease(contract, request, context),
    takeBack: call.engine.contracts.takeBack,
    allowed: () => contractFor(call, contract, 'consume'),
    defaultMs: allowed.right.leaseMs,
  })
}

export const createLeaseRequests =
  (answers: LeaseAnswers): Handle<typeof wire.leaseRequests> =>
  async ({ params: { contract }, body }, call) => {
    const source = leaseSourceOf(call, contract)
    if (E.isLeft(source)) return source
    const leased = await answers.give(call, source.right, body, call.waitMs ?? 0)
    return E.isLeft(leased) ? leased : ok({ items: leased.right.map(leasedRequestView) }, waitHeaders(call, call.waitMs))
  }

const onLease = async (
  call: Call,
  params: { readonly contract: string; readonly id: string },
  held: { readonly lease: string; readonly caller?: string | undefined },
  command: (workItem: WorkItemId) => CommandToDo & { readonly digest?: string | undefined },
) => {
  const workItem = under(call, params, held)
  if (E.isLeft(workItem)) return workItem
  const made = command(workItem.right)
  return concerning(call, workItem.right, params.id, made, made.digest)
}

export const failRequest: Handle<typeof wire.failRequest> = ({ params, body }, call) =>
  onLease(call, params, body, (workItem) => {
    const item = call.engine.live(workItem)
    const command = reportCommand(call.principal.subject, { lease: body.lease, outcome: { failed: body.failed } })
    return item === undefined ? command : { ...command, retry: call.engine.retryFor(item) }
  })

export const releaseRequest: Handle<typeof wire.releaseRequest> = ({ params, body }, call) => onLease(call, params, body, () => releaseCommand(call.principal.subject, body))

export const extendRequest: Handle<typeof wire.extendRequest> = async ({ params, body }, call) => {
  const workItem = under(call, params, body)
  if (E.isLeft(workItem)) return workItem
  return extending(call, workItem.right, params.id, extendCommand(call.principal.subject, body))
}

export const reportRequest: Handle<typeof wire.reportRequest> = async ({ params, query, body }, call) => {
  const workItem = under(call, params, { lease: body.lease, caller: query.caller })
  if (E.isLeft(workItem)) return workItem
  const item = call.engine.live(workItem.right)
  const command = reportCommand(call.principal.subject, body)
  const done = await execute(call, workItem.right, item === undefined ? command : { ...command, retry: call.engine.retryFor(item) })
  return E.isLeft(done) ? done : ok(reportView(workItem.right, done.right, command.digest))
}

type Begun = Handled<typeof wire.executionAnswer._A>

/** One try to begin: `undefined` while somebody else runs it. */
const begin = async (call: Call, contract: string, body: typeof wire.executionBody._A, workItem: WorkItemId): Promise<Begun | undefined> => {
  const allowed = contractFor(call, contract, 'consume')
  if (E.isLeft(allowed)) return allowed
  const content = contentOf(body, '', REQUEST_BYTES_MAX)
  if (E.isLeft(content)) return content
  const { subject } = call.principal
  const { bytes } = content.right
  const termMs = body.leaseSeconds === undefined ? allowed.right.leaseMs : msOf(body.leaseSeconds)
  const done = await call.engine.contracts.accept(
    workItem,
    {
      type: 'AcceptRequest',
      by: subject,
      request: factsOf(contract, body.caller, allowed.right, 'middleware', bytes.byteLength, call.engine.now()),
      mediaType: body.mediaType ?? 'application/octet-stream',
      method: body.method,
      path: body.path,
      digest: body.fingerprint,
      leaseTo: { holder: { subject, name: body.worker, instance: body.worker }, token: call.world.token(LEASE_TOKEN_LENGTH), termMs },
    },
    acceptContext(call),
    bytes,
  )
  if (E.isLeft(done)) return E.left(await notAccepted(call, { contract, caller: body.caller, workItem }, done.left))
  const { item, events } = done.right
  const common = { workItem, release: item.request?.release.policy ?? allowed.right.release.policy }
  if (item.status === 'settled') {
    const reply = await settledReply(call, workItem, item)
    const expiry = expiryOf(item)
    return E.isLeft(reply) ? reply : ok({ ...common, reply: exactReplyView(reply.right), ...(expiry === undefined ? {} : { expiresAt: instantOf(expiry) }) })
  }
  // The same worker, named once for each call it took, asks again because it did not hear the answer.
  if (!isHeld(item) || item.lease.holder.subject !== subject || item.lease.holder.name !== body.worker) return undefined
  const { token, until } = item.lease
  const execution = { lease: token, leaseUntil: instantOf(until), leaseSeconds: item.lease.termMs / 1_000, attempt: item.attempt }
  return E.right({ status: events.length > 0 ? 201 : 200, body: { ...common, execute: execution } })
}

export const beginExecution: Handle<typeof wire.beginExecution> = async ({ params, body }, call) => {
  const workItem = requestOf(params.contract, body.caller, body.id, '/id')
  if (E.isLeft(workItem)) return workItem
  const until = call.world.monotonic() + (call.waitMs ?? 0)
  for (;;) {
    const begun = await begin(call, params.contract, body, workItem.right)
    if (begun !== undefined) return begun
    const left = until - call.world.monotonic()
    if (left <= 0 || call.signal.aborted) break
    await call.engine.changed(workItem.right, left, call.signal)
    if (!(await call.isStillAllowed())) return E.left(noLongerLetIn)
  }
  return E.left(pending(call, requestPath(params.contract, body.id), call.engine.live(workItem.right)))
}
