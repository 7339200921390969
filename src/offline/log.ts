// The log of a data directory, opened for reading by whoever has no server at hand. It takes no lock, so it works beside a running server too.
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { LOG_FILE } from '../settings.ts'
import { openSqliteReader, type SqliteReader } from '../store/sqlite/log-reader.ts'

/** There is no log where one was looked for. */
export class NoLog extends Error {
  override readonly name = 'NoLog'
}

/** A file is meant and not a directory: there is one, or it is named as one. */
export const isLogFile = (data: string): boolean => (existsSync(data) ? statSync(data).isFile() : data.endsWith('.db'))

/** The log file of a data directory, or the file itself if that is what was given. */
export const logFileOf = (data: string): string => {
  const file = isLogFile(data) ? resolve(data) : resolve(join(data, LOG_FILE))
  if (!existsSync(file)) throw new NoLog(`There is no log at ${file}.`)
  return file
}

/** Runs with the log open. Throws NoLog or StoreOpenError. */
export const withLog = async <A>(data: string, run: (reader: SqliteReader, file: string) => Promise<A>): Promise<A> => {
  const file = logFileOf(data)
  const reader = openSqliteReader(file)
  try {
    return await run(reader, file)
  } finally {
    reader.close()
  }
}
