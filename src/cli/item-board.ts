// The picture that `jobs watch`, `tasks watch` and `requests watch` draw: a line for each item with its bar, as many as fit, and a line that sums up. Pure: items and sizes in, lines out.
import { states, type State } from '../wire/items.ts'
import type { Kind } from '../wire/words.ts'
import { formatDuration } from './duration.ts'
import { placeOf, titleOf, type Item } from './item.ts'
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

const rateText = (rate: number | undefined, unit: string | undefined): string => {
  if (rate === undefined) return ''
  return `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}${unit === undefined ? '' : ` ${unit}`}/s`
}

const isMoving = ({ state }: Item): boolean => state === 'running' || state === 'aborting'

const timeText = (item: Item, pace: Pace | undefined, now: number): string => {
  if (item.settledAt !== undefined) return `in ${formatDuration(Date.parse(item.settledAt) - Date.parse(item.createdAt))}`
  const left = isMoving(item) ? remainingMs(pace, item, now) : undefined
  return left === undefined ? '' : `${formatDuration(left)} left`
}

const rowOf = (item: Item, pace: Pace | undefined, now: number): Row => {
  const { symbol, colour } = LOOKS[item.state]
  const fraction = item.state === 'completed' ? 1 : fractionOf(item.progress)
  const isLost = item.state === 'lost' && item.holder?.lastSeenAt !== undefined
  return {
    fraction,
    symbol: { text: symbol, colour },
    name: { text: plain(titleOf(item)) },
    place: { text: plain(placeOf(item)), colour: 'dim' },
    state: { text: item.state, colour },
    bar: { text: '', colour },
    percent: { text: fraction === undefined ? '' : `${Math.floor(fraction * 100)}%` },
    counts: { text: plain(progressCounts(item.progress) ?? '') },
    rate: { text: isMoving(item) ? plain(rateText(rateOf(pace), item.progress?.unit)) : '' },
    left: { text: timeText(item, pace, now) },
    phase: {
      text: isLost ? `silent for ${formatDuration(now - Date.parse(item.holder?.lastSeenAt ?? ''))}` : plain(item.phase ?? item.progress?.message ?? ''),
      colour: isLost ? 'yellow' : 'dim',
    },
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

/** The lines of the board, each at most `columns - 1` wide, at most `rows - 1` of them: a full line would make some terminals scroll. */
export const boardLines = ({ kind = 'job', items, counts, paces, now, more, trouble }: BoardView, { columns, rows }: BoardSize, paint: Paint): readonly string[] => {
  const width = Math.max(20, columns - 1)
  const room = Math.max(1, rows - 3)
  const shown = boardOrder(items).slice(0, room)
  const table = shown.map((item) => rowOf(item, paces.get(item.id), now))
  const widths = layout(table, width)
  const total = counts === undefined ? items.length : Object.values(counts).reduce((sum, count) => sum + count, 0)
  // With counts of all the items that were read are no whole to be missing from.
  const hidden = counts === undefined ? items.length - shown.length : 0
  const summary = [
    `${total.toLocaleString('en')}${more === true && counts === undefined ? ' newest' : ''} ${kind}${total === 1 ? '' : 's'}`,
    countsText(counts ?? countsOf(items), paint),
  ]
    .filter((part) => part !== '')
    .join(': ')
  const tail = [hidden > 0 ? `${hidden} not shown` : '', trouble === undefined ? '' : paint('yellow', trouble)].filter((part) => part !== '').join(' · ')
  const last = [summary, tail].filter((part) => part !== '').join(' · ')
  return [...table.map((row) => lineOf(row, widths, paint)), widthOf(last) > width ? cut(plain(last), width) : last]
}
