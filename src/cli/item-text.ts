// Work items in sentences: what an administrator asked of one and what holds one back. Pure: items and the time in, text out.
import type { State } from '../wire/items.ts'
import { formatAge, formatDuration } from './duration.ts'
import type { Item } from './item.ts'
import { isSettled } from './look.ts'

/** How long ago, as it reads behind a fact: `just now`, `3m ago`. */
export const ago = (time: string, now: number): string => {
  const age = formatAge(time, now)
  return age === 'now' ? 'just now' : `${age} ago`
}

/** The last directive and how far it has come, in one line. */
export const receiptText = ({ receipt }: Item): string | undefined => {
  if (receipt === undefined) return undefined
  const reason = receipt.reason === undefined ? '' : `, "${receipt.reason}"`
  const far = receipt.resolution === undefined ? (receipt.seenAt === undefined ? 'not seen yet' : 'seen') : receipt.resolution
  return `${receipt.directive} by ${receipt.by}${reason}: ${far}`
}

/** What a directive is still to bring about: the state alone would look as if nothing had been asked for. */
const REACHED: Readonly<Record<'abort' | 'pause' | 'resume', readonly State[]>> = {
  abort: ['aborting', 'aborted'],
  pause: ['paused'],
  resume: ['running', 'waiting'],
}

/** The state after a directive was given: `running, pause asked for`. */
export const askedText = (directive: 'abort' | 'pause' | 'resume', state: State): string =>
  REACHED[directive].includes(state) || isSettled(state) ? state : `${state}, ${directive} asked for`

/** How a lost item ends if nobody returns, and when; `until` is the time that the server names. Of a long task only its timeout decides. */
const lostEnd = ({ kind, directive }: Item, until: string, now: number): string =>
  `it ${kind === 'long-task' ? 'times out' : `settles as ${directive === 'abort' ? 'aborted' : 'failed'}`} at ${until} (in ${formatDuration(Date.parse(until) - now)})`

/** When a lost item ends: as the server names it, or as a long task says by itself. */
const lostUntil = (item: Item, until: string | undefined): string | undefined => until ?? ('timeoutAt' in item ? item.timeoutAt : undefined)

/** What becomes of a lost item. */
export const lostText = (item: Item, named: string | undefined, now: number): string => {
  const until = lostUntil(item, named)
  return until === undefined ? 'It is lost: its holder has been silent.' : `It is lost; if nobody returns, ${lostEnd(item, until, now)}.`
}

/** The answer to why, as far as the server puts it: durations are for the reader to tell. */
export interface Reason {
  readonly gate: string
  readonly detail: string
  readonly until?: string | undefined
}

/** Sentences about what holds an item back, the wish of an administrator that stands among them. */
export const whyLines = (item: Item, { gate, detail, until: named }: Reason, now: number): readonly string[] => {
  const until = gate === 'lost' ? lostUntil(item, named) : named
  const { holder, receipt } = item
  const silence = holder?.lastSeenAt === undefined ? '' : ` for ${formatDuration(now - Date.parse(holder.lastSeenAt))}`
  const first =
    gate === 'lost' && until !== undefined
      ? `Its holder${holder === undefined ? '' : ` ${holder.name}`} has been silent${silence}. If nobody returns, ${lostEnd(item, until, now)}.`
      : gate === 'delay' && until !== undefined
        ? `It is due in ${formatDuration(Date.parse(until) - now)}, at ${until}.`
        : detail
  const stands = receipt !== undefined && !isSettled(item.state) && (item.directive !== 'normal' || receipt.resolution === undefined)
  if (!stands) return [first]
  const reason = receipt.reason === undefined ? '' : `: "${receipt.reason}"`
  // Of a holder that is there the first sentence tells whether it has seen it.
  const unseen = gate === 'lost' && receipt.seenAt === undefined ? ' Its holder has not seen it.' : ''
  return [first, `Directive: ${receipt.by} asked for ${receipt.directive} ${ago(receipt.givenAt, now)}${reason}.${unseen}`]
}
