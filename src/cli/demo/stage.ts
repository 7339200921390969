// How an act is shown: on a terminal a board of bars under the title of the scene, redrawn in place; elsewhere one plain line a change. The story does not know which.
import { stripVTControlCharacters } from 'node:util'
import type { BoardSize } from '../item-board.ts'
import { openScreen } from '../terminal/screen.ts'
import { commandLines, cut, widthOf, wrapped, type Colour, type Paint } from '../terminal/text.ts'

export interface Scene {
  readonly title: string
  /** What the viewer should look at; one line each. */
  readonly look: readonly string[]
  /** What the viewer may run meanwhile; stands on lines of its own. */
  readonly command?: string
}

/** How things stand. */
export interface Picture {
  /** The board: as many lines as fit, none as wide as the terminal. */
  readonly lines: (size: BoardSize, paint: Paint) => readonly string[]
  /** The whole in a few words; said where there is no board, whenever it has changed. */
  readonly summary: (paint: Paint) => string
}

export interface Stage {
  /** The next scene begins. */
  readonly scene: (scene: Scene) => void
  /** A line that stays; on a terminal it is broken between words. */
  readonly say: (line?: string) => void
  /** A command that can be copied, on lines of its own. */
  readonly command: (command: string) => void
  /** Something happened to a work item: shown where there is no board. */
  readonly tell: (line: string) => void
  /** Below the board: what can be done now, or what happens meanwhile; undefined takes it away. */
  readonly hint: (line: string | undefined) => void
  readonly draw: (picture: Picture) => void
  /** Resolves when the key is pressed; never without a keyboard. */
  readonly pressed: (key: string) => Promise<void>
  /** There is somebody who can press keys. */
  readonly hasKeys: boolean
  /** Ends the board; lines can still be said. */
  readonly close: () => void
}

/** Without a terminal. */
export const plainStage = (write: (line: string) => void, paint: Paint): Stage => {
  let before = ''
  return {
    scene: ({ title, look, command }) => {
      write('')
      write(paint('bold', title))
      for (const line of look) write(line)
      if (command !== undefined) write(`  ${command}`)
    },
    command: (command) => write(`  ${command}`),
    say: (line = '') => write(line),
    tell: (line) => write(`  ${line}`),
    hint: () => undefined,
    draw: ({ summary }) => {
      const now = summary(paint)
      if (now !== before && now !== '') write(paint('dim', `  ${now}`))
      before = now
    },
    pressed: () => new Promise(() => undefined),
    hasKeys: false,
    close: () => undefined,
  }
}

const CTRL_C = '\u0003'
/** Columns and rows of a terminal that does not say. */
const SIZE = { columns: 100, rows: 30 }

const keyboard = (input: NodeJS.ReadStream, interrupt: () => void) => {
  const waiting = new Map<string, () => void>()
  const onData = (data: Buffer): void => {
    const key = data.toString('utf8')
    if (key === CTRL_C) interrupt()
    waiting.get(key.toLowerCase())?.()
  }
  input.setRawMode(true)
  input.on('data', onData)
  input.resume()
  return {
    pressed: (key: string): Promise<void> => new Promise((resolve) => waiting.set(key, resolve)),
    close: () => {
      input.off('data', onData)
      input.setRawMode(false)
      input.pause()
    },
  }
}

export interface TerminalSetting {
  readonly output: NodeJS.WriteStream
  /** Undefined: nobody is to be asked. */
  readonly input: NodeJS.ReadStream | undefined
  readonly paint: Paint
  /** Ctrl-C, which a terminal does not send as a signal while keys are read. */
  readonly interrupt: () => void
}

/** A line that may be coloured already: one that is too long loses its colours. */
const cutPainted = (line: string, width: number): string => (widthOf(line) <= width ? line : cut(stripVTControlCharacters(line), width))

export const terminalStage = ({ output, input, paint, interrupt }: TerminalSetting): Stage => {
  const screen = openScreen((text) => void output.write(text))
  const keys = input === undefined ? undefined : keyboard(input, interrupt)
  let scene: Scene | undefined
  /** What the scene on stage has said: under its title while it plays, above the board for good when it is over. */
  let said: string[] = []
  let hint: string | undefined
  let picture: Picture | undefined
  let isClosed = false

  /** A full line would make some terminals scroll. */
  const width = (): number => (output.columns || SIZE.columns) - 1

  const redraw = (): void => {
    if (isClosed || scene === undefined || picture === undefined) return
    const columns = width() + 1
    const rows = output.rows || SIZE.rows
    const fitted = (text: string, colour: Colour): readonly string[] => wrapped(text, columns - 1).map((line) => paint(colour, line))
    const command = scene.command === undefined ? [] : commandLines(scene.command, columns - 1)
    const top = ['', ...fitted(scene.title, 'bold'), ...scene.look.flatMap((line) => fitted(line, 'cyan')), ...command, ...said.map((line) => cutPainted(line, columns - 1)), '']
    const bottom = hint === undefined ? [''] : ['', ...fitted(hint, 'bold')]
    screen.draw([...top, ...picture.lines({ columns, rows: rows - top.length - bottom.length }, paint), ...bottom])
  }

  const endScene = (): void => {
    if (scene !== undefined && said.length > 0) for (const line of ['', paint('bold', scene.title), ...said]) screen.print(line)
    scene = undefined
    said = []
  }

  const say = (line: string): void => {
    for (const part of wrapped(line, width())) {
      if (isClosed) output.write(`${part}\n`)
      else if (scene === undefined) screen.print(part)
      else said.push(part)
    }
    if (!isClosed && scene !== undefined) redraw()
  }

  return {
    scene: (next) => {
      endScene()
      scene = next
      hint = undefined
      redraw()
    },
    say: (line = '') => say(line),
    command: (command) => commandLines(command, width()).forEach(say),
    tell: () => undefined,
    hint: (line) => {
      hint = line
      redraw()
    },
    draw: (next) => {
      picture = next
      redraw()
    },
    pressed: (key) => keys?.pressed(key) ?? new Promise(() => undefined),
    hasKeys: keys !== undefined,
    close: () => {
      if (isClosed) return
      screen.draw([])
      endScene()
      isClosed = true
      screen.close()
      keys?.close()
    },
  }
}
