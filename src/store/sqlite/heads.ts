// Where each stream ends, for the writer: the streams written last from memory, the others as they are found.

/** Streams remembered, at most: about 15 MB. */
const STREAMS_MAX = 100_000

export interface Heads {
  /** Revision of the stream's last event, -1 for none; includes what the open transaction has added. */
  readonly of: (stream: string) => number
  readonly moved: (stream: string, revision: number) => void
  /** Bounds the memory. Not within a transaction: what it has added can be found only when it is over. */
  readonly trim: () => void
  /** After a rollback: what was remembered may not be true. */
  readonly forget: () => void
}

/**
 * `find` answers as `of` for what is not remembered.
 *
 * Two generations, the younger of at most half as many: once it is full it becomes the older, and what was the older is forgotten. One map from which
 * the oldest is deleted would be walked over from its front, where the deleted ones were, after each commit.
 */
export const headsOf = (find: (stream: string) => number, max = STREAMS_MAX): Heads => {
  let young = new Map<string, number>()
  let old = new Map<string, number>()
  return {
    of: (stream) => young.get(stream) ?? old.get(stream) ?? find(stream),
    moved: (stream, revision) => {
      young.set(stream, revision)
    },
    trim: () => {
      if (young.size < max / 2) return
      old = young
      young = new Map()
    },
    forget: () => {
      young.clear()
      old.clear()
    },
  }
}
