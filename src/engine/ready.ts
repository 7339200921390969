// Which tasks of each queue can be leased, oldest due first, and who waits for one. An index over `live`: it can be thrown away and made again at any time.
import TinyQueue from 'tinyqueue'
import type { WorkItemId } from '../domain/ids.ts'
import type { Existing, TaskFacts, WorkItem } from '../domain/work-item/state.ts'
import type { Cancel, World } from '../world.ts'
import type { Live } from './live.ts'

interface Candidate {
  readonly workItem: WorkItemId
  readonly dueAt: number
  /** Order of arrival among those due at the same time. */
  readonly sequence: number
}

interface ReadyQueue {
  readonly heap: TinyQueue<Candidate>
  readonly waiters: Set<() => void>
  timer?: { readonly at: number; readonly cancel: Cancel } | undefined
}

export interface ReadyQueues {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** Takes at most `max` candidates; each is claimed until it changes or is given back (rules 8). */
  readonly take: (queue: string, max: number) => readonly WorkItemId[]
  /** The claim came to nothing. */
  readonly giveBack: (workItem: WorkItemId) => void
  /** Resolves when a task may be there, when `ms` passed, at `signal`, or at stop. */
  readonly wait: (queue: string, ms: number, signal?: AbortSignal) => Promise<void>
  readonly stop: () => void
}

export const queueOf = (task: { readonly app: string; readonly queue: string }): string => `${task.app}/${task.queue}`

const leasable = (item: WorkItem | undefined): TaskFacts | undefined => (item?.status === 'waiting' && item.will === 'normal' ? item.task : undefined)

export const createReadyQueues = (world: World, live: Live): ReadyQueues => {
  const queues = new Map<string, ReadyQueue>()
  const claimed = new Set<WorkItemId>()
  let sequence = 0
  let stopped = false

  const queueFor = (name: string): ReadyQueue => {
    let queue = queues.get(name)
    if (queue === undefined) {
      queue = { heap: new TinyQueue<Candidate>([], (a, b) => a.dueAt - b.dueAt || a.sequence - b.sequence), waiters: new Set() }
      queues.set(name, queue)
    }
    return queue
  }

  /** Wakes one waiter when the first candidate is due, or sets a timer for when it will be. */
  const announce = (queue: ReadyQueue): void => {
    const first = queue.heap.peek()
    const [waiter] = queue.waiters
    if (first === undefined || waiter === undefined) return
    const wait = first.dueAt - world.now()
    if (wait <= 0) return waiter()
    if (queue.timer !== undefined && queue.timer.at <= first.dueAt) return
    queue.timer?.cancel()
    const cancel = world.timer(wait, () => {
      queue.timer = undefined
      announce(queue)
    })
    queue.timer = { at: first.dueAt, cancel }
  }

  const push = (workItem: WorkItemId, task: TaskFacts): void => {
    const queue = queueFor(queueOf(task))
    queue.heap.push({ workItem, dueAt: task.dueAt, sequence: (sequence += 1) })
    announce(queue)
  }

  const wait: ReadyQueues['wait'] = (name, ms, signal) =>
    new Promise((resolve) => {
      if (stopped || ms <= 0 || signal?.aborted) return resolve()
      const queue = queueFor(name)
      const done = (): void => {
        if (!queue.waiters.delete(done)) return
        cancel()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      queue.waiters.add(done)
      const cancel = world.timer(ms, done)
      signal?.addEventListener('abort', done, { once: true })
      announce(queue)
    })

  return {
    changed: (workItem, before, after) => {
      claimed.delete(workItem)
      const task = leasable(after)
      if (task === undefined) return
      const was = leasable(before)
      if (was === undefined || was.dueAt !== task.dueAt) push(workItem, task)
    },
    take: (name, max) => {
      const taken: WorkItemId[] = []
      const queue = queues.get(name)
      if (queue === undefined) return taken
      const now = world.now()
      while (taken.length < max) {
        const top = queue.heap.peek()
        if (top === undefined || top.dueAt > now) break
        queue.heap.pop()
        const task = leasable(live.get(top.workItem)?.item)
        // An entry of an earlier wait: the item has changed since, and has its own entry if it waits again.
        if (task === undefined || task.dueAt !== top.dueAt || claimed.has(top.workItem)) continue
        claimed.add(top.workItem)
        taken.push(top.workItem)
      }
      if (queue.heap.length > 0) announce(queue)
      return taken
    },
    giveBack: (workItem) => {
      if (!claimed.delete(workItem)) return
      const task = leasable(live.get(workItem)?.item)
      if (task !== undefined) push(workItem, task)
    },
    wait,
    stop: () => {
      stopped = true
      for (const queue of queues.values()) {
        queue.timer?.cancel()
        for (const done of [...queue.waiters]) done()
      }
    },
  }
}
