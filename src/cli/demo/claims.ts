// What the demo says that Stint does, each checked on what was seen: the demo succeeds only if all of it was true.
import { widthOf, type Paint } from '../terminal/text.ts'

export interface Claims {
  /** Says it and whether it was so; `seen` is what it rests on. */
  readonly check: (claim: string, isTrue: boolean, seen: string) => void
  readonly failed: () => readonly string[]
  readonly count: () => number
}

/** `columns` is the width of the terminal; what a claim rests on goes to a line of its own where both do not fit on one. */
export const createClaims = (say: (line: string) => void, paint: Paint, columns: () => number | undefined): Claims => {
  const failed: string[] = []
  let count = 0
  return {
    check: (claim, isTrue, seen) => {
      count += 1
      if (!isTrue) failed.push(claim)
      const line = `${isTrue ? paint('green', '✓') : paint('red', '✗ not so:')} ${claim}`
      if (seen === '' || widthOf(`${line} ${seen}`) < (columns() ?? Number.POSITIVE_INFINITY)) return say(seen === '' ? line : `${line} ${paint('dim', seen)}`)
      say(line)
      say(`  ${paint('dim', seen)}`)
    },
    failed: () => failed,
    count: () => count,
  }
}
