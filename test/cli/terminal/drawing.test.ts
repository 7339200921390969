// Tables, bars and frames: pure functions whose lines are checked by what a reader needs of them.
import { describe, expect, it } from 'vitest'
import { bar } from '../../../src/cli/terminal/bar.ts'
import { frame, openScreen } from '../../../src/cli/terminal/screen.ts'
import { fitWidths, tableLines, type Column } from '../../../src/cli/terminal/table.ts'
import { paintFor, widthOf } from '../../../src/cli/terminal/text.ts'

const noColor = paintFor(false)

interface Row {
  readonly id: string
  readonly label?: string
}
const columns: readonly Column<Row>[] = [
  { title: 'ID', value: (row) => row.id, whole: true },
  { title: 'LABEL', value: (row) => row.label },
]

describe('a table', () => {
  it('has columns as wide as their content', () => {
    expect(tableLines(columns, [{ id: 'a', label: 'first' }, { id: 'long-id' }], noColor)).toEqual(['ID       LABEL', 'a        first', 'long-id'])
  })
  it('leaves out a column that is empty', () => expect(tableLines(columns, [{ id: 'a' }], noColor)).toEqual(['ID', 'a']))
  it('cuts labels, never ids, where the terminal is narrow', () => {
    const lines = tableLines(columns, [{ id: '0197a4d2-6d0c-7000-8000-000000000001', label: 'a label that is long' }], noColor, 50)
    expect(lines[1]).toBe('0197a4d2-6d0c-7000-8000-000000000001  a label tha…')
  })
  it('frees cells of control characters', () => expect(tableLines(columns, [{ id: 'a', label: '\u001b[2Jx\ny' }], noColor)[1]).toBe('a   x y'))
  it('gives width away from the widest first, and not beyond readable', () => {
    expect(fitWidths([10, 30], [true, true], 32)).toEqual([10, 20])
    expect(fitWidths([10, 30], [false, true], 20)).toEqual([10, 8])
    expect(fitWidths([10, 30], [true, true], 5)).toEqual([6, 6])
    expect(fitWidths([10, 30], [false, false], 5)).toEqual([10, 30])
  })
})

describe('a bar', () => {
  it('is as wide as it should be at every fraction', () => {
    for (let percent = 0; percent <= 100; percent += 1) expect([percent, widthOf(bar(percent / 100, 13))]).toEqual([percent, 13])
  })
  it('is empty at nothing, full only when all is done', () => {
    expect([bar(undefined, 4), bar(0, 4), bar(0.5, 4), bar(1, 4)]).toEqual(['░░░░', '░░░░', '██░░', '████'])
    expect(bar(0.999, 4)).not.toBe('████')
  })
  it('moves with each eighth', () => expect(bar(0.375 / 4, 4)).toBe('▍░░░'))
})

describe('a screen', () => {
  it('goes back by as many lines as it wrote', () => {
    expect(frame(0, ['a'])).not.toContain('0A')
    expect(frame(3, ['a', 'b'])).toContain('\u001b[3A\ra\u001b[K\nb\u001b[K\n\u001b[J')
  })
  it('hides the cursor while it draws and gives it back', () => {
    const written: string[] = []
    const screen = openScreen((text) => written.push(text))
    screen.draw(['one', 'two'])
    screen.draw(['three'])
    screen.print('stays')
    screen.clear()
    screen.draw(['anew'])
    screen.close()
    expect(written[0]).toBe('\u001b[?25l')
    expect(written[2]).toContain('\u001b[2A')
    expect(written[3]).toMatch(/\[1A.*stays.*three/s)
    expect(written[5]).not.toMatch(/\[\dA/)
    expect(written.at(-1)).toBe('\u001b[?25h')
  })
})
