// The number inside a position: what tables are keyed and ordered by. The port fixes its form (rules 3), everything else in a position stays opaque.
import type { Position } from '../store/port.ts'

const DIGITS = 16

/** The number in a position; within one incarnation it orders as the log does. */
export const sequenceOf = (position: Position): number => Number(position.slice(-DIGITS))

export const positionAt = (incarnation: string, sequence: number): Position => `${incarnation}.${String(sequence).padStart(DIGITS, '0')}`
