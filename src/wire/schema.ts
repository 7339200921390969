// Codecs with limits: io-ts types that also know their JSON schema, and a decoder that answers with the path and code of every bad field.
import * as E from 'fp-ts/lib/Either.js'
import * as t from 'io-ts'
import { isSound } from './soundness.ts'

export interface FieldError {
  /** JSON pointer to the field (RFC 6901); empty for the whole body. */
  readonly path: string
  readonly code: 'required' | 'type' | 'range' | 'length' | 'pattern' | 'unknown' | 'depth' | 'choice' | 'json' | 'name'
  readonly detail: string
}

/** A JSON schema (draft 2020-12) fragment. */
export type JsonSchema = { readonly [key: string]: unknown }

/** A codec that carries its own JSON schema, because io-ts cannot tell limits from its tags. */
export interface Described<A> extends t.Type<A, unknown, unknown> {
  readonly schema: JsonSchema
}

/** Code and sentence of a failed check, carried through io-ts in its message. */
const fault = (code: FieldError['code'], detail: string): string => `${code}:${detail}`

const described = <A>(name: string, schema: JsonSchema, is: (u: unknown) => u is A, check: (u: unknown) => string | undefined): Described<A> =>
  Object.assign(
    new t.Type<A, unknown, unknown>(
      name,
      is,
      (u, context) => {
        const wrong = check(u)
        return wrong === undefined ? t.success(u as A) : t.failure(u, context, wrong)
      },
      (a) => a,
    ),
    { schema, isSound: (u: unknown) => check(u) === undefined },
  )

export interface TextLimits {
  /** Characters, at least (0). */
  readonly min?: number
  /** Characters, at most. */
  readonly max: number
  readonly pattern?: RegExp
  readonly description?: string
}

const isString = (u: unknown): u is string => typeof u === 'string'

/** A string within limits. */
export const text = ({ min = 0, max, pattern, description }: TextLimits): Described<string> =>
  described(
    'text',
    { type: 'string', ...(min > 0 ? { minLength: min } : {}), maxLength: max, ...(pattern ? { pattern: pattern.source } : {}), ...(description ? { description } : {}) },
    isString,
    (u) => {
      if (!isString(u)) return fault('type', 'Expected a string.')
      if (u.length < min || u.length > max) return fault('length', `Expected ${min} to ${max} characters, but there are ${u.length}.`)
      // A lone surrogate has no UTF-8: stored and read back it would be another text.
      if (!u.isWellFormed()) return fault('pattern', 'Expected well-formed Unicode.')
      return pattern && !pattern.test(u) ? fault('pattern', `Expected text that matches ${pattern.source}.`) : undefined
    },
  )

export const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
/** At most so many bytes, in base64. */
export const base64 = (bytes: number): Described<string> => text({ max: Math.ceil(bytes / 3) * 4, pattern: BASE64 })

/** A string that `check` has nothing to say against; what it says is a sentence. */
export const checkedText = (max: number, check: (text: string) => string | undefined): Described<string> =>
  described('text', { type: 'string', maxLength: max }, isString, (u) => {
    if (!isString(u)) return fault('type', 'Expected a string.')
    if (u.length > max) return fault('length', `Expected at most ${max} characters, but there are ${u.length}.`)
    const wrong = check(u)
    return wrong === undefined ? undefined : fault('pattern', wrong)
  })

export interface NumberLimits {
  readonly min?: number
  readonly max?: number
  readonly integer?: boolean
  readonly description?: string
}

const isNumber = (u: unknown): u is number => typeof u === 'number'

