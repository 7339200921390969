// Which keys of a queue are in use, and which tasks wait for theirs: a task whose key has all the holders it may have leaves the heaps until one of them is done.
import TinyQueue from 'tinyqueue'
import type { WorkItemId } from '../../domain/ids.ts'
import { byRank, type Candidate } from './ready-tasks.ts'

export interface Keys {
  readonly isInUse: (key: string) => boolean
  /** Counts one more holder. */
  readonly use: (key: string | undefined) => void
  /** One holder less; answers those who may try now. */
  readonly free: (key: string | undefined) => readonly Candidate[]
  /**
   * A task that may have had its turn will not take it. Answers those who may try in its place while the key is not in use: the first of each tag, since nobody knows yet
   * whose turn brings whom; who then finds the key in use gets in line again.
   */
  readonly next: (key: string | undefined) => readonly Candidate[]
  /** Puts a task into the line of its key. */
  readonly block: (candidate: Candidate) => void
  readonly isBlocked: (workItem: WorkItemId) => boolean
  /** The task is not what it was; whether it stood in line. */
  readonly left: (workItem: WorkItemId) => boolean
  /** Empties all lines: how many holders a key may have has changed. */
  readonly release: () => readonly Candidate[]
  readonly blockedCount: () => number
}

type Lines = Map<string | undefined, TinyQueue<Candidate>>

/** @param isCurrent whether the candidate could be leased if it were not for its key */
export const createKeys = (limit: () => number, isCurrent: (candidate: Candidate) => boolean): Keys => {
  const used = new Map<string, number>()
  const lines = new Map<string, Lines>()
  /** Its candidate in a line; one that is there no more, or as another, is passed by in the line. */
  const blocked = new Map<WorkItemId, Candidate>()

  const unblock = (candidate: Candidate): boolean => blocked.get(candidate.workItem) === candidate && blocked.delete(candidate.workItem) && isCurrent(candidate)

  /** The first of a line that is still there; it leaves the line. */
  const firstOf = (line: TinyQueue<Candidate>): Candidate | undefined => {
    for (let next = line.pop(); next !== undefined; next = line.pop()) {
      if (unblock(next)) return next
    }
    return undefined
  }

  const isInUse = (key: string): boolean => (used.get(key) ?? 0) >= limit()

  const next = (key: string | undefined): readonly Candidate[] => {
    const ofKey = key === undefined ? undefined : lines.get(key)
    if (key === undefined || ofKey === undefined || isInUse(key)) return []
    const firsts: Candidate[] = []
    for (const [tag, line] of ofKey) {
      const first = firstOf(line)
      if (first !== undefined) firsts.push(first)
      if (line.length === 0) ofKey.delete(tag)
    }
    if (ofKey.size === 0) lines.delete(key)
    return firsts.toSorted(byRank)
  }

  return {
    isInUse,
    use: (key) => {
      if (key !== undefined) used.set(key, (used.get(key) ?? 0) + 1)
    },
    free: (key) => {
      if (key === undefined) return []
      const left = (used.get(key) ?? 1) - 1
      if (left > 0) used.set(key, left)
      else used.delete(key)
      return next(key)
    },
    next,
    block: (candidate) => {
      const { key, tag, workItem } = candidate
      if (key === undefined) return
      let ofKey = lines.get(key)
      if (ofKey === undefined) lines.set(key, (ofKey = new Map()))
      const line = ofKey.get(tag)
      if (line === undefined) ofKey.set(tag, new TinyQueue<Candidate>([candidate], byRank))
      else line.push(candidate)
      blocked.set(workItem, candidate)
    },
    isBlocked: (workItem) => blocked.has(workItem),
    left: (workItem) => blocked.delete(workItem),
    release: () => {
      const all = [...lines.values()].flatMap((ofKey) => [...ofKey.values()].flatMap((line) => line.data)).filter(unblock)
      lines.clear()
      return all
    },
    blockedCount: () => blocked.size,
  }
}
