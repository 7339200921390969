// Calls of one requester that are under way at the same time travel many in one exchange, and so do the questions for their replies. One that is alone travels by PUT and GET.
//
//   ask ─▶ waiting ─▶ exchange ─┬─▶ reply, refusal ─▶ told
//             ▲                 └─▶ pending ─┬─▶ its wait is over ─▶ told
//             └── by its id alone ───────────┘
//
// An exchange is held back by Stint for as long as none of its calls has an answer. So a new call never waits for one that is out: it begins another. The more are out, the
// longer the pause between the beginnings of two, so that what comes meanwhile travels together; it is never more than a few milliseconds.
import * as E from 'fp-ts/lib/Either.js'
import { callRequests, type CallsAnswer, type RepliedAs } from '../wire/calls.ts'
import { callRequest, showReply } from '../wire/requests.ts'
import type { ManyAnswer } from './answer.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { StintError, UnexpectedAnswer, Unreachable } from './errors.ts'
import { pathOf, type Content, type Http, type RawAnswer } from './http.ts'
import { RELEASE_HEADER } from './reply.ts'

/** Calls in one exchange, at most. */
const TOGETHER_MAX = 250
/** Bytes of their bodies, at most; as JSON they take more, and an exchange may have 32 MiB. */
const BYTES_MAX = 8 * 1024 * 1024
/** Between the beginnings of two exchanges: so much for each that is out, up to the most. */
const APART_MS = 1
const APART_MOST_MS = 10
/** Before what is pending is asked for again: callers that have just been answered call again, and these calls take it along. */
const AGAIN_MS = 1
/** Beyond the wait that was asked for, until an exchange counts as lost. */
const TIMEOUT_BEYOND_MS = 10_000
/** What is left of a wait and is not asked for any more: waits are said in seconds. */
const WAIT_LEAST_MS = 1_000
/** An exchange came back before its time if by more than clocks differ. */
const EARLY_MS = 100
/** Nobody reads it; the reason that a signal makes for itself comes with its stack. */
const LEFT = new Error('Nobody waits for the answer any more.')

export interface Question {
  readonly id: string
  /** What is called with; undefined: it is known to be taken, and only its reply is asked for. */
  readonly content: Content | undefined
  readonly callback?: string | undefined
  /** How long Stint may hold the answer back. */
  readonly waitSeconds: number
  /** Until the answer counts as lost. */
  readonly timeoutMs: number
  /** The request is known to be taken, as the first with this id or for an earlier one; may be told again. */
  readonly onTaken: (isFirst: boolean) => void
  /** Takes it back; the others go on. */
  readonly signal: AbortSignal
}

export interface CallHub {
  /** The reply; undefined when the request is taken and pending at the end of the wait. Throws what the question alone would have thrown: `StintError`, `Unreachable`, `UnexpectedAnswer`, `Closed`, or the signal's reason. */
  readonly ask: (question: Question) => Promise<RawAnswer | undefined>
}

interface Exchange {
  readonly over: AbortController
  /** Questions that still wait for its answer. */
  open: number
}

