// Calls a contract so that each request is carried out once, whatever is lost on the way: its id is made and stored before it is sent, it is sent again until an answer
// is known, and asked for until the reply is there.
//
//   store ─▶ PUT ─┬─▶ reply ─▶ read ─▶ release ─▶ out of the store
//            ▲    ├─▶ 202, pending ─▶ GET …/reply ─▶ reply
//            └────┴── no answer, too much, stopping: again
//
// PUT and GET of calls that are under way together travel in one exchange: call-hub.ts.
import { contractName } from '../wire/contracts.ts'
import { itemId } from '../wire/items.ts'
import { releaseReply, REQUEST_BYTES_MAX } from '../wire/requests.ts'
import { pause } from '../world.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { createCallHub } from './call-hub.ts'
import { createTeller, type OnProblem } from './complaints.ts'
import { contentOf } from './content.ts'
import { Closed, StintError, Unanswered } from './errors.ts'
import type { Content, Http, RawAnswer } from './http.ts'
import { uuidv7 } from './ids.ts'
import { createReachability, mayPass } from './reachability.ts'
import { givenReply, type GivenReply, type ReleasePolicy } from './reply.ts'
import { memoryRequestStore, type PendingRequest, type RequestStore } from './request-store.ts'
import { follow } from './signals.ts'
import { invalid, valid } from './validity.ts'

const TIMEOUT_MS = 60_000
/** Seconds of one long poll, at most. */
const WAIT_SECONDS = 30
/** Beyond the wait that was asked for, until an answer counts as lost. */
const TIMEOUT_BEYOND_MS = 10_000
/** For one try, however little time is left. */
const TRY_LEAST_MS = 2_000
/** Between the beginnings of two questions, when the first is not held back. */
const NOT_HELD_BACK_MS = 1_000
/** Requests that `resume` goes on with at the same time. */
const RESUMED_MAX = 8

/** Refusals that no repeat and no permission changes: there is nothing left to ask for. */
const OVER: ReadonlySet<string> = new Set(['fingerprint-mismatch', 'released', 'reply-not-kept', 'interrupted', 'aborted', 'cancelled', 'erased', 'invalid', 'too-large'])

/** Of these, what says nothing about a first request with the id, when it was another. */
const OF_THIS_CALL: ReadonlySet<string> = new Set(['fingerprint-mismatch', 'invalid', 'too-large'])

/**
 * `after-read`: leaving the scope of `await using` releases a reply that was read. `manual`: only `reply.release()` does.
 * Unless given it is `manual` where the contract's policy is `none-required`, whose replies go by themselves, and `after-read` where it asks for a release.
 */
export type ReleaseMode = 'after-read' | 'manual'

export interface RequesterOptions {
  readonly contract: string
  /** Keeps requests until their replies are dealt with, so that `resume` can go on with them after a restart of this process. In memory unless given: see `memoryRequestStore` for what ends an entry there. */
  readonly store?: RequestStore
  readonly release?: ReleaseMode
  /** Milliseconds for one call with all its repeats, unless the call says otherwise (60,000). */
  readonly timeoutMs?: number
  /** Hears of releases that failed at the end of a scope. A warning on the console unless given. */
  readonly onProblem?: OnProblem
}

export interface AskOptions {
  /** Ends the waiting, not the request: it can be asked for again by its id. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until it gives up waiting, repeats included; the request itself goes on. */
  readonly timeoutMs?: number | undefined
}

export interface RequestOptions extends AskOptions {
  /** Your name for it, 1–200 of `[A-Za-z0-9._~-]`: the same again is the same request. A UUIDv7 if left out. */
  readonly id?: string
  /** What the body is; `application/json`, or `application/octet-stream` for bytes, unless given. */
  readonly mediaType?: string
  /** An address to which Stint delivers the reply too, for a caller that may be gone by then. */
  readonly callback?: string
}

export interface Reply extends GivenReply, AsyncDisposable {
  /** The reply is needed no more: Stint forgets its content, and the store forgets the request. Again it does nothing. Throws `StintError` or `Unreachable`. */
  readonly release: () => Promise<void>
}

export type Resumed = { readonly id: string; readonly reply: Reply; readonly error?: undefined } | { readonly id: string; readonly reply?: undefined; readonly error: Error }

export interface Requester extends AsyncDisposable {
  /**
   * Resolves with the reply, whatever its status: a handler's 500 is a reply. The body is JSON of a value, or the bytes of a `Uint8Array`, 1 MiB at most.
   * Throws `StintError` for what is final and no reply (`fingerprint-mismatch`, `released`, `interrupted`, `aborted`, `cancelled`, `reply-not-kept`, `forbidden`, `invalid`,
   * and `over-quota` when it still is at the end of the time), `Unanswered` when the time is over, `Closed`, or the signal's reason, after which it can be asked for again by its id, and `UnexpectedAnswer` when it is no Stint that answers.
   */
  readonly call: (body?: unknown, options?: RequestOptions) => Promise<Reply>
  /** The reply to a request that was called before, by its id. Throws as `call` does, and `StintError` `not-found`. */
  readonly reply: (id: string, options?: AskOptions) => Promise<Reply>
  /** Goes on with what the store has pending, several at a time, and gives each as it is answered. Leaving the loop stops the waiting. */
  readonly resume: (options?: AskOptions) => AsyncIterable<Resumed>
  /** Ends all waiting; requests go on. */
  readonly close: () => Promise<void>
}

