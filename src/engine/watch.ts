// Those who wait for a work item to change: long polls. A wait costs one entry here and one timer, and ends by change, time, disconnect or stop.
import type { WorkItemId } from '../domain/ids.ts'
import type { World } from '../world.ts'

export interface Watch {
  readonly changed: (workItem: WorkItemId, ms: number, signal?: AbortSignal) => Promise<void>
  readonly wake: (workItem: WorkItemId) => void
  /** Ends every wait, now and from now on. */
  readonly stop: () => void
  readonly size: () => number
}

export const createWatch = (world: World): Watch => {
  const waiting = new Map<WorkItemId, Set<() => void>>()
  let count = 0
  let stopped = false

  const changed: Watch['changed'] = (workItem, ms, signal) =>
    new Promise((resolve) => {
      if (stopped || ms <= 0 || signal?.aborted) return resolve()
      const group = waiting.get(workItem) ?? new Set()
      waiting.set(workItem, group)
      const done = (): void => {
        if (!group.delete(done)) return
        count -= 1
        if (group.size === 0 && waiting.get(workItem) === group) waiting.delete(workItem)
        cancel()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      group.add(done)
      count += 1
      const cancel = world.timer(ms, done)
      signal?.addEventListener('abort', done, { once: true })
    })

  const wake: Watch['wake'] = (workItem) => {
    const group = waiting.get(workItem)
    if (group !== undefined) for (const done of [...group]) done()
  }

  return {
    changed,
    wake,
    stop: () => {
      stopped = true
      for (const workItem of [...waiting.keys()]) wake(workItem)
    },
    size: () => count,
  }
}
