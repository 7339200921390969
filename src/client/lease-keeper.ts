// Keeps the leases of what a worker holds: those that have run half their time are extended together, and of those that take longer Stint is asked
// what the administrator wants. One timer for all of them, set while there is something to look after, so that what is short costs none.
import * as E from 'fp-ts/lib/Either.js'
import type { Cancel, World } from '../world.ts'
import type { Outage } from './complaints.ts'
import { pollDirective } from './directive-poll.ts'
import type { StintError } from './errors.ts'
import type { HeldItem } from './held-item.ts'
import type { CallOptions } from './http.ts'
import type { Reachability } from './reachability.ts'
import type { WorkSource } from './work-source.ts'

/** Between two looks, at most. */
const LOOK_EVERY_MS = 1_000
/** A lease is looked at so often within its time, at least. */
const LOOKS_A_LEASE = 8
const TIMEOUT_LEAST_MS = 1_000
const TIMEOUT_MOST_MS = 10_000
/**
 * Each extension is an event, and one task may have ten thousand: after so many the lease that is asked for doubles, up to an hour, so that a task may be worked on for
 * months. What dies with its worker after so long waits for another that much longer.
 */
const EXTENSIONS_A_TERM = 1_000
const STRETCHED_MOST_MS = 3_600_000
/** Seconds that Stint holds a question for the directive back, and between two when it does not. */
const WAIT_SECONDS = 30
const ASK_EVERY_MS = 5_000

export interface KeeperSetting {
  readonly world: World
  readonly source: Pick<WorkSource<never>, 'extend' | 'extendedMax' | 'askDirective'>
  readonly reachability: Reachability
  /** Whose leases are to be kept. */
  readonly items: Iterable<HeldItem>
  /** Aborts when no lease is kept any more. */
  readonly over: AbortSignal
  /** Stint says that this lease is not the current one. */
  readonly onLost: (item: HeldItem, refusal: StintError) => void
  readonly outage: () => Outage
}

export interface LeaseKeeper {
  /** Something was leased. */
  readonly added: () => void
  /** Extends one lease to so many seconds from now. */
  readonly extend: (item: HeldItem, seconds: number) => Promise<void>
  /** Resolves when all that it began has ended, after `over`. */
  readonly ended: () => Promise<void>
}

/** Seconds to which the lease is extended next. */
const nextTerm = ({ term, extensions }: HeldItem): number => {
  const isDue = extensions > 0 && extensions % EXTENSIONS_A_TERM === 0
  return (isDue ? Math.max(term.ms, Math.min(STRETCHED_MOST_MS, term.ms * 2)) : term.ms) / 1_000
}

export const createLeaseKeeper = ({ world, source, reachability, items, over, onLost, ...setting }: KeeperSetting): LeaseKeeper => {
  const polls = new Set<Promise<void>>()
  const outage = setting.outage()
  let extending: Promise<void> | undefined
  let cancel: Cancel | undefined
  over.addEventListener('abort', () => cancel?.(), { once: true })

  const extended = async (batch: readonly HeldItem[], secondsOf: (item: HeldItem) => number, attempts: CallOptions): Promise<void> => {
    const from = world.monotonic()
    const answers = await source.extend(
      batch.map((item) => [item, secondsOf(item)]),
      { signal: over, ...attempts },
    )
    reachability.reached()
    for (const [index, item] of batch.entries()) {
      const answer = answers[index]
      if (answer === undefined) continue
      if (E.isRight(answer)) {
        const { directive, receipt } = answer.right
        item.term = { from, ms: secondsOf(item) * 1_000 }
        item.held.told(receipt === undefined ? { directive } : { directive, receipt })
      } else if (answer.left.status < 500 && answer.left.status !== 429) onLost(item, answer.left)
    }
  }

  /** As many exchanges as it takes, one after the other. What was not extended is tried again at the next look. */
  const extendTogether = async (due: readonly HeldItem[]): Promise<void> => {
    let shortest = Infinity
    for (const { term } of due) shortest = Math.min(shortest, term.ms)
    const timeoutMs = Math.min(TIMEOUT_MOST_MS, Math.max(TIMEOUT_LEAST_MS, shortest / 4))
    try {
      for (let at = 0; at < due.length && !over.aborted; at += source.extendedMax) {
        // Some may have ended while others were extended.
        const batch = due.slice(at, at + source.extendedMax).filter(({ isGivenBack, held }) => !isGivenBack && !held.isEnded())
        if (batch.length === 0) continue
        // Counted before: whatever becomes of an exchange, it may have been an event.
        const seconds = new Map(batch.map((item) => [item, nextTerm(item)]))
        for (const item of batch) item.extensions += 1
        await extended(batch, (item) => seconds.get(item) ?? item.term.ms / 1_000, { timeoutMs, attemptsMax: 1 })
      }
      outage.over()
    } catch (failure) {
      if (!over.aborted) outage.met(failure as Error)
    }
    extending = undefined
  }

  const askFor = (item: HeldItem): void => {
    item.isAskedFor = true
    const poll = pollDirective(
      { ask: (asked) => source.askDirective(item, asked), world, reachability, waitSeconds: WAIT_SECONDS, reportEveryMs: ASK_EVERY_MS },
      item.held,
      item.lease,
    )
    polls.add(poll)
    void poll.finally(() => polls.delete(poll))
  }

  const intervalMs = (): number | undefined => {
    let shortest: number | undefined
    for (const { term } of items) shortest = Math.min(shortest ?? term.ms, term.ms)
    return shortest === undefined ? undefined : Math.min(LOOK_EVERY_MS, shortest / LOOKS_A_LEASE)
  }

  const look = (): void => {
    cancel = undefined
    const now = world.monotonic()
    const next = intervalMs()
    if (next === undefined || over.aborted) return
    const due: HeldItem[] = []
    for (const item of items) {
      const { from, ms } = item.term
      if (now + next > from + ms / 2) due.push(item)
      // What only waits here is not asked about: each extension tells of it.
      if (item.isBegun && !item.isAskedFor && now - from >= LOOK_EVERY_MS && !item.held.isEnded()) askFor(item)
    }
    if (due.length > 0) extending ??= extendTogether(due)
    cancel = world.timer(next, look)
  }

  return {
    added: () => {
      if (cancel !== undefined || over.aborted) return
      const next = intervalMs()
      if (next === undefined) return
      // A lease that has run for longer than anybody knows is extended at once.
      const now = world.monotonic()
      let isLate = false
      for (const { term } of items) isLate ||= now >= term.from + term.ms / 2
      if (isLate) look()
      else cancel = world.timer(next, look)
    },
    extend: (item, seconds) => extended([item], () => seconds, {}),
    ended: async () => {
      await Promise.all([...polls, extending])
    },
  }
}
