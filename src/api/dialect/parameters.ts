// Takes the query of a call apart as its method says; the first parameter that is wrong is named.
import { parse } from 'node:querystring'
import * as E from 'fp-ts/lib/Either.js'
import type { Method, Parameter } from './methods.ts'
import { badParameter, type DialectError } from './refusal.ts'

/** Values by name; what was not given is not there. */
export interface Values {
  readonly numTasks?: number
  readonly leaseSecs?: number
  readonly newLeaseSeconds?: number
  readonly groupByTag?: boolean
  readonly getStats?: boolean
  readonly tag?: string
}

export interface General {
  readonly fields?: string | undefined
  readonly isPretty: boolean
  /** From `oauth_token` or `access_token`. */
  readonly token?: string | undefined
}

export type Query = Readonly<Record<string, string | undefined>>

const INT32 = /^[+-]?\d{1,10}$/

const queryOf = (url: string): ReturnType<typeof parse> => {
  const at = url.indexOf('?')
  return at === -1 ? {} : parse(url.slice(at + 1))
}

/** The query of a URL; a parameter that is given twice is refused, because nobody can say which was meant. */
export const readQuery = (url: string): E.Either<DialectError, Query> => {
  const query = queryOf(url)
  const twice = Object.keys(query).find((name) => Array.isArray(query[name]))
  return twice === undefined ? E.right(query as Query) : E.left(badParameter(twice, `Parameter ${twice} is given more than once.`))
}

/** The token that a query carries, if it does. Read before anything else is, so that a caller without a token learns nothing. */
export const tokenOf = (url: string): string | undefined => {
  const { oauth_token: token, access_token: other } = queryOf(url)
  return [token, other].find((given): given is string => typeof given === 'string' && given !== '')
}

const booleanOf = (text: string): boolean | undefined => {
  if (/^(?:true|1)$/i.test(text)) return true
  return /^(?:false|0)$/i.test(text) ? false : undefined
}

const readInteger = (name: string, text: string, { minimum = 0, maximum = 2 ** 31 - 1 }: Parameter): E.Either<DialectError, number> => {
  if (!INT32.test(text)) return E.left(badParameter(name, `${name} must be an integer, but is "${text.slice(0, 50)}".`))
  const value = Number(text)
  return value < minimum || value > maximum ? E.left(badParameter(name, `${name} must be from ${minimum} to ${maximum}, but is ${value}.`)) : E.right(value)
}

const readBoolean = (name: string, text: string): E.Either<DialectError, boolean> => {
  const value = booleanOf(text)
  return value === undefined ? E.left(badParameter(name, `${name} must be true or false, but is "${text.slice(0, 50)}".`)) : E.right(value)
}

const readOne = (name: string, text: string, parameter: Parameter): E.Either<DialectError, string | number | boolean> => {
  switch (parameter.type) {
    case 'string':
      return E.right(text)
    case 'integer':
      return readInteger(name, text, parameter)
    case 'boolean':
      return readBoolean(name, text)
  }
}

/** The method's own parameters. Ones that nobody knows are ignored, as clients of this API expect. */
export const readValues = (method: Method, query: Query): E.Either<DialectError, Values> => {
  const values: Record<string, string | number | boolean> = {}
  for (const [name, parameter] of Object.entries(method.parameters)) {
    if (parameter.location === 'path') continue
    const text = query[name]
    if (text === undefined) {
      if (parameter.required) return E.left(badParameter(name, `Required parameter: ${name}`))
      continue
    }
    const value = readOne(name, text, parameter)
    if (E.isLeft(value)) return value
    values[name] = value.right
  }
  return E.right(values)
}

/** What every method takes. */
export const readGeneral = (query: Query): E.Either<DialectError, General> => {
  const { alt = 'json', fields, prettyPrint = 'false' } = query
  if (alt !== 'json') return E.left(badParameter('alt', `alt must be json, but is "${alt.slice(0, 50)}".`))
  const isPretty = readBoolean('prettyPrint', prettyPrint)
  return E.isLeft(isPretty) ? isPretty : E.right({ isPretty: isPretty.right, ...(fields === undefined || fields === '' ? {} : { fields }) })
}
