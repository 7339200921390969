// When the write-ahead log is copied into the file, by a thread: beside the commits, and what came meanwhile at the end while none is made, so that the log can begin anew.
import type { DatabaseSync } from 'node:sqlite'
import type { Operation } from './batch.ts'
import type { CheckpointThread } from './checkpoint-thread.ts'

/** The size of the write-ahead log is asked for this often on the way to where it is copied, and not after each commit: SQLite sorts all of it to answer. */
const LOOKS = 8

const PAGE_BYTES = 4_096

/** The first page, and the last of the table and what is above it. */
const COMMIT_PAGES = 4

/** Pages that are left for the end: some milliseconds in which nothing is committed. */
const REST_PAGES = 256

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
  readonly run: (hold: Hold) => Promise<void> | undefined
}

/** Runs something while nothing is written. */
export type Hold = (run: () => Promise<void>) => Promise<void>

/** `pages`: those in the write-ahead log from which on it is copied. */
export const checkpointerOf = (db: DatabaseSync, pages: number, thread: Pick<CheckpointThread, 'copy'>): Checkpointer => {
  const size = db.prepare('PRAGMA wal_checkpoint(NOOP)', { returnArrays: true })
  let unseen = 0
  let isRunning = false
  const uncopied = (): number => {
    const [, written, copied] = size.get() as unknown as readonly [number, number, number]
    return written - copied
  }
  /** Again and again what came while it copied, as long as that becomes much less; where as much comes as is copied, the log would grow for ever. */
  const copyAll = async (hold: Hold): Promise<void> => {
    for (let [before, left] = [Infinity, uncopied()]; left > REST_PAGES && left <= before / 2; [before, left] = [left, uncopied()]) {
      await thread.copy()
      if (!db.isOpen) return
    }
    await hold(thread.copy)
  }
  return {
    grown: (operations, rows) => {
      unseen += pagesOf(operations) + rows
    },
    run: (hold) => {
      if (isRunning || unseen < pages / LOOKS) return undefined
      unseen = 0
      if (uncopied() < pages) return undefined
      isRunning = true
      return copyAll(hold).finally(() => {
        isRunning = false
      })
    },
  }
}
