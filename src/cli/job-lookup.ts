// Finding the job that a person means: by its id, by its global ID, or by the label that the service gave it.
import { listJobs, showJob, type JobProxy } from '../wire/jobs.ts'
import type { State } from '../wire/items.ts'
import type { Context } from './context.ts'
import { CliFailure, EXIT, usage } from './failure.ts'
import { localId } from './ids.ts'
import { candidateLines } from './job-text.ts'
import { isSettled } from './look.ts'

export interface Named {
  readonly label?: string | undefined
}

export interface JobFilter extends Named {
  readonly service?: string | undefined
  readonly server?: string | undefined
  readonly state?: State | undefined
}

/** What to do about several jobs that may be meant: a look takes the newest, a deed wants to know which. */
export type Several = 'newest' | 'refuse'

/** Jobs of one label that are looked at, at most. */
const LABEL_MAX = 1_000

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

/** The id of the job that is meant. Of several jobs with a label the newest, those that have not settled first; or, if a deed is to follow, none. */
export const jobIdOf = async (context: Context, id: string | undefined, { label }: Named, several: Several): Promise<string> => {
  if (id !== undefined && label !== undefined) throw usage('Expected an id or --label, not both.')
  if (id !== undefined) return localId(id)
  if (label === undefined) throw usage('Expected the id of a job, or --label.', '`stint jobs list` shows them.')
  return (await byLabel(context, label, several)).id
}

/** The job that is meant, as it is now. */
export const findJob = async (context: Context, id: string | undefined, named: Named): Promise<JobProxy> =>
  context.http.call(showJob, { params: { id: await jobIdOf(context, id, named, 'newest') } })
