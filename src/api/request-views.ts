// What is shown of contracts and requests, and a kept reply in its two forms: as part of a JSON answer, and given on as the answer itself.
import type { ContractView } from '../engine/contracts/contracts.ts'
import type { KeptReply } from '../engine/contracts/reply-shelf.ts'
import { exactJson, isJsonMediaType } from '../engine/digest.ts'
import type { LeasedItem } from '../engine/command.ts'
import type { ContractShown } from '../wire/contracts.ts'
import type { LeasedRequest, RequestShown } from '../wire/requests.ts'
import type * as wire from '../wire/requests.ts'
import { expiryOf, isHeld, type ReplyHead, type Settled } from '../wire/words.ts'
import type * as t from 'io-ts'
import { commonView, instantOf, type Shown } from './views.ts'

const secondsIf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

export const contractView = ({ contract, config, isConfigured, createdAt, updatedAt, figures }: ContractView): ContractShown => ({
  contract,
  callers: [...config.callers],
  workers: [...config.workers],
  release: config.release.policy,
  retainSeconds: secondsIf(config.release.retainMs),
  onInterrupted: config.onInterrupted,
  leaseSeconds: config.leaseMs / 1_000,
  interruptedAfterSeconds: config.interruptedAfterMs / 1_000,
  attemptsMax: config.attemptsMax,
  quota: config.quota,
  callbackSecretEnv: config.callbackSecretEnv,
  waiting: figures.waiting + figures.delayed,
  running: figures.leased,
  waitingWorkers: figures.waiters,
  configured: isConfigured,
  ...(createdAt === undefined ? {} : { createdAt: instantOf(createdAt) }),
  ...(updatedAt === undefined ? {} : { updatedAt: instantOf(updatedAt) }),
})

/** JSON as JSON; in base64 everything else, also what says that it is JSON and is not, or would lose something by being read. */
export const bodyView = (mediaType: string | undefined, body: Uint8Array | undefined): { body?: unknown; bodyBase64?: string } => {
  if (body === undefined || body.byteLength === 0) return {}
  const read = mediaType !== undefined && isJsonMediaType(mediaType) ? exactJson(body) : undefined
  return read === undefined ? { bodyBase64: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64') } : { body: read.value }
}

export const mediaTypeOf = ({ headers }: ReplyHead): string | undefined => headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1]

/** A name that comes once with its value, one that comes again with all of them. */
export const headersView = ({ headers }: { readonly headers: readonly (readonly [string, string])[] }): Record<string, string | string[]> => {
  const shown: Record<string, string | string[]> = {}
  for (const [name, value] of headers) {
    const known = shown[name]
    shown[name] = known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value]
  }
  return shown
}

export const replyView = ({ head, body }: KeptReply): t.TypeOf<typeof wire.shownReply> => {
  const mediaType = mediaTypeOf(head)
  return { status: head.status, headers: headersView(head), bytes: head.bytes, kept: head.kept, mediaType, ...bodyView(mediaType, body) }
}

const pathOf = (contract: string, id: string): string => `/v1/contracts/${encodeURIComponent(contract)}/requests/${encodeURIComponent(id)}`

export const requestPath = pathOf
export const interactionPath = (contract: string, id: string): string => `${pathOf(contract, id)}/interaction`

/** Policy, expiry and release URI, as each reply tells them (spec C 6). */
export const releaseHeader = (item: Settled, contract: string, id: string): string => {
  const expiry = expiryOf(item)
  const parts = [item.request?.release.policy ?? 'none-required', ...(expiry === undefined ? [] : [`expires="${instantOf(expiry)}"`]), `uri="${interactionPath(contract, id)}"`]
  return parts.join('; ')
}

/** With its bytes as they are, for whoever sends them on. */
export const exactReplyView = ({ head, body = new Uint8Array() }: KeptReply): t.TypeOf<typeof wire.shownReply> => ({
  status: head.status,
  headers: headersView(head),
  bytes: head.bytes,
  kept: head.kept,
  mediaType: mediaTypeOf(head),
  bodyBase64: Buffer.from(body).toString('base64'),
})

/** A request as those see it who may see it; its reply for those who may have it. */
export const requestView = (shown: Shown, reply?: KeptReply): RequestShown => {
  const { item } = shown
  const { request } = item
  if (request === undefined) throw new Error(`${shown.workItem} is no request`)
  const common = commonView(shown)
  const released = item.status === 'settled' ? item.released : undefined
  const expiry = item.status === 'settled' && released === undefined ? expiryOf(item) : undefined
  return {
    ...common,
    contract: request.contract,
    caller: request.caller,
    release: request.release.policy,
    bytes: request.bytes,
    expiresAt: expiry === undefined ? undefined : instantOf(expiry),
    interaction: released === undefined ? interactionPath(request.contract, common.id) : undefined,
    reply: reply === undefined ? undefined : replyView(reply),
    released: released && { how: released.how, at: instantOf(released.at) },
    openEffects: item.status === 'settled' && item.outbox !== undefined ? item.outbox.length : undefined,
    failure: item.status === 'waiting' ? item.failure : undefined,
    leaseUntil: isHeld(item) ? instantOf(item.lease.until) : undefined,
  }
}

/** A request for the worker that has just leased it. */
export const leasedRequestView = (leased: LeasedItem): LeasedRequest => {
  const { item, birth, payload } = leased
  if (birth.type !== 'RequestAccepted') throw new Error(`${leased.workItem} is no request`)
  return {
    ...requestView(leased),
    lease: item.lease.token,
    leaseUntil: instantOf(item.lease.until),
    mediaType: birth.mediaType,
    method: birth.method,
    path: birth.path,
    ...bodyView(birth.mediaType, payload),
  }
}
