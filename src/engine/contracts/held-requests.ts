// Which request a worker means that names it by id and lease: ids are unique for one caller only, leases are not given twice. An index over `live` and over what ended lately.
import type { WorkItemId } from '../../domain/ids.ts'
import { nameIn } from '../../domain/ids.ts'
import { isHeld, type Existing } from '../../domain/work-item/state.ts'
import { createOldestFirst } from '../oldest-first.ts'

/** Ended leases that are still found, so that a reply said again is answered as the first. */
const ENDED_KEPT = 10_000

export interface HeldRequests {
  readonly changed: (workItem: WorkItemId, after: Existing) => void
  readonly find: (contract: string, id: string, lease: string) => WorkItemId | undefined
}

const keyOf = (contract: string, id: string, lease: string): string => `${contract}\n${id}\n${lease}`

export const createHeldRequests = (): HeldRequests => {
  const held = new Map<string, WorkItemId>()
  const ended = createOldestFirst<string, WorkItemId>()

  return {
    changed: (workItem, after) => {
      if (after.request === undefined) return
      const { contract } = after.request
      const last = after.ended === undefined ? undefined : keyOf(contract, nameIn(workItem), after.ended.token)
      if (last !== undefined && held.delete(last)) {
        ended.set(last, workItem)
        ended.trim(ENDED_KEPT)
      }
      if (isHeld(after)) held.set(keyOf(contract, nameIn(workItem), after.lease.token), workItem)
    },
    find: (contract, id, lease) => {
      const key = keyOf(contract, id, lease)
      return held.get(key) ?? ended.get(key)
    },
  }
}
