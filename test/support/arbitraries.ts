// Values and requests by chance, made from the wire's own JSON schemas: valid ones, and the ways to spoil them.
import fc from 'fast-check'
import { definitionOf, schemaOf } from '../../src/api/json-schema.ts'
import type { AnyRoute } from './api.ts'

interface Schema {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly oneOf?: readonly Schema[]
}

/** Stands for the lease that is current when the request is sent. */
export const CURRENT_LEASE = '<the current lease>'

/** Few ids, so that requests meet each other's items. */
const IDS = ['a', 'b', 'c', 'd', 'e']

const TEXT = fc.oneof({ weight: 4, arbitrary: fc.string({ maxLength: 30 }) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) })

const textOf = (name: string, schema: Schema): fc.Arbitrary<string> => {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (name === 'id') return fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...IDS) }, { weight: 1, arbitrary: fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/) })
  if (name === 'lease') return fc.oneof({ weight: 4, arbitrary: fc.constant(CURRENT_LEASE) }, { weight: 1, arbitrary: fc.stringMatching(/^[1-3]\.[A-Za-z0-9]{8}$/) })
  if (name === 'workItem') return fc.constantFrom(...IDS.flatMap((id) => [`job/${id}`, `task/shop/mail/${id}`, `long-task/${id}`]))
  if (name === 'node') return fc.constantFrom(...IDS.slice(0, 2))
  if (name === 'operation') return fc.constantFrom('CopyImage', 'Ping')
  // Nobody listens at the first two.
  if (name === 'url') return fc.constantFrom('http://127.0.0.1:9', 'http://127.0.0.1:9/base/', 'https://example.com', 'no url', 'ftp://x', 'http://127.0.0.1:9?x')
  if (name === 'app') return fc.constant('shop')
  if (name === 'queue') return fc.constantFrom('mail', 'print')
  if (name === 'payloadBase64') return fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString('base64'))
  if (name === 'email') return fc.constantFrom('ann@example.com', 'bob@example.com')
  if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern)).map((text) => text.slice(0, schema.maxLength ?? 20))
  const min = schema.minLength ?? 0
  return TEXT.map((text) => (text.length < min ? 'x'.repeat(min) : text).slice(0, schema.maxLength ?? 30).toWellFormed())
}

/** JSON of any form. */
const anyJson: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 4 })

/** A value that the schema takes. */
export const arbitraryOf = (schema: Schema, name = ''): fc.Arbitrary<unknown> => {
  if (schema.oneOf !== undefined) return fc.oneof(...schema.oneOf.map((choice) => arbitraryOf(choice)))
  switch (schema.type) {
    case 'string':
      return textOf(name, schema)
    case 'integer':
      return fc.integer({ min: Math.max(schema.minimum ?? 0, -(2 ** 31)), max: Math.min(schema.maximum ?? 1_000, 100_000) })
    case 'number':
      return fc.double({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1_000_000, 1_000_000), noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}), { maxLength: 4 })
    case 'object': {
      if (schema.properties === undefined) return fc.dictionary(fc.string({ maxLength: 10 }), anyJson, { maxKeys: 4 })
      const fields = Object.fromEntries(Object.entries(schema.properties).map(([key, field]) => [key, arbitraryOf(field, key)]))
      return fc.record(fields, { requiredKeys: (schema.required ?? []) as string[] })
    }
    default:
      return anyJson
  }
}

/** One way to spoil a JSON value, at a place that `at` chooses. */
export interface Spoil {
  readonly how: 'none' | 'swap' | 'missing' | 'extra' | 'null' | 'huge' | 'deep' | 'unicode' | 'proto' | 'cut' | 'bytes' | 'type' | 'empty' | 'twice'
  readonly at: number
  readonly value: unknown
}

const spoil: fc.Arbitrary<Spoil> = fc.record({
  how: fc.oneof(
    { weight: 12, arbitrary: fc.constant('none' as const) },
    { weight: 13, arbitrary: fc.constantFrom('swap', 'missing', 'extra', 'null', 'huge', 'deep', 'unicode', 'proto', 'cut', 'bytes', 'type', 'empty', 'twice') },
  ),
  at: fc.nat(),
  value: anyJson,
})

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value with one of its fields, found by `at`, replaced. */
const replaceAt = (value: unknown, at: number, change: (inner: unknown) => unknown): unknown => {
  if (!isObject(value)) return change(value)
  const keys = Object.keys(value)
  const key = keys[at % (keys.length + 1)]
  if (key === undefined) return change(value)
  const inner = replaceAt(value[key], Math.floor(at / (keys.length + 1)), change)
  const { [key]: _old, ...rest } = value
  return inner === undefined ? rest : { ...rest, [key]: inner }
}

