// The picture that `jobs watch`, `tasks watch` and `requests watch` draw: a line for each item with its bar, as many as fit, and a line that sums up; its parts are those of
// the board of long tasks too. Pure: items and sizes in, lines out.
import { states, type State } from '../wire/items.ts'
import type { NodeShown } from '../wire/nodes.ts'
import type { Kind } from '../wire/words.ts'
import { bytesRateText, isBytes } from './bytes.ts'
import { formatDuration } from './duration.ts'
import { KIND_TEXT, placeOf, titleOf, type Item } from './item.ts'
import { rateOf, remainingMs, type Pace } from './item-pace.ts'
import { countsText as progressCounts, fractionOf, isSettled, LOOKS } from './look.ts'
import { bar } from './terminal/bar.ts'
import { cut, cutName, pad, plain, widthOf, type Colour, type Paint } from './terminal/text.ts'

export interface BoardSize {
  readonly columns: number
  readonly rows: number
}

/** How many there are of each state. */
export type Counts = Partial<Readonly<Record<State, number>>>

export interface BoardView {
  /** What the items are called together (job). */
  readonly kind?: Kind
  readonly items: readonly Item[]
  readonly paces: ReadonlyMap<string, Pace>
  /** Wall clock, for ages and estimates. */
  readonly now: number
  /** How many there are of each state in all, where that is known beyond the items that were read. */
  readonly counts?: Counts | undefined
  /** Nodes on which items run, where they are known. */
  readonly nodes?: readonly NodeShown[] | undefined
  /** There are older items that were not read. */
  readonly more?: boolean
  /** Said in the last line, in place of a count that may be old. */
  readonly trouble?: string | undefined
}

/** What is going on first, in the order of its beginning; then what has settled, the latest first. */
export const boardOrder = <Any extends Item>(items: readonly Any[]): readonly Any[] => {
  const living = items.filter((item) => !isSettled(item.state)).toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  const settled = items.filter((item) => isSettled(item.state)).toSorted((a, b) => b.updatedAt.localeCompare(a.updatedAt))
  return [...living, ...settled]
}

/** How many there are of each state: `12 running, 1 lost, 40 completed`. */
export const countsText = (counts: Counts, paint: Paint): string =>
  states.flatMap((state) => (counts[state] === undefined || counts[state] === 0 ? [] : [paint(LOOKS[state].colour, `${counts[state].toLocaleString('en')} ${state}`)])).join(', ')

const countsOf = (items: readonly Pick<Item, 'state'>[]): Counts => Object.fromEntries(states.map((state) => [state, items.filter((item) => item.state === state).length]))

/** As `countsText`, counted. */
export const countsOfStates = (items: readonly Pick<Item, 'state'>[], paint: Paint): string => countsText(countsOf(items), paint)

const MAX_NAME = 32
const MAX_PLACE = 28
const MAX_PHASE = 24
const BAR_MIN = 6
const BAR_MAX = 30
const GAP = 2

interface Cell {
  readonly text: string
  readonly colour?: Colour | undefined
}

/** The columns of the board in the order in which they stand; `drop`: the higher, the sooner it is left out where space is short. */
const COLUMNS = [
  { name: 'symbol', drop: 0 },
  { name: 'name', drop: 0, max: MAX_NAME },
  { name: 'place', drop: 3, max: MAX_PLACE },
  { name: 'state', drop: 1 },
  { name: 'bar', drop: 2 },
  { name: 'percent', drop: 0, align: 'right' },
  { name: 'counts', drop: 5, align: 'right' },
  { name: 'rate', drop: 6, align: 'right' },
  { name: 'left', drop: 4, align: 'right' },
  { name: 'phase', drop: 7, max: MAX_PHASE },
] as const

type ColumnName = (typeof COLUMNS)[number]['name']
type Row = Readonly<Record<ColumnName, Cell>> & { readonly fraction: number | undefined }

/** `12.5 MiB/s`, `20 files/s`; empty while it is not known. */
export const rateText = (rate: number | undefined, unit: string | undefined): string => {
  if (rate === undefined) return ''
  if (isBytes(unit)) return bytesRateText(rate)
  return `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}${unit === undefined ? '' : ` ${unit}`}/s`
}

export const isMoving = ({ state }: Item): boolean => state === 'running' || state === 'aborting'

const timeText = (item: Item, pace: Pace | undefined, now: number): string => {
  if (item.settledAt !== undefined) return `in ${formatDuration(Date.parse(item.settledAt) - Date.parse(item.createdAt))}`
  const left = isMoving(item) ? remainingMs(pace, item, now) : undefined
  return left === undefined ? '' : `${formatDuration(left)} left`
}

/** What it does, or what became of it: how long it has been silent, why it failed, else its phase. */
const phaseCell = (item: Item, now: number): Cell => {
  const { state, holder, outcome } = item
  if (state === 'lost' && holder?.lastSeenAt !== undefined) return { text: `silent for ${formatDuration(now - Date.parse(holder.lastSeenAt))}`, colour: 'yellow' }
  if (outcome !== undefined && 'failed' in outcome) return { text: plain(`${outcome.failed.code}: ${outcome.failed.message}`), colour: 'red' }
  return { text: plain(item.phase ?? item.progress?.message ?? ''), colour: 'dim' }
}

