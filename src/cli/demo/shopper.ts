// A caller that trusts nothing: it sends some of its requests twice, at random times, and keeps every reply that it is given.
import type { Reply, Stint } from '../../client/index.ts'
import { pause, type World } from '../../world.ts'
import { CHARGE, type Charge } from './charges.ts'

/** A duplicate comes so long after its request, at most: before the reply, or after it. */
const DUPLICATE_WITHIN_MS = 2_500
const CENTS_MAX = 50_000
/** One request outlasts many restarts. */
const PATIENCE_MS = 120_000

export interface Shopper {
  /** What was asked for, by id. */
  readonly asked: ReadonlyMap<string, Charge>
  /** Replies to each request, in the order in which they came. */
  readonly replies: ReadonlyMap<string, readonly Reply[]>
  readonly duplicates: () => number
  /** Resolves when every request and every duplicate has its reply; rejects with what one of them threw. */
  readonly done: Promise<void>
}

/** Sends `count` requests, one each `everyMs`, and about half of them twice. */
export const goShopping = (stint: Stint, world: World, { count, everyMs, signal }: { readonly count: number; readonly everyMs: number; readonly signal: AbortSignal }): Shopper => {
  // Nothing is released before the end: duplicates are to find the reply.
  const charge = stint.requester({ contract: CHARGE, release: 'manual', timeoutMs: PATIENCE_MS })
  const asked = new Map<string, Charge>()
  const replies = new Map<string, Reply[]>()
  let duplicates = 0

  const call = async (id: string, body: Charge): Promise<void> => {
    const reply = await charge.call(body, { id, signal })
    replies.set(id, [...(replies.get(id) ?? []), reply])
  }
  const again = async (id: string, body: Charge): Promise<void> => {
    duplicates += 1
    await pause(world, world.random() * DUPLICATE_WITHIN_MS, signal)
    await call(id, body)
  }
  const send = async (): Promise<void> => {
    const calls: Promise<void>[] = []
    const begin = (one: Promise<void>): void => {
      // One that fails is told of when all are waited for.
      one.catch(() => undefined)
      calls.push(one)
    }
    for (let number = 1; number <= count && !signal.aborted; number += 1) {
      const id = `order-${number}`
      const body = { cents: 1 + Math.floor(world.random() * CENTS_MAX) }
      asked.set(id, body)
      begin(call(id, body))
      if (world.random() < 1 / 2) begin(again(id, body))
      await pause(world, everyMs, signal)
    }
    await Promise.all(calls)
  }

  return { asked, replies, duplicates: () => duplicates, done: send() }
}
