// How states and progress look to people: one symbol and colour for each state, one way of writing how far something is and how it ended.
import type { State } from '../wire/items.ts'
import { bytesOfText, bytesText, isBytes } from './bytes.ts'
import type { Item } from './item.ts'
import type { Colour } from './terminal/text.ts'

export interface Look {
  readonly symbol: string
  readonly colour: Colour
}

export const LOOKS: Readonly<Record<State, Look>> = {
  waiting: { symbol: '·', colour: 'gray' },
  held: { symbol: '·', colour: 'gray' },
  running: { symbol: '▶', colour: 'cyan' },
  paused: { symbol: '‖', colour: 'yellow' },
  aborting: { symbol: '◌', colour: 'magenta' },
  lost: { symbol: '?', colour: 'yellow' },
  completed: { symbol: '✓', colour: 'green' },
  failed: { symbol: '✗', colour: 'red' },
  aborted: { symbol: '⊘', colour: 'magenta' },
  cancelled: { symbol: '⊘', colour: 'gray' },
  timedOut: { symbol: '✗', colour: 'red' },
}

const SETTLED: ReadonlySet<State> = new Set(['completed', 'failed', 'aborted', 'cancelled', 'timedOut'])

/** Nothing more will happen to it by itself. A dead letter is not settled, but shows as failed and stays so until somebody redrives it. */
export const isSettled = (state: State): boolean => SETTLED.has(state)

type Progress = Item['progress']
type Outcome = Item['outcome']

/** The share that is done, 0 to 1, where it is known. */
export const fractionOf = (progress: Progress): number | undefined => {
  if (progress?.fraction !== undefined) return progress.fraction
  return progress?.done !== undefined && progress.total !== undefined && progress.total > 0 ? Math.min(1, progress.done / progress.total) : undefined
}

const percent = (fraction: number): string => `${Math.floor(fraction * 100)}%`

/** `400/1000 files`, `3.5/200.0 MiB`, or what of it is known. */
export const countsText = (progress: Progress): string | undefined => {
  if (progress?.done === undefined) return undefined
  if (isBytes(progress.unit)) return progress.total === undefined ? bytesText(progress.done) : bytesOfText(progress.done, progress.total)
  const of = progress.total === undefined ? '' : `/${progress.total}`
  return `${progress.done}${of}${progress.unit === undefined ? '' : ` ${progress.unit}`}`
}

/** `40% 400/1000 files`; undefined when nothing was reported. */
export const progressText = (progress: Progress): string | undefined => {
  const fraction = fractionOf(progress)
  const parts = [fraction === undefined ? undefined : percent(fraction), countsText(progress) ?? progress?.message].filter((part) => part !== undefined)
  return parts.length === 0 ? undefined : parts.join(' ')
}

const shortJson = (value: unknown): string => {
  const text = JSON.stringify(value) ?? ''
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}

/** How it ended, in a line. */
export const outcomeText = (outcome: Outcome): string | undefined => {
  if (outcome === undefined) return undefined
  if ('completed' in outcome) return outcome.completed.result === undefined ? 'completed' : `completed: ${shortJson(outcome.completed.result)}`
  if ('failed' in outcome) return `failed: ${outcome.failed.code}, ${outcome.failed.message}`
  if ('aborted' in outcome) return `aborted: ${outcome.aborted.reason}`
  if ('timedOut' in outcome) return outcome.timedOut.cause === 'total' ? 'timed out' : 'timed out: it made no progress'
  return outcome.cancelled.reason === undefined ? 'cancelled' : `cancelled: ${outcome.cancelled.reason}`
}
