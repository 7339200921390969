// The reply to a request as its caller is given it: what the handler made, byte for byte, and what Stint says about it.
import type * as t from 'io-ts'
import type { releasePolicy } from '../wire/contracts.ts'
import type { RawAnswer } from './http.ts'

export type ReleasePolicy = t.TypeOf<typeof releasePolicy>

export const RELEASE_HEADER = 'Stint-Release'
const WORK_ITEM_HEADER = 'Stint-Work-Item'
const REPLAYED_HEADER = 'Idempotency-Replayed'

/** A reply of a handler, whatever its status. */
export interface GivenReply {
  /** Of the request, as its caller named it. */
  readonly id: string
  readonly workItem: string
  readonly status: number
  /** The handler's, and those with which Stint sent it. */
  readonly headers: Headers
  readonly bytes: Uint8Array
  readonly text: () => string
  /** Throws `SyntaxError` for what is no JSON. */
  readonly json: () => unknown
  /** The reply was there, or on its way, before this call: the handler ran for an earlier one with this id. */
  readonly replayed: boolean
  readonly releasePolicy: ReleasePolicy
  /** When Stint releases it by itself; undefined where only its caller does. */
  readonly expiresAt: string | undefined
}

const POLICIES: ReadonlySet<string> = new Set(['none-required', 'encouraged', 'required'] satisfies readonly ReleasePolicy[])
const isPolicy = (text: string): text is ReleasePolicy => POLICIES.has(text)

/** Policy and expiry of `encouraged; expires="…"; uri="…"`. What this version does not know is kept like what must be released. */
const releaseOf = (header: string): Pick<GivenReply, 'releasePolicy' | 'expiresAt'> => {
  const policy = header.split(';', 1)[0]?.trim() ?? ''
  return { releasePolicy: isPolicy(policy) ? policy : 'required', expiresAt: /;\s*expires="([^"]*)"/.exec(header)?.[1] }
}

const utf8 = new TextDecoder()

/** @param isFirst the same call was told before that its request is the first with this id */
export const givenReply = (id: string, { status, headers, bytes }: RawAnswer, isFirst: boolean): GivenReply => {
  const text = (): string => utf8.decode(bytes)
  return {
    id,
    workItem: headers.get(WORK_ITEM_HEADER) ?? '',
    status,
    headers,
    bytes,
    text,
    json: () => JSON.parse(text()) as unknown,
    replayed: !isFirst && headers.get(REPLAYED_HEADER) === 'true',
    ...releaseOf(headers.get(RELEASE_HEADER) ?? ''),
  }
}
