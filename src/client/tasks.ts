// Tasks, looked at and directed from outside: thin, typed calls, as an application's tools and the command line make them.
import type { HistoryEvent } from '../wire/items.ts'
import type { AnswerOf, QueryOf } from '../wire/route.ts'
import { deleteTask, directTask, listTasks, redriveTask, showTask, taskHistory, taskWhy, type Task, type TaskWithPayload } from '../wire/tasks.ts'
import type { Http } from './http.ts'
import type { Ended, Given, Page, Why } from './jobs.ts'

/** A queue and the application that owns it. */
export interface QueueName {
  readonly app: string
  readonly queue: string
}

export interface TaskName extends QueueName {
  readonly id: string
}

export type TaskFilter = QueryOf<typeof listTasks>
export type TaskEnd = AnswerOf<typeof deleteTask>

export interface Tasks {
  /** One page of a queue's tasks in its order (by priority, then due time, then insertion): 100 unless `limit` (1–1,000) says otherwise. */
  readonly list: (queue: QueueName, filter?: TaskFilter, options?: Ended) => Promise<Page<Task>>
  /** All tasks that fit, page after page. */
  readonly each: (queue: QueueName, filter?: TaskFilter, options?: Ended) => AsyncIterable<Task>
  /** With `payload: true` its payload too, for those who may lease it and for whoever made it. */
  readonly show: (task: TaskName, options?: Ended & { readonly payload?: boolean }) => Promise<TaskWithPayload>
  /** Every change of a task, oldest first, a page at a time. */
  readonly history: (task: TaskName, page?: QueryOf<typeof taskHistory>, options?: Ended) => Promise<Page<HistoryEvent>>
  /** What it waits for. */
  readonly why: (task: TaskName, options?: Ended) => Promise<Why>
  /** Final: the task is to stop; one that waits is cancelled. Throws `StintError` `settled`. */
  readonly abort: (task: TaskName, reason?: string, options?: Ended) => Promise<Given>
  /** The task is to wait: held back while it waits for a worker, else at its handler's next checkpoint. Throws `StintError` `settled` or `aborting`. */
  readonly pause: (task: TaskName, reason?: string, options?: Ended) => Promise<Given>
  readonly resume: (task: TaskName, reason?: string, options?: Ended) => Promise<Given>
  /** Takes a task out of its queue, in any state; a holder finds its lease gone. */
  readonly delete: (task: TaskName, options?: Ended) => Promise<TaskEnd>
  /** Gives a dead letter another life. */
  readonly redrive: (task: TaskName, options?: Ended) => Promise<TaskEnd>
}

async function* each(http: Http, { app, queue }: QueueName, filter: TaskFilter, { signal }: Ended): AsyncGenerator<Task, void, undefined> {
  for (let after = filter.after; ;) {
    const page = await http.call(listTasks, { params: { app, queue }, query: { ...filter, after }, signal })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

const named = ({ app, queue, id }: TaskName): TaskName => ({ app, queue, id })

export const createTasks = (http: Http): Tasks => {
  const direct =
    (directive: 'abort' | 'pause' | 'resume') =>
    (task: TaskName, reason?: string, { signal }: Ended = {}): Promise<Given> =>
      http.call(directTask, { params: named(task), body: { directive, ...(reason === undefined ? {} : { reason }) }, signal })
  return {
    list: ({ app, queue }, query = {}, { signal } = {}) => http.call(listTasks, { params: { app, queue }, query, signal }),
    each: (queue, filter = {}, options = {}) => each(http, queue, filter, options),
    show: (task, { signal, payload = false } = {}) => http.call(showTask, { params: named(task), query: payload ? { payload: 'true' } : {}, signal }),
    history: (task, query = {}, { signal } = {}) => http.call(taskHistory, { params: named(task), query, signal }),
    why: (task, { signal } = {}) => http.call(taskWhy, { params: named(task), signal }),
    abort: direct('abort'),
    pause: direct('pause'),
    resume: direct('resume'),
    delete: (task, { signal } = {}) => http.call(deleteTask, { params: named(task), signal }),
    redrive: ({ app, queue, id }, { signal } = {}) => http.call(redriveTask, { params: { app, queue }, body: { id }, signal }),
  }
}
