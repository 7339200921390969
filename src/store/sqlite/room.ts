// Whether the disk has room for the log. None is left once a commit did not fit; then it is looked after every second, so that a server to which nobody speaks any more
// because it is not ready finds out by itself.
import { statfsSync } from 'node:fs'
import type { Cancel, World } from '../../world.ts'
import type { Reach, Trouble } from '../port.ts'

const LOOK_EVERY_MS = 1_000

/** Bytes that have to be free: enough for what a server writes in a second or so, so that it does not come and go. */
const FREE_LEAST = 4 * 1024 * 1024

export interface Room {
  readonly reach: Reach
  /** A commit did not fit. */
  readonly lacked: (reason: string) => void
  /** A commit did. */
  readonly sufficed: () => void
  readonly close: () => void
}

/** Bytes free for this user on the file system of a directory; of one that cannot be looked at, none. */
const freeBytes = (directory: string): number => {
  try {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize
  } catch {
    return 0
  }
}

/** `fits`: whether the log itself would take more. */
export const roomOf = (directory: string, world: Pick<World, 'timer'>, fits: () => boolean): Room => {
  const listeners: (() => void)[] = []
  let trouble: Trouble | undefined
  let cancel: Cancel | undefined
  const become = (next: Trouble | undefined): void => {
    trouble = next
    for (const listener of listeners) listener()
  }
  const sufficed = (): void => {
    if (trouble === undefined) return
    cancel?.()
    become(undefined)
  }
  const look = (): void => {
    if (freeBytes(directory) >= FREE_LEAST && fits()) sufficed()
    else cancel = world.timer(LOOK_EVERY_MS, look)
  }
  return {
    reach: { trouble: () => trouble, onChange: (listener) => void listeners.push(listener) },
    lacked: (reason) => {
      if (trouble !== undefined) return
      become({ reason, isRefusing: true })
      cancel = world.timer(LOOK_EVERY_MS, look)
    },
    sufficed,
    close: () => cancel?.(),
  }
}
