// Waiting for a job to reach a state, by long polls; a server that restarts meanwhile is waited for too.
import { showJob, type JobProxy } from '../wire/jobs.ts'
import type { State } from '../wire/items.ts'
import { Unreachable } from '../client/errors.ts'
import { pause } from '../world.ts'
import type { Context } from './context.ts'
import { formatDuration } from './duration.ts'
import { CliFailure, EXIT } from './failure.ts'
import { isSettled, outcomeText } from './look.ts'

/** Seconds of one long poll, at most; the server cuts at 60. */
const POLL_SECONDS = 50
/** Milliseconds that an answer may take beyond the wait. */
const ANSWER_MS = 10_000
/** How long a server may be away once it has answered. */
const AWAY_MS = 60_000
const AGAIN_MS = 500

export interface Wait {
  readonly id: string
  /** Any of these ends the wait; empty: any settled state. */
  readonly states: readonly State[]
  /** Undefined: for ever. */
  readonly timeoutMs: number | undefined
}

const hasReached = ({ states }: Wait, job: JobProxy): boolean => (states.length === 0 ? isSettled(job.state) : states.includes(job.state))

/** Settled in another way it will never get there. */
const isOver = (wait: Wait, job: JobProxy): boolean => hasReached(wait, job) || isSettled(job.state)

const timedOut = ({ id, timeoutMs }: Wait, last: JobProxy | undefined): CliFailure =>
  new CliFailure(EXIT.timeout, `The time of ${formatDuration(timeoutMs ?? 0)} is over; job ${id} is ${last?.state ?? 'not known yet'}.`)

/** The job once it is in one of the states, or settled in another one. Throws with exit code 124 when the time is over. */
export const waitForJob = async ({ http, world, say }: Context, wait: Wait): Promise<JobProxy> => {
  const end = wait.timeoutMs === undefined ? undefined : world.monotonic() + wait.timeoutMs
  const leftMs = (): number => (end === undefined ? Number.POSITIVE_INFINITY : end - world.monotonic())
  let last: JobProxy | undefined
  let etag: string | undefined
  let awaySince: number | undefined
  for (;;) {
    const left = leftMs()
    if (left <= 0) throw timedOut(wait, last)
    const seconds = last === undefined ? 0 : Math.min(POLL_SECONDS, Math.ceil(left / 1_000))
    try {
      const headers = { Prefer: `wait=${seconds}`, 'If-None-Match': etag }
      const answer = await http.exchange(showJob, { params: { id: wait.id }, headers, timeoutMs: Math.min(seconds * 1_000 + ANSWER_MS, left), attemptsMax: 1 })
      awaySince = undefined
      etag = answer.headers.get('etag') ?? etag
      if (last === undefined && answer.body !== undefined && !isOver(wait, answer.body)) say(`Waiting for job ${wait.id}, which is ${answer.body.state}.`)
      last = answer.body ?? last
      if (last !== undefined && isOver(wait, last)) return last
    } catch (cause) {
      if (leftMs() <= 0) throw timedOut(wait, last)
      if (!(cause instanceof Unreachable) || last === undefined) throw cause
      if (awaySince === undefined) say('stint: The server does not answer; waiting for it.')
      awaySince ??= world.monotonic()
      if (world.monotonic() - awaySince > AWAY_MS) throw cause
      await pause(world, AGAIN_MS)
    }
  }
}

/** What the wait comes to as an exit: the wanted state is success; without one, anything but completed is not. */
export const judgeWait = ({ id, states }: Wait, job: JobProxy): void => {
  const isGood = states.length === 0 ? job.state === 'completed' : states.includes(job.state)
  if (!isGood) throw new CliFailure(EXIT.failed, `Job ${id} is ${job.state}${job.outcome === undefined ? '' : ` (${outcomeText(job.outcome)})`}.`)
}
