// What the demo says that Stint does, each checked on what was seen: the demo succeeds only if all of it was true.
import type { Paint } from '../terminal/text.ts'

export interface Claims {
  /** Says it and whether it was so; `seen` is what it rests on. */
  readonly check: (claim: string, isTrue: boolean, seen: string) => void
  readonly failed: () => readonly string[]
  readonly count: () => number
}

export const createClaims = (say: (line: string) => void, paint: Paint): Claims => {
  const failed: string[] = []
  let count = 0
  return {
    check: (claim, isTrue, seen) => {
      count += 1
      if (!isTrue) failed.push(claim)
      say(`${isTrue ? paint('green', '✓') : paint('red', '✗ not so:')} ${claim} ${paint('dim', seen)}`)
    },
    failed: () => failed,
    count: () => count,
  }
}
