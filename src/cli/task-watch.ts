// What `stint tasks watch` looks at: the tasks of a queue that can still change, and how those ended that were among them a moment ago.
import type { Http } from '../client/http.ts'
import { StintError } from '../client/errors.ts'
import { states, type State } from '../wire/items.ts'
import { showQueue } from '../wire/queues.ts'
import { listTasks, showTask, type Task } from '../wire/tasks.ts'
import { taskId } from '../wire/words.ts'
import type { Context } from './context.ts'
import type { Counts } from './item-board.ts'
import type { Looked } from './item-changes.ts'
import { PAGE, watchItems } from './item-watch.ts'
import { isSettled } from './look.ts'
import { taskNamed, type OfTask, type QueueName } from './task-lookup.ts'
import { usage } from './failure.ts'

const LIVE = ['running', 'aborting', 'paused', 'waiting'] as const satisfies readonly State[]
/** Tasks whose end is asked for after one look, and ends that stay on the board, at most. */
const ENDS_MAX = 50

interface Narrow {
  readonly tag?: string | undefined
}

/** Of all tasks of the queue, for those who may look at it. */
const countsIn = async (http: Http, queue: QueueName): Promise<Counts | undefined> => {
  try {
    const { statistics } = await http.call(showQueue, { params: queue, attemptsMax: 1 })
    return Object.fromEntries(states.flatMap((state) => (statistics.states[state] === undefined ? [] : [[state, statistics.states[state]]])))
  } catch (cause) {
    if (cause instanceof StintError && cause.status === 403) return undefined
    throw cause
  }
}

/** Looks at a queue again and again: lists begin with the oldest, so what has ended is found by what is missing. */
const looker = (queue: QueueName, { tag }: Narrow): ((http: Http) => Promise<Looked>) => {
  let before: readonly Task[] = []
  let ended: readonly Task[] = []
  const endOf = async (http: Http, { id }: Task): Promise<readonly Task[]> => {
    const { body } = await http.exchange(showTask, { params: { ...queue, id }, attemptsMax: 1 })
    return body !== undefined && isSettled(body.state) ? [body] : []
  }
  return async (http) => {
    const pages = await Promise.all(LIVE.map((state) => http.exchange(listTasks, { params: queue, query: { state, limit: PAGE }, attemptsMax: 1 })))
    const live = pages.flatMap(({ body }) => body?.items ?? []).filter((task) => tag === undefined || task.tag === tag)
    const ids = new Set(live.map(({ id }) => id))
    const missing = before.filter(({ id }) => !ids.has(id)).slice(0, ENDS_MAX)
    const ends = await Promise.all(missing.map((task) => endOf(http, task)))
    ended = [...ends.flat(), ...ended.filter(({ id }) => !ids.has(id))].slice(0, ENDS_MAX)
    before = live
    // The oldest: an event that one page lacks must not be missed.
    const [position] = pages.flatMap(({ headers }) => headers.get('stint-position') ?? []).toSorted((a, b) => (a < b ? -1 : 1))
    return {
      items: [...live, ...ended],
      more: pages.some(({ body }) => body?.next !== undefined),
      counts: tag === undefined ? await countsIn(http, queue) : undefined,
      position,
    }
  }
}

export const watchTasks = async (context: Context, options: OfTask & Narrow, ids: readonly string[]): Promise<void> => {
  const { queue, tag } = options
  const workItems = [...new Set(ids.map((id) => taskNamed(options, id).workItem))]
  if (workItems.length === 0 && queue === undefined) throw usage('Expected a queue: -q APP/QUEUE.', '`stint queues list` shows them; `stint queues watch` watches all of them.')
  await watchItems(context, {
    kind: 'task',
    workItems,
    filter: { tag },
    prefix: queue === undefined ? 'task/' : taskId(queue.app, queue.queue, ''),
    list: queue === undefined ? () => Promise.resolve({ items: [], more: false, position: undefined }) : looker(queue, { tag }),
  })
}
