// Where a page of a list ended, as callers carry it: opaque to them, checked when it comes back.
import { foreignPosition } from '../store/port.ts'
import { positionAt, sequenceOf } from './sequence.ts'

export type Order = 'newest' | 'oldest'

const MARKS: Readonly<Record<Order, string>> = { newest: 'n', oldest: 'o' }

/** The cursor after the item born at `created`. It names the log, as another log's order says nothing about this one. */
export const cursorAfter = (order: Order, incarnation: string, created: number): string => Buffer.from(MARKS[order] + positionAt(incarnation, created)).toString('base64url')

/** The `created` in a cursor; undefined when it was made by nobody, for another order, or over another log. */
export const readCursor = (cursor: string, order: Order, incarnation: string): number | undefined => {
  const text = Buffer.from(cursor, 'base64url').toString()
  const position = text.slice(1)
  if (text[0] !== MARKS[order] || foreignPosition(position, incarnation) !== undefined) return undefined
  const created = sequenceOf(position)
  // Many texts decode to the same bytes; only the one that was given out is taken back.
  return Number.isSafeInteger(created) && cursorAfter(order, incarnation, created) === cursor ? created : undefined
}
