// Finding the job that a person means: by its id, by its global ID, or by the label that the service gave it.
import { listJobs, type JobProxy } from '../wire/jobs.ts'
import type { State } from '../wire/items.ts'
import { jobId } from '../wire/words.ts'
import type { Context } from './context.ts'
import { CliFailure, EXIT, usage } from './failure.ts'
import { localId } from './ids.ts'
import type { Meant } from './item.ts'
import { ago } from './item-text.ts'
import { isSettled } from './look.ts'
import { pad, plain, widthOf } from './terminal/text.ts'

export interface Named {
  readonly label?: string | undefined
}

export interface JobFilter extends Named {
  readonly service?: string | undefined
  readonly server?: string | undefined
  readonly state?: State | undefined
}

/** Ids of candidates that are listed, at most. */
const CANDIDATES_MAX = 5

/** What to do about several jobs that may be meant: a look takes the newest, a deed wants to know which. */
export type Several = 'newest' | 'refuse'

/** Jobs of one label that are looked at, at most. */
const LABEL_MAX = 1_000

/** Jobs to choose from, a line each with state, server and age, the first ones only. */
const candidateLines = (jobs: readonly JobProxy[], now: number): readonly string[] => {
  const cells = jobs.slice(0, CANDIDATES_MAX).map((job) => [job.id, job.state, plain(`on ${job.server}`), `registered ${ago(job.createdAt, now)}`])
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ''))))
  const lines = cells.map((row) => `  ${row.map((cell, column) => pad(cell, widths[column] ?? 0)).join('  ')}`.trimEnd())
  return jobs.length > CANDIDATES_MAX ? [...lines, `  and ${jobs.length - CANDIDATES_MAX} more`] : lines
}

/** Those of the label that can still change, else those that have settled; the newest first. */
const byLabel = async ({ http, world, say }: Context, label: string, several: Several): Promise<JobProxy> => {
  const { items } = await http.call(listJobs, { query: { label, limit: LABEL_MAX } })
  const living = items.filter((job) => !isSettled(job.state))
  const meant = living.length > 0 ? living : items
  const [newest] = meant
  if (newest === undefined) throw new CliFailure(EXIT.notFound, `No job has the label "${label}".`, '`stint jobs list` shows those there are.')
  if (meant.length > 1 && several === 'refuse' && living.length > 0)
    throw usage(`${living.length} jobs with the label "${label}" have not settled.`, ['Name one by its id:', ...candidateLines(living, world.now())].join('\n'))
  if (items.length > 1) say(`stint: ${items.length} jobs have the label "${label}"; this is ${living.length === 1 ? 'the one that has not settled' : 'the newest'}, ${newest.id}.`)
  return newest
}

/** The job that is meant. Of several jobs with a label the newest, those that have not settled first; or, if a deed is to follow, none. */
export const findJob = async (context: Context, { label }: Named, id: string | undefined, several: Several): Promise<Meant> => {
  if (id !== undefined && label !== undefined) throw usage('Expected an id or --label, not both.')
  if (id === undefined && label === undefined) throw usage('Expected the id of a job, or --label.', '`stint jobs list` shows them.')
  const found = id === undefined ? (await byLabel(context, label ?? '', several)).id : localId(id)
  return { kind: 'job', id: found, workItem: jobId(found) }
}
