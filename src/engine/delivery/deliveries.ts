// Sends messages to receivers over HTTP until they are acknowledged. Nothing is kept: a message that must survive this process is known to whoever sends it, by the log.
//
//   send ─▶ allowed? ─▶ a slot of its receiver ─▶ one attempt ─▶ 2xx: acknowledged
//              │              ▲                        │ 410, cancelled, its time over: given up
//              └─ given up    └── backoff, Retry-After ┘ anything else
import * as E from 'fp-ts/lib/Either.js'
import { pauseMs } from '../../domain/policy/retry.ts'
import { allowedUrl, type AllowedUrl, type UrlPattern } from '../../domain/policy/url-pattern.ts'
import type { Backoff } from '../../domain/queue/config.ts'
import { pause, type World } from '../../world.ts'
import type { Lookup } from './addresses.ts'
import { post, type Answered } from './post.ts'
import { retryAfterMs } from './retry-after.ts'
import { webhookHeaders, type Secret } from './signature.ts'
import { createSlots } from './slots.ts'

export interface Message {
  /** The name of the message, the same in each attempt, by which its receiver knows one that it has had; letters, digits, `_` and `-`. */
  readonly id: string
  /** Has to match the allow-list; see `allowedUrl`. */
  readonly url: string
  /** What it is about, for those who look at what is under way: `queue shop/mail`. */
  readonly about: string
  /** Sent as it is, a text in UTF-8. */
  readonly body: string | Uint8Array
  /** JSON, unless said. */
  readonly mediaType?: string | undefined
  /** One signature each; none: the message is not signed. */
  readonly secrets: readonly Secret[]
}

export interface FailedAttempt {
  /** From 1. */
  readonly number: number
  /** When it ended, milliseconds since 1970 UTC. */
  readonly at: number
  /** Of the answer; undefined when there was none. */
  readonly status?: number | undefined
  /** A sentence. */
  readonly detail: string
  /** When the next attempt begins; undefined when there is none. */
  readonly nextAt?: number | undefined
}

export interface SendOptions {
  /** No attempt begins after this, milliseconds since 1970 UTC. */
  readonly until?: number | undefined
  /** Ends it at once; an attempt that is under way may have arrived all the same. */
  readonly signal?: AbortSignal | undefined
  /** Told of each attempt that did not succeed. */
  readonly onFailed?: ((attempt: FailedAttempt) => void) | undefined
}

/**
 * `not-allowed`: the URL does not match the allow-list, no attempt was made · `gone`: the receiver answered 410 · `expired`: no attempt succeeded until then ·
 * `cancelled`: by the sender's signal · `stopped`: this server stops; whoever sends it tries again after the next start.
 */
export type GivenUpReason = 'not-allowed' | 'gone' | 'expired' | 'cancelled' | 'stopped'

export type Outcome =
  | { readonly type: 'acknowledged'; readonly status: number; readonly attempts: number; readonly at: number }
  | { readonly type: 'given-up'; readonly reason: GivenUpReason; readonly attempts: number; readonly detail: string; readonly last?: FailedAttempt | undefined }

/** A message that is neither acknowledged nor given up yet. */
export interface UnderWay {
  readonly id: string
  readonly about: string
  readonly url: string
  readonly since: number
  /** Attempts begun so far. */
  readonly attempts: number
  readonly lastFailed?: FailedAttempt | undefined
}

export interface DeliveryFigures {
  readonly acknowledged: number
  readonly givenUp: number
  readonly failedAttempts: number
  readonly underWay: number
}

export interface Deliveries {
  /** Never rejects: a message is acknowledged or given up. What is received twice has the same id: at least once. */
  readonly send: (message: Message, options?: SendOptions) => Promise<Outcome>
  readonly underWay: () => readonly UnderWay[]
  /** Since this server started. */
  readonly figures: () => DeliveryFigures
  /** Gives everything up as `stopped`, and resolves when all connections are closed. */
  readonly close: () => Promise<void>
}

/** One attempt, from the lookup of the name to the end of the answer, in milliseconds. */
export const ATTEMPT_MS = 15_000
/** 5 s, doubled each time, up to an hour. */
export const DELIVERY_BACKOFF: Backoff = { minMs: 5_000, maxMs: 3_600_000, doublings: 10, jitter: 0.2 }
/** Attempts at once, to one host and port and to all together. */
export const ATTEMPTS_PER_HOST = 8
export const ATTEMPTS_AT_ONCE = 64

const REFUSALS = {
  'not-a-url': 'It is no URL.',
  scheme: 'Expected http or https.',
  credentials: 'Expected a URL without user and password.',
  'not-listed': 'No pattern of allowUrls matches it.',
} as const

const GONE = 410

const failureOf = ({ status }: Answered): string =>
  status >= 300 && status < 400 ? `The receiver answered ${status}; redirects are not followed.` : `The receiver answered ${status}.`

const textOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  // Of several addresses, each with its own error, Node tells only the code.
  return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message
}

interface Entry {
  readonly message: Message
  readonly since: number
  attempts: number
  lastFailed?: FailedAttempt
}

