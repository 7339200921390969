// Every call to Stint goes through here: typed by the route table, repeated when that is safe, and reading what it wrote before.
import * as E from 'fp-ts/lib/Either.js'
import type { Route } from '../wire/route.ts'
import { pause, type World } from '../world.ts'
import { createParts, manyOf, refusalOf, successOf, type Exchange, type Failure, type Many, type ManyAnswer } from './answer.ts'
import { backoffMs, type BackoffLimits } from './backoff.ts'
import { Closed, StintError, UnexpectedAnswer, Unreachable } from './errors.ts'
import { follow } from './signals.ts'
import type { Answered, Transport } from './transport.ts'

/** Milliseconds within which an answer must be there, beside what the call itself asks to wait. */
const TIMEOUT_MS = 30_000
/** Tries of one call, unless it says otherwise. */
const ATTEMPTS_MAX = 5
const BETWEEN: BackoffLimits = { firstMs: 100, mostMs: 5_000 }
/** A server that asks for a longer pause than this is answered with an error at once: the caller knows better what to do meanwhile. */
const PATIENCE_MS = 30_000

export type Fetch = (input: string, init: RequestInit) => Promise<Response>

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for one try (30,000). */
  readonly timeoutMs?: number
  /** Tries in all (5); 1 for a caller that repeats by itself. */
  readonly attemptsMax?: number
}

type Part<Name extends string, Value> = {} extends Value ? { readonly [K in Name]?: Value } : { readonly [K in Name]: Value }
type Addressed<Params, Query> = CallOptions & Part<'params', Params> & Part<'query', Query>
/** What a call of a route needs: its path parameters, query and body, as the route declares them. */
export type Given<Params, Query, Body> = Addressed<Params, Query> & ([Body] extends [undefined] ? {} : Part<'body', Body>)
type Arguments<Needed> = {} extends Needed ? [given?: Needed] : [given: Needed]

interface AnyGiven extends CallOptions {
  readonly params?: unknown
  readonly query?: unknown
  readonly body?: unknown
  /** The body as JSON already, in place of `body`. */
  readonly text?: string
  /** A body of any type, in place of `body`. */
  readonly content?: Content | undefined
  readonly onPart?: ((text: string) => void) | undefined
}

type AnyRoute<Answer = unknown> = Route<never, never, never, Answer>
type OnItem<Answer = never> = (index: number, answer: ManyAnswer<Answer>) => void
type Read<Result> = (response: Answered) => Promise<E.Either<Failure, Result>>

/** A body as it is sent. */
export interface Content {
  readonly bytes: Uint8Array
  readonly mediaType: string
}

/** An answer that is given on as it was made. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array
}

/** A stream that has begun. */
export interface Opened {
  /** Status 200; its body is not read yet. */
  readonly response: Response
  /** To be called once it is read or left. */
  readonly end: () => void
}

