// Which request a worker means that names it by id and lease: ids are unique for one caller only, leases are not given twice. An index over `live` and over what ended lately.
import type { WorkItemId } from '../../domain/ids.ts'
import { contractOfRequest } from '../../domain/ids.ts'
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

  const keyIn = (workItem: WorkItemId, lease: string): string | undefined => {
    const names = contractOfRequest(workItem)
    return names === undefined ? undefined : keyOf(names.contract, names.id, lease)
  }

  return {
    changed: (workItem, after) => {
      if (after.request === undefined) return
      const last = after.ended === undefined ? undefined : keyIn(workItem, after.ended.token)
      if (last !== undefined && held.delete(last)) {
        ended.set(last, workItem)
        const oldest = ended.size() > ENDED_KEPT ? ended.oldest() : undefined
        if (oldest !== undefined) ended.delete(oldest)
      }
      const now = isHeld(after) ? keyIn(workItem, after.lease.token) : undefined
      if (now !== undefined) held.set(now, workItem)
    },
    find: (contract, id, lease) => {
      const key = keyOf(contract, id, lease)
      return held.get(key) ?? ended.get(key)
    },
  }
}
