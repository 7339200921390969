// The Markdown documents as data: their fenced blocks by heading and their tables by row, so that tests can run, compile and compare what they say.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')

export interface Block {
  /** `README.md:42`, the line of its fence. */
  readonly place: string
  /** What stands behind the fence: `ts`, `sh`, `json` … */
  readonly language: string
  readonly text: string
  /** The headings above it, the nearest last. */
  readonly headings: readonly string[]
}

export interface Row {
  /** `README.md:42`. */
  readonly place: string
  /** Without what formats them: links, backticks and stars are taken off. */
  readonly cells: readonly string[]
  /** As written. */
  readonly raw: readonly string[]
  readonly headings: readonly string[]
}

export interface Document {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** Rows of all tables, without their titles. */
  readonly rows: readonly Row[]
}

const plain = (cell: string): string =>
  cell
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[`*]/g, '')
    .trim()

/** A bar within backticks, or behind a backslash, is not the end of a cell. */
const cellsOf = (line: string): readonly string[] => {
  const whole = line.replaceAll(/`[^`]*`/g, (code) => code.replaceAll('|', '\u0000')).replaceAll('\\|', '\u0000')
  return whole
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('\u0000', '|'))
}

const parse = (path: string, text: string): Document => {
  const blocks: Block[] = []
  const rows: Row[] = []
  let headings: string[] = []
  let open: { readonly fence: string; readonly language: string; readonly line: number; readonly lines: string[] } | undefined
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    const [, fence, language] = /^(```+)(\w*)/.exec(line) ?? []
    if (open !== undefined) {
      if (line === open.fence) {
        blocks.push({ place: `${path}:${open.line}`, language: open.language, text: `${open.lines.join('\n')}\n`, headings })
        open = undefined
      } else open.lines.push(line)
      continue
    }
    if (fence !== undefined) {
      open = { fence, language: language ?? '', line: index + 1, lines: [] }
      continue
    }
    const [, marks, heading] = /^(#+) (.*)$/.exec(line) ?? []
    if (marks !== undefined && heading !== undefined) headings = [...headings.slice(0, marks.length - 1), plain(heading)]
    const isRow = line.startsWith('|') && !/^\|[\s|:-]+\|$/.test(line) && !/^\|[\s|:-]+\|$/.test(lines[index + 1] ?? '')
    if (isRow) rows.push({ place: `${path}:${index + 1}`, cells: cellsOf(line).map(plain), raw: cellsOf(line), headings })
  }
  return { path, text, blocks, rows }
}

export const document = (path: string): Document => parse(path, readFileSync(join(root, path), 'utf8'))

const markdownIn = (folder: string): readonly string[] =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
        .filter((path) => path.endsWith('.md'))
    : []

/** Every document of the project. */
export const documents = (): readonly Document[] =>
  [...readdirSync(root).filter((name) => name.endsWith('.md')), ...markdownIn('docs'), ...markdownIn('examples')].toSorted().map(document)

/** Blocks under a heading, in their order; none is an error, because a test that finds nothing to check checks nothing. */
export const blocksUnder = ({ path, blocks }: Document, heading: string): readonly Block[] => {
  const found = blocks.filter((block) => block.headings.includes(heading))
  if (found.length === 0) throw new Error(`${path} has no blocks under "${heading}"`)
  return found
}

/** Rows of the tables right under a heading. */
export const rowsUnder = ({ path, rows }: Document, heading: string): readonly Row[] => {
  const found = rows.filter((row) => row.headings.at(-1) === heading)
  if (found.length === 0) throw new Error(`${path} has no table under "${heading}"`)
  return found
}

/** The commands of a `sh` block, each with its comment; a line that ends in a backslash goes on in the next. */
export const commandsOf = ({ text }: Block): readonly { readonly command: string; readonly comment: string }[] =>
  text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => {
      const [, command = '', comment = ''] = /^(.*?)(?:\s+#\s*(.*))?$/.exec(line.replace(/^#.*/, '')) ?? []
      return { command: command.trim(), comment }
    })
    .filter(({ command }) => command !== '')
