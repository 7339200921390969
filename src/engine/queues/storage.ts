// How many bytes of payload the live tasks of each app take, and whether one more fits (`total_storage_limit`). What is being inserted counts from the moment it is sent.
import { isLive, type Existing, type WorkItem } from '../../domain/work-item/state.ts'
import type { QueueConfig } from '../../domain/queue/config.ts'

export interface Storage {
  readonly changed: (before: WorkItem, after: Existing) => void
  readonly bytesOf: (app: string) => number
  /** Counts what is about to be inserted; undefined when it would be too much. The answer uncounts it, once the insert is done or undone. */
  readonly claim: (config: QueueConfig, bytes: number) => (() => void) | undefined
}

export const createStorage = (): Storage => {
  const stored = new Map<string, number>()
  const add = (app: string, bytes: number): void => {
    const sum = (stored.get(app) ?? 0) + bytes
    if (sum === 0) stored.delete(app)
    else stored.set(app, sum)
  }
  const bytesOf: Storage['bytesOf'] = (app) => stored.get(app) ?? 0
  return {
    bytesOf,
    changed: (before, after) => {
      const { task } = after
      const is = isLive(after)
      if (task?.bytes === undefined || isLive(before) === is) return
      add(task.app, is ? task.bytes : -task.bytes)
    },
    claim: ({ app, storageLimitBytes }, bytes) => {
      if (storageLimitBytes !== undefined && bytesOf(app) + bytes > storageLimitBytes) return undefined
      add(app, bytes)
      return () => add(app, -bytes)
    },
  }
}
