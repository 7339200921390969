// The directory of a server whose log is elsewhere: its tables, and a note of whose they are. The note knows its own file, so a copy of the directory is told from
// the directory: it gets a name of its own, and tables that were copied while they were written are not trusted.
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { World } from '../../world.ts'
import { lockFor } from '../sqlite/lock.ts'
import { StoreOpenError } from '../sqlite/open-error.ts'

const NOTE = 'server.json'
const HOST_LENGTH_MAX = 80

interface Note {
  /** Of the server. */
  readonly name: string
  /** What tells the note's file from every copy of it. */
  readonly place: string
  /** A server has the tables open, or had them when it died. */
  readonly isOpen: boolean
}

export interface HeldDirectory {
  /** Of the server that has it: made once, and kept in it. */
  readonly name: string
  /** Lets the next server in. Calling it again does nothing. */
  readonly release: () => void
}

const isNote = (value: unknown): value is Note => {
  const { name, place, isOpen } = (value ?? {}) as Record<string, unknown>
  return typeof name === 'string' && name !== '' && typeof place === 'string' && typeof isOpen === 'boolean'
}

const readNote = (file: string): Note | undefined => {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return isNote(value) ? value : undefined
  } catch {
    // None, or torn by a power failure: then its server is nobody's, and its tables are folded anew.
    return undefined
  }
}

/** The number of a file alone could be that of its copy in another file system. */
const placeOf = (file: string): string => {
  const { ino, birthtimeNs } = statSync(file, { bigint: true })
  return `${ino}/${birthtimeNs}`
}

const writeNote = (file: string, note: Omit<Note, 'place'>): void => {
  // Written where it lies: a file that is put in its place would be another one.
  if (!existsSync(file)) writeFileSync(file, '')
  writeFileSync(file, `${JSON.stringify({ name: note.name, place: placeOf(file), isOpen: note.isOpen } satisfies Note)}\n`)
}

/** A name that no other server has: this machine's, and chance. */
export const newServerName = (world: World): string => `${hostname().slice(0, HOST_LENGTH_MAX)}-${world.uuid().slice(0, 8)}`

/** Why the tables that are there are not to be used, if so. */
const distrusted = (note: Note | undefined, isCopy: boolean): string | undefined => {
  if (note === undefined) return 'it is not known which server wrote them, nor whether they are whole'
  return isCopy && note.isOpen ? 'they were copied while their server had them open' : undefined
}

/**
 * Throws StoreOpenError, `settings`, where a directory has the tables of a server over EventStoreDB and no log: a server that forgot where its log is would begin another one
 * there, and take work that none of the others know of.
 */
export const assertOwnLog = (directory: string, ownLog: string): void => {
  if (existsSync(join(directory, ownLog)) || readNote(join(directory, NOTE)) === undefined) return
  throw new StoreOpenError(
    'settings',
    `${directory} has the tables of a server whose log is in EventStoreDB, and --store (STINT_STORE) does not say where that is. Set it, or choose another directory with --data.`,
  )
}

/**
 * Makes the directory if it is missing and keeps other servers off it. Tables in it that may not be whole are removed, and `onLog` is told; they are folded anew from the log.
 * Throws StoreOpenError: `in-use`, or `settings` where the directory has a log of its own.
 */
export const holdDirectory = async (options: {
  readonly directory: string
  /** File names in it. */
  readonly tables: string
  readonly ownLog: string
  readonly world: World
  readonly onLog: (text: string) => void
}): Promise<HeldDirectory> => {
  const { directory, world } = options
  if (existsSync(join(directory, options.ownLog)))
    throw new StoreOpenError('settings', `${directory} has a log of its own, so the tables of another do not belong there. Choose another directory with --data.`)
  await mkdir(directory, { recursive: true })
  const tables = join(directory, options.tables)
  const lock = lockFor(tables, world)
  try {
    const file = join(directory, NOTE)
    const note = readNote(file)
    const isCopy = note !== undefined && note.place !== placeOf(file)
    const why = distrusted(note, isCopy)
    if (why !== undefined && existsSync(tables)) {
      options.onLog(`The tables are made anew: ${why}`)
      for (const suffix of ['', '-wal', '-shm']) rmSync(tables + suffix, { force: true })
    }
    const name = note === undefined || isCopy ? newServerName(world) : note.name
    writeNote(file, { name, isOpen: true })
    let isReleased = false
    return {
      name,
      release: () => {
        if (isReleased) return
        isReleased = true
        try {
          writeNote(file, { name, isOpen: false })
        } catch {
          // On a disk that is full or gone: it reads as if the server had died, which costs nothing where the directory stays what it is.
        }
        lock.release()
      },
    }
  } catch (cause) {
    lock.release()
    throw cause
  }
}
