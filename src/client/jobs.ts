// The administrator's side of jobs: look at them, ask why they stand where they stand, and tell them what to do.
import type { HistoryEvent } from '../wire/items.ts'
import { directJob, jobHistory, jobWhy, listJobs, showJob, type JobProxy } from '../wire/jobs.ts'
import type { AnswerOf, QueryOf } from '../wire/route.ts'
import { events } from './events.ts'
import type { Http } from './http.ts'

/** A call that can be ended from outside. */
export interface Ended {
  readonly signal?: AbortSignal
}

export interface Page<Item> {
  readonly items: readonly Item[]
  /** Pass as `after` for the next page; undefined on the last. */
  readonly next?: string | undefined
}

export type JobFilter = QueryOf<typeof listJobs>
export type Given = AnswerOf<typeof directJob>
export type Why = AnswerOf<typeof jobWhy>

export interface Jobs {
  /** One page of job proxies, newest first: 100 unless `limit` (1–1,000) says otherwise. */
  readonly list: (filter?: JobFilter, options?: Ended) => Promise<Page<JobProxy>>
  /** All job proxies that fit, page after page. */
  readonly each: (filter?: JobFilter, options?: Ended) => AsyncIterable<JobProxy>
  readonly show: (id: string, options?: Ended) => Promise<JobProxy>
  /** Every change of a job, oldest first, a page at a time. */
  readonly history: (id: string, page?: QueryOf<typeof jobHistory>, options?: Ended) => Promise<Page<HistoryEvent>>
  readonly why: (id: string, options?: Ended) => Promise<Why>
  /** Final: the job is to stop. The receipt tells how far the wish has got. Throws `StintError` `settled`. */
  readonly abort: (id: string, reason?: string, options?: Ended) => Promise<Given>
  /** The job is to wait at its next checkpoint. Throws `StintError` `settled` or `aborting`. */
  readonly pause: (id: string, reason?: string, options?: Ended) => Promise<Given>
  readonly resume: (id: string, reason?: string, options?: Ended) => Promise<Given>
  /** The proxy now and after every recorded change, until it is settled. */
  readonly watch: (id: string, options?: Ended) => AsyncIterable<JobProxy>
}

async function* each(http: Http, filter: JobFilter, { signal }: Ended): AsyncGenerator<JobProxy, void, undefined> {
  for (let after = filter.after; ;) {
    const page = await http.call(listJobs, { query: { ...filter, after }, signal })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

async function* watch(http: Http, id: string, { signal }: Ended): AsyncGenerator<JobProxy, void, undefined> {
  let shown = await http.call(showJob, { params: { id }, signal })
  yield shown
  if (shown.settledAt !== undefined) return
  for await (const event of events(http, { workItem: shown.workItem, after: shown.position, ...(signal === undefined ? {} : { signal }) })) {
    // One look can show the work of several events.
    if (event.position <= shown.position) continue
    shown = await http.call(showJob, { params: { id }, signal })
    yield shown
    if (shown.settledAt !== undefined) return
  }
}

export const createJobs = (http: Http): Jobs => {
  const direct =
    (directive: 'abort' | 'pause' | 'resume') =>
    (id: string, reason?: string, { signal }: Ended = {}): Promise<Given> =>
      http.call(directJob, { params: { id }, body: { directive, ...(reason === undefined ? {} : { reason }) }, signal })
  return {
    list: (query = {}, { signal } = {}) => http.call(listJobs, { query, signal }),
    each: (filter = {}, options = {}) => each(http, filter, options),
    show: (id, { signal } = {}) => http.call(showJob, { params: { id }, signal }),
    history: (id, query = {}, { signal } = {}) => http.call(jobHistory, { params: { id }, query, signal }),
    why: (id, { signal } = {}) => http.call(jobWhy, { params: { id }, signal }),
    abort: direct('abort'),
    pause: direct('pause'),
    resume: direct('resume'),
    watch: (id, options = {}) => watch(http, id, options),
  }
}
