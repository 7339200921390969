// Proves that a log is what was written: every digest is computed anew and every place in the log is taken. Works on a live log and on a copy.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { dataDigestOf, genesis, linkDigest, type ChainReader } from './chain.ts'
import { ERASED_DATA, type Head, type Position, type StoreFault } from './port.ts'
import { positionAt, sequenceOf } from './position.ts'

/** Where the chain does not hold. Everything before that position is as it was written. */
export interface ChainBreak {
  readonly position: Position
  readonly problem: string
}

export interface VerifiedChain {
  readonly events: number
  /** How many of them are erased: their data is no longer provable, their place and the digest of their data are. */
  readonly erased: number
  /** The head at the last event read. */
  readonly head: Head
}

export interface VerifyOptions {
  /** Told after each batch how many events were checked. */
  readonly onProgress?: (checked: { readonly events: number; readonly position: Position }) => void
  /** Events read at a time, 5,000. */
  readonly batch?: number
}

const breakOf = (position: Position, fault: StoreFault): E.Either<ChainBreak, never> => E.left({ position, problem: fault.message })

/** Walks the log from its first event to the head that it had at the beginning or beyond. About 300,000 events a second. */
export const verifyChain =
  (reader: ChainReader, { onProgress, batch = 5_000 }: VerifyOptions = {}): TE.TaskEither<ChainBreak, VerifiedChain> =>
  async () => {
    const head = await reader.head()()
    if (E.isLeft(head)) return breakOf('', head.left)
    const { storeId, incarnation } = head.right
    const goal = sequenceOf(head.right.position, incarnation)
    if (E.isLeft(goal)) return breakOf(head.right.position, goal.left)

    let sequence = 0
    let erased = 0
    let digest = genesis(storeId)
    while (sequence < goal.right) {
      const page = await reader.readChain({ after: positionAt(incarnation, sequence), max: batch })()
      if (E.isLeft(page)) return breakOf(positionAt(incarnation, sequence + 1), page.left)
      if (page.right.length === 0) return E.left({ position: positionAt(incarnation, sequence + 1), problem: 'the log ends before its head' })
      for (const link of page.right) {
        const position = positionAt(incarnation, sequence + 1)
        if (link.event.position !== position) return E.left({ position, problem: `missing: the next event is at ${link.event.position}` })
        if (link.dataDigest !== undefined && (link.event.data !== ERASED_DATA || link.event.payload !== undefined))
          return E.left({ position, problem: 'marked as erased, but there is data' })
        digest = linkDigest(digest, sequence + 1, link.event, link.dataDigest ?? dataDigestOf(link.event))
        if (digest !== link.digest) return E.left({ position, problem: `the digest does not match: stored ${link.digest}, computed ${digest}` })
        sequence += 1
        if (link.dataDigest !== undefined) erased += 1
      }
      onProgress?.({ events: sequence, position: positionAt(incarnation, sequence) })
    }
    return E.right({ events: sequence, erased, head: { storeId, incarnation, position: positionAt(incarnation, sequence), digest } })
  }