const rowOf = (item: Item, pace: Pace | undefined, now: number, place: string): Row => {
  const { symbol, colour } = LOOKS[item.state]
  const fraction = item.state === 'completed' ? 1 : fractionOf(item.progress)
  return {
    fraction,
    symbol: { text: symbol, colour },
    name: { text: plain(titleOf(item)) },
    place: { text: plain(place), colour: 'dim' },
    state: { text: item.state, colour },
    bar: { text: '', colour },
    percent: { text: fraction === undefined ? '' : `${Math.floor(fraction * 100)}%` },
    counts: { text: plain(progressCounts(item.progress) ?? '') },
    rate: { text: isMoving(item) ? plain(rateText(rateOf(pace), item.progress?.unit)) : '' },
    left: { text: timeText(item, pace, now) },
    phase: phaseCell(item, now),
  }
}

const naturalWidth = (rows: readonly Row[], column: (typeof COLUMNS)[number]): number => {
  if (column.name === 'bar') return rows.some((row) => row.fraction !== undefined) ? BAR_MIN : 0
  const widest = Math.max(0, ...rows.map((row) => widthOf(row[column.name].text)))
  return 'max' in column ? Math.min(column.max, widest) : widest
}

/** The width of each column that is shown: those that are dropped, or empty, are left out. */
const layout = (rows: readonly Row[], columns: number): ReadonlyMap<ColumnName, number> => {
  const widths = new Map(COLUMNS.map((column) => [column.name, naturalWidth(rows, column)] as const).filter(([, width]) => width > 0))
  const total = (): number => [...widths.values()].reduce((sum, width) => sum + width + GAP, -GAP)
  const dropOrder = COLUMNS.filter((column) => column.drop > 0).toSorted((a, b) => b.drop - a.drop)
  for (const { name } of dropOrder) if (total() > columns) widths.delete(name)
  const name = widths.get('name') ?? 0
  if (total() > columns) widths.set('name', Math.max(1, name - (total() - columns)))
  const barWidth = widths.get('bar')
  if (barWidth !== undefined) widths.set('bar', Math.min(BAR_MAX, barWidth + Math.max(0, columns - total())))
  return widths
}

const lineOf = (row: Row, widths: ReadonlyMap<ColumnName, number>, paint: Paint): string => {
  const cells = COLUMNS.flatMap((column) => {
    const width = widths.get(column.name)
    if (width === undefined) return []
    const { text, colour } = row[column.name]
    const fitted =
      column.name === 'bar'
        ? row.fraction === undefined
          ? ' '.repeat(width)
          : bar(row.fraction, width)
        : pad((column.name === 'name' ? cutName : cut)(text, width), width, 'align' in column ? column.align : 'left')
    return [colour === undefined ? fitted : paint(colour, fitted)]
  })
  return cells.join(' '.repeat(GAP))
}

/** A line for each item, in columns that they share, none wider than `width`. */
export const itemLines = (
  items: readonly Item[],
  { paces, now, placed = placeOf }: Pick<BoardView, 'paces' | 'now'> & { readonly placed?: (item: Item) => string },
  width: number,
  paint: Paint,
): readonly string[] => {
  const table = items.map((item) => rowOf(item, paces.get(item.id), now, placed(item)))
  const widths = layout(table, width)
  return table.map((row) => lineOf(row, widths, paint))
}

/** The line that sums up: how many of what there are of each state, and what is to be said beside it. */
export const summaryLine = (what: string, counts: string, tail: readonly string[], width: number): string => {
  const line = [[what, counts].filter((part) => part !== '').join(': '), ...tail.filter((part) => part !== '')].join(' · ')
  return widthOf(line) > width ? cut(plain(line), width) : line
}

/** The lines of the board, each at most `columns - 1` wide, at most `rows - 1` of them: a full line would make some terminals scroll. */
export const boardLines = ({ kind = 'job', items, counts, paces, now, more, trouble }: BoardView, { columns, rows }: BoardSize, paint: Paint): readonly string[] => {
  const width = Math.max(20, columns - 1)
  const room = Math.max(1, rows - 3)
  const shown = boardOrder(items).slice(0, room)
  const total = counts === undefined ? items.length : Object.values(counts).reduce((sum, count) => sum + count, 0)
  // With counts of all the items that were read are no whole to be missing from.
  const hidden = counts === undefined ? items.length - shown.length : 0
  const what = `${total.toLocaleString('en')}${more === true && counts === undefined ? ' newest' : ''} ${KIND_TEXT[kind]}${total === 1 ? '' : 's'}`
  const tail = [hidden > 0 ? `${hidden} not shown` : '', trouble === undefined ? '' : paint('yellow', trouble)]
  return [...itemLines(shown, { paces, now }, width, paint), summaryLine(what, countsText(counts ?? countsOf(items), paint), tail, width)]
}
