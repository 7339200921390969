// The picture that `jobs watch` draws: a line for each job with its bar, as many as fit, and a line that sums up. Pure: jobs and sizes in, lines out.
import type { JobProxy } from '../wire/jobs.ts'
import { states } from '../wire/items.ts'
import { formatDuration } from './duration.ts'
import { rateOf, remainingMs, type Pace } from './job-pace.ts'
import { countsText, fractionOf, isSettled, LOOKS } from './look.ts'
import { bar } from './terminal/bar.ts'
import { cut, cutName, pad, plain, widthOf, type Colour, type Paint } from './terminal/text.ts'

export interface BoardSize {
  readonly columns: number
  readonly rows: number
}

export interface BoardView {
  readonly jobs: readonly JobProxy[]
  readonly paces: ReadonlyMap<string, Pace>
  /** Wall clock, for ages and estimates. */
  readonly now: number
  /** There are older jobs that were not read. */
  readonly more?: boolean
  /** Said in the last line, in place of a count that may be old. */
  readonly trouble?: string | undefined
}

/** What is going on first, in the order of its beginning; then what has settled, the latest first. */
export const boardOrder = (jobs: readonly JobProxy[]): readonly JobProxy[] => {
  const living = jobs.filter((job) => !isSettled(job.state)).toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  const settled = jobs.filter((job) => isSettled(job.state)).toSorted((a, b) => b.updatedAt.localeCompare(a.updatedAt))
  return [...living, ...settled]
}

/** How many there are of each state: `12 running, 1 lost, 40 completed`. */
export const countsOfStates = (jobs: readonly JobProxy[], paint: Paint): string =>
  states
    .map((state) => ({ state, count: jobs.filter((job) => job.state === state).length }))
    .filter(({ count }) => count > 0)
    .map(({ state, count }) => paint(LOOKS[state].colour, `${count} ${state}`))
    .join(', ')

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

const isMoving = ({ state }: JobProxy): boolean => state === 'running' || state === 'aborting'

const timeText = (job: JobProxy, pace: Pace | undefined, now: number): string => {
  if (job.settledAt !== undefined) return `in ${formatDuration(Date.parse(job.settledAt) - Date.parse(job.createdAt))}`
  const left = isMoving(job) ? remainingMs(pace, job, now) : undefined
  return left === undefined ? '' : `${formatDuration(left)} left`
}

const rowOf = (job: JobProxy, pace: Pace | undefined, now: number): Row => {
  const { symbol, colour } = LOOKS[job.state]
  const fraction = job.state === 'completed' ? 1 : fractionOf(job.progress)
  const isLost = job.state === 'lost' && job.holder?.lastSeenAt !== undefined
  return {
    fraction,
    symbol: { text: symbol, colour },
    name: { text: plain(job.label ?? job.id) },
    place: { text: plain(`${job.service}@${job.server}`), colour: 'dim' },
    state: { text: job.state, colour },
    bar: { text: '', colour },
    percent: { text: fraction === undefined ? '' : `${Math.floor(fraction * 100)}%` },
    counts: { text: plain(countsText(job.progress) ?? '') },
    rate: { text: isMoving(job) ? plain(rateText(rateOf(pace), job.progress?.unit)) : '' },
    left: { text: timeText(job, pace, now) },
    phase: {
      text: isLost ? `silent for ${formatDuration(now - Date.parse(job.holder?.lastSeenAt ?? ''))}` : plain(job.phase ?? job.progress?.message ?? ''),
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
export const boardLines = ({ jobs, paces, now, more, trouble }: BoardView, { columns, rows }: BoardSize, paint: Paint): readonly string[] => {
  const width = Math.max(20, columns - 1)
  const room = Math.max(1, rows - 3)
  const shown = boardOrder(jobs).slice(0, room)
  const table = shown.map((job) => rowOf(job, paces.get(job.id), now))
  const widths = layout(table, width)
  const hidden = jobs.length - shown.length
  const summary = [`${jobs.length}${more === true ? ' newest' : ''} job${jobs.length === 1 ? '' : 's'}`, countsOfStates(jobs, paint)].filter((part) => part !== '').join(': ')
  const tail = [hidden > 0 ? `${hidden} not shown` : '', trouble === undefined ? '' : paint('yellow', trouble)].filter((part) => part !== '').join(' · ')
  const last = [summary, tail].filter((part) => part !== '').join(' · ')
  return [...table.map((row) => lineOf(row, widths, paint)), widthOf(last) > width ? cut(plain(last), width) : last]
}
