// Proves a data directory: the chain of digests over the whole log, and every kept projection against one that is folded anew (design 17).
import * as E from 'fp-ts/lib/Either.js'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compareWithRebuilt, type Comparison } from '../projections/rebuild.ts'
import { TABLES_FILE } from '../settings.ts'
import type { Position } from '../store/port.ts'
import { verifyChain, type ChainBreak, type VerifiedChain } from '../store/verify.ts'
import type { World } from '../world.ts'
import { isLogFile, withLog } from './log.ts'

export interface Verified {
  readonly file: string
  readonly chain: E.Either<ChainBreak, VerifiedChain>
  /** Undefined where there are no tables: a server makes them anew. Left with the reason when they could not be compared. */
  readonly tables: E.Either<string, Comparison> | undefined
  readonly ms: number
}

export interface VerifyOptions {
  readonly world: World
  readonly onProgress?: (progress: { readonly part: 'chain' | 'tables'; readonly events: number; readonly position: Position }) => void
}

/** Verifies a data directory, or a single log file, which has no tables. Throws NoLog or StoreOpenError. */
export const verifyData = (data: string, { world, onProgress }: VerifyOptions): Promise<Verified> =>
  withLog(data, async (reader, file) => {
    const startedAt = world.monotonic()
    const chain = await verifyChain(reader, { onProgress: (progress) => onProgress?.({ part: 'chain', ...progress }) })()
    const erased = E.isRight(chain) ? chain.right.erased + chain.right.pruned : 0
    const keptFile = join(dirname(file), TABLES_FILE)
    let tables: Verified['tables']
    if (existsSync(keptFile) && !isLogFile(data)) {
      try {
        tables = E.right(await compareWithRebuilt({ reader, keptFile, world, erased, onProgress: (progress) => onProgress?.({ part: 'tables', ...progress }) }))
      } catch (cause) {
        tables = E.left(cause instanceof Error ? cause.message : String(cause))
      }
    }
    return { file, chain, tables, ms: world.monotonic() - startedAt }
  })
