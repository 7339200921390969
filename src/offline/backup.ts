// Copies of the log: taken beside a running server, and put where a server will be started. A restored log begins a life of its own (its positions are not those of the original).
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { LOG_FILE } from '../settings.ts'
import { StoreFault, type Head } from '../store/port.ts'
import { backupLog } from '../store/sqlite/backup.ts'
import { verifyChain, type VerifiedChain } from '../store/verify.ts'
import type { World } from '../world.ts'
import { logFileOf, withLog } from './log.ts'

export interface Copied {
  readonly file: string
  readonly head: Head
  readonly bytes: number
}

const isDirectory = (path: string): boolean => existsSync(path) && statSync(path).isDirectory()

const namesDirectory = (path: string): boolean => path.endsWith('/') || path.endsWith(sep) || isDirectory(path)

/** In a directory a copy is named after its time, so that daily backups need no script; the second of one second is told from the first, and sorts behind it. */
const fileFor = (target: string, world: World): string => {
  if (!namesDirectory(target)) return resolve(target)
  const stamp = new Date(world.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  const numbered = (count: number): string => resolve(target, `stint-${stamp}Z${count === 1 ? '' : `_${count}`}.db`)
  let count = 1
  while (existsSync(numbered(count))) count += 1
  return numbered(count)
}

/** Makes the directory that `target` is said to be, unless it is there. */
const makeDirectory = (target: string): E.Either<StoreFault, void> => {
  try {
    mkdirSync(target, { recursive: true })
    return E.right(undefined)
  } catch (cause) {
    return E.left(new StoreFault('unavailable', `The directory ${resolve(target)} cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`))
  }
}

/**
 * Copies the log of a data directory as of now, to a file or into a directory; one that ends with a slash is made if it is not there.
 * Throws NoLog or StoreOpenError; Left when the target exists or cannot be written.
 */
export const backupData = async (data: string, target: string, world: World): Promise<E.Either<StoreFault, Copied>> => {
  const source = logFileOf(data)
  const file = fileFor(target, world)
  if (namesDirectory(target)) {
    const made = makeDirectory(target)
    if (E.isLeft(made)) return made
  }
  const copied = await backupLog(source, file, world)()
  return E.isLeft(copied) ? copied : E.right({ file, head: copied.right, bytes: statSync(file).size })
}

export interface Restored extends Copied {
  readonly chain: VerifiedChain
}

/** Puts a backup into a data directory that has no log, once its chain has been checked. Throws NoLog or StoreOpenError of the backup. */
export const restoreData = async (backup: string, data: string, world: World): Promise<E.Either<StoreFault, Restored>> => {
  const source = logFileOf(backup)
  const target = resolve(join(data, LOG_FILE))
  if (existsSync(target)) return E.left(new StoreFault('unavailable', `${target} exists and is not overwritten. Move it away, or choose another --data.`))
  const chain = await withLog(source, (reader) => verifyChain(reader)())
  if (E.isLeft(chain)) return E.left(new StoreFault('damaged', `${source} is damaged at ${chain.left.position}: ${chain.left.problem}`))
  mkdirSync(data, { recursive: true })
  const copied = await backupLog(source, target, world)()
  return E.isLeft(copied) ? copied : E.right({ file: target, head: copied.right, bytes: statSync(target).size, chain: chain.right })
}
