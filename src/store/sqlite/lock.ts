// One engine per log: an exclusive lock on a small file beside it, held for the life of the store. The operating system lets go of it when the
// process dies, so that no lock outlives its holder. It is not taken on the log itself, which others may read.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import type { World } from '../../world.ts'
import { describeError, isBusy } from './errors.ts'
import { StoreOpenError } from './open-error.ts'

export interface EngineLock {
  /** Lets the next engine in. Calling it again does nothing. */
  readonly release: () => void
}

const holderOf = (holderFile: string): string => {
  try {
    return readFileSync(holderFile, 'utf8').trim()
  } catch {
    return 'another engine'
  }
}

/**
 * Takes the lock that belongs to the log `file`, or throws `in-use` with the holder's process, host and time.
 * The lock file is never opened but through SQLite: closing it by any other way in this process would let go of the lock.
 */
export const lockFor = (file: string, world: World): EngineLock => {
  const base = file.replace(/\.db$/, '')
  const holderFile = `${base}.holder`
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(`${base}.lock`, { timeout: 0 })
    lock.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    lock?.close()
    if (!isBusy(cause)) throw new StoreOpenError('io', `${base}.lock could not be locked: ${describeError(cause)}`, { cause })
    throw new StoreOpenError('in-use', `${file} is in use by ${holderOf(holderFile)}. One engine per file: stop that one, use another directory, or share it by URL.`, { cause })
  }
  const held = lock
  try {
    writeFileSync(holderFile, `process ${process.pid} on ${hostname()} since ${new Date(world.now()).toISOString()}\n`)
  } catch {
    // The lock holds without the note, for instance on a full disk.
  }
  return {
    release: () => {
      if (!held.isOpen) return
      rmSync(holderFile, { force: true })
      held.close()
    },
  }
}
