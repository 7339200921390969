// What each caller has at each contract, exactly, for as long as anybody asks: a request that would be over quota is refused before it is sent.
//
// A pair of contract and caller is taken from the tables at the first question. Their answer is as of a position; what `live` tells while it is under way is kept and
// added if it lies behind that position, and so is everything later. What is being accepted counts from the moment it is sent.
import * as E from 'fp-ts/lib/Either.js'
import type { ContractConfig } from '../../domain/contract.ts'
import { requestId, type WorkItemId } from '../../domain/ids.ts'
import { beyondQuota, kept, NO_USAGE, plus, type Usage } from '../../domain/policy/quota.ts'
import type { Existing, WorkItem } from '../../domain/work-item/state.ts'
import type { Tables } from '../../projections/tables.ts'
import { StoreFault, type Position } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { Busy, OverQuota } from '../command.ts'

/** A request that is about to be accepted. */
export interface Claim {
  readonly workItem: WorkItemId
  readonly contract: string
  readonly caller: string
  /** Of its body. */
  readonly bytes: number
}

export interface RequestUsage {
  /** What happened to a work item, and the position of its last event. */
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing, position: Position) => void
  /** What the caller has, without what is only being sent; undefined while the tables cannot say. */
  readonly of: (contract: string, caller: string) => Promise<Usage | undefined>
  /**
   * Counts a request that is about to be sent; refused when it would be beyond the quota, or while the tables cannot say. The answer uncounts it, once it is accepted or refused.
   * A duplicate is no new request: whoever is refused looks whether this one exists already.
   */
  readonly claim: (claim: Claim, quota: ContractConfig['quota']) => Promise<E.Either<OverQuota | Busy, () => void>>
  /** Whether what happens to the request counts for a pair that is at hand. */
  readonly isCounted: (workItem: WorkItemId) => boolean
  /** Pairs at hand. */
  readonly size: () => number
}

/** Pairs at hand, at most; beyond that the longest unasked are dropped and, when they are asked about again, taken from the tables. */
const PAIRS_MAX = 10_000
/** A pair that nobody asks about is dropped after this, when another one comes. */
const UNASKED_MS = 600_000
/** How long the tables have to come as far as `live` is. */
const TABLES_WAIT_MS = 5_000

interface Change {
  readonly workItem: WorkItemId
  readonly isBirth: boolean
  readonly delta: Usage
  readonly position: Position
}

interface Pair {
  /** As of `asOf`, and with what came later. */
  usage: Usage
  asOf: Position
  /** The last birth that the tables counted. Its append may reach beyond `asOf`: a request that was leased at its birth is two events. */
  newest: WorkItemId | undefined
  /** What came while it is taken from the tables; undefined once it is. */
  early: Change[] | undefined
  loading: Promise<boolean>
  /** Requests that are being sent, each with how many calls are sending it: calls with one id make one request. */
  readonly claims: Map<WorkItemId, { readonly bytes: number; calls: number }>
  /** Of all claims. */
  claimedBytes: number
  askedAt: number
}

/** Contract and caller, as the work-item IDs of their requests begin. */
const pairOf = (workItem: WorkItemId): string => workItem.slice(0, workItem.lastIndexOf('/') + 1)

const isLimited = (quota: ContractConfig['quota']): boolean => quota?.requests !== undefined || quota?.bytes !== undefined

