// Takes a request apart as its route says: parameters, query, body and key, with every bad field named at once.
import { parse } from 'node:querystring'
import type { IncomingHttpHeaders } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import type { Codec, Route } from '../wire/route.ts'
import { decode, fields, type FieldError } from '../wire/schema.ts'
import { readBody, type BodySource } from './body.ts'
import { parseJson } from './json-text.ts'
import { invalid, type Problem } from './problem.ts'

export type AnyRoute = Route<unknown, unknown, unknown, unknown>

/** The path of a route as routers write it. */
export const patternOf = ({ path }: AnyRoute): string => path.replace(/\{(\w+)\}/g, ':$1')

/** What stands before the query. */
export const pathOf = (url: string): string => {
  const at = url.indexOf('?')
  return at === -1 ? url : url.slice(0, at)
}

/** Items that one request may carry. */
export const ITEMS_MAX = 1_000

export interface One {
  readonly many: false
  readonly body: unknown
  /** As it came, where it was asked to be kept. */
  readonly bytes?: Uint8Array | undefined
}

/** Each item is decoded by itself, because one bad item is no fault of the others (surface 10). */
export interface Many {
  readonly many: true
  readonly items: readonly unknown[]
  /** What stands beside them, where the route knows something to. */
  readonly beside?: unknown
  /** As it came, where it was asked to be kept. */
  readonly bytes?: Uint8Array | undefined
}

const NOTHING: Readonly<Record<string, never>> = Object.freeze({})

const under = (prefix: string, errors: readonly FieldError[]): readonly FieldError[] => errors.map((error) => ({ ...error, path: `${prefix}${error.path}` }))

const decodePart = (prefix: string, codec: Codec<unknown>, value: unknown): E.Either<readonly FieldError[], unknown> => {
  const decoded = decode(codec, value)
  return E.isLeft(decoded) ? E.left(under(prefix, decoded.left)) : decoded
}

export const decodeParams = (route: AnyRoute, params: unknown): E.Either<readonly FieldError[], unknown> => decodePart('/params', route.params, params)

/** Query parameters; one that is given twice is an error, because nobody can say which was meant. */
export const decodeQuery = (route: AnyRoute, url: string): E.Either<readonly FieldError[], unknown> => {
  const at = url.indexOf('?')
  return decodePart('/query', route.query, at === -1 ? NOTHING : parse(url.slice(at + 1)))
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

const NOTHING_BESIDE = fields({})

const envelope = (route: AnyRoute, { items, ...rest }: Readonly<Record<string, unknown>>): E.Either<readonly FieldError[], Many> => {
  const beside = decode(route.beside?.asks ?? NOTHING_BESIDE, rest)
  const errors: FieldError[] = E.isLeft(beside) ? [...beside.left] : []
  if (!Array.isArray(items)) errors.push({ path: '/items', code: 'type', detail: 'Expected an array.' })
  else if (items.length > ITEMS_MAX) errors.push({ path: '/items', code: 'length', detail: `Expected at most ${ITEMS_MAX} items, but there are ${items.length}.` })
  return errors.length > 0 || E.isLeft(beside) ? E.left(errors) : E.right({ many: true, items: items as readonly unknown[], beside: beside.right })
}

/** The decoded body, or the items of a body that carries many; `keepsBytes`: with the body as it came. */
export const takeBody = async (
  route: AnyRoute,
  req: BodySource,
  limits: { readonly one: number; readonly many: number },
  keepsBytes = false,
): Promise<E.Either<Problem, One | Many>> => {
  if (route.body === undefined) return E.right({ many: false, body: undefined })
  const bytes = await readBody(req, route.many ? limits.many : limits.one)
  if (E.isLeft(bytes)) return bytes
  const value = parseJson(bytes.right)
  if (E.isLeft(value)) return E.left(invalid(value.left))
  if (route.many && isObject(value.right) && Object.hasOwn(value.right, 'items')) {
    const many = envelope(route, value.right)
    return E.isLeft(many) ? E.left(invalid(many.left)) : keepsBytes ? E.right({ ...many.right, bytes: bytes.right }) : many
  }
  const body = decode(route.body, value.right)
  return E.isLeft(body) ? E.left(invalid(body.left)) : E.right({ many: false, body: body.right, ...(keepsBytes ? { bytes: bytes.right } : {}) })
}

const KEY_CHARACTERS_MAX = 255

/** The Idempotency-Key, as a quoted string or bare; undefined when there is none. */
export const takeKey = (req: { readonly headers: IncomingHttpHeaders }): E.Either<Problem, string | undefined> => {
  const given = req.headers['idempotency-key']
  if (given === undefined) return E.right(undefined)
  const text = String(given)
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text) ?? []
  const key = quoted === undefined ? text : quoted.replace(/\\(.)/g, '$1')
  if (key.length > 0 && key.length <= KEY_CHARACTERS_MAX && (quoted !== undefined || !key.includes('"'))) return E.right(key)
  return E.left(invalid([{ path: '/headers/idempotency-key', code: 'length', detail: `Expected 1 to ${KEY_CHARACTERS_MAX} characters, bare or in quotes.` }]))
}
