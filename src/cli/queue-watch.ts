// `stint queues watch`: a table that is redrawn in place on a terminal, a line whenever a queue's figures change elsewhere.
import type { Queue } from '../wire/queues.ts'
import { pause } from '../world.ts'
import type { Context } from './context.ts'
import { clockOf } from './event-text.ts'
import { mayPass } from './failure.ts'
import { isLive } from './item-watch.ts'
import { figuresText, queueColumns } from './queue-text.ts'
import { openScreen } from './terminal/screen.ts'
import { tableLines } from './terminal/table.ts'
import { cut, plain, widthOf, type Paint } from './terminal/text.ts'

export interface QueueView {
  readonly queues: readonly Queue[]
  readonly now: number
  readonly trouble?: string | undefined
}

const total = (queues: readonly Queue[], figure: (queue: Queue) => number): string => queues.reduce((sum, queue) => sum + figure(queue), 0).toLocaleString('en')

/** The busiest first, so that what does not fit is what matters least. */
const byLoad = (queues: readonly Queue[]): readonly Queue[] => {
  const load = ({ waiting, leased, delayed }: Queue): number => waiting + leased + delayed
  return queues.toSorted((a, b) => load(b) - load(a))
}

/** The lines of the table and one that sums up, each narrower than `columns`, fewer than `rows`. */
export const queueBoard = ({ queues, now, trouble }: QueueView, { columns, rows }: { readonly columns: number; readonly rows: number }, paint: Paint): readonly string[] => {
  const width = Math.max(20, columns - 1)
  const room = Math.max(1, rows - 4)
  const kept = new Set(byLoad(queues).slice(0, room))
  const shown = queues.filter((queue) => kept.has(queue))
  const hidden = queues.length - shown.length
  const fitted = (line: string): string => (widthOf(line) > width ? cut(plain(line), width) : line)
  const summary = [
    `${queues.length} queue${queues.length === 1 ? '' : 's'}: ${total(queues, ({ waiting }) => waiting)} waiting, ${total(queues, ({ leased }) => leased)} leased`,
    hidden > 0 ? `${hidden} not shown` : undefined,
    trouble === undefined ? undefined : paint('yellow', trouble),
  ]
  const table = shown.length === 0 ? [] : tableLines(queueColumns(now), shown, paint, width)
  return [...table, summary.filter((part) => part !== undefined).join(' · ')].map(fitted)
}

interface Watched {
  /** The queues as they are now. */
  readonly look: () => Promise<readonly Queue[]>
  /** Milliseconds between two looks. */
  readonly everyMs: number
}

const onTerminal = async ({ world, paint }: Context, { look, everyMs }: Watched, signal: AbortSignal): Promise<void> => {
  let queues = await look()
  let trouble: string | undefined
  const { stdout } = process
  const screen = openScreen((text) => void stdout.write(text))
  stdout.on('resize', screen.clear)
  try {
    while (!signal.aborted) {
      screen.draw(queueBoard({ queues, now: world.now(), trouble }, { columns: stdout.columns || 80, rows: stdout.rows || 24 }, paint))
      await pause(world, everyMs, signal)
      try {
        if (!signal.aborted) queues = await look()
        trouble = undefined
      } catch (cause) {
        if (!mayPass(cause)) throw cause
        trouble = 'the server does not answer; trying again'
      }
    }
  } finally {
    stdout.off('resize', screen.clear)
    screen.close()
  }
}

const offTerminal = async ({ world, out, say, format, paint }: Context, { look, everyMs }: Watched, signal: AbortSignal): Promise<void> => {
  const printed = new Map<string, string>()
  let queues = await look()
  let isAway = false
  while (!signal.aborted) {
    const clock = clockOf(new Date(world.now()).toISOString())
    for (const queue of queues) {
      const name = `${queue.app}/${queue.queue}`
      const figures = figuresText(queue)
      if (printed.get(name) === figures) continue
      printed.set(name, figures)
      out(format === 'table' ? `${paint('dim', clock)}  ${name}  ${figures}` : JSON.stringify(queue))
    }
    await pause(world, everyMs, signal)
    try {
      if (!signal.aborted) queues = await look()
      isAway = false
    } catch (cause) {
      if (!mayPass(cause)) throw cause
      if (!isAway) say('stint: The server does not answer; waiting for it.')
      isAway = true
    }
  }
}

/** Goes on until it is interrupted. */
export const watchQueues = async (context: Context, watched: Watched): Promise<void> => {
  const signal = context.interrupted()
  await (isLive(context) ? onTerminal(context, watched, signal) : offTerminal(context, watched, signal))
  context.http.close()
}
