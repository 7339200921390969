// Which headers are a reply's own, to be kept and sent again, and which belong to one sending.
import type { ServerResponse } from 'node:http'
import type { ReplyHead, ReplyInfo } from './contract-store.ts'

type Headers = ReplyHead['headers']

/** What one connection or one sending decides; `content-length` is counted anew. */
const OF_ONE_SENDING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'idempotency-replayed',
  'preference-applied',
  'stint-kept',
  'stint-release',
  'stint-work-item',
])

const valuesOf = (value: number | string | readonly string[] | undefined): readonly string[] => {
  if (value === undefined) return []
  return Array.isArray(value) ? (value as readonly string[]).map(String) : [String(value)]
}

/** What the middleware before us had set when the request came by; it sets its own again at each sending. */
export type Standing = ReadonlyMap<string, readonly string[]>

export const standingHeaders = (res: ServerResponse): Standing => new Map(res.getHeaderNames().map((name) => [name, valuesOf(res.getHeader(name))]))

const isSame = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((value, index) => value === b[index])

/** Names as they were written; the types know them of client requests only. */
const rawNames = (res: ServerResponse): readonly string[] => (res as ServerResponse & { readonly getRawHeaderNames: () => string[] }).getRawHeaderNames()

/** What was set or changed after us. Cookies add up, so of them only the new ones count. Of a reply to HEAD the length is all that tells of its body. */
export const ownHeaders = (res: ServerResponse, standing: Standing, omit: ReadonlySet<string>, isHead: boolean): Headers =>
  rawNames(res).flatMap((raw) => {
    const name = raw.toLowerCase()
    if ((OF_ONE_SENDING.has(name) && !(isHead && name === 'content-length')) || omit.has(name)) return []
    const values = valuesOf(res.getHeader(raw))
    const before = standing.get(name) ?? []
    if (name === 'set-cookie') return values.filter((value) => !before.includes(value)).map((value) => [raw, value] as const)
    return isSame(values, before) ? [] : values.map((value) => [raw, value] as const)
  })

/** Back to what the middleware before us had set. */
export const resetHeaders = (res: ServerResponse, standing: Standing): void => {
  for (const name of res.getHeaderNames()) if (!standing.has(name)) res.removeHeader(name)
  for (const [name, values] of standing) if (!isSame(valuesOf(res.getHeader(name)), values)) res.setHeader(name, values.length === 1 ? (values[0] ?? '') : values)
}

/** Sets kept headers over those of this sending; cookies are added to them. */
export const setHeaders = (res: ServerResponse, headers: Headers): void => {
  const byName = new Map<string, { readonly raw: string; readonly values: string[] }>()
  for (const [raw, value] of headers) {
    const known = byName.get(raw.toLowerCase())
    if (known === undefined) byName.set(raw.toLowerCase(), { raw, values: [value] })
    else known.values.push(value)
  }
  for (const [name, { raw, values }] of byName) {
    if (name === 'set-cookie') res.appendHeader(raw, values)
    else res.setHeader(raw, values.length === 1 ? (values[0] ?? '') : values)
  }
}

/** `Stint-Release: <policy>; expires="<RFC 3339>"; uri="…"`. */
export const releaseText = ({ policy, expiresAt }: ReplyInfo, uri: string | undefined): string =>
  [policy, ...(expiresAt === undefined ? [] : [`expires="${new Date(expiresAt).toISOString()}"`]), ...(uri === undefined ? [] : [`uri="${uri}"`])].join('; ')
