// Where the events of each stream are. Names of streams lie in no order, so an index that follows each commit costs every event a page of its own: here it follows
// behind, many events at a time, and what it has not reached is at hand in memory.
import type { DatabaseSync } from 'node:sqlite'
import { isIndexedBySqlite } from './schema.ts'
import { streamKey } from './stream-key.ts'

/** Revision and position of an event, one after the other; of several events one pair after the other. */
export type Places = readonly number[]

/** Events that the index has not reached, by stream. */
export interface Tail {
  readonly add: (stream: string, revision: number, position: number) => void
  readonly of: (stream: string) => Places
  /** Lets go of an event, which is pruned. */
  readonly drop: (stream: string, position: number) => void
  /** Lets go of events up to a position. */
  readonly indexedTo: (position: number) => void
  readonly clear: () => void
  /** Events. */
  readonly size: () => number
  readonly streams: () => IterableIterator<[string, Places]>
}

const NO_PLACES: Places = []

export const createTail = (): Tail => {
  const streams = new Map<string, number[]>()
  let newest = 0
  let size = 0
  const clear = (): void => {
    streams.clear()
    size = 0
  }
  return {
    add: (stream, revision, position) => {
      const places = streams.get(stream)
      if (places === undefined) streams.set(stream, [revision, position])
      else places.push(revision, position)
      newest = position
      size += 1
    },
    of: (stream) => streams.get(stream) ?? NO_PLACES,
    drop: (stream, position) => {
      const places = streams.get(stream)
      const at = places?.findIndex((place, index) => index % 2 === 1 && place === position) ?? -1
      if (places === undefined || at < 0) return
      places.splice(at - 1, 2)
      size -= 1
      if (places.length === 0) streams.delete(stream)
    },
    indexedTo: (position) => {
      if (position >= newest) return clear()
      for (const [stream, places] of streams) {
        const left = places.findIndex((place, index) => index % 2 === 1 && place > position)
        if (left === 1) continue
        size -= (left < 0 ? places.length : left - 1) / 2
        if (left < 0) streams.delete(stream)
        else places.splice(0, left - 1)
      }
    },
    clear,
    size: () => size,
    streams: () => streams.entries(),
  }
}

/** Of one connection: what it knows of the index and of what lies beyond it. Its answers belong to one read transaction. */
export interface StreamIndex {
  /** Number that stands for this stream. */
  readonly keyOf: (stream: string) => number | string
  /** Position that the index reaches. */
  readonly reached: () => number
  readonly tail: Tail
  /** Takes in what others have written since; to be called first in a transaction. */
  readonly refresh: () => void
  /** Reads anew what lies beyond the index. */
  readonly reload: () => void
  /** Called by who has taken the index on, once that is committed. */
  readonly movedTo: (position: number) => void
}

/** Layouts of older releases, as the newest one: only for this connection. */
const AS_NEWEST = `
  PRAGMA temp_store = memory;
  CREATE TEMP VIEW stream_places AS SELECT stream AS key, revision, position FROM events;
  CREATE TEMP VIEW indexed AS SELECT ifnull(max(position), 0) AS position FROM events;
`

export const streamIndexOf = (db: DatabaseSync, storeId: string): StreamIndex => {
  const isOlder = isIndexedBySqlite(db)
  if (isOlder) db.exec(AS_NEWEST)
  const basis = streamKey(storeId)
  const reach = db.prepare('SELECT position FROM indexed', { returnArrays: true })
  const newer = db.prepare('SELECT position, stream, revision FROM events WHERE position > ? ORDER BY position', { returnArrays: true })
  const tail = createTail()
  let reached = 0
  let seen = 0
  const movedTo = (position: number): void => {
    reached = position
    tail.indexedTo(position)
    seen = Math.max(seen, position)
  }
  const refresh = (): void => {
    const position = (reach.get() as unknown as readonly [number] | undefined)?.[0]
    if (position === undefined) throw new Error('The log does not say how far its index of streams reaches: restore it from a backup')
    if (position !== reached) movedTo(position)
    for (const row of newer.iterate(seen)) {
      const [at, stream, revision] = row as unknown as readonly [number, string, number]
      tail.add(stream, revision, at)
      seen = at
    }
  }
  return {
    keyOf: (stream) => (isOlder ? stream : streamKey(stream, basis)),
    reached: () => reached,
    tail,
    refresh,
    reload: () => {
      tail.clear()
      reached = 0
      seen = 0
      refresh()
    },
    movedTo,
  }
}

/** Of the events of one stream that the index has reached: its key, its name, how far the index reaches. */
export const OF_STREAM =
  'FROM stream_places AS place CROSS JOIN events AS event ON event.position = place.position WHERE place.key = ? AND event.stream = ? AND place.position <= ?'
