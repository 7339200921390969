// The refusals of a day, newest first, as the audit stream has them.
import * as E from 'fp-ts/lib/Either.js'
import { auditEvents, auditStream } from '../domain/audit.ts'
import { StoreFault, type EventReader, type Position, type RecordedEvent } from '../store/port.ts'
import { lengthOf } from './stream-length.ts'

/** One refusal as the audit stream has it. */
export interface RefusalRow {
  /** In the stream of its day. */
  readonly revision: number
  readonly position: Position
  /** Milliseconds since 1970 UTC. */
  readonly time: number
  readonly code: string
  readonly route: string
  readonly subject: string
  /** How people read the subject. */
  readonly actor: string
  readonly target: string | undefined
  readonly detail: string | undefined
}

/** What was refused on a day (`2026-01-31`, UTC), newest first: at most `max`, only those with the code, only those before a revision of that day's stream. */
export type Refusals = (
  day: string,
  filter: { readonly code?: string | undefined; readonly before?: number | undefined; readonly max: number },
) => Promise<E.Either<StoreFault, readonly RefusalRow[]>>

/** Events read at once. */
const PAGE = 1_000

const rowOf = ({ data, meta, position, revision, time, type }: RecordedEvent): E.Either<StoreFault, RefusalRow> => {
  const decoded = auditEvents.RefusalRecorded.decode({ type, ...(JSON.parse(data) as object) })
  if (E.isLeft(decoded)) return E.left(new StoreFault('damaged', `The refusal at ${position} cannot be read by this version of Stint`))
  const { code, route, subject, target, detail } = decoded.right
  return E.right({ revision, position, time, code, route, subject, target, detail, actor: (JSON.parse(meta) as { readonly actor: string }).actor })
}

export const createRefusals =
  (reader: EventReader): Refusals =>
  async (day, { before, code, max }) => {
    const stream = auditStream(day)
    const length = before === undefined ? await lengthOf(reader, stream) : E.right(before)
    if (E.isLeft(length)) return length
    const found: RefusalRow[] = []
    for (let end = length.right; end > 0 && found.length < max; end = Math.max(0, end - PAGE)) {
      const from = Math.max(0, end - PAGE)
      const page = await reader.readStream(stream, { from, max: end - from })()
      if (E.isLeft(page)) return page
      for (const event of page.right.toReversed()) {
        const row = rowOf(event)
        if (E.isLeft(row)) return row
        if (code === undefined || row.right.code === code) found.push(row.right)
        if (found.length === max) break
      }
    }
    return E.right(found)
  }
