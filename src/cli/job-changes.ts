// Which events belong to the jobs that are watched: an event names only its work item, so what the filters ask about is remembered for each job.
import * as E from 'fp-ts/lib/Either.js'
import type { Http } from '../client/http.ts'
import type { HistoryEvent } from '../wire/items.ts'
import { showJob, type JobProxy } from '../wire/jobs.ts'
import { parseWorkItemId } from '../wire/words.ts'
import type { JobFilter } from './job-lookup.ts'
import { isSettled } from './look.ts'

export interface Watched {
  /** None: what the filter lets through. */
  readonly ids: readonly string[]
  readonly filter: JobFilter
}

/** What does not change about a job. */
export type Seen = Pick<JobProxy, 'id' | 'service' | 'server' | 'label'>

const ENDING = new Set(['Completed', 'Failed', 'Aborted', 'Cancelled'])

/** State cannot be told from an event, so `--state` narrows what is shown at the beginning, and lists, but not the changes. */
const fits = ({ ids, filter: { service, server, label } }: Watched, job: Seen): boolean => {
  if (ids.length > 0) return ids.includes(job.id)
  return (service === undefined || job.service === service) && (server === undefined || job.server === server) && (label === undefined || job.label === label)
}

interface Registered {
  readonly service?: unknown
  readonly server?: unknown
  readonly label?: unknown
}

const seenIn = (id: string, { service, server, label }: Registered): Seen => ({
  id,
  service: String(service),
  server: String(server),
  ...(typeof label === 'string' ? { label } : {}),
})

export interface JobsSeen {
  /** The job that the event is about, if it is one of those watched. */
  readonly matching: (event: HistoryEvent) => Promise<Seen | undefined>
  /** Every job that was named has settled. */
  readonly allEnded: () => boolean
}

export const jobsSeen = (http: Http, watched: Watched, first: readonly JobProxy[]): JobsSeen => {
  const known = new Map<string, Seen>(first.map((job) => [job.id, job]))
  const ended = new Set(first.filter((job) => isSettled(job.state)).map((job) => job.id))

  const find = async (id: string, event: HistoryEvent): Promise<Seen> => {
    if (event.type === 'JobRegistered') return seenIn(id, event.data as Registered)
    return known.get(id) ?? (await http.call(showJob, { params: { id } }))
  }

  return {
    matching: async (event) => {
      const parsed = parseWorkItemId(event.workItem ?? '')
      if (E.isLeft(parsed) || parsed.right.kind !== 'job') return undefined
      const { id } = parsed.right
      const job = await find(id, event)
      known.set(id, job)
      const isWatched = fits(watched, job)
      if (ENDING.has(event.type)) {
        // A watch may go on for months: what has ended is asked for again if it is ever heard of.
        known.delete(id)
        if (isWatched && watched.ids.length > 0) ended.add(id)
      }
      return isWatched ? job : undefined
    },
    allEnded: () => watched.ids.every((id) => ended.has(id)),
  }
}