export interface DeliveriesOptions {
  readonly world: World
  readonly patterns: readonly UrlPattern[]
  /** `Stint/1.2.3`. */
  readonly userAgent: string
  /** How names are resolved; the system's way, unless said. */
  readonly lookup?: Lookup | undefined
}

type Tried = { readonly answered: Answered } | { readonly failed: string }

export const createDeliveries = ({ world, patterns, userAgent, lookup }: DeliveriesOptions): Deliveries => {
  const slots = createSlots({ perKey: ATTEMPTS_PER_HOST, total: ATTEMPTS_AT_ONCE })
  const entries = new Set<Entry>()
  const running = new Set<Promise<unknown>>()
  const stopped = new AbortController()
  const counts = { acknowledged: 0, givenUp: 0, failedAttempts: 0 }

  const attempt = async ({ message }: Entry, to: AllowedUrl, signal: AbortSignal): Promise<Tried> => {
    const timeout = new AbortController()
    const cancel = world.timer(ATTEMPT_MS, () => timeout.abort(new Error(`No answer within ${ATTEMPT_MS / 1_000} s.`)))
    const headers = {
      'Content-Type': message.mediaType ?? 'application/json',
      'User-Agent': userAgent,
      ...webhookHeaders(message.id, Math.floor(world.now() / 1_000), message.body, message.secrets),
    }
    try {
      return { answered: await post({ to, headers, body: message.body, signal: AbortSignal.any([signal, timeout.signal]) }, lookup) }
    } catch (cause) {
      return { failed: textOf(cause) }
    } finally {
      cancel()
    }
  }

  const givenUp = (entry: Entry, reason: GivenUpReason, detail: string): Outcome => ({ type: 'given-up', reason, detail, attempts: entry.attempts, last: entry.lastFailed })

  /** How long to wait after a failed attempt; undefined when its time is over by then. */
  const waitOf = (entry: Entry, tried: Tried, deadline: number): number | undefined => {
    const asked = 'answered' in tried ? retryAfterMs(tried.answered.retryAfter, world.now()) : undefined
    const ms = Math.max(pauseMs(DELIVERY_BACKOFF, entry.attempts, world.random()), asked ?? 0)
    return world.monotonic() + ms > deadline ? undefined : ms
  }

  const deliver = async (entry: Entry, { until, signal, onFailed }: SendOptions): Promise<Outcome> => {
    const allowed = allowedUrl(patterns, entry.message.url)
    if (E.isLeft(allowed)) return givenUp(entry, 'not-allowed', REFUSALS[allowed.left])
    const to = allowed.right
    const ended = signal === undefined ? stopped.signal : AbortSignal.any([signal, stopped.signal])
    const interrupted = (): Outcome => (stopped.signal.aborted ? givenUp(entry, 'stopped', 'The server stops.') : givenUp(entry, 'cancelled', 'The sender has cancelled it.'))
    const deadline = until === undefined ? Infinity : world.monotonic() + until - world.now()
    const tooLate = (): Outcome => givenUp(entry, 'expired', 'It was not acknowledged in its time.')
    for (;;) {
      const release = await slots.take(to.host, ended)
      if (release === undefined) return interrupted()
      if (world.monotonic() > deadline) {
        release()
        return tooLate()
      }
      entry.attempts += 1
      const tried = await attempt(entry, to, ended).finally(release)
      const status = 'answered' in tried ? tried.answered.status : undefined
      if (status !== undefined && status >= 200 && status < 300) return { type: 'acknowledged', status, attempts: entry.attempts, at: world.now() }
      if (status === undefined && ended.aborted) return interrupted()
      counts.failedAttempts += 1
      const wait = status === GONE ? undefined : waitOf(entry, tried, deadline)
      const nextAt = wait === undefined ? undefined : world.now() + Math.ceil(wait)
      entry.lastFailed = { number: entry.attempts, at: world.now(), status, detail: 'answered' in tried ? failureOf(tried.answered) : tried.failed, nextAt }
      onFailed?.(entry.lastFailed)
      if (status === GONE) return givenUp(entry, 'gone', 'The receiver answered 410: it does not want it.')
      if (wait === undefined) return tooLate()
      await pause(world, wait, ended)
      if (ended.aborted) return interrupted()
    }
  }

  const counted = async (message: Message, options: SendOptions): Promise<Outcome> => {
    const entry: Entry = { message, since: world.now(), attempts: 0 }
    entries.add(entry)
    try {
      const outcome = await deliver(entry, options)
      if (outcome.type === 'acknowledged') counts.acknowledged += 1
      else counts.givenUp += 1
      return outcome
    } finally {
      entries.delete(entry)
    }
  }

  return {
    send: (message, options = {}) => {
      const sending = counted(message, options)
      running.add(sending)
      const settled = (): void => void running.delete(sending)
      sending.then(settled, settled)
      return sending
    },
    underWay: () => [...entries].map(({ message: { id, about, url }, since, attempts, lastFailed }) => ({ id, about, url, since, attempts, lastFailed })),
    figures: () => ({ ...counts, underWay: entries.size }),
    close: async () => {
      stopped.abort()
      await Promise.allSettled(running)
    },
  }
}
