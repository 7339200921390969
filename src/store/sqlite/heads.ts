// Where each stream ends, for the writer: the streams written last from memory, the others from the index.
import type { DatabaseSync } from 'node:sqlite'

/** Streams remembered, at most: about 15 MB. */
const STREAMS_MAX = 100_000

export interface Heads {
  /** Revision of the stream's last event, -1 for none; includes what the open transaction has added. */
  readonly of: (stream: string) => number
  readonly moved: (stream: string, revision: number) => void
  /** Bounds the memory. Not within a transaction: what it has added may not be in the index yet. */
  readonly trim: () => void
  /** After a rollback: what was remembered may not be true. */
  readonly forget: () => void
}

export const headsOf = (db: DatabaseSync, max = STREAMS_MAX): Heads => {
  const last = db.prepare('SELECT max(revision) FROM events WHERE stream = ?', { returnArrays: true })
  const known = new Map<string, number>()
  return {
    of: (stream) => {
      const remembered = known.get(stream)
      if (remembered !== undefined) return remembered
      const [revision] = last.get(stream) as unknown as readonly [number | null]
      return revision ?? -1
    },
    moved: (stream, revision) => {
      known.delete(stream)
      known.set(stream, revision)
    },
    trim: () => {
      for (const stream of known.keys()) {
        if (known.size <= max) return
        known.delete(stream)
      }
    },
    forget: () => known.clear(),
  }
}
