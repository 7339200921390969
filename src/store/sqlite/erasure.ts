// Taking away what is no longer needed, inside the writer's transaction: the data of a stream's events, and later their rows (rules 26).
import type { DatabaseSync } from 'node:sqlite'
import { dataDigestOf, type Digest } from '../chain.ts'
import { OF_STREAM, type StreamIndex } from './stream-index.ts'

/** Where the events of a stream are that have their data, in order. */
const withDataOf = (db: DatabaseSync, index: StreamIndex): ((stream: string) => readonly number[]) => {
  const indexed = db.prepare(`SELECT event.position ${OF_STREAM} AND event.data IS NOT NULL ORDER BY place.revision`, { returnArrays: true })
  const hasData = db.prepare('SELECT 1 FROM events WHERE position = ? AND data IS NOT NULL')
  return (stream) => {
    const found = indexed.all(index.keyOf(stream), stream, index.reached()) as unknown as readonly (readonly [number])[]
    const rest = index.tail.of(stream).filter((place, at) => at % 2 === 1 && hasData.get(place) !== undefined)
    return [...found.map(([position]) => position), ...rest]
  }
}

/** Erases the events of a stream that are not yet, and answers how many. */
export const eraserOf = (db: DatabaseSync, index: StreamIndex): ((stream: string) => number) => {
  const due = withDataOf(db, index)
  const content = db.prepare('SELECT data, payload FROM events WHERE position = ?', { returnArrays: true })
  const erase = db.prepare('UPDATE events SET data = NULL, payload = NULL, data_digest = unhex(?) WHERE position = ?')
  return (stream) => {
    const positions = due(stream)
    for (const position of positions) {
      const [data, payload] = content.get(position) as unknown as readonly [string, Uint8Array | null]
      erase.run(dataDigestOf(payload === null ? { data } : { data, payload }), position)
    }
    return positions.length
  }
}

interface Run {
  readonly first: number
  last: number
  digest: Digest
}

/** Deletes a run of rows and notes it, as one with the gaps that it touches. */
const runDeleter = (db: DatabaseSync): ((run: Run) => void) => {
  const remove = db.prepare('DELETE FROM events WHERE position BETWEEN ? AND ?')
  const before = db.prepare('SELECT first, last FROM gaps WHERE first < ? ORDER BY first DESC LIMIT 1', { returnArrays: true })
  const after = db.prepare('SELECT last, lower(hex(chain)) FROM gaps WHERE first = ?', { returnArrays: true })
  const forget = db.prepare('DELETE FROM gaps WHERE first = ?')
  const note = db.prepare('INSERT OR REPLACE INTO gaps (first, last, chain) VALUES (?, ?, unhex(?))')
  return ({ first, last, digest }) => {
    remove.run(first, last)
    const left = before.get(first) as unknown as readonly [number, number] | undefined
    const right = after.get(last + 1) as unknown as readonly [number, Digest] | undefined
    if (right !== undefined) forget.run(last + 1)
    note.run(left !== undefined && left[1] === first - 1 ? left[0] : first, right?.[0] ?? last, right?.[1] ?? digest)
  }
}

/** Rows deleted; and the number of the last event looked at where there are more, else 0. */
export type PruneResult = readonly [pruned: number, next: number]

/**
 * Deletes rows of erased events after a place in the log whose tombstone lies before another, looking at `max` erased events.
 * The first event of a stream that still has its data is the tombstone, as an erasure takes the data of all before it.
 */
export const prunerOf = (db: DatabaseSync, index: StreamIndex): ((before: number, after: number, max: number) => PruneResult) => {
  const due = db.prepare(
    'SELECT position, stream, lower(hex(digest)), revision FROM events INDEXED BY events_erased WHERE data IS NULL AND position > ? AND position < ? ORDER BY position LIMIT ?',
    { returnArrays: true },
  )
  const withData = withDataOf(db, index)
  const forget = db.prepare('DELETE FROM stream_places WHERE key = ? AND revision = ? AND position = ?')
  const deleteRun = runDeleter(db)
  return (before, after, max) => {
    const rows = due.all(after, before, max + 1) as unknown as readonly (readonly [number, string, Digest, number])[]
    const looked = rows.slice(0, max)
    const tombstones = new Map<string, number>()
    const tombstoneOf = (stream: string): number => {
      const known = tombstones.get(stream)
      if (known !== undefined) return known
      // A stream without one would forget where it ends: it keeps its rows.
      const position = withData(stream)[0] ?? Number.POSITIVE_INFINITY
      tombstones.set(stream, position)
      return position
    }
    const runs: Run[] = []
    let pruned = 0
    for (const [position, stream, digest, revision] of looked) {
      if (tombstoneOf(stream) >= before) continue
      pruned += 1
      forget.run(index.keyOf(stream), revision, position)
      index.tail.drop(stream, position)
      const run = runs[runs.length - 1]
      if (run === undefined || run.last + 1 !== position) runs.push({ first: position, last: position, digest })
      else {
        run.last = position
        run.digest = digest
      }
    }
    for (const run of runs) deleteRun(run)
    return [pruned, rows.length > max ? (looked[looked.length - 1]?.[0] ?? 0) : 0]
  }
}
