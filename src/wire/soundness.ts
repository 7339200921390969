// Whether a value already is what a codec would make of it: nearly every value is, and to find that out costs a fifth of a decode, which collects paths for errors that are not there.
// Whatever is not plainly so is left to the decode.
import type * as t from 'io-ts'

type Check = (value: unknown) => boolean

/** A codec as far as it can be looked into. `isSound` is there on those of our own that only check. */
interface Inside {
  readonly _tag?: string
  readonly type?: Inside
  readonly types?: readonly Inside[]
  readonly props?: Readonly<Record<string, Inside>>
  readonly is?: Check
  readonly isSound?: Check
}

interface Field {
  readonly check: Check
  readonly isRequired: boolean
}

type Fields = ReadonlyMap<string, Field>

const both = (one: Field, other: Field): Field => ({ check: (value) => one.check(value) && other.check(value), isRequired: one.isRequired || other.isRequired })

const merged = (parts: readonly (Fields | undefined)[]): Fields | undefined => {
  const all = new Map<string, Field>()
  for (const part of parts) {
    if (part === undefined) return undefined
    for (const [name, field] of part) {
      const standing = all.get(name)
      all.set(name, standing === undefined ? field : both(standing, field))
    }
  }
  return all
}

/** Where a codec cannot be looked into, a value that has the field is left to the decode. */
const fieldsOfProps = (props: Readonly<Record<string, Inside>>, isRequired: boolean): Fields =>
  new Map(Object.entries(props).map(([name, codec]) => [name, { check: checkOf(codec) ?? (() => false), isRequired }]))

const fieldsOf = ({ _tag, type, types = [], props = {} }: Inside): Fields | undefined => {
  switch (_tag) {
    case 'ExactType':
      return type && fieldsOf(type)
    case 'IntersectionType':
      return merged(types.map(fieldsOf))
    case 'InterfaceType':
      return fieldsOfProps(props, true)
    case 'PartialType':
      return fieldsOfProps(props, false)
    default:
      return undefined
  }
}

/** Every field that is there is known and sound, and every required one is there. */
const objectCheck = (fields: Fields): Check => {
  const required = [...fields].filter(([, { isRequired }]) => isRequired).map(([name]) => name)
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    const given = value as Readonly<Record<string, unknown>>
    for (const name of required) if (given[name] === undefined) return false
    for (const name in given) {
      const field = fields.get(name)
      const part = given[name]
      if (field === undefined || (part !== undefined && !field.check(part))) return false
    }
    return true
  }
}

const PLAIN: ReadonlySet<string | undefined> = new Set(['StringType', 'NumberType', 'BooleanType', 'LiteralType', 'KeyofType', 'UnknownType'])

const makeCheck = (codec: Inside): Check | undefined => {
  if (codec.isSound !== undefined) return codec.isSound
  if (PLAIN.has(codec._tag)) return codec.is
  if (codec._tag === 'ArrayType') {
    const each = codec.type && checkOf(codec.type)
    return each && ((value) => Array.isArray(value) && value.every(each))
  }
  const fields = fieldsOf(codec)
  return fields && objectCheck(fields)
}

/** Codecs are made once and used for every value, so what they check is found out once. */
const known = new WeakMap<object, Check | undefined>()

const checkOf = (codec: Inside): Check | undefined => {
  if (!known.has(codec)) known.set(codec, makeCheck(codec))
  return known.get(codec)
}

/** True: a decode would answer with this very value, and there is no field that the codec does not know. False: only a decode can tell. */
export const isSound = <A>(codec: t.Type<A, unknown, unknown>, value: unknown): value is A => checkOf(codec)?.(value) ?? false
