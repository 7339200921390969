// Calls to implementation nodes: signed, held to the allow-list and to the look at the address, and answered with bounded JSON. All of them may arrive twice without harm.
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import * as E from 'fp-ts/lib/Either.js'
import { askedForList, type NodeFacts } from '../../domain/node.ts'
import { allowedUrl, type AllowedUrl } from '../../domain/policy/url-pattern.ts'
import type { World } from '../../world.ts'
import { secretsFor, type Addressees } from '../delivery/addressee.ts'
import type { Lookup } from '../delivery/addresses.ts'
import { exchange } from '../delivery/exchange.ts'
import { retryAfterMs } from '../delivery/retry-after.ts'
import { webhookHeaders } from '../delivery/signature.ts'

/** How a call went: what was answered, or a sentence on why nothing was. */
export type NodeAnswer =
  | {
      readonly type: 'answered'
      readonly status: number
      /** Undefined: none, too long, cut off, or no JSON. */ readonly json: unknown
      readonly retryAfterMs?: number | undefined
    }
  /** Nobody knows whether it arrived. */
  | { readonly type: 'no-answer'; readonly detail: string }
  /** It was not sent: this server may not call there, or cannot sign. */
  | { readonly type: 'not-sent'; readonly detail: string }

export interface SentOperation {
  readonly id: string
  /** For whom it is: whoever has another name does not take it, since ports and addresses change hands. */
  readonly node: string
  readonly lease: string
  readonly operation: string
  readonly progressEverySeconds: number
  readonly args?: unknown
  /** RFC 3339. */
  readonly timeoutAt?: string | undefined
}

export interface SentDirective {
  readonly lease: string
  readonly number: number
  readonly directive: 'abort' | 'pause' | 'resume'
  readonly reason?: string | undefined
}

/** Where and with which secret a node is called. */
export type NodeAddress = Pick<NodeFacts, 'url' | 'secretEnv'>

export interface NodeCalls {
  readonly take: (to: NodeAddress, sent: SentOperation) => Promise<NodeAnswer>
  readonly list: (to: NodeAddress, name: string) => Promise<NodeAnswer>
  readonly direct: (to: NodeAddress, id: string, sent: SentDirective) => Promise<NodeAnswer>
  /** Cuts what is under way. */
  readonly stop: () => void
}

/** A short operation is run before it is answered. */
export const TAKE_MS = 30_000
export const LIST_MS = 10_000
export const DIRECT_MS = 10_000

const MIB = 1024 * 1024
/** A result may have a mebibyte; the list carries the results of what has ended and is not acknowledged. */
const TAKE_BYTES_MAX = 2 * MIB
const LIST_BYTES_MAX = 32 * MIB
const DIRECT_BYTES_MAX = 64 * 1024

const PATH = 'v1/node/operations'

/** The address of a node's list, and of each operation on it. */
export const operationsUrl = (base: string, ...rest: readonly string[]): string => [`${base.replace(/\/+$/, '')}/${PATH}`, ...rest.map(encodeURIComponent)].join('/')

/** Why calls to this address would not be made, as a sentence, and which fact of the node is at fault; undefined: they would. */
export const refusedAddress = ({ url, secretEnv }: NodeAddress, addressees: Addressees): { readonly fact: 'url' | 'secretEnv'; readonly detail: string } | undefined => {
  if (!URL.canParse(url)) return { fact: 'url', detail: 'It is no URL.' }
  const { search, hash } = new URL(url)
  if (search !== '' || hash !== '' || /[?#]/.test(url)) return { fact: 'url', detail: 'Expected a URL without query and fragment: paths are put behind it.' }
  const allowed = allowedUrl(addressees.patterns, operationsUrl(url))
  const secrets = secretsFor({ url: operationsUrl(url), secretEnv }, addressees)
  if (E.isRight(secrets)) return undefined
  return { fact: E.isLeft(allowed) ? 'url' : 'secretEnv', detail: secrets.left }
}

const textOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  // Of several addresses, each with its own error, Node tells only the code.
  return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message
}

const parsed = (body: Buffer | undefined): unknown => {
  try {
    return body === undefined || body.byteLength === 0 ? undefined : (JSON.parse(body.toString('utf8')) as unknown)
  } catch {
    // Somebody who is no node may answer with a page.
    return undefined
  }
}

/** Connections are kept for the next call. Those to addresses that were looked at as public ones stand apart from those to hosts that a pattern names. */
const createAgents = () => {
  const options = { keepAlive: true, maxFreeSockets: 16 }
  const made = new Map<string, HttpAgent>()
  return {
    agentFor: ({ href, isExact }: AllowedUrl): HttpAgent => {
      const isSecure = href.startsWith('https:')
      const key = `${isSecure} ${isExact}`
      const agent = made.get(key) ?? (isSecure ? new HttpsAgent(options) : new HttpAgent(options))
      made.set(key, agent)
      return agent
    },
    close: (): void => {
      for (const agent of made.values()) agent.destroy()
    },
  }
}

interface Ask {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly body?: string
  /** Signed, where there is no body. */
  readonly asked?: string
  readonly ms: number
  readonly bytesMax: number
}

export const createNodeCalls = (options: Addressees & { readonly world: World; readonly userAgent: string; readonly lookup: Lookup | undefined }): NodeCalls => {
  const { world, userAgent, lookup } = options
  const agents = createAgents()
  const stopped = new AbortController()

  const ask = async (node: NodeAddress, { method, url, body, asked, ms, bytesMax }: Ask): Promise<NodeAnswer> => {
    const allowed = allowedUrl(options.patterns, url)
    const secrets = secretsFor({ url, secretEnv: node.secretEnv }, options)
    if (E.isLeft(secrets)) return { type: 'not-sent', detail: secrets.left }
    if (E.isLeft(allowed)) return { type: 'not-sent', detail: 'Its URL matches no pattern of the setting allowUrls.' }
    const timeout = new AbortController()
    const cancel = world.timer(ms, () => timeout.abort(new Error(`No answer within ${ms / 1_000} s.`)))
    const signed = webhookHeaders(`msg_${world.uuid()}`, Math.floor(world.now() / 1_000), body ?? asked ?? '', secrets.right)
    const headers = { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), Accept: 'application/json', 'User-Agent': userAgent, ...signed }
    const signal = AbortSignal.any([stopped.signal, timeout.signal])
    try {
      const to = allowed.right
      const answered = await exchange({ method, to, headers, body, signal, agent: agents.agentFor(to), answerBytesMax: bytesMax, keepsBody: true }, lookup)
      return { type: 'answered', status: answered.status, json: parsed(answered.body), retryAfterMs: retryAfterMs(answered.retryAfter, world.now()) }
    } catch (cause) {
      return { type: 'no-answer', detail: textOf(cause) }
    } finally {
      cancel()
    }
  }

  return {
    take: (to, sent) => ask(to, { method: 'POST', url: operationsUrl(to.url), body: JSON.stringify(sent), ms: TAKE_MS, bytesMax: TAKE_BYTES_MAX }),
    list: (to, name) => ask(to, { method: 'GET', url: operationsUrl(to.url), asked: askedForList(name), ms: LIST_MS, bytesMax: LIST_BYTES_MAX }),
    direct: (to, id, sent) => ask(to, { method: 'POST', url: operationsUrl(to.url, id, 'directives'), body: JSON.stringify(sent), ms: DIRECT_MS, bytesMax: DIRECT_BYTES_MAX }),
    stop: () => {
      stopped.abort(new Error('The server stops.'))
      agents.close()
    },
  }
}
