// Room for the write-ahead log, made a stretch at a time: a file that grows with each commit has each sync write its new size too, which takes as long again.
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs'

/** A stretch, in bytes. */
const STRETCH = Buffer.alloc(512 * 1_024)

const PAGE_BYTES = 4_096

export interface WalSpace {
  /** To be called while the write lock is held: nobody else writes to the file then. */
  readonly ahead: () => void
  readonly close: () => void
}

/**
 * Room up to `pages`, beyond which the file begins anew sooner or later. Zeros after the last commit mean nothing to SQLite, as what it finds
 * there has to carry the salt of the present log (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
 */
export const walSpaceOf = (file: string, pages: number): WalSpace => {
  const descriptor = openSync(file, 'r+')
  const most = pages * PAGE_BYTES
  let made = fstatSync(descriptor).size
  return {
    ahead: () => {
      if (made >= most) return
      const { size } = fstatSync(descriptor)
      // SQLite has written beyond what there was room for.
      if (size <= made) return
      try {
        made = size + writeSync(descriptor, STRETCH, 0, STRETCH.byteLength, size)
      } catch {
        // No room, as whoever writes will be told where it matters.
        made = most
      }
    },
    close: () => closeSync(descriptor),
  }
}
