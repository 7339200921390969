// A map that knows its oldest entry at once, for what is kept as long as there is room. A Map alone finds it only by walking over every place in front of it that was deleted since
// it grew last: with ten thousand entries that costs more than all else that happens to a work item.

interface Link<Key, Value> {
  readonly key: Key
  value: Value
  older: Link<Key, Value> | undefined
  newer: Link<Key, Value> | undefined
}

export interface OldestFirst<Key, Value> {
  readonly get: (key: Key) => Value | undefined
  /** Makes it the newest, whether it is there or not. */
  readonly set: (key: Key, value: Value) => void
  /** Whether it was there. */
  readonly delete: (key: Key) => boolean
  readonly oldest: () => Key | undefined
  readonly size: () => number
  /** Lets go of the oldest until there are at most so many. */
  readonly trim: (max: number) => void
}

export const createOldestFirst = <Key, Value>(): OldestFirst<Key, Value> => {
  const links = new Map<Key, Link<Key, Value>>()
  let oldest: Link<Key, Value> | undefined
  let newest: Link<Key, Value> | undefined

  const unlink = ({ older, newer }: Link<Key, Value>): void => {
    if (older === undefined) oldest = newer
    else older.newer = newer
    if (newer === undefined) newest = older
    else newer.older = older
  }

  const link = (last: Link<Key, Value>): void => {
    last.older = newest
    last.newer = undefined
    if (newest === undefined) oldest = last
    else newest.newer = last
    newest = last
  }

  const remove = (known: Link<Key, Value>): void => {
    links.delete(known.key)
    unlink(known)
  }

  return {
    get: (key) => links.get(key)?.value,
    set: (key, value) => {
      const known = links.get(key)
      if (known === undefined) {
        const fresh: Link<Key, Value> = { key, value, older: undefined, newer: undefined }
        links.set(key, fresh)
        link(fresh)
        return
      }
      known.value = value
      if (known === newest) return
      unlink(known)
      link(known)
    },
    delete: (key) => {
      const known = links.get(key)
      if (known === undefined) return false
      remove(known)
      return true
    },
    oldest: () => oldest?.key,
    size: () => links.size,
    trim: (max) => {
      while (oldest !== undefined && links.size > max) remove(oldest)
    },
  }
}
