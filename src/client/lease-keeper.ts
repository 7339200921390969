// Keeps the leases of the tasks that a worker holds: those that have run half their time are extended together, and of those that take longer Stint is asked
// what the administrator wants. One timer for all of them, set while there is something to look after, so that a short task costs none.
import * as E from 'fp-ts/lib/Either.js'
import { askTaskDirective, extendTask } from '../wire/tasks.ts'
import type { Cancel } from '../world.ts'
import type { Outage } from './complaints.ts'
import { pollDirective } from './directive-poll.ts'
import type { StintError } from './errors.ts'
import type { Http } from './http.ts'
import type { Reachability } from './reachability.ts'
import type { HeldTask } from './worker-task.ts'

/** Between two looks, at most. */
const LOOK_EVERY_MS = 1_000
/** A lease is looked at so often within its time, at least. */
const LOOKS_A_LEASE = 8
/** Leases in one exchange, at most. */
const TOGETHER_MAX = 1_000
const TIMEOUT_LEAST_MS = 1_000
const TIMEOUT_MOST_MS = 10_000
/** Seconds that Stint holds a question for the directive back, and between two when it does not. */
const WAIT_SECONDS = 30
const ASK_EVERY_MS = 5_000

export interface KeeperSetting {
  readonly http: Http
  readonly queue: { readonly app: string; readonly queue: string }
  readonly reachability: Reachability
  /** Tasks whose leases are to be kept. */
  readonly tasks: Iterable<HeldTask>
  /** Aborts when no lease is kept any more. */
  readonly over: AbortSignal
  /** Stint says that this lease is not the current one. */
  readonly onLost: (task: HeldTask, refusal: StintError) => void
  readonly outage: () => Outage
}

export interface LeaseKeeper {
  /** Tasks were leased. */
  readonly added: () => void
  /** Extends one lease to so many seconds from now. */
  readonly extend: (task: HeldTask, seconds: number) => Promise<void>
  /** Resolves when all that it began has ended, after `over`. */
  readonly ended: () => Promise<void>
}

export const createLeaseKeeper = ({ http, queue, reachability, tasks, over, onLost, ...setting }: KeeperSetting): LeaseKeeper => {
  const { world } = http
  const polls = new Set<Promise<void>>()
  const outage = setting.outage()
  let extending: Promise<void> | undefined
  let cancel: Cancel | undefined
  over.addEventListener('abort', () => cancel?.(), { once: true })

  const extended = async (
    batch: readonly HeldTask[],
    secondsOf: (task: HeldTask) => number,
    attempts: { readonly timeoutMs?: number; readonly attemptsMax?: number },
  ): Promise<void> => {
    const from = world.monotonic()
    const bodies = batch.map((task) => ({ id: task.id, lease: task.lease, leaseSeconds: secondsOf(task) }))
    const answers = await http.callMany(extendTask, bodies, { params: queue, signal: over, ...attempts })
    reachability.reached()
    for (const [index, task] of batch.entries()) {
      const answer = answers[index]
      if (answer === undefined) continue
      if (E.isRight(answer)) {
        const { directive, receipt } = answer.right
        task.term = { from, ms: secondsOf(task) * 1_000 }
        task.held.told(receipt === undefined ? { directive } : { directive, receipt })
      } else if (answer.left.status < 500 && answer.left.status !== 429) onLost(task, answer.left)
    }
  }

  /** What was not extended is tried again at the next look. */
  const extendTogether = async (due: readonly HeldTask[]): Promise<void> => {
    const shortest = Math.min(...due.map(({ term }) => term.ms))
    const timeoutMs = Math.min(TIMEOUT_MOST_MS, Math.max(TIMEOUT_LEAST_MS, shortest / 4))
    try {
      await extended(due.slice(0, TOGETHER_MAX), ({ term }) => term.ms / 1_000, { timeoutMs, attemptsMax: 1 })
      outage.over()
    } catch (failure) {
      if (!over.aborted) outage.met(failure as Error)
    }
    extending = undefined
  }

  const askFor = (task: HeldTask): void => {
    task.isAskedFor = true
    const ask: Parameters<typeof pollDirective>[0]['ask'] = (asked) => http.exchange(askTaskDirective, { ...asked, params: { ...queue, id: task.id } })
    const poll = pollDirective({ ask, world, reachability, waitSeconds: WAIT_SECONDS, reportEveryMs: ASK_EVERY_MS }, task.held, task.lease)
    polls.add(poll)
    void poll.finally(() => polls.delete(poll))
  }

  const intervalMs = (): number | undefined => {
    let shortest: number | undefined
    for (const { term } of tasks) shortest = Math.min(shortest ?? term.ms, term.ms)
    return shortest === undefined ? undefined : Math.min(LOOK_EVERY_MS, shortest / LOOKS_A_LEASE)
  }

  const look = (): void => {
    cancel = undefined
    const now = world.monotonic()
    const next = intervalMs()
    if (next === undefined || over.aborted) return
    const due: HeldTask[] = []
    for (const task of tasks) {
      const { from, ms } = task.term
      if (now + next > from + ms / 2) due.push(task)
      if (!task.isAskedFor && now - from >= LOOK_EVERY_MS && !task.held.isEnded()) askFor(task)
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
      for (const { term } of tasks) isLate ||= now >= term.from + term.ms / 2
      if (isLate) look()
      else cancel = world.timer(next, look)
    },
    extend: (task, seconds) => extended([task], () => seconds, {}),
    ended: async () => {
      await Promise.all([...polls, extending])
    },
  }
}
