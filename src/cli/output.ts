// Data on stdout: a table for people, JSON and JSON lines for programs. The JSON is what the server says, field by field; tables may change, it may not.
import type { Context } from './context.ts'
import { tableLines, type Column } from './terminal/table.ts'
import { plain } from './terminal/text.ts'

export interface Listing<Row> {
  readonly items: readonly Row[]
  readonly next?: string | undefined
}

/** Prints a list. An empty one says on stderr what to try. */
export const printList = <Row>({ format, out, say, paint, columns }: Context, { items, next }: Listing<Row>, table: readonly Column<Row>[], empty: string): void => {
  if (format === 'json') return out(JSON.stringify(next === undefined ? { items } : { items, next }, null, 2))
  if (format === 'jsonl') {
    for (const item of items) out(JSON.stringify(item))
    return
  }
  if (items.length === 0) return say(empty)
  for (const line of tableLines(table, items, paint, columns())) out(line)
  if (next !== undefined) say(`There are more: --after ${next}`)
}

type Line = readonly [name: string, value: string | undefined]

/** Prints one thing: its fields one below the other. */
export const printOne = ({ format, out, paint }: Context, thing: unknown, lines: readonly Line[]): void => {
  if (format !== 'table') return out(JSON.stringify(thing, null, format === 'json' ? 2 : undefined))
  const shown = lines.filter((line): line is readonly [string, string] => line[1] !== undefined && line[1] !== '')
  const width = Math.max(...shown.map(([name]) => name.length))
  for (const [name, value] of shown) out(`${paint('dim', name.padEnd(width))}  ${plain(value)}`)
}
