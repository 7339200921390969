// Draws the rows of one part as bars: plain SVG text, a card with its own background, so that it can be read wherever the page is, light or dark.
import { isMet, numberText, type Row } from './row.ts'

const WIDTH = 860
const LABEL = 390
const VALUE = 110
const BAR = WIDTH - LABEL - VALUE
const LINE = 26
const BAR_HEIGHT = 14
const PADDING = 16

const STYLE = `
  .card { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .unit { font-weight: 600 }
  .bar { fill: #4078c0 }
  .missed { fill: #c2571a }
  .aim { stroke: #1f2328; stroke-width: 2; stroke-dasharray: 3 2 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161b22; stroke: #30363d }
    text { fill: #e6edf3 }
    .bar { fill: #6ca0e8 }
    .missed { fill: #e8935a }
    .aim { stroke: #e6edf3 }
  }
`

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** The bound of an aim, in the row's unit. */
const boundOf = ({ aim }: Row): number | undefined => aim?.most ?? aim?.least

/** Rows that share a unit and so can share a scale. */
interface Scale {
  readonly unit: string
  readonly rows: readonly Row[]
}

/** How far an aim may stretch a scale: one that is far from all bars is left out, or nothing else could be seen. */
const STRETCH = 4

const highestOf = ({ rows }: Scale): number => Math.max(...rows.map(({ value }) => value), Number.MIN_VALUE)

/** The aims that are drawn. */
const boundsOf = (scale: Scale): readonly number[] => scale.rows.map((row) => boundOf(row) ?? Infinity).filter((bound) => bound <= highestOf(scale) * STRETCH)

const scalesOf = (rows: readonly Row[]): readonly Scale[] =>
  [...Map.groupBy(rows, ({ unit }) => unit)]
    .map(([unit, of]) => ({ unit, rows: of }))
    // A bar with nothing beside it says nothing.
    .filter((scale) => scale.rows.length > 1 || boundsOf(scale).length > 0)

/** Room that a figure needs beside its bar. */
const FIGURE = 70

const barOf = (row: Row, top: number, largest: number): string => {
  const x = (value: number): number => LABEL + Math.round((value / largest) * BAR)
  const bound = boundOf(row) ?? Infinity
  const end = Math.max(LABEL + 1, x(row.value))
  const middle = top + LINE / 2
  const bar = `<rect class="bar${isMet(row) === false ? ' missed' : ''}" x="${LABEL}" y="${middle - BAR_HEIGHT / 2}" width="${end - LABEL}" height="${BAR_HEIGHT}" rx="2"/>`
  const aim = bound > largest ? [] : [`<line class="aim" x1="${x(bound)}" x2="${x(bound)}" y1="${top + 3}" y2="${top + LINE - 3}"/>`]
  const isInTheWay = bound <= largest && x(bound) >= end && x(bound) < end + FIGURE
  const label = `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${escaped(row.row)}</text>`
  return [label, bar, ...aim, `<text x="${(isInTheWay ? x(bound) : end) + 8}" y="${middle + 4}">${numberText(row.value)}</text>`].join('\n')
}

const scaleOf = (scale: Scale, top: number): string => {
  const { unit, rows } = scale
  const bounds = boundsOf(scale)
  const largest = Math.max(highestOf(scale), ...bounds)
  const title = `${escaped(unit)}${bounds.length > 0 ? ' (dashed: the aim)' : ''}`
  return [`<text class="unit" x="${LABEL}" y="${top + LINE / 2 + 4}">${title}</text>`, ...rows.map((row, index) => barOf(row, top + (index + 1) * LINE, largest))].join('\n')
}

/** The plot of a part, or undefined when there is nothing to compare. Bars of one unit share a scale; a dashed line is the aim, orange says that it is not met. */
export const plotOf = (title: string, rows: readonly Row[]): string | undefined => {
  const scales = scalesOf(rows)
  if (scales.length === 0) return undefined
  let top = PADDING
  const drawn = scales.map((scale) => {
    const text = scaleOf(scale, top)
    top += (scale.rows.length + 1) * LINE + PADDING / 2
    return text
  })
  const height = top + PADDING / 2
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}
