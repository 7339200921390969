// Tables for people: columns as wide as their content, the widest ones cut until a row fits the terminal; empty columns are left out.
import { cut, cutName, cutWords, pad, plain, widthOf, type Colour, type Paint } from './text.ts'

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string | undefined
  readonly colour?: (row: Row) => Colour | undefined
  readonly align?: 'left' | 'right'
  /** Never cut: ids and other things that people copy. */
  readonly whole?: boolean
  /** How it is cut: a name keeps its end if it is a path, words are kept whole; otherwise anywhere. */
  readonly cut?: 'name' | 'words'
}

const CUTS = { name: cutName, words: cutWords, anywhere: cut } as const

const GAP = '  '
const NARROWEST = 6

/** Widths that fit `columns` if they can: the widest cuttable column gives first. */
export const fitWidths = (wanted: readonly number[], canGive: readonly boolean[], columns: number): readonly number[] => {
  const widths = [...wanted]
  const total = (): number => widths.reduce((sum, width) => sum + width, 0) + GAP.length * Math.max(0, widths.length - 1)
  for (let over = total() - columns; over > 0; over = total() - columns) {
    const widest = widths.reduce((best, width, index) => (canGive[index] === true && width > (widths[best] ?? 0) ? index : best), canGive.indexOf(true))
    const width = widths[widest]
    if (width === undefined || width <= NARROWEST) return widths
    widths[widest] = width - 1
  }
  return widths
}

/** The lines of a table, its titles first. `columns` is the terminal's width; without it nothing is cut. */
export const tableLines = <Row>(all: readonly Column<Row>[], rows: readonly Row[], paint: Paint, columns?: number): readonly string[] => {
  const shown = all.filter((column) => rows.some((row) => (column.value(row) ?? '') !== ''))
  const cells = rows.map((row) => shown.map((column) => plain(column.value(row) ?? '')))
  const wanted = shown.map((column, index) => Math.max(widthOf(column.title), ...cells.map((row) => widthOf(row[index] ?? ''))))
  const widths =
    columns === undefined
      ? wanted
      : fitWidths(
          wanted,
          shown.map((column) => column.whole !== true),
          columns,
        )
  const line = (texts: readonly string[], colourOf: (index: number) => Colour | undefined): string =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0
        const column = shown[index]
        const fitted = pad(column?.whole === true ? text : CUTS[column?.cut ?? 'anywhere'](text, width), width, column?.align)
        const colour = colourOf(index)
        return colour === undefined ? fitted : paint(colour, fitted)
      })
      .join(GAP)
      .trimEnd()
  return [
    line(
      shown.map((column) => column.title),
      () => 'dim',
    ),
    ...rows.map((row, at) => line(cells[at] ?? [], (index) => shown[index]?.colour?.(row))),
  ]
}
