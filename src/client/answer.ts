// What an answer of the server says: a success decoded as its route declares it, or the refusal it carries.
import * as E from 'fp-ts/lib/Either.js'
import type { Route } from '../wire/route.ts'
import { isSound } from '../wire/soundness.ts'
import type { World } from '../world.ts'
import { StintError, UnexpectedAnswer, Unreachable, type ProblemDocument } from './errors.ts'
import type { Answered } from './transport.ts'

/** Why a call did not succeed. */
export type Failure = StintError | Unreachable | UnexpectedAnswer

/** A success with its envelope. */
export interface Exchange<Answer> {
  readonly status: number
  readonly headers: Headers
  /** Undefined when nothing changed (304). */
  readonly body: Answer | undefined
}

/** One result of a call that carried many. */
export type ManyAnswer<Answer> = E.Either<StintError, Answer>

const isObject = (u: unknown): u is Readonly<Record<string, unknown>> => typeof u === 'object' && u !== null && !Array.isArray(u)

const isProblem = (u: unknown): u is ProblemDocument => isObject(u) && typeof u['code'] === 'string' && typeof u['status'] === 'number'

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Milliseconds that `Retry-After` asks for, given in seconds or as a date. */
const retryAfterMs = (headers: Headers, world: World): number | undefined => {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const seconds = Number(text)
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - world.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** The refusal in an answer that is no success. */
export const refusalOf = (response: Answered, text: string, world: World): Failure => {
  const problem = parseJson(text)
  if (isProblem(problem)) return new StintError(problem, retryAfterMs(response.headers, world))
  // Stint says what is wrong; a bare 5xx is from a gateway that did not get through to it.
  if (response.status >= 500) return new Unreachable(response.url, `a gateway answered ${response.status}`)
  return new UnexpectedAnswer(response.status, 'the answer is no problem document')
}

const decodeAs = <Answer>(route: Route<never, never, never, Answer>, status: number, value: unknown): E.Either<UnexpectedAnswer, Answer> => {
  const codec = route.answers[status]
  if (codec === undefined) return E.left(new UnexpectedAnswer(status, `${route.name} does not answer with this status`))
  if (isSound(codec, value)) return E.right(value)
  const decoded = codec.decode(value)
  if (E.isRight(decoded)) return decoded
  const at = decoded.left.map((error) =>
    error.context
      .map((entry) => entry.key)
      .filter((key) => key !== '')
      .join('/'),
  )
  return E.left(new UnexpectedAnswer(status, `the answer of ${route.name} is not as declared at ${[...new Set(at)].join(', ')}`))
}

type AnyRoute<Answer> = Route<never, never, never, Answer>

/** A success as the route declares it. Fields that this version does not know are dropped. */
export const successOf = <Answer>(route: AnyRoute<Answer>, response: Answered, text: string): E.Either<Failure, Exchange<Answer>> => {
  const { status, headers } = response
  if (status === 304) return E.right({ status, headers, body: undefined })
  const decoded = decodeAs(route, status, route.mediaType === 'application/json' ? parseJson(text) : text)
  return E.isLeft(decoded) ? decoded : E.right({ status, headers, body: decoded.right })
}

/** What many items were answered with. */
export interface Many<Answer> {
  /** One result for each item sent, in their order. */
  readonly items: readonly ManyAnswer<Answer>[]
  /** What stood beside them, as the route declares it; undefined where it declares nothing. */
  readonly beside: unknown
}

const besideOf = (route: Pick<Route, 'beside' | 'name'>, answer: Readonly<Record<string, unknown>>): E.Either<Failure, unknown> => {
  if (route.beside === undefined) return E.right(undefined)
  const { items: _items, ...rest } = answer
  if (isSound(route.beside.answers, rest)) return E.right(rest)
  const decoded = route.beside.answers.decode(rest)
  return E.isRight(decoded) ? E.right(decoded.right as unknown) : E.left(new UnexpectedAnswer(200, `what ${route.name} answers beside the items is not as declared`))
}

/** What became of one of many; Left: the answer is not as declared. */
const itemOf = <Answer>(route: AnyRoute<Answer>, item: unknown): E.Either<UnexpectedAnswer, ManyAnswer<Answer>> => {
  const status = isObject(item) && typeof item['status'] === 'number' ? item['status'] : 0
  if (status >= 400) {
    const problem = isObject(item) ? (item['problem'] ?? item) : undefined
    return isProblem(problem) ? E.right(E.left(new StintError(problem))) : E.left(new UnexpectedAnswer(status, `an item of ${route.name} is no problem document`))
  }
  // It is no part of what the route declares, and would have to be decoded away.
  if (isObject(item)) delete (item as { status?: unknown }).status
  const decoded = decodeAs(route, status, item)
  return E.isLeft(decoded) ? decoded : E.right(decoded)
}

/** Items of a call that were told ahead of its answer. */
export interface PartsHeard<Answer> {
  /** Takes a part as it came. */
  readonly hear: (text: string) => void
  /** All of them, by their places; those that are missing were not told. Left: a part was not as declared. */
  readonly heard: () => E.Either<UnexpectedAnswer, ReadonlyMap<number, ManyAnswer<Answer>>>
}

export const createParts = <Answer>(route: AnyRoute<Answer>, count: number, onItem: (index: number, answer: ManyAnswer<Answer>) => void): PartsHeard<Answer> => {
  const items = new Map<number, ManyAnswer<Answer>>()
  let bad: UnexpectedAnswer | undefined
  const take = (index: unknown, item: unknown): void => {
    const read = itemOf(route, item)
    if (E.isLeft(read)) bad ??= read.left
    else if (typeof index !== 'number' || !(index >= 0 && index < count) || items.has(index))
      bad ??= new UnexpectedAnswer(200, `a part of ${route.name} names an item that it cannot`)
    else {
      items.set(index, read.right)
      onItem(index, read.right)
    }
  }
  return {
    hear: (text) => {
      const parts = parseJson(text)
      if (!Array.isArray(parts)) bad ??= new UnexpectedAnswer(200, `a part of ${route.name} is no list`)
      else for (const part of parts as readonly unknown[]) take(...((Array.isArray(part) ? part : []) as [unknown, unknown]))
    },
    heard: () => (bad === undefined ? E.right(items) : E.left(bad)),
  }
}

/** One result for each of the `count` items sent, in their order, and what stands beside them. */
export const manyOf = <Answer>(route: AnyRoute<Answer>, response: Answered, text: string, count: number, parts?: PartsHeard<Answer>): E.Either<Failure, Many<Answer>> => {
  const parsed = parseJson(text)
  const told = parts?.heard() ?? E.right(new Map<number, never>())
  if (E.isLeft(told)) return told
  const items = isObject(parsed) && Array.isArray(parsed['items']) ? (parsed['items'] as readonly unknown[]) : undefined
  const isInParts = told.right.size > 0
  if (response.status !== 200 || items === undefined || items.length !== (isInParts ? 0 : count) || (isInParts && told.right.size !== count))
    return E.left(new UnexpectedAnswer(response.status, `${route.name} did not answer with ${count} items`))
  const answers: ManyAnswer<Answer>[] = !isInParts ? [] : Array.from({ length: count }, (_, index) => told.right.get(index) as ManyAnswer<Answer>)
  for (const item of items) {
    const read = itemOf(route, item)
    if (E.isLeft(read)) return read
    answers.push(read.right)
  }
  const beside = besideOf(route, parsed as Readonly<Record<string, unknown>>)
  return E.isLeft(beside) ? beside : E.right({ items: answers, beside: beside.right })
}
