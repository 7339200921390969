// What the bench keeps: docs/performance/results.json, one entry for each part, so that a part measured again takes its own place and leaves the others.
import { readFileSync } from 'node:fs'
import type { Machine, Versions } from './machine.ts'
import type { PartName } from './parts.ts'
import type { Row } from './row.ts'

/** A row of several rounds: the middle one, and between which values they lay. */
export interface ResultRow extends Row {
  readonly lowest?: number
  readonly highest?: number
}

export interface PartResult {
  readonly part: PartName
  /** RFC 3339, when its measurement ended. */
  readonly measuredAt: string
  readonly machine: Machine
  readonly versions: Versions
  readonly settings: { readonly rounds: number; readonly quick: boolean }
  /** Cores that other programs used meanwhile, on average: each round. */
  readonly others: readonly number[]
  readonly rows: readonly ResultRow[]
}

export interface Results {
  readonly parts: readonly PartResult[]
}

/** The middle row of the rounds, by value. */
export const middleOf = (rounds: readonly (readonly Row[])[]): readonly ResultRow[] =>
  (rounds[0] ?? []).map(({ row }) => {
    const all = rounds.flatMap((rows) => rows.filter((each) => each.row === row)).toSorted((a, b) => a.value - b.value)
    const middle = all[Math.floor((all.length - 1) / 2)] as Row
    return all.length === 1 ? middle : { ...middle, lowest: all[0]?.value ?? middle.value, highest: all.at(-1)?.value ?? middle.value }
  })

/** What an earlier run kept; nothing if there is none. */
export const readResults = (file: URL): Results => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Results
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return { parts: [] }
    throw cause
  }
}

/** The earlier results with the new ones in their places, in the order of the bench. */
export const merged = (earlier: Results, now: readonly PartResult[], order: readonly PartName[]): Results => ({
  parts: order.flatMap((name) => now.find(({ part }) => part === name) ?? earlier.parts.find(({ part }) => part === name) ?? []),
})
