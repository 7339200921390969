// What must be true of the machine and of the write connection before anything is acknowledged from it (research and reasons: design 17).
import { statfs } from 'node:fs/promises'
import type { DatabaseSync } from 'node:sqlite'
import { StoreOpenError } from './open-error.ts'

/** The first release in which a checkpoint beside a write can no longer damage the file (the WAL-reset bug of 3.7.0 to 3.51.2). */
export const LEAST_SQLITE = '3.51.3'

/** Whether `version` is `least` or later; both are dotted numbers. */
export const isAtLeast = (version: string, least: string): boolean => {
  const parts = version.split('.').map(Number)
  for (const [index, wanted] of least.split('.').map(Number).entries()) {
    const part = parts[index] ?? 0
    if (part !== wanted) return part > wanted
  }
  return true
}

export const assertSqliteVersion = (version: string | undefined): void => {
  if (version !== undefined && isAtLeast(version, LEAST_SQLITE)) return
  throw new StoreOpenError('sqlite-too-old', `This Node has SQLite ${version ?? 'none'}; the store needs ${LEAST_SQLITE} or later. Use the newest release of Node 24 or later.`)
}

/** File systems (`f_type` of Linux) on which shared memory or locks do not reach every user of the file. */
const REMOTE_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x01021997, '9p'],
  [0x65735546, 'fuse'],
  [0x00c36400, 'ceph'],
  [0x0bd00bd0, 'lustre'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'afs'],
  [0x73757245, 'coda'],
  [0x01161970, 'gfs2'],
  [0x7461636f, 'ocfs2'],
  [0x786f4256, 'vboxsf'],
  [0x564c, 'ncp'],
])

/** The name of the remote file system that this `f_type` stands for; undefined for a local one. */
export const remoteFileSystem = (type: number): string | undefined => REMOTE_FILE_SYSTEMS.get(type >>> 0)

/** Refuses a directory on a network or shared file system; only Linux tells. */
export const assertLocalFileSystem = async (directory: string): Promise<void> => {
  if (process.platform !== 'linux') return
  const remote = remoteFileSystem((await statfs(directory)).type)
  if (remote === undefined) return
  throw new StoreOpenError(
    'file-system',
    `${directory} is on a ${remote} file system, where SQLite can lose or damage the log. Use a local disk; or set allowAnyFileSystem if you know that its locks and shared memory work.`,
  )
}

/** The one value of a pragma, read back. */
export const pragma = (db: DatabaseSync, name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]

/** What the write connection is set to; read back after setting, because SQLite ignores what it cannot do. */
const DURABLE: Readonly<Record<string, unknown>> = { journal_mode: 'wal', synchronous: 2, secure_delete: 1 }

/** Sets the write connection up for durable commits and proves that it took. */
export const makeDurable = (db: DatabaseSync): void => {
  db.exec('PRAGMA journal_mode = wal; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA secure_delete = ON')
  for (const [name, wanted] of Object.entries(DURABLE)) {
    const got = pragma(db, name)
    if (got !== wanted) throw new StoreOpenError('settings', `SQLite reports ${name} = ${String(got)} where ${String(wanted)} was asked: this file cannot be written durably here.`)
  }
}

/** From now on the connection leaves the sync of a commit to whoever uses it, who waits for no lock either. Checkpoints still sync what they copy. */
export const leaveSyncing = (db: DatabaseSync): void => {
  db.exec('PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0')
}

/** Each commit is synced by SQLite again, until it is left. Not within a transaction. */
export const syncCommits = (db: DatabaseSync): void => {
  db.exec('PRAGMA synchronous = FULL')
}