/** A finite number within limits, both included. */
export const number = ({ min, max, integer = false, description }: NumberLimits): Described<number> =>
  described(
    integer ? 'integer' : 'number',
    {
      type: integer ? 'integer' : 'number',
      ...(min === undefined ? {} : { minimum: min }),
      ...(max === undefined ? {} : { maximum: max }),
      ...(description ? { description } : {}),
    },
    isNumber,
    (u) => {
      if (!isNumber(u) || !Number.isFinite(u)) return fault('type', 'Expected a number.')
      if (integer && !Number.isInteger(u)) return fault('type', 'Expected a whole number.')
      if ((min !== undefined && u < min) || (max !== undefined && u > max)) return fault('range', `Expected ${min ?? 'any number'} to ${max ?? 'any number'}.`)
      return undefined
    },
  )

/** A whole number written as text, as query parameters are. */
export const numberText = ({ min, max, description }: NumberLimits): Described<number> =>
  Object.assign(
    new t.Type<number, unknown, unknown>(
      'integer',
      isNumber,
      (u, context) =>
        isString(u) && /^-?\d{1,15}$/.test(u)
          ? number({ ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }), integer: true }).validate(Number(u), context)
          : t.failure(u, context, fault('type', 'Expected a whole number.')),
      String,
    ),
    { schema: { type: 'integer', ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }), ...(description ? { description } : {}) } },
  )

/** Any JSON value. */
export const json: Described<unknown> = described(
  'json',
  {},
  (_u): _u is unknown => true,
  () => undefined,
)

const UTF8 = new TextEncoder()
const BYTES_A_CHARACTER_MAX = 3

/** Bytes that the value takes as JSON, or its characters where those show already that it does not take more than `enough`. */
const bytesOf = (u: unknown, enough: number): number => {
  const written = (JSON.stringify(u) as string | undefined) ?? ''
  return written.length * BYTES_A_CHARACTER_MAX <= enough ? written.length : UTF8.encode(written).length
}

/** Any JSON value that takes at most `maxBytes` when written. */
export const jsonUpTo = (maxBytes: number): Described<unknown> =>
  described(
    'json',
    { description: `At most ${maxBytes} bytes of JSON.` },
    (_u): _u is unknown => true,
    (u) => {
      const bytes = bytesOf(u, maxBytes)
      return bytes > maxBytes ? fault('length', `Expected at most ${maxBytes} bytes of JSON, but there are ${bytes}.`) : undefined
    },
  )

const isObject = (u: unknown): u is Record<string, unknown> => typeof u === 'object' && u !== null && !Array.isArray(u)

/** A JSON object of any content, at most `maxBytes` when written as JSON. */
export const jsonObject = (maxBytes: number): Described<Record<string, unknown>> =>
  described('object', { type: 'object', description: `At most ${maxBytes} bytes of JSON.` }, isObject, (u) => {
    if (!isObject(u)) return fault('type', 'Expected an object.')
    const bytes = bytesOf(u, maxBytes)
    return bytes > maxBytes ? fault('length', `Expected at most ${maxBytes} bytes of JSON, but there are ${bytes}.`) : undefined
  })

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const HEADER_VALUE = /^[\x20-\x7e\x80-\xff\t]*$/
export const HEADER_NAMES_MAX = 2_000
/** Characters of all names and values of one message, at most. */
export const HEADER_CHARACTERS_MAX = 64 * 1024

/** Characters that the headers take, or what is wrong with one of them. */
const headerCharacters = (u: Record<string, unknown>): number | string => {
  let characters = 0
  for (const [name, value] of Object.entries(u)) {
    if (!HEADER_NAME.test(name)) return 'Expected names of headers as HTTP allows them.'
    for (const one of Array.isArray(value) ? value : [value]) {
      if (!isString(one) || !HEADER_VALUE.test(one)) return `Expected ${name.slice(0, 200)} to be a header value, or a list of them, of printable characters.`
      characters += name.length + one.length
    }
  }
  return characters
}

