// Jobs in sentences: what an administrator asked of one, what holds one back, and which ones a name may mean. Pure: jobs and the time in, text out.
import type { JobProxy } from '../wire/jobs.ts'
import { formatAge, formatDuration } from './duration.ts'
import { isSettled } from './look.ts'
import { pad, plain, widthOf } from './terminal/text.ts'

/** Ids of candidates that are listed, at most. */
const CANDIDATES_MAX = 5

/** How long ago, as it reads behind a fact: `just now`, `3m ago`. */
export const ago = (time: string, now: number): string => {
  const age = formatAge(time, now)
  return age === 'now' ? 'just now' : `${age} ago`
}

/** Jobs to choose from, a line each with state, server and age, the first ones only. */
export const candidateLines = (jobs: readonly JobProxy[], now: number): readonly string[] => {
  const cells = jobs.slice(0, CANDIDATES_MAX).map((job) => [job.id, job.state, plain(`on ${job.server}`), `registered ${ago(job.createdAt, now)}`])
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ''))))
  const lines = cells.map((row) => `  ${row.map((cell, column) => pad(cell, widths[column] ?? 0)).join('  ')}`.trimEnd())
  return jobs.length > CANDIDATES_MAX ? [...lines, `  and ${jobs.length - CANDIDATES_MAX} more`] : lines
}

/** The last directive and how far it has come, in one line. */
export const receiptText = ({ receipt }: JobProxy): string | undefined => {
  if (receipt === undefined) return undefined
  const reason = receipt.reason === undefined ? '' : `, "${receipt.reason}"`
  const far = receipt.resolution === undefined ? (receipt.seenAt === undefined ? 'not seen yet' : 'seen') : receipt.resolution
  return `${receipt.directive} by ${receipt.by}${reason}: ${far}`
}

/** What a directive is still to bring about: the state alone would look as if nothing had been asked for. */
const REACHED: Readonly<Record<'abort' | 'pause' | 'resume', readonly JobProxy['state'][]>> = {
  abort: ['aborting', 'aborted'],
  pause: ['paused'],
  resume: ['running'],
}

/** The state after a directive was given: `running, pause asked for`. */
export const askedText = (directive: 'abort' | 'pause' | 'resume', state: JobProxy['state']): string =>
  REACHED[directive].includes(state) || isSettled(state) ? state : `${state}, ${directive} asked for`

/** How a lost job ends if nobody returns, and when; `until` is the time that the server names. */
const lostEnd = ({ directive }: JobProxy, until: string, now: number): string =>
  `it settles as ${directive === 'abort' ? 'aborted' : 'failed'} at ${until} (in ${formatDuration(Date.parse(until) - now)})`

/** What becomes of a lost job. */
export const lostText = (job: JobProxy, until: string | undefined, now: number): string =>
  until === undefined ? 'It is lost: its holder has been silent.' : `It is lost; if nobody returns, ${lostEnd(job, until, now)}.`

/** The answer to why, as far as the server puts it: durations are for the reader to tell. */
export interface Reason {
  readonly gate: string
  readonly detail: string
  readonly until?: string | undefined
}

/** Sentences about what holds a job back, the wish of an administrator that stands among them. */
export const whyLines = (job: JobProxy, { gate, detail, until }: Reason, now: number): readonly string[] => {
  const { holder, receipt } = job
  const silence = holder?.lastSeenAt === undefined ? '' : ` for ${formatDuration(now - Date.parse(holder.lastSeenAt))}`
  const first =
    gate === 'lost' && until !== undefined
      ? `Its holder ${holder?.name ?? job.server} has been silent${silence}. If nobody returns, ${lostEnd(job, until, now)}.`
      : gate === 'delay' && until !== undefined
        ? `It is due in ${formatDuration(Date.parse(until) - now)}, at ${until}.`
        : detail
  const stands = receipt !== undefined && !isSettled(job.state) && (job.directive !== 'normal' || receipt.resolution === undefined)
  if (!stands) return [first]
  const reason = receipt.reason === undefined ? '' : `: "${receipt.reason}"`
  // Of a holder that is there the first sentence tells whether it has seen it.
  const unseen = gate === 'lost' && receipt.seenAt === undefined ? ' Its holder has not seen it.' : ''
  return [first, `Directive: ${receipt.by} asked for ${receipt.directive} ${ago(receipt.givenAt, now)}${reason}.${unseen}`]
}
