// Writes answers: one call to writeHead with every header at once, because that is what an answer costs most.
import type { ServerResponse } from 'node:http'
import { problemDocument, retryAfterSeconds, statusOf, type Problem } from './problem.ts'

/** Everything an answer consists of; headers as name, value, name, value. */
export interface Reply {
  readonly status: number
  readonly headers: string[]
  readonly body?: string | Uint8Array | undefined
  readonly stream?: ((res: ServerResponse) => Promise<void>) | undefined
}

/** What each answer with a body says to a browser that should never have come across it. */
const SECURITY_HEADERS = [
  'X-Content-Type-Options',
  'nosniff',
  'Content-Security-Policy',
  "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
  'Cross-Origin-Resource-Policy',
  'same-origin',
]

/** What an answer that is given on says for itself stays as it is. */
const securityFor = (headers: readonly string[]): readonly string[] => {
  const said = new Set(headers.filter((_text, index) => index % 2 === 0).map((name) => name.toLowerCase()))
  return SECURITY_HEADERS.filter((_text, index) => !said.has((SECURITY_HEADERS[index - (index % 2)] ?? '').toLowerCase()))
}

export const jsonReply = (status: number, value: unknown, headers: string[] = [], mediaType = 'application/json'): Reply => ({
  status,
  headers: ['Content-Type', mediaType, ...headers],
  body: JSON.stringify(value),
})

export const problemReply = (problem: Problem, instance: string): Reply => {
  const retryAfter = retryAfterSeconds(problem.code)
  const headers = retryAfter === undefined ? [] : ['Retry-After', String(retryAfter)]
  for (const [name, value] of Object.entries(problem.headers ?? {})) headers.push(name, value)
  return jsonReply(statusOf(problem), problemDocument(problem, instance), headers, 'application/problem+json')
}

/** Sends the reply; a client that is gone gets nothing. */
export const send = (res: ServerResponse, { status, headers, body, stream }: Reply, general: readonly string[]): void => {
  if (res.destroyed || res.headersSent) return
  if (status === 304 || status === 204) {
    res.writeHead(status, [...headers, ...general])
    res.end()
    return
  }
  const all = [...headers, ...general, ...securityFor(headers)]
  if (!headers.includes('Cache-Control') && !headers.includes('cache-control')) all.push('Cache-Control', 'no-store')
  if (stream !== undefined) {
    res.writeHead(status, all)
    return
  }
  if (body !== undefined) all.push('Content-Length', String(Buffer.byteLength(body)))
  res.writeHead(status, all)
  res.end(body)
}
