// What of an outbox is still open, and how far it is: for those who ask why a settled request has not come to its end.
import type { WorkItemId } from '../../domain/ids.ts'
import type { OutboxEntry } from '../../domain/work-item/events.ts'
import { isOwing } from '../../domain/work-item/state.ts'
import type { Deliveries, UnderWay } from '../delivery/deliveries.ts'
import { uuidV5 } from '../envelope.ts'
import type { Live } from '../live.ts'

/** Names the ids of effects. */
export const EFFECTS = 'f6d3b1a2-6f7e-4e0c-9d1a-2b8c4c7f5a90'

export const effectId = (workItem: WorkItemId, entry: OutboxEntry): string => uuidV5(EFFECTS, `${workItem}\n${entry}`)

/** A callback that this server may not make, or cannot sign, for now. */
export interface HeldBack {
  /** A sentence. */
  readonly detail: string
  /** When it is looked at again, milliseconds since 1970 UTC. */
  readonly nextAt: number
}

/** An entry that is not carried out yet. */
export interface OpenEntry {
  readonly entry: OutboxEntry
  /** While it is being delivered. */
  readonly delivery?: UnderWay | undefined
  readonly heldBack?: HeldBack | undefined
}

export const createOpenEntries = ({ live, deliveries }: { readonly live: Live; readonly deliveries: Pick<Deliveries, 'underWay'> }) => {
  const held = new Map<string, HeldBack>()
  return {
    /** Until it is looked at again; undefined: it is no longer. */
    holdBack: (id: string, heldBack: HeldBack | undefined): void => void (heldBack === undefined ? held.delete(id) : held.set(id, heldBack)),
    /** In the order of the outbox; nothing of what owes nothing. */
    of: (workItem: WorkItemId): readonly OpenEntry[] => {
      const item = live.get(workItem)?.item
      if (item === undefined || !isOwing(item)) return []
      const sent = new Map(deliveries.underWay().map((one) => [one.id, one]))
      return item.outbox.map((entry) => {
        const id = effectId(workItem, entry)
        return { entry, delivery: sent.get(id), heldBack: held.get(id) }
      })
    },
  }
}
