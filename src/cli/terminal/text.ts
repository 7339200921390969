// Text on a terminal: how wide it is, cut and padded to a width, coloured, and freed of what could steer the terminal.
import { stripVTControlCharacters, styleText } from 'node:util'

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan' | 'gray' | 'bold' | 'dim'

/** Colours a text, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string

export const paintFor = (color: boolean): Paint => (color ? (colour, text) => styleText(colour, text, { validateStream: false }) : (_colour, text) => text)

/** Labels and messages come from anywhere: line breaks become spaces, other control and direction characters a visible mark. */
export const plain = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, '�')

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u

const widthOfCharacter = (character: string): number => (NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1)

/** Columns that a text takes, colours not counted. */
export const widthOf = (text: string): number => {
  let width = 0
  for (const character of stripVTControlCharacters(text)) width += widthOfCharacter(character)
  return width
}

/** An uncoloured text cut to at most `width` columns, with `…` in place of what was cut. */
export const cut = (text: string, width: number): string => {
  if (widthOf(text) <= width) return text
  let kept = ''
  let used = 0
  for (const character of text) {
    const wide = widthOfCharacter(character)
    if (used + wide > width - 1) break
    kept += character
    used += wide
  }
  return width < 1 ? '' : `${kept}…`
}

/** As `cut`, but of a path its end is kept, from a slash on where one is near: `…/archs/linux64-s390x`. Of other texts the beginning. */
export const cutName = (text: string, width: number): string => {
  if (widthOf(text) <= width || !/^[^\s/]+(?:\/[^\s/]+)+(?: #\d+)?$/.test(text)) return cut(text, width)
  const characters = Array.from(text)
  let used = 1
  let from = characters.length
  while (from > 0 && used + widthOfCharacter(characters[from - 1] ?? '') <= width) {
    from -= 1
    used += widthOfCharacter(characters[from] ?? '')
  }
  const kept = characters.slice(from).join('')
  const slash = kept.indexOf('/')
  return width < 1 ? '' : `…${slash < 0 ? kept : kept.slice(slash)}`
}

/** As `cut`, but between words where a space is in the last half. */
export const cutWords = (text: string, width: number): string => {
  const kept = cut(text, width)
  const space = kept.lastIndexOf(' ')
  return kept === text || space < width / 2 || text[kept.length - 1] === ' ' ? kept : `${kept.slice(0, space)} …`
}

/** Breaks a text, which may be coloured, between words into lines of at most `width` columns; the indentation goes on. Only a word that is wider alone is cut. */
export const wrapped = (text: string, width: number): readonly string[] => {
  if (widthOf(text) <= width) return [text]
  const [, indent = '', rest = ''] = /^( *)(.*)$/s.exec(text) ?? []
  const lines: string[] = []
  for (const word of rest.split(' ')) {
    const line = lines.at(-1)
    const room = width - indent.length
    const fitted = widthOf(word) <= room ? word : cut(stripVTControlCharacters(word), room)
    if (line === undefined || widthOf(line) + 1 + widthOf(fitted) > width) lines.push(indent + fitted)
    else lines[lines.length - 1] = `${line} ${fitted}`
  }
  return lines
}

/** A command for people to copy: in one line if it fits, else broken before its options as a shell takes it. */
export const commandLines = (command: string, width: number): readonly string[] => {
  const indent = '  '
  const lines: string[] = []
  for (const part of command.split(/ (?=--)/)) {
    const line = lines.at(-1)
    // Two columns are kept for the backslash.
    if (line === undefined || widthOf(`${line} ${part}`) > width - 2) lines.push(lines.length === 0 ? indent + part : indent + indent + part)
    else lines[lines.length - 1] = `${line} ${part}`
  }
  return lines.map((line, index) => (index < lines.length - 1 ? `${line} \\` : line))
}

/** One word of a command line. */
export const shellWord = (text: string): string => (/^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

/** Fills up with spaces to `width` columns; a text that is wider stays as it is. */
export const pad = (text: string, width: number, side: 'left' | 'right' = 'left'): string => {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  return side === 'left' ? text + space : space + text
}
