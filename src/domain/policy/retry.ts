// When a failed task is tried again, and how often: App Engine's retry parameters, with jitter drawn from a number that the caller brings.
import type { Backoff, QueueConfig } from '../queue/config.ts'
import type { RetryPolicy } from '../work-item/commands.ts'
import type { RequestFacts } from '../work-item/state.ts'

/** More doublings than this would leave the numbers that a computer can count with; no ceiling is ever that far away. */
const DOUBLINGS_MAX = 1_000

/**
 * Leases that a task may have, without those given back (rules 21); undefined: no limit. App Engine counts leases against `task_retry_limit`,
 * so a limit of 5 means five attempts. A limit of 0 would mean a task that nobody can ever lease: here it means one attempt and no retry.
 */
export const attemptsMax = ({ retryLimit }: Pick<QueueConfig, 'retryLimit'>): number | undefined => (retryLimit === undefined ? undefined : Math.max(1, retryLimit))

/**
 * The pause after the attempt with this number (from 1), before jitter, in milliseconds: `minMs`, doubled `doublings` times, then growing by the last
 * step each time, and never more than `maxMs`. From 1 s with 3 doublings: 1, 2, 4, 8, 16, 24, 32 s …
 */
export const backoffMs = ({ minMs, maxMs, doublings }: Backoff, attempt: number): number => {
  const retries = Math.max(1, attempt) - 1
  const doubled = Math.min(retries, doublings, DOUBLINGS_MAX)
  return Math.min(maxMs, minMs * 2 ** doubled * (retries - doubled + 1))
}

/**
 * The pause with its jitter, in whole milliseconds: drawn evenly from `jitter` below to `jitter` above its length, within `minMs` and `maxMs`, so that
 * tasks that failed together do not come back together, not even at the ceiling. `random` is from 0 (included) to 1 (excluded).
 */
export const pauseMs = (backoff: Backoff, attempt: number, random: number): number => {
  const length = backoffMs(backoff, attempt)
  const least = Math.max(Math.min(backoff.minMs, backoff.maxMs), length * (1 - backoff.jitter))
  const most = Math.min(backoff.maxMs, length * (1 + backoff.jitter))
  return Math.round(least + (most - least) * random)
}

/** What a report, or a lease that ended, is told about retries. `attempt` is the number of the attempt that is ending, from 1. */
export const retryPolicy = (config: Pick<QueueConfig, 'retryLimit' | 'stint'>, attempt: number, random: number): RetryPolicy => ({
  attemptsMax: attemptsMax(config),
  pauseMs: pauseMs(config.stint.backoff, attempt, random),
})

/** Between two executions of a request: short, since somebody waits for its reply, and growing, so that a handler that always breaks off does not burn the machine. */
const REQUEST_BACKOFF: Backoff = { minMs: 100, maxMs: 60_000, doublings: 10, jitter: 0.2 }

/** What a request is told when its execution ends without a reply. It never becomes a dead letter: whoever called waits for an answer. */
export const requestRetry = (
  { onInterrupted, attemptsMax: most, runs }: Pick<RequestFacts, 'onInterrupted' | 'attemptsMax' | 'runs'>,
  attempt: number,
  random: number,
): RetryPolicy => ({
  attemptsMax: onInterrupted === 'fail' ? 1 : most,
  // Middleware has no line: the next duplicate runs it, whenever it comes.
  pauseMs: runs === 'middleware' ? 0 : pauseMs(REQUEST_BACKOFF, attempt, random),
  deadLetter: false,
})
