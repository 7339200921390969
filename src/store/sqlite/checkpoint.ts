// Copies the write-ahead log into the file beside the commits rather than in them: nobody waits for it unless an append arrives meanwhile.
import type { DatabaseSync } from 'node:sqlite'
import type { Batch } from './batch.ts'
import { isFull } from './errors.ts'

/** The size of the write-ahead log is asked for this often on the way to where it is copied, and not after each commit: SQLite sorts all of it to answer. */
const LOOKS = 8

const PAGE_BYTES = 4_096

/** The first page, and the last of the table and of its index with what is above them. */
const COMMIT_PAGES = 6

/** Pages that a batch writes, roughly and rather too many: those of every commit, one of the index for each stream, and what texts and payloads take. */
const pagesOf = ({ texts, operations, payloads }: Batch): number => {
  let bytes = payloads.byteLength
  for (const text of texts) bytes += text.length
  return COMMIT_PAGES + operations + bytes / PAGE_BYTES
}

export interface Checkpointer {
  /** A batch was committed, and took or erased so many rows that were there before it. */
  readonly grown: (batch: Batch, rows: number) => void
  /** Copies if the write-ahead log has grown enough. Throws what it cannot be certain of. */
  readonly run: () => void
}

/** `pages`: those in the write-ahead log from which on it is copied. */
export const checkpointerOf = (db: DatabaseSync, pages: number): Checkpointer => {
  const size = db.prepare('PRAGMA wal_checkpoint(NOOP)', { returnArrays: true })
  const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  let unseen = 0
  return {
    grown: (batch, rows) => {
      unseen += pagesOf(batch) + rows
    },
    run: () => {
      if (unseen < pages / LOOKS) return
      unseen = 0
      const [, written, copied] = size.get() as unknown as readonly [number, number, number]
      if (written - copied < pages) return
      try {
        copy.get()
      } catch (cause) {
        if (!isFull(cause)) throw cause
      }
    },
  }
}