export interface Http {
  /** The server's address, without a slash at its end. */
  readonly url: string
  readonly world: World
  /** Exchanges travel over a channel now, where each costs little. */
  readonly isChannelled: () => boolean
  /** One exchange; the answer as the route declares it. Throws `StintError`, `Unreachable`, `UnexpectedAnswer`, `Closed`, or the signal's reason. */
  readonly call: <Params, Query, Body, Answer>(route: Route<Params, Query, Body, Answer>, ...given: Arguments<Given<Params, Query, Body>>) => Promise<Answer>
  /** As `call`, with status and headers; for conditional requests, whose answer may be that nothing changed. */
  readonly exchange: <Params, Query, Body, Answer>(route: Route<Params, Query, Body, Answer>, ...given: Arguments<Given<Params, Query, Body>>) => Promise<Exchange<Answer>>
  /** As `call`, for a body that is a JSON text already. */
  readonly callText: <Params, Query, Body, Answer>(route: Route<Params, Query, Body, Answer>, text: string, given: Addressed<Params, Query>) => Promise<Answer>
  /** Many bodies in one exchange, 1,000 at most; each has its own result, in the order sent. */
  readonly callMany: <Params, Query, Body, Answer>(
    route: Route<Params, Query, Body, Answer>,
    items: readonly Body[],
    ...given: Arguments<Addressed<Params, Query>>
  ) => Promise<readonly ManyAnswer<Answer>[]>
  /**
   * As `callMany`, for items that are JSON texts already, which is as they were when they were given; with what the route lets stand `beside` them. `onItem` is told of each as soon as it
   * is known, which over a channel may be long before the answer; whoever asks for that makes a single try.
   */
  readonly sendMany: <Params, Query, Body, Answer>(
    route: Route<Params, Query, Body, Answer>,
    items: readonly string[],
    given: Addressed<Params, Query> & { readonly beside?: object | undefined; readonly onItem?: OnItem<Answer> | undefined },
  ) => Promise<Many<Answer>>
  /**
   * A body and an answer as they are. An answer with the header `through` is a success whatever its status, because it is somebody else's that Stint gives on; so is any
   * other below 400. Redirections are not followed.
   */
  readonly pass: <Params, Query, Answer>(
    route: Route<Params, Query, undefined, Answer>,
    given: Addressed<Params, Query> & { readonly content?: Content | undefined; readonly through: string },
  ) => Promise<RawAnswer>
  /** Opens a stream in a single try. Aborting `signal` ends it at any time. */
  readonly open: <Params, Query, Body, Answer>(route: Route<Params, Query, Body, Answer>, ...given: Arguments<Given<Params, Query, Body>>) => Promise<Opened>
  /** Aborts when the client is closed. */
  readonly closed: AbortSignal
  /** Ends what is in flight and refuses what comes. */
  readonly close: () => void
}

export interface HttpOptions {
  readonly url: string
  readonly token?: string | undefined
  readonly as?: string | undefined
  readonly world: World
  /** For streams, and for everything if there is no `transport`. */
  readonly fetch: Fetch
  readonly transport?: Transport | undefined
  readonly isChannelled?: (() => boolean) | undefined
}

/** The path with its parameters, each percent-encoded as one segment. */
export const pathOf = (template: string, params: Readonly<Record<string, string>>): string =>
  template.replace(/\{(\w+)\}/g, (_whole, name: string) => {
    const value = params[name]
    // URLs resolve dot segments even when they are encoded: the call would go somewhere else.
    if (value === undefined || value === '' || value === '.' || value === '..') throw new RangeError(`Expected "${name}" to be a path segment, but it is ${JSON.stringify(value)}.`)
    return encodeURIComponent(value)
  })

const queryOf = (query: Readonly<Record<string, string | number | boolean | undefined>>): string => {
  const pairs = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]))
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** A second lease call takes other tasks, whatever its key: those of the first would lie idle until their leases end, so the caller decides. */
const TAKES_AFRESH: ReadonlySet<string> = new Set(['leaseTasks'])

/** Whether a try with an unknown end may be sent again: reading always, a command when the server knows a repeat by its key. */
const isIdempotent = (route: AnyRoute): boolean => route.method !== 'POST' || (route.headers.includes('Idempotency-Key') && !TAKES_AFRESH.has(route.name))

const mayRepeat = (route: AnyRoute, failure: Failure): boolean => {
  if (failure instanceof UnexpectedAnswer) return false
  // Others have to leave first, which takes as long as it takes.
  if (failure instanceof StintError && failure.code === 'over-quota') return false
  if (failure instanceof Unreachable || failure.code === 'store-unavailable') return isIdempotent(route)
  return (failure.status === 429 || failure.status === 503) && (failure.retryAfterMs ?? 0) <= PATIENCE_MS
}

/** The place in the log that a later query must have reached: that of the last write. */
const createWritten = () => {
  let position: string | undefined
  return {
    get: (): string | undefined => position,
    note: (next: string | null): void => {
      if (next === null) return
      // Answers may overtake each other; positions of one log sort as text.
      const isOlder = position !== undefined && position.length === next.length && next < position
      if (!isOlder) position = next
    },
    forget: (): void => {
      position = undefined
    },
  }
}