interface Asked extends AskOptions {
  readonly id: string
  /** Undefined: it was called before, and only its reply is asked for. */
  readonly content?: Content
  readonly callback?: string | undefined
}

interface Answered {
  readonly answer: RawAnswer
  readonly isFirst: boolean
}

export const createRequester = (http: Http, options: RequesterOptions, onClosed: () => void = () => undefined): Requester => {
  const { world } = http
  const { store = memoryRequestStore(), timeoutMs: patienceMs = TIMEOUT_MS } = options
  const contract = valid(contractName, options.contract)
  const onProblem = createTeller({ who: `requester of ${contract}`, kind: 'request', meanwhile: 'The reply stays until it is released.', onProblem: options.onProblem })
  const reachability = createReachability(world, { firstMs: 100, mostMs: 5_000 })
  const hub = createCallHub(http, contract)
  const ending = new AbortController()
  /** Requests that are being stored, by id. */
  const noting = new Map<string, Promise<PendingRequest>>()

  /** Whether it makes sense to ask again; whether the request is taken is known better then. */
  const isWorthAgain = (failure: unknown, isTaken: boolean, hasContent: boolean): boolean => {
    if (mayPass(failure)) return true
    if (!(failure instanceof StintError)) return false
    // A log that was set back does not know it any more: it is called anew.
    return failure.code === 'pending' || failure.code === 'other-log' || (failure.code === 'not-found' && isTaken && hasContent)
  }

  const untilAnswered = async (asked: Asked, over: AbortSignal): Promise<Answered> => {
    const { id, content, callback, timeoutMs = patienceMs } = asked
    const until = world.monotonic() + timeoutMs
    let isTaken = content === undefined
    let isFirst = false
    const onTaken = (asFirst: boolean): void => {
      isTaken = true
      isFirst ||= asFirst
    }
    for (let repeat = 0; ;) {
      over.throwIfAborted()
      const began = world.monotonic()
      const leftMs = Math.max(0, until - began)
      const waitSeconds = Math.min(WAIT_SECONDS, Math.floor(leftMs / 1_000))
      let failure: unknown
      try {
        const answer = await hub.ask({
          id,
          content: isTaken ? undefined : content,
          callback,
          waitSeconds,
          timeoutMs: Math.min(waitSeconds * 1_000 + TIMEOUT_BEYOND_MS, Math.max(leftMs, TRY_LEAST_MS)),
          onTaken,
          signal: over,
        })
        reachability.reached()
        if (answer !== undefined) return { answer, isFirst }
        repeat = 0
      } catch (thrown) {
        over.throwIfAborted()
        if (!isWorthAgain(thrown, isTaken, content !== undefined)) throw thrown
        if (thrown instanceof StintError && thrown.status < 429) isTaken = thrown.code === 'pending' || content === undefined
        else failure = thrown
      }
      const now = world.monotonic()
      if (now >= until) throw failure instanceof StintError && failure.status === 429 ? failure : new Unanswered(contract, id, timeoutMs, failure)
      if (failure === undefined) await pause(world, Math.min(until - now, began + NOT_HELD_BACK_MS - now), over)
      else {
        const limit = new AbortController()
        const unlink = follow(limit, over)
        const cancel = world.timer(until - now, () => limit.abort())
        await reachability.pause(failure, repeat, limit.signal)
        cancel()
        unlink()
        repeat += 1
      }
    }
  }

  const forget = async (id: string): Promise<void> => {
    await store.delete(id)
  }

  /** Stint need not keep the reply; the store knows that before, so that a restart in between does not ask for it again. */
  const release = async (entry: PendingRequest | undefined, id: string): Promise<void> => {
    if (entry !== undefined) await store.put({ ...entry, isDone: true })
    try {
      await http.call(releaseReply, { params: { contract, id } })
    } catch (thrown) {
      if (!(thrown instanceof StintError && (thrown.code === 'not-found' || thrown.code === 'erased' || thrown.code === 'released'))) throw thrown
    }
    await forget(id)
  }

  const handed = (id: string, { answer, isFirst }: Answered, entry: PendingRequest | undefined): Reply => {
    const given = givenReply(id, answer, isFirst)
    const modeOf = (policy: ReleasePolicy): ReleaseMode => options.release ?? (policy === 'none-required' ? 'manual' : 'after-read')
    let isRead = false
    let released: Promise<void> | undefined
    const read = <Value>(value: Value): Value => {
      isRead = true
      return value
    }
    const releaseOnce = (): Promise<void> =>
      (released ??= release(entry, id).catch((thrown: unknown) => {
        released = undefined
        throw thrown
      }))
    return {
      ...given,
      get bytes() {
        return read(given.bytes)
      },
      text: () => read(given.text()),
      json: () => read(given.json()),
      release: releaseOnce,
      [Symbol.asyncDispose]: async () => {
        if (!isRead) return
        try {
          await (modeOf(given.releasePolicy) === 'manual' ? forget(id) : releaseOnce())
        } catch (thrown) {
          onProblem(thrown as Error, id)
        }
      },
    }
  }

  /** A store that is told so need not keep what was asked, and nothing where replies go by themselves. */
  const answered = async (id: string, policy: ReleasePolicy): Promise<void> => {
    if (store.answered === undefined) return
    await (policy === 'none-required' ? forget(id) : store.answered(id))
  }

  /** @param isOther another request with this id is pending, and stays so whatever becomes of this call */
  const answer = async (asked: Asked, entry: PendingRequest | undefined, isOther = false): Promise<Reply> => {
    const over = new AbortController()
    const unlink = follow(over, asked.signal, ending.signal)
    try {
      const reply = handed(asked.id, await untilAnswered(asked, over.signal), entry)
      await answered(asked.id, reply.releasePolicy)
      return reply
    } catch (thrown) {
      if (thrown instanceof StintError && OVER.has(thrown.code) && !(isOther && OF_THIS_CALL.has(thrown.code))) await forget(asked.id)
      throw thrown
    } finally {
      unlink()
    }
  }

  const found = async (id: string): Promise<PendingRequest | undefined> => {
    if (store.get !== undefined) return store.get(id)
    for await (const entry of store.pending()) if (entry.id === id) return entry
    return undefined
  }

  /** What is stored under the id of this request: the first that was asked under it, else this one. */
  const noted = (entry: PendingRequest, isNew: boolean): Promise<PendingRequest> => {
    const { id } = entry
    const under = noting.get(id)
    if (under !== undefined) return under
    const note = async (): Promise<PendingRequest> => {
      const known = isNew ? undefined : await found(id)
      if (known?.contract === contract) return known
      await store.put(entry)
      return entry
    }
    const going = note().finally(() => noting.delete(id))
    noting.set(id, going)
    return going
  }

  const call: Requester['call'] = async (body, { id: given, mediaType, callback, signal, timeoutMs } = {}) => {
    const id = given ?? uuidv7(world)
    ending.signal.throwIfAborted()
    signal?.throwIfAborted()
    valid(itemId, id)
    const content = contentOf(body, mediaType)
    if (content.bytes.length > REQUEST_BYTES_MAX) throw invalid(`Expected a body of at most ${REQUEST_BYTES_MAX} bytes, but there are ${content.bytes.length}.`)
    const entry: PendingRequest = {
      contract,
      id,
      mediaType: content.mediaType,
      bodyBase64: toBase64(content.bytes),
      ...(callback === undefined ? {} : { callback }),
      at: new Date(world.now()).toISOString(),
    }
    const first = await noted(entry, given === undefined)
    const isOther = first.isAnswered === true || first.bodyBase64 !== entry.bodyBase64 || first.mediaType !== entry.mediaType
    return answer({ id, content, callback, signal, timeoutMs }, first, isOther)
  }

  /** One that was left pending; undefined when it was dealt with already. */
  const goOn = async (entry: PendingRequest, options: AskOptions): Promise<Resumed | undefined> => {
    const { id, mediaType, bodyBase64, callback, isAnswered } = entry
    try {
      if (entry.isDone !== true)
        return { id, reply: await answer({ ...options, id, ...(isAnswered === true ? {} : { content: { bytes: fromBase64(bodyBase64), mediaType } }), callback }, entry) }
      await release(entry, id)
      return undefined
    } catch (thrown) {
      return { id, error: thrown as Error }
    }
  }

  async function* resume({ signal, timeoutMs }: AskOptions = {}): AsyncGenerator<Resumed, void, undefined> {
    const left = new AbortController()
    const unlink = follow(left, signal)
    const going = new Set<Promise<Resumed | undefined>>()
    const next = async (): Promise<Resumed | undefined> => {
      const [one, resumed] = await Promise.race([...going].map(async (each) => [each, await each] as const))
      going.delete(one)
      return resumed
    }
    try {
      for await (const entry of store.pending()) {
        if (entry.contract !== contract) continue
        going.add(goOn(entry, { signal: left.signal, timeoutMs }))
        if (going.size < RESUMED_MAX) continue
        const resumed = await next()
        if (resumed !== undefined) yield resumed
      }
      while (going.size > 0) {
        const resumed = await next()
        if (resumed !== undefined) yield resumed
      }
    } finally {
      unlink()
      left.abort()
    }
  }

  const close = (): Promise<void> => {
    ending.abort(new Closed('requester'))
    onClosed()
    return Promise.resolve()
  }

  return {
    call,
    reply: async (id, options = {}) => answer({ ...options, id: valid(itemId, id) }, undefined),
    resume,
    close,
    [Symbol.asyncDispose]: close,
  }
}
