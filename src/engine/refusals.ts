// The refusals of a day, newest first, as the audit stream has them.
import * as E from 'fp-ts/lib/Either.js'
import { auditEvents, auditStream } from '../domain/audit.ts'
import { StoreFault, type EventReader, type RecordedEvent } from '../store/port.ts'
import type { Engine, RefusalRow } from './engine.ts'
import { lengthOf } from './stream-length.ts'

/** Events read at once. */
const PAGE = 1_000

const rowOf = ({ data, meta, position, revision, time, type }: RecordedEvent): E.Either<StoreFault, RefusalRow> => {
  const decoded = auditEvents.RefusalRecorded.decode({ type, ...(JSON.parse(data) as object) })
  if (E.isLeft(decoded)) return E.left(new StoreFault('damaged', `The refusal at ${position} cannot be read by this version of Stint`))
  const { code, route, subject, target, detail } = decoded.right
  return E.right({ revision, position, time, code, route, subject, target, detail, actor: (JSON.parse(meta) as { readonly actor: string }).actor })
}

export const createRefusals =
  (reader: EventReader): Engine['refusals'] =>
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
