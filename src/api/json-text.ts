// Reads JSON that a stranger wrote: its depth is known before it is parsed, and no object may smuggle in a prototype.
import { isUtf8 } from 'node:buffer'
import * as E from 'fp-ts/lib/Either.js'
import type { FieldError } from '../wire/schema.ts'

/** Objects and arrays inside each other, at most. */
export const JSON_DEPTH_MAX = 64
/** Objects, arrays and fields in all, at most: parsed, each costs many times the bytes that it is written with. */
export const JSON_PARTS_MAX = 1_000_000

const QUOTE = 34
const BACKSLASH = 92
const COLON = 58
const isOpening = (code: number): boolean => code === 123 || code === 91
const isClosing = (code: number): boolean => code === 125 || code === 93

/** Index of the quote that ends the string which begins at `start`. */
const endOfString = (text: string, start: number): number => {
  let at = start + 1
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1
  return at
}

/** Whether brackets nest too deep or there are too many parts; one pass, no recursion, whatever the text is. */
export const excessOf = (text: string): 'depth' | 'parts' | undefined => {
  let depth = 0
  let parts = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (isOpening(code)) {
      depth += 1
      parts += 1
      if (depth > JSON_DEPTH_MAX) return 'depth'
    } else if (isClosing(code)) depth -= 1
    else if (code === COLON) parts += 1
    if (parts > JSON_PARTS_MAX) return 'parts'
  }
  return undefined
}

/** A name that changes what an object is in JavaScript, once it is copied by assignment. */
const FORBIDDEN_NAME = '__proto__'
/** An escape can spell a name too; most texts have neither and need no walk. */
const MAY_HOLD_FORBIDDEN_NAME = /"__proto__"|\\u/

const escapePointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

const forbiddenName = (value: unknown): string | undefined => {
  const open: { readonly value: object; readonly path: string }[] = []
  const enter = (inner: unknown, path: string): void => {
    if (typeof inner === 'object' && inner !== null) open.push({ value: inner, path })
  }
  enter(value, '')
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value: object, path } = next
    if (Array.isArray(object)) {
      for (const [index, inner] of object.entries()) enter(inner, `${path}/${index}`)
      continue
    }
    if (Object.hasOwn(object, FORBIDDEN_NAME)) return `${path}/${FORBIDDEN_NAME}`
    for (const [key, inner] of Object.entries(object)) enter(inner, `${path}/${escapePointer(key)}`)
  }
  return undefined
}

/** Most texts have no number that could be too long or too large, and need no second look. A number stands behind one of these characters: ids in quotes look like numbers too, and are many. */
const MAY_HOLD_LOSSY_NUMBER = /(?:^|[[:,\s])-?\d[\d.]*(?:(?<=\d{16})|(?<=\.\d{15})|[eE][+-]?\d{3})/

/** Whether a number that is written like this is another one once it is read: an integer that changes, or one that is too large or too small to be any. */
const isLossy = (value: number, source: string): boolean => {
  if (!Number.isFinite(value) || (value === 0 && /^-?[0.]*[1-9]/.test(source))) return true
  return !Number.isSafeInteger(value) && /^-?\d+$/.test(source) && BigInt(source) !== BigInt(value)
}

/** Stands for a number that is lost, and is handed from what holds it to what holds that, so that it comes to know where it was. */
class Lost {
  path = ''
}

/** Path of the first number that cannot be kept as it is written. */
const lossyNumber = (text: string): string | undefined => {
  const revived: unknown = JSON.parse(text, (key, value: unknown, context?: { readonly source?: string }) => {
    const found = typeof value === 'number' && isLossy(value, context?.source ?? '') ? new Lost() : lostIn(value)
    if (found === undefined) return value
    found.path = `/${escapePointer(key)}${found.path}`
    return found
  })
  // The outermost value has no name of its own.
  return revived instanceof Lost ? revived.path.slice(1) : undefined
}

const lostIn = (value: unknown): Lost | undefined =>
  typeof value === 'object' && value !== null ? Object.values(value).find((inner): inner is Lost => inner instanceof Lost) : undefined

const refuse = (path: string, code: FieldError['code'], detail: string): E.Either<readonly FieldError[], never> => E.left([{ path, code, detail }])

/** The value that the bytes spell, or why they cannot be read. */
export const parseJson = (bytes: Buffer): E.Either<readonly FieldError[], unknown> => {
  if (bytes.length === 0) return refuse('', 'required', 'Expected a JSON body, but there is none.')
  if (!isUtf8(bytes)) return refuse('', 'json', 'Expected UTF-8.')
  const text = bytes.toString('utf8')
  const excess = excessOf(text)
  if (excess === 'depth') return refuse('', 'depth', `Expected at most ${JSON_DEPTH_MAX} levels of objects and arrays.`)
  if (excess === 'parts') return refuse('', 'length', `Expected at most ${JSON_PARTS_MAX} objects, arrays and fields in all.`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('', 'json', 'Expected JSON.')
  }
  const lossy = MAY_HOLD_LOSSY_NUMBER.test(text) ? lossyNumber(text) : undefined
  if (lossy !== undefined) return refuse(lossy, 'json', 'Expected a number that can be kept exactly: send a larger or longer one as text, or the payload as bytes.')
  const path = MAY_HOLD_FORBIDDEN_NAME.test(text) ? forbiddenName(value) : undefined
  return path === undefined ? E.right(value) : refuse(path, 'name', 'A field must not have this name.')
}