/** The body of many items that are written already, with what stands beside them. */
const manyText = (items: readonly string[], beside: object = {}): string =>
  `{"items":[${items.join(',')}]${Object.entries(beside)
    .map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join('')}}`

/** The body of an answer to a question that named no version. */
const unconditional = <Answer>({ status, body }: Exchange<Answer>): Answer => {
  if (body === undefined && status === 304) throw new UnexpectedAnswer(status, 'nothing was asked conditionally')
  return body as Answer
}

/** The headers that say who calls. */
export const identityOf = (token: string | undefined, as: string | undefined): Readonly<Record<string, string>> => ({
  ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
  ...(as === undefined ? {} : { 'Stint-As': as }),
})

/** The typed client of one server for one token. */
export const createHttp = ({ url: given, token, as, world, fetch, transport = fetch, isChannelled = () => false }: HttpOptions): Http => {
  const url = given.replace(/\/+$/, '')
  const identity = identityOf(token, as)
  const written = createWritten()
  const closing = new AbortController()

  const requestOf = (
    route: AnyRoute,
    { params, query, body, text = body === undefined ? undefined : JSON.stringify(body), content, headers }: AnyGiven,
    key: string,
  ): readonly [string, RequestInit] => {
    const isQuery = route.method === 'GET'
    const said: Readonly<Record<string, string | undefined>> = {
      Accept: `${route.mediaType}, application/problem+json`,
      ...identity,
      'Content-Type': content?.mediaType ?? (text === undefined ? undefined : 'application/json'),
      'Idempotency-Key': route.method === 'POST' ? key : undefined,
      'Stint-Position': isQuery ? written.get() : undefined,
      ...headers,
    }
    const target = url + pathOf(route.path, (params ?? {}) as Record<string, string>) + queryOf((query ?? {}) as Record<string, string>)
    const present = Object.entries(said).filter((entry): entry is [string, string] => entry[1] !== undefined)
    if (content !== undefined) return [target, { method: route.method, headers: present, body: content.bytes as Uint8Array<ArrayBuffer> }]
    return [target, { method: route.method, headers: present, ...(text === undefined ? {} : { body: text }) }]
  }

  /** One try: what `read` makes of the response, or what went wrong. Throws only when the caller or this client gave up. */
  const attempt = async <Result>(route: AnyRoute, options: AnyGiven, key: string, over: AbortSignal, read: Read<Result>): Promise<E.Either<Failure, Result>> => {
    const [target, init] = requestOf(route, options, key)
    const limit = new AbortController()
    const unlink = follow(limit, over)
    const cancel = world.timer(options.timeoutMs ?? TIMEOUT_MS, () => limit.abort(new Error('the time is over')))
    try {
      const response = await transport(target, { ...init, ...(route.mediaType === '*/*' ? { redirect: 'manual' } : {}), signal: limit.signal, onPart: options.onPart })
      const answer = await read(response)
      if (route.method !== 'GET' && E.isRight(answer)) written.note(response.headers.get('stint-position'))
      return answer
    } catch (cause) {
      over.throwIfAborted()
      return E.left(new Unreachable(target, cause))
    } finally {
      cancel()
      unlink()
    }
  }

  const repeated = async <Result>(route: AnyRoute, options: AnyGiven, over: AbortSignal, read: Read<Result>): Promise<Result> => {
    const key = world.uuid()
    for (let repeat = 0; ; repeat += 1) {
      over.throwIfAborted()
      const tried = await attempt(route, options, key, over, read)
      if (E.isRight(tried)) return tried.right
      const failure = tried.left
      const isOtherLog = failure instanceof StintError && failure.code === 'other-log' && written.get() !== undefined
      if (isOtherLog) written.forget()
      if (repeat + 1 >= (options.attemptsMax ?? ATTEMPTS_MAX) || !(isOtherLog || mayRepeat(route, failure))) throw failure
      const askedMs = failure instanceof StintError ? failure.retryAfterMs : undefined
      if (!isOtherLog) await pause(world, backoffMs(world, BETWEEN, repeat, askedMs), over)
    }
  }

  const untilAnswered = async <Result>(route: AnyRoute, options: AnyGiven, read: Read<Result>): Promise<Result> => {
    const over = new AbortController()
    const unlink = follow(over, options.signal, closing.signal)
    try {
      return await repeated(route, options, over.signal, read)
    } finally {
      unlink()
    }
  }

  /** What `read` makes of the text of a success, or the refusal. */
  const fromText =
    <Result>(route: AnyRoute, read: (response: Answered, text: string) => E.Either<Failure, Result>): Read<Result> =>
    async (response) => {
      const text = await response.text()
      return response.status >= 400 && route.answers[response.status] === undefined ? E.left(refusalOf(response, text, world)) : read(response, text)
    }

  const passed =
    (through: string): Read<RawAnswer> =>
    async (response) => {
      const { status, headers } = response
      if (response.type === 'opaqueredirect') return E.left(new UnexpectedAnswer(status, 'it redirects, and browsers do not let anybody see where to'))
      if (status >= 400 && !headers.has(through)) return E.left(refusalOf(response, await response.text(), world))
      return E.right({ status, headers, bytes: new Uint8Array(await response.arrayBuffer()) })
    }

  const open = async (route: AnyRoute, { signal, ...options }: AnyGiven): Promise<Opened> => {
    const [target, init] = requestOf(route, options, world.uuid())
    const over = new AbortController()
    const unlink = follow(over, signal, closing.signal)
    const cancel = world.timer(TIMEOUT_MS, () => over.abort(new Error('the time is over')))
    try {
      const response = await fetch(target, { ...init, signal: over.signal })
      if (response.status !== 200) return await refused(response)
      return { response, end: unlink }
    } catch (cause) {
      unlink()
      signal?.throwIfAborted()
      closing.signal.throwIfAborted()
      throw cause instanceof StintError || cause instanceof UnexpectedAnswer ? cause : new Unreachable(target, cause)
    } finally {
      cancel()
    }
  }

  const refused = async (response: Response): Promise<never> => {
    throw refusalOf(response, await response.text(), world)
  }

  const exchanged = <Answer>(route: unknown, given: AnyGiven): Promise<Exchange<Answer>> =>
    untilAnswered(
      route as AnyRoute,
      given,
      fromText(route as AnyRoute, (response, text) => successOf(route as AnyRoute<Answer>, response, text)),
    )
  const exchange: Http['exchange'] = (route, ...[options]) => exchanged(route, (options ?? {}) as AnyGiven)

  const many = <Answer>(route: AnyRoute<Answer>, given: AnyGiven, count: number, onItem?: OnItem<Answer>): Promise<Many<Answer>> => {
    const parts = onItem === undefined || !isChannelled() ? undefined : createParts(route, count, onItem)
    return untilAnswered(
      route as unknown as AnyRoute,
      { ...given, onPart: parts?.hear },
      fromText(route as unknown as AnyRoute, (response, text) => manyOf(route, response, text, count, parts)),
    )
  }

  return {
    url,
    world,
    isChannelled,
    exchange,
    call: async (route, ...rest) => unconditional(await exchange(route, ...rest)),
    callText: async (route, text, given) => unconditional(await exchanged(route, { ...(given as AnyGiven), text })),
    callMany: async (route, items, ...[options]) =>
      (await many(route as unknown as AnyRoute<never>, { ...(options as AnyGiven | undefined), body: { items } }, items.length)).items,
    sendMany: (route, items, { beside, onItem, ...options }) =>
      many(route as unknown as AnyRoute<never>, { ...(options as AnyGiven), text: manyText(items, beside) }, items.length, onItem as OnItem),
    pass: (route, { through, ...options }) => untilAnswered(route as unknown as AnyRoute, options as AnyGiven, passed(through)),
    open: (route, ...[options]) => open(route as unknown as AnyRoute, options ?? {}),
    closed: closing.signal,
    close: () => closing.abort(new Closed('client')),
  }
}
