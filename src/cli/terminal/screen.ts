// Lines that are redrawn in place on a terminal. What is written is made by a pure function; the screen only remembers how much to go back.

const ESC = '\u001b['
/** Terminals that know it show a frame at once; the others ignore it. */
const BEGIN = `${ESC}?2026h`
const END = `${ESC}?2026l`
const HIDE_CURSOR = `${ESC}?25l`
const SHOW_CURSOR = `${ESC}?25h`

/** What puts `lines` in the place of the `before` lines that the cursor stands below. */
export const frame = (before: number, lines: readonly string[]): string =>
  `${BEGIN}${before > 0 ? `${ESC}${before}A` : ''}\r${lines.map((line) => `${line}${ESC}K\n`).join('')}${ESC}J${END}`

export interface Screen {
  /** Shows these lines instead of the ones before; none may be wider than the terminal. */
  readonly draw: (lines: readonly string[]) => void
  /** Writes a line that stays, above what is redrawn. */
  readonly print: (line: string) => void
  /** Begins anew on an empty screen: after a change of size nobody knows where the lines went. */
  readonly clear: () => void
  /** Leaves what is shown and gives the cursor back. */
  readonly close: () => void
}

export const openScreen = (write: (text: string) => void): Screen => {
  let shown: readonly string[] = []
  write(HIDE_CURSOR)
  return {
    draw: (lines) => {
      write(frame(shown.length, lines))
      shown = lines
    },
    print: (line) => {
      write(frame(shown.length, [line, ...shown]))
    },
    clear: () => {
      write(`${ESC}H${ESC}2J`)
      shown = []
    },
    close: () => write(SHOW_CURSOR),
  }
}
