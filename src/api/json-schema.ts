// JSON schema (draft 2020-12) of the wire's codecs: described ones bring their own, the others are read off their io-ts tags.
import type * as t from 'io-ts'
import type { JsonSchema } from '../wire/schema.ts'

interface Tagged {
  readonly _tag?: string
  readonly name: string
  /** Of described codecs. */
  readonly schema?: JsonSchema
  /** Of `exactlyOne`. */
  readonly choices?: t.Props
  readonly type?: t.Any
  readonly types?: readonly t.Any[]
  readonly props?: t.Props
  readonly codomain?: t.Any
  readonly keys?: Readonly<Record<string, unknown>>
  readonly value?: unknown
}

/** Codecs that have a name of their own in the document; the others are written out where they stand. */
export type Names = ReadonlyMap<unknown, string>

interface ObjectSchema {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
}

const propertiesOf = (props: t.Props, names: Names): Record<string, JsonSchema> => Object.fromEntries(Object.entries(props).map(([name, codec]) => [name, schemaOf(codec, names)]))

/** Objects as required and optional parts of one. */
const objectSchema = (codec: Tagged, names: Names): ObjectSchema => {
  switch (codec._tag) {
    case 'InterfaceType':
      return { type: 'object', properties: propertiesOf(codec.props ?? {}, names), required: Object.keys(codec.props ?? {}) }
    case 'PartialType':
      return { type: 'object', properties: propertiesOf(codec.props ?? {}, names) }
    case 'IntersectionType': {
      const parts = (codec.types ?? []).map((part) => objectSchema(part as unknown as Tagged, names))
      const required = parts.flatMap((part) => part.required ?? [])
      const properties = Object.assign({}, ...parts.map((part) => part.properties)) as Record<string, JsonSchema>
      return { type: 'object', properties, ...(required.length > 0 ? { required } : {}) }
    }
    default:
      throw new Error(`No object schema for the codec ${codec.name} (${codec._tag ?? 'untagged'})`)
  }
}

const choiceSchema = (choices: t.Props, names: Names): JsonSchema => ({
  oneOf: Object.entries(choices).map(([name, codec]) => ({ type: 'object', properties: { [name]: schemaOf(codec, names) }, required: [name], additionalProperties: false })),
})

const writeOut = (codec: Tagged, names: Names): JsonSchema => {
  if (codec.choices !== undefined) return choiceSchema(codec.choices, names)
  if (codec.schema !== undefined) return codec.schema
  switch (codec._tag) {
    case 'ExactType':
      return { ...objectSchema(codec.type as unknown as Tagged, names), additionalProperties: false }
    case 'InterfaceType':
    case 'PartialType':
    case 'IntersectionType':
      return { ...objectSchema(codec, names) }
    case 'ArrayType':
      return { type: 'array', items: schemaOf(codec.type as t.Any, names) }
    case 'DictionaryType':
      return { type: 'object', additionalProperties: schemaOf(codec.codomain as t.Any, names) }
    case 'UnionType':
      return { anyOf: (codec.types ?? []).map((member) => schemaOf(member, names)) }
    case 'KeyofType':
      return { type: 'string', enum: Object.keys(codec.keys ?? {}) }
    case 'LiteralType':
      return { const: codec.value }
    case 'StringType':
      return { type: 'string' }
    case 'NumberType':
      return { type: 'number' }
    case 'BooleanType':
      return { type: 'boolean' }
    default:
      throw new Error(`No JSON schema for the codec ${codec.name} (${codec._tag ?? 'untagged'})`)
  }
}

/** The schema of a codec, or a reference to it where it has a name. Throws for a codec that it does not know. */
export const schemaOf = (codec: t.Any, names: Names): JsonSchema => {
  const name = names.get(codec)
  return name === undefined ? writeOut(codec, names) : { $ref: `#/components/schemas/${name}` }
}

/** The schema of a codec itself, even where it has a name. */
export const definitionOf = (codec: t.Any, names: Names): JsonSchema => writeOut(codec, names)

export interface Field {
  readonly name: string
  readonly schema: JsonSchema
  readonly isRequired: boolean
}

/** The fields of an object codec, one by one: parameters are written that way. */
export const fieldsOf = (codec: t.Any, names: Names): readonly Field[] => {
  const { properties, required = [] } = definitionOf(codec, names) as unknown as ObjectSchema
  return Object.entries(properties).map(([name, schema]) => ({ name, schema, isRequired: required.includes(name) }))
}
