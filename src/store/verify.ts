// Proves that a log is what was written: every digest is computed anew and every place in the log is taken. Works on a live log and on a copy.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { dataDigestOf, genesis, linkDigest, type ChainLink, type ChainReader, type Digest, type Gap } from './chain.ts'
import { ERASED_DATA, type Head, type Position, type StoreFault } from './port.ts'
import { positionAt, sequenceOf } from './position.ts'

/** Where the chain does not hold. Everything before that position is as it was written. */
export interface ChainBreak {
  readonly position: Position
  readonly problem: string
}

export interface VerifiedChain {
  /** Events that are left. */
  readonly events: number
  /** How many of them are erased: their data is no longer provable, their place and the digest of their data are. */
  readonly erased: number
  /** Events of which nothing is left but the gap in which they were. */
  readonly pruned: number
  /** Runs of pruned events. What is before one could have been changed by somebody who computed the chain anew up to there; what is after it could not. */
  readonly gaps: number
  /** The head at the last event read. */
  readonly head: Head
}

export interface VerifyOptions {
  /** Told after each batch how many events were checked. */
  readonly onProgress?: (checked: { readonly events: number; readonly position: Position }) => void
  /** Events read at a time, 5,000. */
  readonly batch?: number
}

const breakOf = (position: Position, problem: string): E.Either<ChainBreak, never> => E.left({ position, problem })

/** How far the proof has come. */
interface Proof {
  sequence: number
  digest: Digest
  events: number
  erased: number
  pruned: number
  gaps: number
}

/** Proves one event that follows directly on what is proved; undefined when it does. */
const takeLink = (proof: Proof, { event, digest, dataDigest }: ChainLink): string | undefined => {
  if (dataDigest !== undefined && (event.data !== ERASED_DATA || event.payload !== undefined)) return 'marked as erased, but there is data'
  const computed = linkDigest(proof.digest, proof.sequence + 1, event, dataDigest ?? dataDigestOf(event))
  if (computed !== digest) return `the digest does not match: stored ${digest}, computed ${computed}`
  proof.sequence += 1
  proof.digest = digest
  proof.events += 1
  if (dataDigest !== undefined) proof.erased += 1
  return undefined
}

/** Whether there really is nothing in a gap, though a page that was read before it showed something: then that was pruned in between. */
const isEmpty = async (reader: ChainReader, { first, last }: Gap, incarnation: string): Promise<E.Either<StoreFault, boolean>> => {
  const before = sequenceOf(first, incarnation)
  if (E.isLeft(before)) return before
  const next = await reader.readChain({ after: positionAt(incarnation, before.right - 1), max: 1 })()
  return E.isLeft(next) ? next : E.right(next.right[0] === undefined || next.right[0].event.position > last)
}

/** Goes over a gap that begins at or before the next event to prove, or that one is missing; `seen` is the event read next. */
const takeGap = async (proof: Proof, reader: ChainReader, gap: Gap, seen: Position, incarnation: string): Promise<E.Either<ChainBreak, void>> => {
  const next = positionAt(incarnation, proof.sequence + 1)
  if (gap.first > next) return breakOf(next, `missing: the next event is at ${seen}, a gap at ${gap.first}`)
  if (gap.first < next || gap.last >= seen) {
    const empty = await isEmpty(reader, gap, incarnation)
    if (E.isLeft(empty)) return breakOf(gap.first, empty.left.message)
    if (!empty.right) return breakOf(gap.first, `a gap up to ${gap.last}, but there are events in it`)
  }
  const last = sequenceOf(gap.last, incarnation)
  if (E.isLeft(last)) return breakOf(gap.first, last.left.message)
  proof.pruned += last.right - proof.sequence
  proof.gaps += 1
  proof.sequence = last.right
  proof.digest = gap.chain
  return E.right(undefined)
}

/** Proves a page of the log with the gaps that it has. Gaps are read after the page, so none that it shows can be unknown. */
const takePage = async (proof: Proof, reader: ChainReader, page: readonly ChainLink[], incarnation: string): Promise<E.Either<ChainBreak, void>> => {
  const start = positionAt(incarnation, proof.sequence)
  const gaps = await reader.readGaps({ after: start, upTo: page[page.length - 1]?.event.position ?? start })()
  if (E.isLeft(gaps)) return breakOf(start, gaps.left.message)
  let at = 0
  for (const link of page) {
    const { position } = link.event
    for (let gap = gaps.right[at]; gap !== undefined && gap.first <= position; gap = gaps.right[++at]) {
      const taken = await takeGap(proof, reader, gap, position, incarnation)
      if (E.isLeft(taken)) return taken
    }
    const next = positionAt(incarnation, proof.sequence + 1)
    if (position < next) continue
    if (position !== next) return breakOf(next, `missing: the next event is at ${position}`)
    const problem = takeLink(proof, link)
    if (problem !== undefined) return breakOf(position, problem)
  }
  return E.right(undefined)
}

/**
 * Walks the log from its first event to the head that it had at the beginning or beyond. About 300,000 events a second. Gaps are trusted: their rows are
 * gone. But what follows one must follow on its digest, nothing may be inside, and outside of them nothing may be missing.
 */
export const verifyChain =
  (reader: ChainReader, { onProgress, batch = 5_000 }: VerifyOptions = {}): TE.TaskEither<ChainBreak, VerifiedChain> =>
  async () => {
    const head = await reader.head()()
    if (E.isLeft(head)) return breakOf('', head.left.message)
    const { storeId, incarnation } = head.right
    const goal = sequenceOf(head.right.position, incarnation)
    if (E.isLeft(goal)) return breakOf(head.right.position, goal.left.message)

    const proof: Proof = { sequence: 0, digest: genesis(storeId), events: 0, erased: 0, pruned: 0, gaps: 0 }
    while (proof.sequence < goal.right) {
      const next = positionAt(incarnation, proof.sequence + 1)
      const page = await reader.readChain({ after: positionAt(incarnation, proof.sequence), max: batch })()
      if (E.isLeft(page)) return breakOf(next, page.left.message)
      if (page.right.length === 0) return breakOf(next, 'the log ends before its head')
      const taken = await takePage(proof, reader, page.right, incarnation)
      if (E.isLeft(taken)) return taken
      onProgress?.({ events: proof.events, position: positionAt(incarnation, proof.sequence) })
    }
    const { sequence, digest, ...counts } = proof
    return E.right({ ...counts, head: { storeId, incarnation, position: positionAt(incarnation, sequence), digest } })
  }