const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** Text or bytes to send for a body. */
export const spoiledBody = (body: unknown, { how, at, value }: Spoil): string | Uint8Array => {
  const text = (spoiled: unknown): string => JSON.stringify(spoiled) ?? ''
  switch (how) {
    case 'none':
    case 'type':
      return text(body)
    case 'swap':
      return text(replaceAt(body, at, () => value))
    case 'missing':
      return text(replaceAt(body, at, () => undefined))
    case 'extra':
      return text(replaceAt(body, at, (inner) => (isObject(inner) ? { ...inner, [`extra${at}`]: value } : [inner])))
    case 'null':
      return text(replaceAt(body, at, () => null))
    case 'huge':
      return text(replaceAt(body, at, () => 'x'.repeat(50_000)))
    case 'deep':
      return text(replaceAt(body, at, () => nested(10 + (at % 100))))
    case 'unicode':
      return text(replaceAt(body, at, () => ['\ud800', '\u0000', '\u202e', '🦆'.repeat(50), 'ß\ufeff'][at % 5]))
    case 'proto':
      return text(body).replace('{', '{"__proto__":{"a":1},')
    case 'cut':
      return text(body).slice(0, at % 40)
    case 'bytes':
      return Buffer.concat([Buffer.from(text(body)), Buffer.from([0xff, 0xfe])])
    case 'empty':
      return ''
    case 'twice':
      return text(body) + text(body)
  }
}

export interface RandomRequest {
  readonly route: AnyRoute
  readonly params: Readonly<Record<string, unknown>>
  readonly query: Readonly<Record<string, unknown>>
  readonly body: unknown
  readonly spoil: Spoil
  readonly headers: Readonly<Record<string, string>>
  readonly method: string | undefined
}

const headersOf = (route: AnyRoute): fc.Arbitrary<Record<string, string>> => {
  const printable = fc.stringMatching(/^[ -~]{0,40}$/).map((text) => text.trim())
  const some = (valid: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof({ weight: 3, arbitrary: valid }, { weight: 1, arbitrary: printable })
  const all: Record<string, fc.Arbitrary<string>> = {
    'Stint-Request-Id': printable,
    Accept: fc.oneof({ weight: 15, arbitrary: fc.constantFrom('*/*', 'application/*, text/*', 'text/html, */*;q=0.1') }, { weight: 1, arbitrary: printable }),
    'Stint-As': some(fc.constantFrom('ann@example.com', 'bob@example.com')),
    traceparent: some(fc.constant('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')),
  }
  const own: Readonly<Record<AnyRoute['headers'][number], fc.Arbitrary<string>>> = {
    Prefer: some(fc.constantFrom('wait=1', 'wait=0', 'wait=5, respond-async')),
    'Stint-Callback': fc.constantFrom('https://example.com/x', 'http://127.0.0.1:1/y', 'no url', 'ftp://x', 'x'.repeat(3_000)),
    'If-None-Match': some(fc.constantFrom('*', '"0"', 'W/"0", "1"')),
    'Stint-Lease': some(fc.constant(CURRENT_LEASE)),
    'Idempotency-Key': some(fc.constantFrom('k1', '"k2"', 'k3')),
    'Last-Event-ID': printable,
  }
  for (const name of route.headers) all[name] = own[name]
  return fc.record(all, { requiredKeys: [] }) as fc.Arbitrary<Record<string, string>>
}

/** A request for the route: valid more often than not, and then spoiled in one way. */
export const requestFor = (route: AnyRoute): fc.Arbitrary<RandomRequest> => {
  const part = (codec: AnyRoute['params']): fc.Arbitrary<Record<string, unknown>> => {
    const valid = arbitraryOf(definitionOf(codec, new Map())) as fc.Arbitrary<Record<string, unknown>>
    const broken = fc.tuple(valid, fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }), fc.nat()).map(([parts, text, at]) => {
      const keys = Object.keys(parts)
      return keys.length === 0 ? parts : { ...parts, [keys[at % keys.length] ?? '']: text.toWellFormed() }
    })
    return fc.oneof({ weight: 6, arbitrary: valid }, { weight: 1, arbitrary: broken })
  }
  const one = route.body === undefined ? fc.constant(undefined) : arbitraryOf(schemaOf(route.body, new Map()))
  const body = route.many
    ? fc.oneof(
        { weight: 2, arbitrary: one },
        { weight: 1, arbitrary: fc.record({ items: fc.array(fc.oneof({ weight: 4, arbitrary: one }, { weight: 1, arbitrary: anyJson }), { maxLength: 6 }) }) },
      )
    : one
  return fc.record({
    route: fc.constant(route),
    params: part(route.params),
    query: fc.oneof(
      { weight: 6, arbitrary: part(route.query) },
      { weight: 1, arbitrary: fc.dictionary(fc.string({ maxLength: 10 }), fc.string({ maxLength: 10 }), { maxKeys: 3 }) },
    ),
    body,
    spoil,
    headers: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: headersOf(route) }),
    method: fc.oneof({ weight: 40, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom('PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD') }),
  })
}
