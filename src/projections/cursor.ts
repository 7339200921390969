// Where a page of a list ended, as callers carry it: opaque to them, checked when it comes back.
import { foreignPosition } from '../store/port.ts'
import { positionAt, sequenceOf } from './sequence.ts'

export type Order = 'newest' | 'oldest' | 'queue'

/** What a list is ordered by: of tasks in queue order rank, due time and birth, else birth alone. */
export type Place = readonly number[]

const MARKS: Readonly<Record<Order, string>> = { newest: 'n', oldest: 'o', queue: 'q' }

/** Numbers of a place in each order. */
const LENGTHS: Readonly<Record<Order, number>> = { newest: 1, oldest: 1, queue: 3 }

/** The cursor after the item at `place`. It names the log, as another log's order says nothing about this one. */
export const cursorAfter = (order: Order, incarnation: string, place: Place): string => {
  const before = place.slice(0, -1).map((number) => `${number},`)
  return Buffer.from(`${MARKS[order]}${before.join('')}${positionAt(incarnation, place[place.length - 1] ?? 0)}`).toString('base64url')
}

/** The place in a cursor; undefined when it was made by nobody, for another order, or over another log. */
export const readCursor = (cursor: string, order: Order, incarnation: string): Place | undefined => {
  const text = Buffer.from(cursor, 'base64url').toString()
  const parts = text.slice(1).split(',')
  const position = parts.pop() ?? ''
  if (text[0] !== MARKS[order] || parts.length !== LENGTHS[order] - 1 || foreignPosition(position, incarnation) !== undefined) return undefined
  const place = [...parts.map(Number), sequenceOf(position)]
  // Many texts decode to the same bytes; only the one that was given out is taken back.
  return place.every((number) => Number.isSafeInteger(number)) && cursorAfter(order, incarnation, place) === cursor ? place : undefined
}
