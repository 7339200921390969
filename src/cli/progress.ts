// How far something long has come, on stderr: a line with a bar that is redrawn on a terminal, a line now and then elsewhere. Data on stdout is not touched.
import type { Context } from './context.ts'
import { bar } from './terminal/bar.ts'
import { frame } from './terminal/screen.ts'
import { cut } from './terminal/text.ts'

export interface Step {
  /** What is known of it in words. */
  readonly text: string
  /** The share that is done, 0 to 1, where it is known. */
  readonly fraction?: number | undefined
}

/** Milliseconds between two lines off a terminal. */
const LINE_EVERY_MS = 1_000
/** Milliseconds between two frames on one. */
const FRAME_EVERY_MS = 50
const BAR_WIDTH = 24

const percent = (fraction: number): string => `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)}%`.padStart(4)

/** The line as it is drawn `columns` wide. */
export const stepText = ({ text, fraction }: Step, columns: number): string =>
  cut(fraction === undefined ? text : `${bar(fraction, BAR_WIDTH)} ${percent(fraction)}  ${text}`, Math.max(1, columns - 1))

/** Runs something that tells its steps; the line is gone when it is over, however it ends. */
export const withProgress = async <A>({ world, say }: Pick<Context, 'world' | 'say'>, run: (tell: (step: Step) => void) => Promise<A>): Promise<A> => {
  const { stderr } = process
  const isDrawn = stderr.isTTY && process.env['TERM'] !== 'dumb'
  let toldAt = world.monotonic() - (isDrawn ? FRAME_EVERY_MS : 0)
  let isShown = false
  const tell = (step: Step): void => {
    const now = world.monotonic()
    if (now - toldAt < (isDrawn ? FRAME_EVERY_MS : LINE_EVERY_MS)) return
    toldAt = now
    if (!isDrawn) return say(step.fraction === undefined ? step.text : `${percent(step.fraction).trim()} ${step.text}`)
    // The cursor stays: Ctrl-C may end the process at any time.
    stderr.write(frame(isShown ? 1 : 0, [stepText(step, stderr.columns || 80)]))
    isShown = true
  }
  try {
    return await run(tell)
  } finally {
    if (isShown) stderr.write(frame(1, []))
  }
}
