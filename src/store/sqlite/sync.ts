// Makes what was written durable. On a quick disk in the engine's own thread: to wake another one and be woken by it takes longer than the disk does.
// On a slow one in a thread of the platform's, so that the engine goes on meanwhile.
import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs'
import type { World } from '../../world.ts'

/** Milliseconds that a sync may take, on the average of the last ones, for the engine to wait for it. */
const QUICK_MS = 2

/** How much the last sync counts in the average. */
const WEIGHT = 1 / 8

/** The disk, as far as syncing goes. */
export interface Disk {
  readonly open: (file: string) => number
  readonly sync: (descriptor: number) => void
  readonly syncBeside: (descriptor: number, done: (error: Error | null) => void) => void
  readonly close: (descriptor: number) => void
}

export const realDisk: Disk = { open: (file) => openSync(file, 'r+'), sync: fdatasyncSync, syncBeside: fdatasync, close: closeSync }

export interface Sync {
  /** What the file holds now is durable: when it returns, or when what it returns resolves. Throws or rejects when nobody knows whether it is. One at a time. */
  readonly run: () => Promise<void> | undefined
  /** Waits for what is under way. */
  readonly close: () => Promise<void>
}

/** `file` has to exist, and no other part of this process may have locked it, as closing it would let go of such a lock. */
export const syncOf = (file: string, world: Pick<World, 'monotonic'>, disk = realDisk): Sync => {
  const descriptor = disk.open(file)
  let average = 0
  let underWay: Promise<void> = Promise.resolve()
  const took = (ms: number): void => {
    average += (ms - average) * WEIGHT
  }
  const beside = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const began = world.monotonic()
      disk.syncBeside(descriptor, (error) => {
        took(world.monotonic() - began)
        if (error === null) resolve()
        else reject(error)
      })
    })
  return {
    run: () => {
      if (average > QUICK_MS) return (underWay = beside())
      const began = world.monotonic()
      disk.sync(descriptor)
      took(world.monotonic() - began)
      return undefined
    },
    close: async () => {
      await underWay.catch(() => undefined)
      disk.close(descriptor)
    },
  }
}
