// What erasing has done to a log that is folded again: how many events of it say nothing any more, and which items were erased only after the kept tables had seen them.
import * as E from 'fp-ts/lib/Either.js'
import { workItemOf, type WorkItemId } from '../domain/ids.ts'
import { isTombstone } from '../domain/work-item/events.ts'
import { ERASED_DATA, type EventReader, type Position } from '../store/port.ts'

const EVENTS_A_PAGE = 5_000

/** The same reader, and how many erased events its whole log has shown. */
export const countingErased = <Reader extends EventReader>(reader: Reader): { readonly reader: Reader; readonly erased: () => number } => {
  let erased = 0
  return {
    reader: {
      ...reader,
      readAll: (options) => async () => {
        const page = await reader.readAll(options)()
        if (E.isRight(page)) for (const { data } of page.right) if (data === ERASED_DATA) erased += 1
        return page
      },
    },
    erased: () => erased,
  }
}

/** Work items with a tombstone after a position: what they were there, the log does not say any more. Throws StoreFault. */
export const erasedAfter = async (reader: EventReader, position: Position): Promise<ReadonlySet<WorkItemId>> => {
  const found = new Set<WorkItemId>()
  for (let after = position; ;) {
    const page = await reader.readAll({ after, max: EVENTS_A_PAGE })()
    if (E.isLeft(page)) throw page.left
    for (const recorded of page.right) {
      const workItem = isTombstone(recorded) ? workItemOf(recorded.stream) : undefined
      if (workItem !== undefined) found.add(workItem)
    }
    const last = page.right[page.right.length - 1]
    if (last === undefined || page.right.length < EVENTS_A_PAGE) return found
    after = last.position
  }
}
