// Positions of the stores that number their events themselves: `<incarnation>.<16 digits>`, the first event has number 1 (rules 3).
import * as E from 'fp-ts/lib/Either.js'
import type { World } from '../world.ts'
import { StoreFault, foreignPosition, type Position } from './port.ts'

const DIGITS = 16

/** The position of the event with this number; 0 is the position before the first. */
export const positionAt = (incarnation: string, sequence: number): Position => `${incarnation}.${String(sequence).padStart(DIGITS, '0')}`

/** The number of the event at a position; no position is the one before the first. Left `foreign-position` for one of another log. */
export const sequenceOf = (position: Position | undefined, incarnation: string): E.Either<StoreFault, number> => {
  if (position === undefined) return E.right(0)
  const problem = foreignPosition(position, incarnation)
  return problem === undefined ? E.right(Number(position.slice(-DIGITS))) : E.left(new StoreFault('foreign-position', `"${position.slice(0, 80)}" is ${problem}`))
}

const INCARNATION_LENGTH = 8

/** Eight characters of `[0-9a-z]`, new for each log and each restored copy of one, so that positions of one life are not taken for those of another. */
export const newIncarnation = (world: World): string =>
  Number.parseInt(world.uuid().replaceAll('-', '').slice(-12), 16).toString(36).padStart(INCARNATION_LENGTH, '0').slice(-INCARNATION_LENGTH)
