// YAML with places: a document is walked by readers that say what they expect, and every mistake carries file, line, column and path.
// Scalars are taken as the text that stands there, as App Engine does, so that a queue named 007 or no is named so.
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type ParsedNode } from 'yaml'
import { duplicateKeys, excessOf, TOKENS_MAX } from './queue-files-bounds.ts'

/**
 * `unreadable`, `too-large`, `encoding`: the file itself · `syntax`: not YAML, or YAML that is not taken here · `type`: a list for a text and the like ·
 * `required`, `unknown`: a key that is missing, or none · `form`, `choice`, `range`, `length`: a value · `duplicate`, `too-many`: an entry ·
 * `no-such-queue`: settings for a queue that `queue.yaml` does not name · `name`: a directory that cannot be an app · `no-effect`: a notice only.
 */
export type FileErrorCode =
  | 'unreadable'
  | 'too-large'
  | 'encoding'
  | 'syntax'
  | 'type'
  | 'required'
  | 'unknown'
  | 'form'
  | 'choice'
  | 'range'
  | 'length'
  | 'duplicate'
  | 'too-many'
  | 'no-such-queue'
  | 'name'
  | 'no-effect'

export interface FileError {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 units. */
  readonly column: number
  /** JSON pointer into the document. */
  readonly path: string
  readonly code: FileErrorCode
  /** A sentence. */
  readonly detail: string
}

/** What is wrong with a value, before it is known where it stands. */
export interface Fault {
  readonly code: FileErrorCode
  readonly detail: string
}

interface Source {
  readonly file: string
  readonly lines: LineCounter
  readonly errors: FileError[]
  readonly notices: FileError[]
}

/** A value in its document. */
export interface Spot {
  readonly source: Source
  readonly node: ParsedNode | null
  /** Where to point when there is no node: at its key. */
  readonly offset: number
  readonly path: string
}

/** Reads a value; undefined when it is refused, which it then has said. */
export type Read<A> = (spot: Spot) => A | undefined

/** More mistakes than this in one file are not told: they are one mistake, made early. */
const ERRORS_MAX = 100
const SHOWN_MAX = 60

const shown = (text: string): string => JSON.stringify(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text)

/** One sentence on a text that does not fit. */
export const faultOf = (code: FileErrorCode, expected: string, text: string): Fault => ({ code, detail: `Expected ${expected}, but it is ${shown(text)}.` })

export const isFault = (value: unknown): value is Fault => typeof value === 'object' && value !== null && 'code' in value && 'detail' in value

const errorAt = ({ file, lines }: Pick<Source, 'file' | 'lines'>, offset: number, path: string, fault: Fault): FileError => {
  const { line, col } = lines.linePos(offset)
  // A file without any text has no lines to count.
  return { file, line: Math.max(1, line), column: Math.max(1, col), path, ...fault }
}

export const refuse = (spot: Spot, code: FileErrorCode, detail: string): undefined => {
  if (spot.source.errors.length < ERRORS_MAX) spot.source.errors.push(errorAt(spot.source, spot.node?.range[0] ?? spot.offset, spot.path, { code, detail }))
}

/** Something that is taken, but that its author may want to know. */
export const notice = (spot: Spot, detail: string): void => {
  spot.source.notices.push(errorAt(spot.source, spot.offset, spot.path, { code: 'no-effect', detail }))
}

/** Whether the node is of the plain kind that queue files consist of: App Engine's reader knows no anchors, aliases and tags, so a file with them would not be the same there. */
const isPlain = (spot: Spot): boolean => {
  const { node } = spot
  if (node === null) return true
  const marks = node as { readonly anchor?: string; readonly tag?: string; readonly source?: unknown }
  if (marks.anchor !== undefined || (!isScalar(node) && !isMap(node) && !isSeq(node))) {
    refuse(spot, 'syntax', 'Expected a plain value: anchors and aliases are not taken in queue files.')
    return false
  }
  if (marks.tag === undefined) return true
  refuse(spot, 'syntax', 'Expected a plain value: tags are not taken in queue files.')
  return false
}

/** A text that `parse` makes something of. */
export const scalar =
  <A>(parse: (text: string) => A | Fault): Read<A> =>
  (spot) => {
    if (!isPlain(spot)) return undefined
    if (!isScalar(spot.node)) return refuse(spot, 'type', `Expected a single value, but it is ${spot.node === null ? 'missing' : isMap(spot.node) ? 'a mapping' : 'a list'}.`)
    const text = spot.node.value
    if (typeof text !== 'string' || text === '') return refuse(spot, 'required', 'Expected a value, but there is none.')
    const value = parse(text)
    return isFault(value) ? refuse(spot, value.code, value.detail) : value
  }

const escapePointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

export interface Child {
  readonly key: string
  /** Its value; `offset` is that of the key. */
  readonly spot: Spot
}

/** The keys of a mapping with their values, in order; none when it is no mapping. */
export const childrenOf = ({ node, source, path }: Spot): readonly Child[] =>
  isMap(node)
    ? node.items.flatMap(({ key, value }) =>
        isScalar(key) && typeof key.value === 'string'
          ? [{ key: key.value, spot: { source, node: value, offset: key.range?.[0] ?? 0, path: `${path}/${escapePointer(key.value)}` } }]
          : [],
      )
    : []

/** A mapping, or undefined after having said what it is. */
const asMapping = (spot: Spot): readonly Child[] | undefined => {
  if (!isPlain(spot)) return undefined
  if (!isMap(spot.node)) return refuse(spot, 'type', 'Expected a mapping of keys to values.')
  const children = childrenOf(spot)
  return children.length === spot.node.items.length ? children : refuse(spot, 'type', 'Expected every key of the mapping to be a single text.')
}

