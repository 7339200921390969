// Rows of the events table and the events they stand for. Rows are read as arrays: half the cost of objects over a million events.
import type { ChainLink, Gap } from '../chain.ts'
import { ERASED_DATA, type RecordedEvent } from '../port.ts'
import { positionAt } from '../position.ts'

/** In the order of the table, so that SQLite decodes each row once from the front. */
export const EVENT_COLUMNS = 'position, stream, revision, id, type, v, time, data, meta, payload'

export type EventRow = readonly [number, string, number, string, string, number, number, string | null, string, Uint8Array | null]

export const LINK_COLUMNS = `${EVENT_COLUMNS}, lower(hex(digest)), lower(hex(data_digest))`

export type LinkRow = readonly [...EventRow, string, string]

/** A statement with these columns and `setReturnArrays` yields these rows; the table is STRICT. */
export const eventRows = (rows: readonly unknown[]): readonly EventRow[] => rows as readonly EventRow[]
export const linkRows = (rows: readonly unknown[]): readonly LinkRow[] => rows as readonly LinkRow[]

export const eventOfRow = (row: EventRow, incarnation: string): RecordedEvent => {
  const event = {
    stream: row[1],
    revision: row[2],
    position: positionAt(incarnation, row[0]),
    id: row[3],
    type: row[4],
    v: row[5],
    time: row[6],
    data: row[7] ?? ERASED_DATA,
    meta: row[8],
  }
  return row[9] === null ? event : { ...event, payload: row[9] }
}

export const linkOfRow = (row: LinkRow, incarnation: string): ChainLink => {
  const event = eventOfRow(row as unknown as EventRow, incarnation)
  return row[11] === '' ? { event, digest: row[10] } : { event, digest: row[10], dataDigest: row[11] }
}

export type GapRow = readonly [first: number, last: number, chain: string]

export const gapRows = (rows: readonly unknown[]): readonly GapRow[] => rows as readonly GapRow[]

export const gapOfRow = ([first, last, chain]: GapRow, incarnation: string): Gap => ({ first: positionAt(incarnation, first), last: positionAt(incarnation, last), chain })
