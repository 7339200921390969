// Keeps an eye on all long tasks and their nodes: asks Stint again and again, remembers the last answer while it is away, and wakes those who wait for something to be so.
import type { LongTaskShown, NodeShown, Stint } from '../../client/index.ts'
import type { World } from '../../world.ts'
import { listLongTasks } from '../../wire/long-tasks.ts'
import { listNodes } from '../../wire/nodes.ts'
import { observe, type Pace } from '../item-pace.ts'
import { createWatch, type Watch } from './watch.ts'

const ANSWER_MS = 5_000
const TASKS_MAX = 1_000

export interface DiskLookout extends Watch {
  readonly tasks: () => readonly LongTaskShown[]
  readonly task: (id: string) => LongTaskShown | undefined
  readonly nodes: () => readonly NodeShown[]
  readonly paces: () => ReadonlyMap<string, Pace>
  /** Stint did not answer the last time. */
  readonly isBlind: () => boolean
}

/** Looks until it is closed or `interrupted` aborts. */
export const createDiskLookout = (stint: Stint, world: World, interrupted: AbortSignal): DiskLookout => {
  const paces = new Map<string, Pace>()
  let tasks: readonly LongTaskShown[] = []
  let nodes: readonly NodeShown[] = []
  let isBlind = false

  const look = async (signal: AbortSignal): Promise<void> => {
    try {
      const once = { attemptsMax: 1, timeoutMs: ANSWER_MS, signal }
      ;[{ items: tasks }, { items: nodes }] = await Promise.all([
        stint.call(listLongTasks, { query: { limit: TASKS_MAX }, ...once }),
        stint.call(listNodes, { query: {}, ...once }),
      ])
      for (const task of tasks) paces.set(task.id, observe(paces.get(task.id), task, world.monotonic()))
      isBlind = false
    } catch {
      // It is away, or answers again in a moment: the picture stays as it was.
      isBlind = true
    }
  }

  return {
    ...createWatch(world, interrupted, look),
    tasks: () => tasks,
    task: (id) => tasks.find((task) => task.id === id),
    nodes: () => nodes,
    paces: () => paces,
    isBlind: () => isBlind,
  }
}
