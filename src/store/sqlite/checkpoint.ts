// When the write-ahead log is copied into the file: beside the commits, by a thread, and what came meanwhile at the end by the writer, so that the log can begin anew.
import type { DatabaseSync } from 'node:sqlite'
import type { Operation } from './batch.ts'
import type { CheckpointThread } from './checkpoint-thread.ts'
import { isFull } from './errors.ts'

/** The size of the write-ahead log is asked for this often on the way to where it is copied, and not after each commit: SQLite sorts all of it to answer. */
const LOOKS = 8

const PAGE_BYTES = 4_096

/** The first page, and the last of the table and what is above it. */
const COMMIT_PAGES = 4

/** Pages that the writer copies itself, at most: a few milliseconds, in which nothing is committed. */
const REST_PAGES = 256

/** Times that the thread copies what came while it copied. */
const PASSES_MAX = 4

/** Pages that a batch writes, roughly and rather too many: those of every commit, and what texts and payloads take. */
const pagesOf = (operations: readonly Operation[]): number => {
  let bytes = 0
  for (const operation of operations) {
    if (operation.kind === 'prune') continue
    for (const { data, meta, payload } of operation.events) bytes += data.length + meta.length + 3 * operation.stream.length + (payload?.byteLength ?? 0)
  }
  return COMMIT_PAGES + bytes / PAGE_BYTES
}

export interface Checkpointer {
  /** A batch was committed, and took or erased so many rows that were there before it. */
  readonly grown: (operations: readonly Operation[], rows: number) => void
  /** Copies if the write-ahead log has grown enough; undefined if not. Rejects with what it cannot be certain of. */
  readonly run: () => Promise<void> | undefined
}

/** `pages`: those in the write-ahead log from which on it is copied. */
export const checkpointerOf = (db: DatabaseSync, pages: number, thread: Pick<CheckpointThread, 'copy'>): Checkpointer => {
  const size = db.prepare('PRAGMA wal_checkpoint(NOOP)', { returnArrays: true })
  const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  let unseen = 0
  let isRunning = false
  const uncopied = (): number => {
    const [, written, copied] = size.get() as unknown as readonly [number, number, number]
    return written - copied
  }
  const copyAll = async (): Promise<void> => {
    for (let pass = 1; pass <= PASSES_MAX; pass += 1) {
      await thread.copy()
      if (!db.isOpen) return
      if (uncopied() > REST_PAGES) continue
      try {
        copy.get()
      } catch (cause) {
        if (!isFull(cause)) throw cause
      }
      return
    }
  }
  return {
    grown: (operations, rows) => {
      unseen += pagesOf(operations) + rows
    },
    run: () => {
      if (isRunning || unseen < pages / LOOKS) return undefined
      unseen = 0
      if (uncopied() < pages) return undefined
      isRunning = true
      return copyAll().finally(() => {
        isRunning = false
      })
    },
  }
}
