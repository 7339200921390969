// Births of what waits, kept until it is leased, so that a short line is served without a look into the log. A bound in bytes; what does not fit is read when its time has come.
import type { WorkItemId } from '../../domain/ids.ts'
import type { Birth } from '../../projections/tables.ts'

/** 16 MiB: a line of some twenty thousand small tasks. */
const BYTES_MAX = 16 * 1024 * 1024
/** What an entry weighs beside its payload. */
const OVERHEAD_BYTES = 300

export interface Born {
  readonly birth: Birth
  readonly payload: Uint8Array | undefined
}

export interface Births {
  readonly keep: (workItem: WorkItemId, birth: Born) => void
  /** Gives it and keeps it no longer: whoever leases the item next comes after this holder. */
  readonly take: (workItem: WorkItemId) => Born | undefined
  readonly drop: (workItem: WorkItemId) => void
}

const bytesOf = ({ payload }: Born): number => OVERHEAD_BYTES + (payload?.byteLength ?? 0)

export const createBirths = (bytesMax = BYTES_MAX): Births => {
  const births = new Map<WorkItemId, Born>()
  let bytes = 0

  const take = (workItem: WorkItemId): Born | undefined => {
    const found = births.get(workItem)
    if (found === undefined) return undefined
    births.delete(workItem)
    bytes -= bytesOf(found)
    return found
  }

  return {
    keep: (workItem, { birth, payload }) => {
      // A copy: a part of a request's body would keep the whole of it.
      const kept: Born = { birth, payload: payload === undefined ? undefined : Buffer.from(payload) }
      if (births.has(workItem) || bytes + bytesOf(kept) > bytesMax) return
      births.set(workItem, kept)
      bytes += bytesOf(kept)
    },
    take,
    drop: (workItem) => void take(workItem),
  }
}
