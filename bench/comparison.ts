// Holds what was measured now against what was kept: ratios of rows to floors that were measured in the same run, as those say more than figures when the machine was another one, or had less time.
import type { PartName } from './parts.ts'
import type { PartResult } from './results.ts'
import type { Row } from './row.ts'

/** Of the kept ratio, what a row may lose before it is said to have fallen. */
export const TOLERANCE = 0.2

/** Units in which less is better. */
const COSTS = new Set(['ms', 'MiB', 'bytes', 'bytes/event', 'µs of CPU', '% of a core'])
/** Units of sizes, which are the same on any machine and so need no floor. */
const SIZES = new Set(['MiB', 'bytes', 'bytes/event'])
/** Smallest figures that differ from nothing: below it lies the noise of the measurement. */
const LEAST: Readonly<Record<string, number>> = { '% of a core': 0.5 }

/** The one that is better is greater. */
const worth = ({ value, unit }: Row): number => (COSTS.has(unit) ? 1 / Math.max(value, LEAST[unit] ?? Number.MIN_VALUE) : value)

export type Verdict = 'fell' | 'holds' | 'rose' | 'incomparable'

export interface Compared {
  readonly part: PartName
  readonly row: string
  readonly verdict: Verdict
  /** Now to kept: 1 is the same, 0.8 a fifth less. Undefined where they cannot be compared. */
  readonly change?: number
  /** The floor that both were divided by; undefined for sizes. */
  readonly against?: string
  /** Why they cannot be compared. */
  readonly why?: string
}

const verdictOf = (change: number): Verdict => {
  if (change < 1 - TOLERANCE) return 'fell'
  return change > 1 / (1 - TOLERANCE) ? 'rose' : 'holds'
}

const rowNamed = ({ rows }: PartResult, name: string): Row | undefined => rows.find(({ row }) => row === name)

const comparedRow = (kept: PartResult, now: PartResult, row: Row): readonly Compared[] => {
  const { part } = now
  const { against } = row
  const isSize = SIZES.has(row.unit)
  // A floor is what others are held against.
  if (!isSize && against === undefined) return []
  const was = rowNamed(kept, row.row)
  if (was === undefined || was.unit !== row.unit) return [{ part, row: row.row, verdict: 'incomparable', why: 'it was not kept' }]
  if (isSize || against === undefined) {
    const change = worth(row) / worth(was)
    return [{ part, row: row.row, verdict: verdictOf(change), change }]
  }
  const [floorWas, floorNow] = [rowNamed(kept, against), rowNamed(now, against)]
  if (floorWas === undefined || floorNow === undefined)
    return [{ part, row: row.row, verdict: 'incomparable', against, why: `its floor was not ${floorNow === undefined ? 'measured' : 'kept'}` }]
  const change = worth(row) / worth(floorNow) / (worth(was) / worth(floorWas))
  return Number.isFinite(change)
    ? [{ part, row: row.row, verdict: verdictOf(change), change, against }]
    : [{ part, row: row.row, verdict: 'incomparable', against, why: 'a figure is nothing' }]
}

/** Every row but the floors; those that were kept and are gone are told as incomparable. */
export const comparedPart = (kept: PartResult | undefined, now: PartResult): readonly Compared[] => {
  const { part } = now
  if (kept === undefined) return [{ part, row: part, verdict: 'incomparable', why: 'the part was not kept' }]
  const gone = kept.rows.filter(({ row, unit, against }) => (against !== undefined || SIZES.has(unit)) && rowNamed(now, row) === undefined)
  return [
    ...now.rows.flatMap((row) => comparedRow(kept, now, row)),
    ...gone.map(({ row }): Compared => ({ part, row, verdict: 'incomparable', why: 'it is not measured any more' })),
  ]
}

/** Of two measurements of a row the better one: what fell once by chance did not fall. */
export const betterOf = (first: readonly Compared[], second: readonly Compared[]): readonly Compared[] =>
  first.map((one) => {
    const other = second.find(({ part, row }) => part === one.part && row === one.row)
    return other?.change === undefined || other.change <= (one.change ?? Infinity) ? one : other
  })

const changeText = (change: number): string => `${change < 1 ? '−' : '+'}${Math.abs((change - 1) * 100).toFixed(0)} %`

/** A line for each row of these verdicts, in words. */
export const comparedText = (compared: readonly Compared[], ...verdicts: readonly Verdict[]): readonly string[] =>
  compared
    .filter(({ verdict }) => verdicts.includes(verdict))
    .map(({ part, row, verdict, change, against, why }) => {
      if (change === undefined) return `${part}: ${row} cannot be compared: ${why}.`
      return `${part}: ${row} ${verdict} (${changeText(change)}${against === undefined ? '' : ` against “${against}”`}).`
    })
