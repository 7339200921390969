// How many things of one key, and how many in all, may be under way at once. Who has to wait does so in the line of its key, and the lines take turns, so that one key
// with a long line does not hold up the others.

/** Gives the slot back; calling it again does nothing. */
export type Release = () => void

export interface Slots {
  /** Waits for a slot; undefined when the signal aborts first. */
  readonly take: (key: string, signal: AbortSignal) => Promise<Release | undefined>
}

export const createSlots = ({ perKey, total }: { readonly perKey: number; readonly total: number }): Slots => {
  const taken = new Map<string, number>()
  /** In the order of their turns. */
  const lines = new Map<string, Set<() => void>>()
  let all = 0

  const isFree = (key: string): boolean => all < total && (taken.get(key) ?? 0) < perKey

  const leave = (key: string, begin: () => void): void => {
    const line = lines.get(key)
    line?.delete(begin)
    if (line?.size === 0) lines.delete(key)
  }

  const next = (): void => {
    for (const [key, line] of lines) {
      if (!isFree(key)) continue
      const [first] = line
      lines.delete(key)
      if (line.size > 1) lines.set(key, line)
      if (first === undefined) continue
      line.delete(first)
      first()
      return
    }
  }

  const occupy = (key: string): Release => {
    all += 1
    taken.set(key, (taken.get(key) ?? 0) + 1)
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      all -= 1
      const left = (taken.get(key) ?? 1) - 1
      if (left === 0) taken.delete(key)
      else taken.set(key, left)
      next()
    }
  }

  return {
    take: (key, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve(undefined)
        if (isFree(key) && !lines.has(key)) return resolve(occupy(key))
        const abort = (): void => {
          leave(key, begin)
          resolve(undefined)
        }
        const begin = (): void => {
          signal.removeEventListener('abort', abort)
          resolve(occupy(key))
        }
        const line = lines.get(key) ?? new Set()
        line.add(begin)
        lines.set(key, line)
        signal.addEventListener('abort', abort, { once: true })
      }),
  }
}
