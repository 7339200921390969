// Waiting for a work item to reach a state, by long polls; a server that restarts meanwhile is waited for too.
import type { State } from '../wire/items.ts'
import { showWorkItem } from '../wire/service.ts'
import { Unreachable } from '../client/errors.ts'
import { pause } from '../world.ts'
import type { Context } from './context.ts'
import { formatDuration } from './duration.ts'
import { CliFailure, EXIT } from './failure.ts'
import { KIND_TEXT, type Item, type Meant } from './item.ts'
import { isSettled, outcomeText } from './look.ts'

/** Seconds of one long poll, at most; the server cuts at 60. */
const POLL_SECONDS = 50
/** Milliseconds that an answer may take beyond the wait. */
const ANSWER_MS = 10_000
/** How long a server may be away once it has answered. */
const AWAY_MS = 60_000
const AGAIN_MS = 500

export interface Wait {
  readonly meant: Meant
  /** Any of these ends the wait. */
  readonly states: readonly State[]
  /** So does any settled state, and completed is the good one. */
  readonly isSettledWanted: boolean
  /** Undefined: for ever. */
  readonly timeoutMs: number | undefined
}

const hasReached = ({ states, isSettledWanted }: Wait, { state }: Item): boolean => states.includes(state) || (isSettledWanted && state === 'completed')

/** Settled in another way it will never get there. */
const isOver = (wait: Wait, item: Item): boolean => hasReached(wait, item) || isSettled(item.state)

const timedOut = ({ meant: { kind, id }, timeoutMs }: Wait, last: Item): CliFailure =>
  new CliFailure(EXIT.timeout, `The time of ${formatDuration(timeoutMs ?? 0)} is over; ${KIND_TEXT[kind]} ${id} is ${last.state}.`)

/** The item once it is in one of the states, or settled in another one. Throws with exit code 124 when the time is over. */
export const waitForItem = async ({ http, world, say }: Context, wait: Wait): Promise<Item> => {
  const { kind, id, workItem } = wait.meant
  const end = wait.timeoutMs === undefined ? undefined : world.monotonic() + wait.timeoutMs
  const leftMs = (): number => (end === undefined ? Number.POSITIVE_INFINITY : end - world.monotonic())
  let last: Item | undefined
  let etag: string | undefined
  let awaySince: number | undefined
  for (;;) {
    const left = leftMs()
    // The first look is taken in any case: what it is in then says more than that the time was short.
    if (left <= 0 && last !== undefined) throw timedOut(wait, last)
    const seconds = last === undefined ? 0 : Math.min(POLL_SECONDS, Math.ceil(left / 1_000))
    try {
      const headers = { Prefer: `wait=${seconds}`, 'If-None-Match': etag }
      const answer = await http.exchange(showWorkItem, {
        params: { workItem },
        headers,
        timeoutMs: last === undefined ? ANSWER_MS : Math.min(seconds * 1_000 + ANSWER_MS, left),
        attemptsMax: 1,
      })
      awaySince = undefined
      etag = answer.headers.get('etag') ?? etag
      if (last === undefined && answer.body !== undefined && !isOver(wait, answer.body)) say(`Waiting for ${KIND_TEXT[kind]} ${id}, which is ${answer.body.state}.`)
      last = answer.body ?? last
      if (last !== undefined && isOver(wait, last)) return last
    } catch (cause) {
      if (leftMs() <= 0 && last !== undefined) throw timedOut(wait, last)
      if (!(cause instanceof Unreachable) || last === undefined) throw cause
      if (awaySince === undefined) say('stint: The server does not answer; waiting for it.')
      awaySince ??= world.monotonic()
      if (world.monotonic() - awaySince > AWAY_MS) throw cause
      await pause(world, AGAIN_MS)
    }
  }
}

/** What the wait comes to as an exit: the wanted state is success, any other is not. */
export const judgeWait = (wait: Wait, item: Item): void => {
  if (hasReached(wait, item)) return
  const { kind, id } = wait.meant
  const what = KIND_TEXT[kind]
  const { state, outcome } = item
  throw new CliFailure(EXIT.failed, `${what[0]?.toUpperCase()}${what.slice(1)} ${id} is ${state}${outcome === undefined ? '' : ` (${outcomeText(outcome)})`}.`)
}