const headers = (namesMax: number, charactersMax: number, limits: string): Described<Record<string, string | readonly string[]>> =>
  described(
    'headers',
    {
      type: 'object',
      description: `Headers: a name with its value, or a list of values that are sent one after another${limits}`,
      additionalProperties: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
    },
    isObject as (u: unknown) => u is Record<string, string | readonly string[]>,
    (u) => {
      if (!isObject(u)) return fault('type', 'Expected an object.')
      const names = Object.keys(u).length
      if (names > namesMax) return fault('length', `Expected at most ${namesMax} headers, but there are ${names}.`)
      const characters = headerCharacters(u)
      if (typeof characters === 'string') return fault('pattern', characters)
      return characters > charactersMax ? fault('length', `Expected headers of at most ${charactersMax} characters in all, but there are ${characters}.`) : undefined
    },
  )

/** Headers of an HTTP message, as Node sends them: a name with its value, or with several that are sent one after another. */
export const headerFields = headers(HEADER_NAMES_MAX, HEADER_CHARACTERS_MAX, `; at most ${HEADER_NAMES_MAX} names and ${HEADER_CHARACTERS_MAX} characters in all`)

/** Headers as they were stored, whatever the limits were then. */
export const storedHeaders = headers(Infinity, Infinity, '')

/** RFC 3339, UTC, with milliseconds. */
export const instant = text({ max: 30, pattern: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, description: 'RFC 3339, UTC, with milliseconds' })

/** One of some words. */
export const oneOf = <Word extends string>(...words: readonly Word[]): Described<Word> =>
  described(
    words.join(' | '),
    { type: 'string', enum: words },
    (u): u is Word => words.includes(u as Word),
    (u) => (words.includes(u as Word) ? undefined : fault('choice', `Expected one of ${words.join(', ')}.`)),
  )

/** Some of these words in one text, separated by commas; spaces around them are let pass. */
export const someOf = (what: string, words: readonly string[], { max }: Pick<TextLimits, 'max'>): Described<string> => {
  const whole = text({ max })
  const known = new Set(words)
  return described('text', { ...whole.schema, description: `${what}, separated by commas` }, isString, (u) => {
    if (!isString(u)) return fault('type', 'Expected a string.')
    if (u.length > max) return fault('length', `Expected at most ${max} characters, but there are ${u.length}.`)
    const strange = u.split(',').find((word) => !known.has(word.trim()))
    return strange === undefined ? undefined : fault('choice', `Expected ${what}, but "${strange.trim().slice(0, 60)}" is none. There are ${words.join(', ')}.`)
  })
}

/** An object with these fields and no others. */
export const fields = <Required extends t.Props, Optional extends t.Props = {}>(required: Required, optional?: Optional) =>
  t.exact(t.intersection([t.type(required), t.partial((optional ?? {}) as Optional)]))

/** An object of which exactly one of these fields is there. */
export const exactlyOne = <Choices extends t.Props>(choices: Choices): Described<{ [K in keyof Choices]: { [P in K]: t.TypeOf<Choices[K]> } }[keyof Choices]> => {
  const partial = t.partial(choices)
  const names = Object.keys(choices)
  type One = { [K in keyof Choices]: { [P in K]: t.TypeOf<Choices[K]> } }[keyof Choices]
  return Object.assign(
    new t.Type<One, unknown, unknown>(
      'exactlyOne',
      (u): u is One => partial.is(u),
      (u, context) => {
        if (!isObject(u)) return t.failure(u, context, fault('type', 'Expected an object.'))
        const found = names.filter((name) => u[name] !== undefined)
        if (found.length !== 1) return t.failure(u, context, fault('choice', `Expected exactly one of ${names.join(', ')}.`))
        return partial.validate(u, context) as t.Validation<One>
      },
      (a) => a,
    ),
    { schema: {}, choices },
  )
}

const escapePointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

const pointerOf = (context: t.Context): string => {
  // Intersections put their members' numbers into the context; only keys of objects and arrays are part of the path.
  const keys = context.filter((_entry, index) => index > 0 && !isIntersection(context[index - 1]?.type)).map((entry) => escapePointer(entry.key))
  return keys.length === 0 ? '' : `/${keys.join('/')}`
}