type Shape = Readonly<Record<string, Read<unknown>>>
type ValueOf<R> = R extends Read<infer A> ? A : never
type Fields<Required extends Shape, Optional extends Shape> = { readonly [K in keyof Required]: ValueOf<Required[K]> } & {
  readonly [K in keyof Optional]?: ValueOf<Optional[K]> | undefined
}

/** A mapping with these keys and no others. */
export const mapping =
  <Required extends Shape, Optional extends Shape>(required: Required, optional: Optional): Read<Fields<Required, Optional>> =>
  (spot) => {
    const children = asMapping(spot)
    if (children === undefined) return undefined
    const shape: Shape = { ...required, ...optional }
    const fields: Record<string, unknown> = {}
    let isSound = true
    for (const { key, spot: child } of children) {
      const read = Object.hasOwn(shape, key) ? shape[key] : undefined
      const value =
        read === undefined ? refuse({ ...child, node: null }, 'unknown', `Expected one of ${Object.keys(shape).join(', ')}, but the key is ${shown(key)}.`) : read(child)
      if (value === undefined) isSound = false
      else fields[key] = value
    }
    for (const key of Object.keys(required)) {
      if (children.some((child) => child.key === key)) continue
      isSound = false
      refuse({ ...spot, path: `${spot.path}/${key}` }, 'required', `Expected ${key}, but it is missing.`)
    }
    return isSound ? (fields as Fields<Required, Optional>) : undefined
  }

/** A mapping from names to values of one kind. `check` looks at a name before its value is read. */
export const record =
  <A>(read: Read<A>, check: (name: Child) => Fault | undefined): Read<ReadonlyMap<string, A>> =>
  (spot) => {
    const children = asMapping(spot)
    if (children === undefined) return undefined
    const values = new Map<string, A>()
    for (const child of children) {
      const fault = check(child)
      const value = fault === undefined ? read(child.spot) : refuse({ ...child.spot, node: null }, fault.code, fault.detail)
      if (value !== undefined) values.set(child.key, value)
    }
    return values.size === children.length ? values : undefined
  }

/** A list of values of one kind, at most `max`. */
export const list =
  <A>(read: Read<A>, max: number): Read<readonly A[]> =>
  (spot) => {
    if (!isPlain(spot)) return undefined
    const { node, source, path } = spot
    if (!isSeq(node)) return refuse(spot, 'type', 'Expected a list.')
    if (node.items.length > max) return refuse(spot, 'too-many', `Expected at most ${max} entries, but there are ${node.items.length}.`)
    const values = node.items.flatMap((item, index) => {
      const value = read({ source, node: item, offset: item?.range[0] ?? node.range[0], path: `${path}/${index}` })
      return value === undefined ? [] : [value]
    })
    return values.length === node.items.length ? values : undefined
  }

export interface ReadDocument<A> {
  /** There unless something is refused. */
  readonly value?: A | undefined
  readonly errors: readonly FileError[]
  readonly notices: readonly FileError[]
}

const TOO_DEEP = 'Expected a document of a few levels, but it is nested too deeply.'
const DUPLICATE = 'Expected each key once, but this one stands here for the second time.'

const SENTENCES: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'Expected one document in the file, but there are several.',
  RESOURCE_EXHAUSTION: TOO_DEEP,
}

/** Reads the text of a file. */
export const readDocument = <A>(file: string, text: string, read: Read<A>): ReadDocument<A> => {
  const source: Source = { file, lines: new LineCounter(), errors: [], notices: [] }
  const excess = excessOf(text)
  if (excess !== undefined) {
    source.lines.addNewLine(0)
    for (let at = text.indexOf('\n'); at !== -1 && at < excess.offset; at = text.indexOf('\n', at + 1)) source.lines.addNewLine(at + 1)
    const fault: Fault = excess.what === 'depth' ? { code: 'syntax', detail: TOO_DEEP } : { code: 'too-large', detail: `Expected at most ${TOKENS_MAX} keys, values and marks.` }
    return { errors: [errorAt(source, excess.offset, '', fault)], notices: [] }
  }
  // The library's own look for keys that stand twice compares each with each.
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: source.lines, prettyErrors: false, uniqueKeys: false })
  const [first] = document.errors
  if (first !== undefined) {
    const told = document.errors.some(({ code }) => code === 'RESOURCE_EXHAUSTION')
      ? document.errors.filter(({ code }) => code === 'RESOURCE_EXHAUSTION').slice(0, 1)
      : document.errors
    const errors = told
      .slice(0, ERRORS_MAX)
      .map(({ code, message, pos }) => errorAt(source, pos[0], '', { code: 'syntax', detail: SENTENCES[code] ?? `The file is not YAML: ${message}.` }))
    return { errors, notices: [] }
  }
  const twice = duplicateKeys(document.contents)
  if (twice.length > 0) return { errors: twice.slice(0, ERRORS_MAX).map((at) => errorAt(source, at, '', { code: 'syntax', detail: DUPLICATE })), notices: [] }
  const root: Spot = { source, node: document.contents, offset: 0, path: '' }
  // A file that an editor has just emptied to write it anew must not read as one that takes all queues away.
  const value = document.contents === null ? refuse(root, 'required', 'Expected a configuration, but the file is empty.') : read(root)
  return source.errors.length === 0 ? { value, errors: [], notices: source.notices } : { errors: source.errors.slice(0, ERRORS_MAX), notices: [] }
}
