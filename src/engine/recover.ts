// Brings `live` back after a start: the live items that the tables kept, then every event after them; without tables, every event there is.
// Nothing is skipped: an event that this version does not know stops the start and is named (rules 15).
import * as E from 'fp-ts/lib/Either.js'
import { contractOfStream } from '../domain/contract.ts'
import { nodeOfStream } from '../domain/node.ts'
import { queueOfStream } from '../domain/queue/config.ts'
import { absent } from '../domain/work-item/state.ts'
import { createFold } from '../projections/fold.ts'
import type { Tables } from '../projections/tables.ts'
import { StoreFault, type EventReader, type Position } from '../store/port.ts'
import type { Live } from './live.ts'

/** Events read and folded at once. */
const PAGE = 5_000

export interface Recovered {
  /** Items that came from the tables. */
  readonly kept: number
  /** Events folded after them. */
  readonly folded: number
  readonly position: Position
  /** Queues whose streams the log has. */
  readonly queues: readonly { readonly app: string; readonly queue: string }[]
  /** Contracts whose streams the log has. */
  readonly contracts: readonly string[]
  /** Nodes whose streams the log has. */
  readonly nodes: readonly string[]
}

/** Fills `live`. Left when the log cannot be read or holds what this version does not know. */
export const recover = async (options: {
  readonly reader: EventReader
  readonly tables: Tables
  readonly live: Live
  readonly onProgress?: ((folded: number, position: Position) => void) | undefined
}): Promise<E.Either<StoreFault, Recovered>> => {
  const { reader, tables, live } = options
  const head = await reader.head()()
  if (E.isLeft(head)) return head
  const kept = await tables.liveItems()
  const fold = createFold({ reader, live: kept.items.map(({ workItem, item, position }) => [workItem, { item, position, created: 0 }] as const) })
  const fromTables = fold.live.size
  const bookStreams = new Set(kept.bookStreams)
  let { position } = kept
  let folded = 0
  for (;;) {
    const page = await reader.readAll({ ...(position === undefined ? {} : { after: position }), max: PAGE })()
    if (E.isLeft(page)) return page
    if (page.right.length === 0) break
    const batch = await fold.take(page.right)
    if (E.isLeft(batch)) return E.left(batch.left instanceof StoreFault ? batch.left : new StoreFault('damaged', batch.left.detail))
    fold.keep(batch.right)
    for (const stream of batch.right.bookStreams) bookStreams.add(stream)
    position = batch.right.position
    folded += batch.right.events
    options.onProgress?.(folded, position)
  }
  for (const [workItem, { item, position: at }] of fold.live) live.put(workItem, absent, item, at)
  const queues = [...bookStreams].flatMap((stream) => queueOfStream(stream) ?? [])
  const contracts = [...bookStreams].flatMap((stream) => contractOfStream(stream) ?? [])
  const nodes = [...bookStreams].flatMap((stream) => nodeOfStream(stream) ?? [])
  return E.right({ kept: fromTables, folded, position: position ?? head.right.position, queues, contracts, nodes })
}
