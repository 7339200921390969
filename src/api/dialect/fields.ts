// Field masks, `kind,items(id,tag)` or `stats/totalTasks`: read against the resource that is answered, so that a name it does not have is refused, and laid over the answer.
import * as E from 'fp-ts/lib/Either.js'
import { partsOf, type Properties } from './schemas.ts'

/** What is shown: all, or what is named, each with a mask of its own. */
export type Mask = 'all' | ReadonlyMap<string, Mask>

type Names = Map<string, Mask>

const TOKEN = /\s*([A-Za-z_]\w*|[*/(),]|\S)/g
const NAME = /^(?:[A-Za-z_]\w*|\*)$/

const both = (a: Mask | undefined, b: Mask): Mask => {
  if (a === undefined) return b
  if (a === 'all' || b === 'all') return 'all'
  const merged: Names = new Map(a)
  for (const [name, mask] of b) merged.set(name, both(merged.get(name), mask))
  return merged
}

/** The parts of all properties that have any, as `*` means them. */
const partsOfAll = (properties: Properties): Properties => Object.assign({}, ...Object.values(properties).map((property) => partsOf(property) ?? {})) as Properties

/** As much of a mask as these properties have. */
const within = (mask: Mask, properties: Properties): Mask => (mask === 'all' ? mask : new Map([...mask].filter(([name]) => Object.hasOwn(properties, name))))

/** Reads one mask; what it can nest is bounded by what the resource does. */
class Reader {
  readonly #tokens: readonly string[]
  #at = 0

  constructor(text: string) {
    this.#tokens = [...text.matchAll(TOKEN)].map((match) => match[1] ?? '')
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#tokens.length
  }

  #took(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at += 1
    return true
  }

  /** selectors = selector *("," selector) */
  selectors(properties: Properties): Names | undefined {
    let names: Mask = new Map()
    do {
      const selected = this.#selector(properties)
      if (selected === undefined) return undefined
      names = both(names, selected)
    } while (this.#took(','))
    return names as Names
  }

  /** selector = name [ "/" selector / "(" selectors ")" ] */
  #selector(properties: Properties): Names | undefined {
    const name = this.#tokens[this.#at] ?? ''
    if (!NAME.test(name)) return undefined
    this.#at += 1
    const isAny = name === '*'
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (!isAny && property === undefined) return undefined
    const parts = isAny ? partsOfAll(properties) : property && partsOf(property)
    const inside = this.#inside(parts)
    if (inside === undefined) return undefined
    if (!isAny) return new Map([[name, inside]])
    const named = Object.entries(properties).flatMap(([key, each]): [string, Mask][] => {
      if (inside === 'all') return [[key, 'all']]
      const own = partsOf(each)
      return own === undefined ? [] : [[key, within(inside, own)]]
    })
    return new Map(named)
  }

  #inside(parts: Properties | undefined): Mask | undefined {
    const isPath = this.#took('/')
    if (!isPath && !this.#took('(')) return 'all'
    if (parts === undefined) return undefined
    if (isPath) return this.#selector(parts)
    const names = this.selectors(parts)
    return this.#took(')') ? names : undefined
  }
}

/** The mask that a text spells for a resource of these properties. Left: it spells none, or names what the resource does not have. */
export const readMask = (text: string, properties: Properties): E.Either<string, Mask> => {
  const reader = new Reader(text)
  const mask = reader.selectors(properties)
  return mask === undefined || !reader.isAtEnd ? E.left(`Invalid field selection ${text.slice(0, 200)}`) : E.right(mask)
}

/** What the mask leaves of a value; a list is masked entry by entry. */
export const applyMask = (mask: Mask, value: unknown): unknown => {
  if (mask === 'all') return value
  if (Array.isArray(value)) return value.map((entry) => applyMask(mask, entry))
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).flatMap(([key, part]): [string, unknown][] => {
    const inner = mask.get(key)
    return inner === undefined ? [] : [[key, applyMask(inner, part)]]
  })
  return Object.fromEntries(kept)
}

/** Whether anything at this path is shown, so that what is not need not be looked up. */
export const shows = (mask: Mask, ...path: readonly string[]): boolean => {
  let inner: Mask | undefined = mask
  for (const name of path) {
    if (inner === undefined || inner === 'all') break
    inner = inner.get(name)
  }
  return inner !== undefined
}
