// What a measurement tells: one figure with its unit, aim and load. Every part of the bench answers in these rows, and the table, the page and the plots are made of them.
import { loadavg } from 'node:os'

/** What was aimed at: a bound, and words for it where the bound alone would not explain itself. */
export interface Aim {
  readonly least?: number
  readonly most?: number
  readonly words?: string
}

export interface Row {
  /** What was measured; the same in every run. */
  readonly row: string
  readonly value: number
  readonly unit: string
  readonly aim?: Aim
  /** What keeps the figure from being better. */
  readonly limit?: string
  /** The row of the same part that tells what the platform allows without Stint: `npm run bench:check` compares ratios to it, which say more than figures do. */
  readonly against?: string
  /** More figures of the same measurement, and what they were measured on. */
  readonly more?: Readonly<Record<string, number | string>>
  /** One-minute load average when the measurement ended, this measurement included. */
  readonly load: number
}

/** What is told of a row beside its figure. */
export type About = Pick<Row, 'aim' | 'limit' | 'against' | 'more'>

/** How thoroughly to measure. Quick figures show that the bench works, and little else. */
export interface Effort {
  readonly isQuick: boolean
  /** `esdb://…` for what is measured over one; a double of it, unless it is given. */
  readonly store?: string
}

export const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits))

/** Three digits that count: what measurements of a shared machine can carry. */
export const brief = (value: number): number => Number(value.toPrecision(value >= 1_000 ? 4 : 3))

export const load = (): number => rounded(loadavg()[0] ?? 0, 2)

/** One row, its load taken now. */
export const rowOf = (row: string, value: number, unit: string, rest: About = {}): Row => ({ row, value: brief(value), unit, ...rest, load: load() })

export const quantile = (values: Iterable<number>, q: number): number => {
  const sorted = Float64Array.from(values).toSorted()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

/** Undefined where nothing was aimed at. */
export const isMet = ({ value, aim }: Pick<Row, 'value' | 'aim'>): boolean | undefined =>
  aim === undefined ? undefined : value >= (aim.least ?? -Infinity) && value <= (aim.most ?? Infinity)

export const numberText = (value: number): string => value.toLocaleString('en-US', { maximumSignificantDigits: Math.abs(value) >= 1_000 ? 15 : 3 })

export const aimText = ({ aim }: Pick<Row, 'aim'>): string => {
  if (aim === undefined) return ''
  if (aim.words !== undefined) return aim.words
  return [...(aim.least === undefined ? [] : [`≥ ${numberText(aim.least)}`]), ...(aim.most === undefined ? [] : [`≤ ${numberText(aim.most)}`])].join(', ')
}

export const moreText = ({ more = {} }: Pick<Row, 'more'>): string =>
  Object.entries(more)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? numberText(value) : value}`)
    .join(', ')

/** The rows for a terminal. */
export const tableOf = (rows: readonly Row[]): string => {
  const cells = rows.map((row) => [
    row.row,
    numberText(row.value),
    row.unit,
    aimText(row),
    { true: 'met', false: 'not met', undefined: '' }[String(isMet(row)) as 'true'],
    String(row.load),
    moreText(row),
  ])
  const all = [['', 'figure', 'unit', 'aim', '', 'load', 'more'], ...cells]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0))) ?? []
  return all
    .map((line) =>
      line
        .map((cell, column) => (column === 1 || column === 5 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
