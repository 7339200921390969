// The board of the task queues: how far the queue is, and a line for each worker with its share of what is done. Pure: figures and sizes in, lines out.
import type { BoardSize } from '../item-board.ts'
import { bar } from '../terminal/bar.ts'
import { cut, pad, widthOf, type Colour, type Paint } from '../terminal/text.ts'

export type Mood = 'at work' | 'idle' | 'busy' | 'stands still' | 'killed'

export interface WorkerFigure {
  readonly name: string
  readonly pid: number
  readonly mood: Mood
  readonly inHand: number
  readonly completed: number
  readonly givenBack: number
}

export interface QueueFigure {
  readonly name: string
  /** Tasks that were put in so far. */
  readonly put: number
  readonly completed: number
  readonly waiting: number
  readonly delayed: number
  readonly leased: number
  readonly deadLetters: number
}

const LOOKS: Readonly<Record<Mood, { readonly symbol: string; readonly colour: Colour }>> = {
  'at work': { symbol: '▶', colour: 'cyan' },
  idle: { symbol: '·', colour: 'gray' },
  busy: { symbol: '‖', colour: 'yellow' },
  'stands still': { symbol: '?', colour: 'yellow' },
  killed: { symbol: '✗', colour: 'red' },
}

const BAR_MIN = 6
const BAR_MAX = 40
const count = (value: number): string => value.toLocaleString('en')

/** What is in the queue, in a few words. */
export const queueWords = ({ waiting, delayed, leased, deadLetters }: QueueFigure): string =>
  [
    `${count(waiting)} waiting`,
    `${count(leased)} leased`,
    ...(delayed > 0 ? [`${count(delayed)} to be tried again`] : []),
    ...(deadLetters > 0 ? [`${count(deadLetters)} dead letter`] : []),
  ].join(', ')

interface Row {
  readonly colour: Colour
  readonly left: readonly string[]
  readonly share: number
  readonly right: string
}

const rowsOf = (queue: QueueFigure, workers: readonly WorkerFigure[]): readonly Row[] => [
  { colour: 'green', left: ['▤', queue.name, ''], share: queue.put === 0 ? 0 : queue.completed / queue.put, right: `${count(queue.completed)} of ${count(queue.put)} done` },
  ...workers.map(({ name, mood, inHand, completed, givenBack }) => ({
    colour: LOOKS[mood].colour,
    left: [LOOKS[mood].symbol, name, mood],
    share: queue.put === 0 ? 0 : completed / queue.put,
    right: `${count(completed)} done, ${mood === 'killed' ? 0 : inHand} in hand${givenBack > 0 ? `, ${givenBack} given back` : ''}`,
  })),
]

/** The lines of the board, each at most `columns - 1` wide, at most `rows - 1` of them. */
export const workerBoardLines = (queue: QueueFigure, workers: readonly WorkerFigure[], { columns, rows }: BoardSize, paint: Paint): readonly string[] => {
  const width = Math.max(10, columns - 1)
  const table = rowsOf(queue, workers)
  const widths = [0, 1, 2].map((index) => Math.max(...table.map(({ left }) => widthOf(left[index] ?? ''))))
  const right = Math.max(...table.map((row) => widthOf(row.right)))
  const barWidth = Math.min(BAR_MAX, width - widths.reduce((sum, each) => sum + each + 2, 0) - right - 2)
  const lines = table.map(({ colour, left, share, right: words }) => {
    const cells = left.map((text, index) => pad(text, widths[index] ?? 0)).join('  ')
    if (barWidth < BAR_MIN) return paint(colour, cut(`${cells}  ${words}`, width))
    return `${paint(colour, `${cells}  ${bar(share, barWidth)}`)}  ${words}`
  })
  return [...lines, cut(queueWords(queue), width)].slice(0, Math.max(1, rows - 1))
}