interface Open {
  readonly question: Question
  /** Monotonic time at which its wait is over. */
  readonly waitUntil: number
  readonly tell: (answer: RawAnswer | undefined) => void
  readonly fail: (failure: Error) => void
  isTaken: boolean
  /** It was part of an exchange before. */
  isAgain: boolean
  isOver: boolean
  exchange: Exchange | undefined
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const TO_BYTES = new TextEncoder()

const bodyOf = (bytes: Uint8Array): { readonly text: string } | { readonly bodyBase64: string } => {
  try {
    return { text: utf8.decode(bytes) }
  } catch {
    // No text, or none in UTF-8.
    return { bodyBase64: toBase64(bytes) }
  }
}

const itemOf = ({ question: { id, content, callback }, isTaken }: Open): string =>
  JSON.stringify(isTaken || content === undefined ? { id } : { id, call: { ...bodyOf(content.bytes), mediaType: content.mediaType, callback } })

const answerOf = ({ status, headers: said, text, bodyBase64 }: RepliedAs): RawAnswer => {
  const headers = new Headers()
  for (const name in said) {
    const value = said[name] as string | readonly string[]
    if (typeof value === 'string') headers.append(name, value)
    else for (const each of value) headers.append(name, each)
  }
  return { status, headers, bytes: bodyBase64 === undefined ? TO_BYTES.encode(text ?? '') : fromBase64(bodyBase64) }
}

/** The refusal of one of many, which says in its document what one alone is told by a header. */
const refusalOf = ({ problem, retryAfterMs }: StintError): StintError => {
  const { retryAfter } = problem as { readonly retryAfter?: unknown }
  return new StintError(problem, typeof retryAfter === 'number' ? retryAfter * 1_000 : retryAfterMs)
}

/** Whether it says something about the exchange rather than the calls in it: a server that is older, or something on the way that takes less than Stint does. */
const isAboutMany = (failure: unknown): failure is StintError | UnexpectedAnswer =>
  failure instanceof UnexpectedAnswer || (failure instanceof StintError && (failure.status === 404 || failure.status === 405 || failure.status === 413))

/** The longest row from the front that fits into one exchange; one always does. */
const takeUp = (waiting: Open[]): readonly Open[] => {
  let bytes = 0
  const over = waiting.findIndex(({ question, isTaken }, index) => (bytes += isTaken ? 0 : (question.content?.bytes.length ?? 0)) > BYTES_MAX && index > 0)
  return waiting.splice(0, Math.min(TOGETHER_MAX, over === -1 ? waiting.length : over))
}

export const createCallHub = (http: Http, contract: string): CallHub => {
  const { world } = http
  const waiting = new Set<Open>()
  let planned: { readonly at: number; readonly cancel: () => void } | undefined
  let out = 0
  let lastBegan = -Infinity
  /** Stint has no exchange for many. */
  let isOneByOne = false

  /** What is left of its wait, in whole seconds; at first what was asked for. */
  const waitOf = ({ question, waitUntil, isAgain }: Open): number => (isAgain ? Math.max(0, Math.floor((waitUntil - world.monotonic()) / 1_000)) : question.waitSeconds)

  /** The request is known to be there: from now on it is asked for by its id alone. */
  const taken = (one: Open, isFirst: boolean): void => {
    one.isTaken = true
    one.question.onTaken(isFirst)
  }

  const alone = async (one: Open, signal: AbortSignal): Promise<void> => {
    const { id, content, callback, timeoutMs } = one.question
    const shared = { params: { contract, id }, through: RELEASE_HEADER, signal, timeoutMs, attemptsMax: 1 }
    const headers = { Prefer: `wait=${waitOf(one)}` }
    try {
      const answer = await (one.isTaken || content === undefined
        ? http.pass(showReply, { ...shared, headers })
        : http.pass(callRequest, { ...shared, headers: { ...headers, 'Stint-Callback': callback }, content }))
      if (answer.headers.has(RELEASE_HEADER)) return one.tell(answer)
      taken(one, true)
      one.tell(undefined)
    } catch (thrown) {
      if (!(thrown instanceof StintError && thrown.code === 'pending')) return one.fail(thrown as Error)
      taken(one, false)
      one.tell(undefined)
    }
  }

  const isReplied = (item: ManyAnswer<CallsAnswer>): boolean => (E.isLeft(item) ? item.left.code !== 'pending' : item.right.reply !== undefined)

  const replied = (one: Open, reply: RepliedAs): void => {
    let answer: RawAnswer
    try {
      answer = answerOf(reply)
    } catch {
      return one.fail(new UnexpectedAnswer(reply.status, 'its headers or its body cannot be read'))
    }
    one.tell(answer)
  }

  /** What became of one of many; what is pending is asked for again, unless its wait is over. */
  const settled = (one: Open, item: ManyAnswer<CallsAnswer>, isEarly: boolean): void => {
    if (one.isOver) return
    if (E.isLeft(item) && item.left.code !== 'pending') return one.fail(refusalOf(item.left))
    if (E.isRight(item) && item.right.reply !== undefined) return replied(one, item.right.reply)
    taken(one, E.isRight(item))
    one.isAgain = true
    one.exchange = undefined
    if (isEarly || one.waitUntil - world.monotonic() < WAIT_LEAST_MS) one.tell(undefined)
    else waiting.add(one)
  }

  const together = async (batch: readonly Open[], signal: AbortSignal): Promise<void> => {
    const told = new Set<number>()
    const began = world.monotonic()
    const waitSeconds = Math.min(...batch.map(waitOf))
    // A server that does not hold it back is not asked again at once.
    const isEarly = (): boolean => world.monotonic() < began + waitSeconds * 1_000 - EARLY_MS
    const { items } = await http.sendMany(callRequests, batch.map(itemOf), {
      params: { contract },
      headers: { Prefer: `wait=${waitSeconds}` },
      signal,
      timeoutMs: waitSeconds * 1_000 + TIMEOUT_BEYOND_MS,
      attemptsMax: 1,
      onItem: (index, item) => {
        told.add(index)
        settled(batch[index] as Open, item, isEarly())
      },
    })
    const isHeldBack = items.some(isReplied)
    for (const [index, one] of batch.entries()) if (!told.has(index)) settled(one, items[index] as ManyAnswer<CallsAnswer>, !isHeldBack && isEarly())
  }

  const oneByOne = async (batch: readonly Open[], signal: AbortSignal): Promise<void> => {
    await Promise.all(batch.filter(({ isOver }) => !isOver).map((one) => alone(one, signal)))
  }

  const exchange = async (batch: readonly Open[], signal: AbortSignal): Promise<void> => {
    if (batch.length === 1 || isOneByOne) return oneByOne(batch, signal)
    try {
      await together(batch, signal)
    } catch (thrown) {
      if (!isAboutMany(thrown)) {
        for (const one of batch) one.fail(thrown as Error)
        return undefined
      }
      if (thrown.status === 404 || thrown.status === 405) isOneByOne = true
      await oneByOne(batch, signal)
    }
  }

  const send = async (batch: readonly Open[]): Promise<void> => {
    const going: Exchange = { over: new AbortController(), open: batch.length }
    for (const one of batch) one.exchange = going
    lastBegan = world.monotonic()
    out += 1
    await exchange(batch, going.over.signal)
    out -= 1
    if (waiting.size > 0) plan(AGAIN_MS)
  }

  const flush = (): void => {
    planned = undefined
    const all = [...waiting]
    waiting.clear()
    while (all.length > 0) void send(takeUp(all))
  }

  /** Sends what waits after so many milliseconds, or when it is time for the next exchange, if that is later; with what else comes until then. */
  const plan = (leastMs: number): void => {
    const now = world.monotonic()
    // Over a channel each call is answered as soon as it can be, whatever it travels with, and one exchange more costs little.
    const ms = http.isChannelled() ? 0 : Math.max(leastMs, lastBegan + Math.min(APART_MOST_MS, out * APART_MS) - now)
    if (planned !== undefined && planned.at <= now + ms) return
    planned?.cancel()
    if (ms > 0) planned = { at: now + ms, cancel: world.timer(ms, flush) }
    else {
      // Whatever is asked for in the same turn goes along.
      planned = { at: now, cancel: () => undefined }
      queueMicrotask(flush)
    }
  }

  /** Nobody waits for its answer any more; what nobody waits for at all is broken off. */
  const leave = (one: Open): void => {
    waiting.delete(one)
    if (one.exchange !== undefined && (one.exchange.open -= 1) === 0) one.exchange.over.abort(LEFT)
    one.exchange = undefined
  }

  const ask: CallHub['ask'] = (question) =>
    new Promise((resolve, reject) => {
      const { signal, timeoutMs, waitSeconds, content, id } = question
      const end = (run: () => void): void => {
        if (one.isOver) return
        one.isOver = true
        cancel()
        signal.removeEventListener('abort', takeBack)
        leave(one)
        run()
      }
      const one: Open = {
        question,
        waitUntil: world.monotonic() + waitSeconds * 1_000,
        tell: (answer) => end(() => resolve(answer)),
        fail: (failure) => end(() => reject(failure)),
        isTaken: content === undefined,
        isAgain: false,
        isOver: false,
        exchange: undefined,
      }
      const takeBack = (): void => one.fail(signal.reason as Error)
      const cancel = world.timer(timeoutMs, () => one.fail(new Unreachable(http.url + pathOf(callRequest.path, { contract, id }), new Error('the time is over'))))
      signal.addEventListener('abort', takeBack, { once: true })
      waiting.add(one)
      plan(0)
    })

  return { ask }
}
