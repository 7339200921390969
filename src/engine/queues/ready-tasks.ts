// The tasks of one queue that could be leased, in the order in which they are: delayed ones by time, due ones by rank and, once somebody asks by tag, by rank within each
// tag. Heaps of candidates, never the truth: one that comes up is held against the task as it is, and one of an earlier revision is dropped. What has gone stale
// inside a heap is swept out when it outgrows what is alive, so that no heap grows with what has been.
import TinyQueue from 'tinyqueue'
import type { WorkItemId } from '../../domain/ids.ts'

/** A task as it stood when it became leasable. */
export interface Candidate {
  readonly workItem: WorkItemId
  readonly revision: number
  /** As it stands in the log: what ranks it. */
  readonly dueAt: number
  /** When it is due on the clock of the heaps. */
  readonly readyAt: number
  readonly priority: number
  readonly sequence: number
  readonly tag: string | undefined
  readonly key: string | undefined
}

/** Higher priority first, then what has been due longest. */
export const byRank = (a: Candidate, b: Candidate): number => b.priority - a.priority || a.dueAt - b.dueAt || a.sequence - b.sequence
const byTime = (a: Candidate, b: Candidate): number => a.readyAt - b.readyAt || a.sequence - b.sequence

/** `gone`: taken, or put elsewhere · `aside`: not for this caller · `stop`: enough. */
export type Verdict = 'gone' | 'aside' | 'stop'

export interface ReadyTasks {
  /** Into the heap of the delayed or of the due. */
  readonly push: (candidate: Candidate) => 'delayed' | 'due'
  /** Shows candidates in order until one stops it; those put aside stay. `tag`: only with this one, undefined only without, left out any. */
  readonly walk: (visit: (candidate: Candidate) => Verdict, only?: { readonly tag: string | undefined }) => void
  readonly isEmpty: () => boolean
  /** Those whose time has come, now among the due. */
  readonly ripen: () => readonly Candidate[]
  /** When the next delayed one is due. */
  readonly nextReadyAt: () => number | undefined
  /** The task is not what it was: it is no delayed one any more. */
  readonly left: (workItem: WorkItemId) => void
  readonly delayedCount: () => number
}

/** Stale entries that a heap may have beside as many as are alive. */
const STALE_MAX = 1_024

type Heap = TinyQueue<Candidate>
const heapOf = (candidates: Candidate[]): Heap => new TinyQueue<Candidate>(candidates, byRank)

/** @param now the clock that delays run on · @param isCurrent whether the candidate can still be leased · @param waiting how many tasks wait in the queue, delayed or due */
export const createReadyTasks = (options: { readonly now: () => number; readonly isCurrent: (candidate: Candidate) => boolean; readonly waiting: () => number }): ReadyTasks => {
  const { now, isCurrent, waiting } = options
  let delayed = new TinyQueue<Candidate>([], byTime)
  const delayedRevision = new Map<WorkItemId, number>()
  let due = heapOf([])
  /** There once somebody has asked by tag. */
  let byTag: Map<string | undefined, Heap> | undefined
  let tagged = 0

  const isDelayed = ({ workItem, revision }: Candidate): boolean => delayedRevision.get(workItem) === revision

  const pushTagged = (candidate: Candidate): void => {
    if (byTag === undefined) return
    const heap = byTag.get(candidate.tag)
    if (heap === undefined) byTag.set(candidate.tag, heapOf([candidate]))
    else heap.push(candidate)
    tagged += 1
  }

  const groupByTag = (): void => {
    byTag = new Map()
    tagged = 0
    for (const candidate of due.data) if (isCurrent(candidate)) pushTagged(candidate)
  }

  const sweep = (): void => {
    const most = 2 * waiting() + STALE_MAX
    if (due.length > most) due = heapOf(due.data.filter(isCurrent))
    if (byTag !== undefined && tagged > most) groupByTag()
    if (delayed.length > 2 * delayedRevision.size + STALE_MAX) delayed = new TinyQueue(delayed.data.filter(isDelayed), byTime)
  }

  const pushDue = (candidate: Candidate): void => {
    due.push(candidate)
    pushTagged(candidate)
  }

  const heapFor = (only: { readonly tag: string | undefined } | undefined): Heap | undefined => {
    if (only === undefined) return due
    if (byTag === undefined) groupByTag()
    return byTag?.get(only.tag)
  }

  const walk: ReadyTasks['walk'] = (visit, only) => {
    const heap = heapFor(only)
    if (heap === undefined) return
    const aside: Candidate[] = []
    for (let next = heap.pop(); next !== undefined; next = heap.pop()) {
      if (only !== undefined) tagged -= 1
      if (!isCurrent(next)) continue
      const verdict = visit(next)
      if (verdict === 'gone') continue
      aside.push(next)
      if (verdict === 'stop') break
    }
    for (const candidate of aside) heap.push(candidate)
    if (only === undefined) return
    tagged += aside.length
    if (heap.length === 0) byTag?.delete(only.tag)
  }

  return {
    push: (candidate) => {
      sweep()
      if (candidate.readyAt <= now()) {
        pushDue(candidate)
        return 'due'
      }
      delayed.push(candidate)
      delayedRevision.set(candidate.workItem, candidate.revision)
      return 'delayed'
    },
    walk,
    isEmpty: () => {
      for (let first = due.peek(); first !== undefined && !isCurrent(first); first = due.peek()) due.pop()
      return due.length === 0
    },
    ripen: () => {
      const ripe: Candidate[] = []
      const at = now()
      for (let first = delayed.peek(); first !== undefined && first.readyAt <= at; first = delayed.peek()) {
        delayed.pop()
        if (!isDelayed(first)) continue
        delayedRevision.delete(first.workItem)
        if (!isCurrent(first)) continue
        pushDue(first)
        ripe.push(first)
      }
      return ripe
    },
    nextReadyAt: () => {
      for (let first = delayed.peek(); first !== undefined && !isDelayed(first); first = delayed.peek()) delayed.pop()
      return delayed.peek()?.readyAt
    },
    left: (workItem) => void delayedRevision.delete(workItem),
    delayedCount: () => delayedRevision.size,
  }
}
