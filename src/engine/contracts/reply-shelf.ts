// Replies at hand: a reply never changes, so the ones given last stay in memory up to a number of bytes, and others are read from their stream. Nothing rests on the shelf:
// whether a reply may still be given is asked of the request itself, every time.
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../../domain/ids.ts'
import type { ReplyHead } from '../../domain/work-item/events.ts'
import type { Settled } from '../../domain/work-item/state.ts'
import { readEvent } from '../../projections/fold.ts'
import { StoreFault, type EventReader } from '../../store/port.ts'
import { createOldestFirst } from '../oldest-first.ts'

export interface KeptReply {
  readonly head: ReplyHead
  /** Undefined: the body was over the limit and is not kept. */
  readonly body: Uint8Array | undefined
}

export interface ReplyShelf {
  /** The reply of a settled request; undefined when it settled without one. */
  readonly replyOf: (workItem: WorkItemId, item: Settled) => Promise<E.Either<StoreFault, KeptReply | undefined>>
  /** What was replied just now. */
  readonly put: (workItem: WorkItemId, reply: KeptReply) => void
  readonly drop: (workItem: WorkItemId) => void
}

/** Bytes of replies at hand, each counted with what its place costs. */
const SHELF_BYTES = 32 * 1024 * 1024
const PLACE_BYTES = 500

const sizeOf = ({ body }: KeptReply): number => (body?.byteLength ?? 0) + PLACE_BYTES

export const createReplyShelf = (reader: EventReader, bytesMax = SHELF_BYTES): ReplyShelf => {
  const shelf = createOldestFirst<WorkItemId, KeptReply>()
  let bytes = 0

  const drop: ReplyShelf['drop'] = (workItem) => {
    const known = shelf.get(workItem)
    if (known === undefined) return
    shelf.delete(workItem)
    bytes -= sizeOf(known)
  }

  const put: ReplyShelf['put'] = (workItem, reply) => {
    drop(workItem)
    shelf.set(workItem, reply)
    bytes += sizeOf(reply)
    for (let oldest = shelf.oldest(); bytes > bytesMax && oldest !== undefined; oldest = shelf.oldest()) drop(oldest)
  }

  return {
    replyOf: async (workItem, item) => {
      if (item.reply === undefined) return E.right(undefined)
      const known = shelf.get(workItem)
      if (known !== undefined) {
        shelf.set(workItem, known)
        return E.right(known)
      }
      const read = await reader.readStream(streamOf(workItem), { from: item.endRevision, max: 1 })()
      if (E.isLeft(read)) return read
      const [recorded] = read.right
      const event = recorded === undefined ? undefined : readEvent(recorded)
      if (recorded === undefined || event === undefined || E.isLeft(event) || event.right.type !== 'Completed' || event.right.reply === undefined)
        return E.left(new StoreFault('damaged', `The stream of ${workItem} has no reply at revision ${item.endRevision}`))
      const { reply } = event.right
      const kept: KeptReply = { head: reply, body: reply.kept ? (recorded.payload ?? new Uint8Array()) : undefined }
      put(workItem, kept)
      return E.right(kept)
    },
    put,
    drop,
  }
}
