// Finding the job that a person means: by its id, by its global ID, or by the label that the service gave it.
import { listJobs, showJob, type JobProxy } from '../wire/jobs.ts'
import type { State } from '../wire/items.ts'
import type { Context } from './context.ts'
import { CliFailure, EXIT, usage } from './failure.ts'
import { isSettled } from './look.ts'

export interface Named {
  readonly label?: string | undefined
}

export interface JobFilter extends Named {
  readonly service?: string | undefined
  readonly server?: string | undefined
  readonly state?: State | undefined
}

/** Jobs of one label that are looked at, at most. */
const LABEL_MAX = 1_000

const PREFIX = 'job/'

/** The id in its collection of what may be given as `job/ID`. */
export const localId = (id: string): string => (id.startsWith(PREFIX) ? decodeURIComponent(id.slice(PREFIX.length)) : id)

const byLabel = async ({ http }: Context, label: string): Promise<JobProxy> => {
  const { items } = await http.call(listJobs, { query: { label, limit: LABEL_MAX } })
  const living = items.filter((job) => !isSettled(job.state))
  const [first, second] = living.length > 0 ? living : items
  if (first === undefined) throw new CliFailure(EXIT.notFound, `No job has the label "${label}".`, 'See `stint jobs list`.')
  if (second !== undefined) {
    const ids = (living.length > 0 ? living : items).map((job) => job.id)
    throw usage(`${ids.length} jobs have the label "${label}".`, `Name one by its id: ${ids.slice(0, 5).join(', ')}${ids.length > 5 ? ', …' : ''}`)
  }
  return first
}

/** The id of the job that is meant. Of several jobs with a label the one that has not settled. */
export const jobIdOf = async (context: Context, id: string | undefined, { label }: Named): Promise<string> => {
  if (id !== undefined && label !== undefined) throw usage('Expected an id or --label, not both.')
  if (id !== undefined) return localId(id)
  if (label === undefined) throw usage('Expected the id of a job, or --label.', '`stint jobs list` shows them.')
  return (await byLabel(context, label)).id
}

/** The job that is meant, as it is now. */
export const findJob = async (context: Context, id: string | undefined, named: Named): Promise<JobProxy> =>
  context.http.call(showJob, { params: { id: await jobIdOf(context, id, named) } })
