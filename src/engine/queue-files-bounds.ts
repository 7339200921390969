// How much a queue file may ask of whoever reads it: found out from its tokens in one pass, before anything is built from them.
import { isMap, isScalar, isSeq, Lexer, type ParsedNode } from 'yaml'

/** Mappings and lists inside each other, at most. */
export const DEPTH_MAX = 64
/** Keys, values and other marks in a file, at most: several times what a hundred queues with all their lists take. */
export const TOKENS_MAX = 100_000

export interface Excess {
  readonly what: 'depth' | 'tokens'
  /** Where the limit is passed. */
  readonly offset: number
}

/** Marks of the lexer that stand for no text. */
const WIDTHLESS = new Set(['\u0002', '\u0018', '\u001f'])
const SPACE = /^[ \t]+$/

/** The first place at which the text is too deep or too long; undefined when it is neither. */
export const excessOf = (text: string): Excess | undefined => {
  /** Columns at which something of each enclosing block begins. */
  const columns: number[] = []
  let [offset, lineStart, flow, tokens] = [0, 0, 0, 0]
  for (const token of new Lexer().lex(text)) {
    if (WIDTHLESS.has(token)) continue
    const column = offset - lineStart
    if (token === '[' || token === '{') flow += 1
    else if (token === ']' || token === '}') flow = Math.max(0, flow - 1)
    else if (flow === 0 && !SPACE.test(token) && token.trim() !== '') {
      while ((columns.at(-1) ?? -1) >= column) columns.pop()
      columns.push(column)
    }
    if (flow + columns.length > DEPTH_MAX) return { what: 'depth', offset }
    if (!SPACE.test(token)) tokens += 1
    if (tokens > TOKENS_MAX) return { what: 'tokens', offset }
    offset += token.length
    const end = token.lastIndexOf('\n')
    if (end !== -1) lineStart = offset - token.length + end + 1
  }
  return undefined
}

/** Offsets of keys that stand in their mapping for the second time, in order. */
export const duplicateKeys = (root: ParsedNode | null): readonly number[] => {
  const found: number[] = []
  const walk = (node: ParsedNode | null): void => {
    if (isSeq(node)) for (const item of node.items) walk(item)
    if (!isMap(node)) return
    const seen = new Set<unknown>()
    for (const { key, value } of node.items) {
      if (isScalar(key)) {
        if (seen.has(key.value)) found.push(key.range?.[0] ?? 0)
        seen.add(key.value)
      }
      walk(value)
    }
  }
  walk(root)
  return found
}
