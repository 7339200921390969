// What `stint long-tasks watch` looks at: the newest long tasks and all older ones that can still change, with the nodes that they run on.
import { StintError } from '../client/errors.ts'
import type { Http } from '../client/http.ts'
import type { State } from '../wire/items.ts'
import { listLongTasks, type LongTaskShown } from '../wire/long-tasks.ts'
import { listNodes, type NodeShown } from '../wire/nodes.ts'
import { longTaskId } from '../wire/words.ts'
import type { Context } from './context.ts'
import { longTaskIdOf } from './ids.ts'
import type { Looked } from './item-changes.ts'
import { PAGE, watchItems } from './item-watch.ts'
import { longTaskBoard } from './long-task-board.ts'

const LIVE = ['running', 'aborting', 'paused', 'lost', 'waiting'] as const satisfies readonly State[]

export interface LongTaskFilter {
  readonly node?: string
  readonly operation?: string
  readonly state?: State
}

const page = (http: Http, query: LongTaskFilter) => http.exchange(listLongTasks, { query: { ...query, limit: PAGE }, attemptsMax: 1 })

const looked = async (http: Http, filter: LongTaskFilter): Promise<Looked> => {
  const newest = await page(http, filter)
  const items = newest.body?.items ?? []
  const position = newest.headers.get('stint-position') ?? undefined
  if (newest.body?.next === undefined) return { items, more: false, position }
  // What is long may be old: beyond the newest, all that lives.
  const older = filter.state === undefined ? await Promise.all(LIVE.map((state) => page(http, { ...filter, state }))) : []
  const all = new Map<string, LongTaskShown>([...older.flatMap(({ body }) => body?.items ?? []), ...items].map((task) => [task.id, task]))
  return { items: [...all.values()], more: true, position }
}

/** Health is for those who may look at nodes; without it the board shows their names only. */
const nodesIn = async (http: Http, node: string | undefined): Promise<readonly NodeShown[] | undefined> => {
  try {
    const { items } = await http.call(listNodes, { query: { limit: PAGE }, attemptsMax: 1 })
    return node === undefined ? items : items.filter(({ id }) => id === node)
  } catch (cause) {
    if (cause instanceof StintError && cause.status === 403) return undefined
    throw cause
  }
}

export const watchLongTasks = async (context: Context, { state, ...filter }: LongTaskFilter, ids: readonly string[]): Promise<void> => {
  const { node, operation } = filter
  const workItems = [...new Set(ids.map((id) => longTaskId(longTaskIdOf(id))))]
  await watchItems(context, {
    kind: 'long-task',
    workItems,
    filter: { node, operation },
    prefix: 'long-task/',
    list: (http) => looked(http, state === undefined ? filter : { ...filter, state }),
    nodes: (http) => nodesIn(http, node),
    draw: longTaskBoard,
  })
}