export const createRequestUsage = (options: {
  readonly tables: Tables
  readonly world: World
  /** Of the last event that `live` has seen. */ readonly position: () => Position
}): RequestUsage => {
  const { tables, world } = options
  /** Longest unasked first. */
  const pairs = new Map<string, Pair>()

  const count = (pair: Pair, { workItem, isBirth, delta, position }: Change): void => {
    if (position <= pair.asOf || (isBirth && workItem === pair.newest)) return
    pair.usage = plus(pair.usage, delta)
  }

  const unclaim = (pair: Pair, workItem: WorkItemId): void => {
    pair.claimedBytes -= pair.claims.get(workItem)?.bytes ?? 0
    pair.claims.delete(workItem)
  }

  const changed: RequestUsage['changed'] = (workItem, before, after, position) => {
    if (after.kind !== 'request' || pairs.size === 0) return
    const pair = pairs.get(pairOf(workItem))
    if (pair === undefined) return
    const isBirth = before.status === 'absent'
    if (isBirth) unclaim(pair, workItem)
    // A settled item that was not known is no news: it was read from its stream for a duplicate.
    if (isBirth && after.status === 'settled') return
    const change = { workItem, isBirth, delta: plus(kept(after) ?? NO_USAGE, kept(before) ?? NO_USAGE, -1), position }
    if (pair.early === undefined) count(pair, change)
    else pair.early.push(change)
  }

  const load = async (contract: string, caller: string, pair: Pair, at: Position): Promise<boolean> => {
    if (!(await tables.reached(at, TABLES_WAIT_MS))) return false
    const answer = await tables.usage({ contract, caller, limit: 1 })
    // Behind what the tables as a whole have reached: these are being made anew.
    if ('invalid' in answer || answer.position < at) return false
    const [row] = answer.items
    if (row !== undefined) pair.usage = { pending: row.pending, unreleased: row.unreleased, bytes: row.bytes }
    pair.newest = row?.newest
    pair.asOf = answer.position
    for (const change of pair.early ?? []) count(pair, change)
    pair.early = undefined
    return true
  }

  const loaded = async (contract: string, caller: string, pair: Pair): Promise<boolean> => {
    try {
      return await load(contract, caller, pair, options.position())
    } catch (cause) {
      if (cause instanceof StoreFault) return false
      throw cause
    }
  }

  const isIdle = ({ askedAt, claims, early }: Pair): boolean => claims.size === 0 && early === undefined && world.monotonic() - askedAt >= UNASKED_MS

  const dropUnasked = (): void => {
    for (const [key, pair] of pairs) {
      const isDroppable = isIdle(pair) || (pairs.size >= PAIRS_MAX && pair.claims.size === 0 && pair.early === undefined)
      if (!isDroppable) return
      pairs.delete(key)
    }
  }

  /** The pair, at hand and counted; undefined while the tables cannot say. */
  const pairAt = async (contract: string, caller: string): Promise<Pair | undefined> => {
    const key = requestId(contract, caller, '')
    const known = pairs.get(key)
    if (known === undefined) dropUnasked()
    const pair: Pair = known ?? { usage: NO_USAGE, asOf: '', newest: undefined, early: [], loading: Promise.resolve(true), claims: new Map(), claimedBytes: 0, askedAt: 0 }
    pair.askedAt = world.monotonic()
    pairs.delete(key)
    pairs.set(key, pair)
    if (known === undefined) pair.loading = loaded(contract, caller, pair)
    if (pair.early === undefined) return pair
    if (await pair.loading) return pair
    if (pairs.get(key) === pair) pairs.delete(key)
    return undefined
  }

  const claim: RequestUsage['claim'] = async ({ workItem, contract, caller, bytes }, quota) => {
    if (!isLimited(quota)) return E.right(() => undefined)
    const pair = await pairAt(contract, caller)
    if (pair === undefined) return E.left({ type: 'lagging' })
    const same = pair.claims.get(workItem)
    const sent: Usage = { pending: pair.claims.size + 1, unreleased: 0, bytes: pair.claimedBytes + bytes }
    const detail = same === undefined ? beyondQuota(plus(pair.usage, sent), quota) : undefined
    if (detail !== undefined) return E.left({ type: 'over-quota', detail })
    const mine = same ?? { bytes, calls: 0 }
    mine.calls += 1
    if (same === undefined) {
      pair.claims.set(workItem, mine)
      pair.claimedBytes += bytes
    }
    let isOver = false
    return E.right(() => {
      if (isOver) return
      isOver = true
      mine.calls -= 1
      if (mine.calls === 0 && pair.claims.get(workItem) === mine) unclaim(pair, workItem)
    })
  }

  return { changed, isCounted: (workItem) => pairs.has(pairOf(workItem)), of: async (contract, caller) => (await pairAt(contract, caller))?.usage, claim, size: () => pairs.size }
}
