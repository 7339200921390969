// Lease calls that carry a requestId (rules 27): a repeat is given what the first call leased and is still under that lease, and takes the place of a first call that still waits.
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../../domain/ids.ts'
import { isHeld, type Existing, type Held, type WorkItem } from '../../domain/work-item/state.ts'
import type { LeaseCall, LeasedItem, Refusal } from '../command.ts'
import type { Live } from '../live.ts'

export interface Requests {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** @param again gives what is still held once more · @param first leases; its signal aborts when it is superseded */
  readonly run: (
    line: string,
    call: LeaseCall & { readonly requestId: string },
    again: (held: readonly WorkItemId[]) => Promise<E.Either<Refusal, readonly LeasedItem[]>>,
    first: (signal: AbortSignal) => Promise<E.Either<Refusal, readonly LeasedItem[]>>,
  ) => Promise<E.Either<Refusal, readonly LeasedItem[]>>
}

interface Pending {
  readonly supersede: () => void
  readonly done: Promise<unknown>
}

/** @param lineOf the line in which an item waits to be leased */
export const createRequests = (live: Live, lineOf: (item: Existing) => string | undefined): Requests => {
  /** Of the lease that was asked about last: leases of one call come and go together. */
  let last = { line: '', subject: '', requestId: '', key: '' }
  const keyOf = (line: string, subject: string, requestId: string): string => {
    if (requestId !== last.requestId || line !== last.line || subject !== last.subject) last = { line, subject, requestId, key: `${line}\n${subject}\n${requestId}` }
    return last.key
  }

  const keyOfLease = (item: Held): string | undefined => {
    const line = lineOf(item)
    return line === undefined || item.lease.requestId === undefined ? undefined : keyOf(line, item.lease.holder.subject, item.lease.requestId)
  }

  const held = new Map<string, Set<WorkItemId>>()
  const pending = new Map<string, Pending>()

  const drop = (key: string, workItem: WorkItemId): void => {
    const items = held.get(key)
    items?.delete(workItem)
    if (items?.size === 0) held.delete(key)
  }

  return {
    changed: (workItem, before, after) => {
      const was = isHeld(before) ? keyOfLease(before) : undefined
      const is = isHeld(after) ? keyOfLease(after) : undefined
      if (was === is) return
      if (was !== undefined) drop(was, workItem)
      if (is !== undefined) held.set(is, (held.get(is) ?? new Set()).add(workItem))
    },
    run: async (line, call, again, first) => {
      const key = keyOf(line, call.holder.subject, call.requestId)
      const ahead = pending.get(key)
      const superseded = new AbortController()
      const work = async (): Promise<E.Either<Refusal, readonly LeasedItem[]>> => {
        ahead?.supersede()
        await ahead?.done
        if (superseded.signal.aborted) return E.left({ type: 'superseded' })
        const stillHeld = [...(held.get(key) ?? [])].filter((workItem) => live.get(workItem) !== undefined)
        if (stillHeld.length > 0) return again(stillHeld)
        const leased = await first(call.signal === undefined ? superseded.signal : AbortSignal.any([call.signal, superseded.signal]))
        return superseded.signal.aborted ? E.left({ type: 'superseded' }) : leased
      }
      const done = work()
      const mine: Pending = { supersede: () => superseded.abort(), done: done.catch(() => undefined) }
      pending.set(key, mine)
      try {
        return await done
      } finally {
        if (pending.get(key) === mine) pending.delete(key)
      }
    },
  }
}