const isIntersection = (codec: unknown): boolean => {
  const tagged = codec as Tagged | undefined
  return tagged?._tag === 'IntersectionType' || (tagged?._tag === 'ExactType' && isIntersection(tagged.type))
}

const toFieldError = (error: t.ValidationError): FieldError => {
  const path = pointerOf(error.context)
  // JSON knows no undefined, so the field is not there.
  if (error.value === undefined) return { path, code: 'required', detail: 'Expected a value, but the field is missing.' }
  const [, code, detail] = /^([a-z]+):(.*)$/s.exec(error.message ?? '') ?? []
  if (code !== undefined && detail !== undefined) return { path, code: code as FieldError['code'], detail }
  return { path, code: 'type', detail: `Expected ${wordFor(error.context[error.context.length - 1]?.type)}.` }
}

/** What people call what a codec wants; io-ts names objects by all that is in them. */
const wordFor = (codec: t.Decoder<unknown, unknown> | undefined): string => {
  switch ((codec as Tagged | undefined)?._tag) {
    case 'ArrayType':
      return 'an array'
    case 'BooleanType':
      return 'true or false'
    case 'ExactType':
    case 'InterfaceType':
    case 'PartialType':
    case 'IntersectionType':
    case 'DictionaryType':
      return 'an object'
    default:
      return codec?.name ?? 'another type'
  }
}

interface Tagged {
  readonly _tag?: string
  readonly type?: t.Any
  readonly types?: readonly t.Any[]
  readonly props?: t.Props
  readonly choices?: t.Props
}

/** Codecs are made once and used for every request, so what they consist of is found out once. */
const knownProps = new WeakMap<object, t.Props | undefined>()

const propsOf = (codec: Tagged): t.Props | undefined => {
  if (!knownProps.has(codec)) knownProps.set(codec, findProps(codec))
  return knownProps.get(codec)
}

const findProps = (codec: Tagged): t.Props | undefined => {
  if (codec.choices) return codec.choices
  switch (codec._tag) {
    case 'ExactType':
      return codec.type && propsOf(codec.type as Tagged)
    case 'InterfaceType':
    case 'PartialType':
      return codec.props
    case 'IntersectionType':
      return Object.assign({}, ...(codec.types ?? []).map((member) => propsOf(member as Tagged) ?? {})) as t.Props
    default:
      return undefined
  }
}

/** Fields that the codec does not know, at any depth: they are refused, because a misspelt field that is dropped in silence is worse than an error. */
const unknownFields = (codec: t.Any, value: unknown, path: string): readonly FieldError[] => {
  const tagged = codec as Tagged
  if (tagged._tag === 'ArrayType' && Array.isArray(value) && tagged.type) return value.flatMap((item, index) => unknownFields(tagged.type as t.Any, item, `${path}/${index}`))
  const props = propsOf(tagged)
  if (props === undefined || !isObject(value)) return []
  return Object.keys(value).flatMap((key): readonly FieldError[] => {
    const at = `${path}/${escapePointer(key)}`
    const member = Object.hasOwn(props, key) ? props[key] : undefined
    return member === undefined ? [{ path: at, code: 'unknown', detail: 'This field is not known here.' }] : unknownFields(member, value[key], at)
  })
}

/** The value as the codec says it is, or every field that is wrong with it. */
export const decode = <A>(codec: t.Type<A, unknown, unknown>, value: unknown): E.Either<readonly FieldError[], A> => {
  if (isSound(codec, value)) return E.right(value)
  const decoded = codec.decode(value)
  const unknown = unknownFields(codec, value, '')
  if (E.isRight(decoded)) return unknown.length === 0 ? decoded : E.left(unknown)
  const errors = [...decoded.left.map(toFieldError), ...unknown]
  // Both members of an intersection complain about a value that is no object at all.
  return E.left(errors.filter((error, index) => errors.findIndex((other) => other.path === error.path && other.code === error.code) === index))
}
