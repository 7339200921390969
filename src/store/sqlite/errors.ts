// What SQLite's result codes mean for the store.
import { StoreFault } from '../port.ts'

/** Primary result codes, of sqlite3.h. */
const BUSY = 5
const CORRUPT = 11
const FULL = 13
const NOTADB = 26

/** The primary result code in an error of `node:sqlite`; undefined for any other error. */
const primaryCode = (error: unknown): number | undefined => (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : undefined)

export const isBusy = (error: unknown): boolean => primaryCode(error) === BUSY
export const isFull = (error: unknown): boolean => primaryCode(error) === FULL
export const isNotADatabase = (error: unknown): boolean => primaryCode(error) === NOTADB

/** A sentence for people, with SQLite's own code where there is one. */
export const describeError = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return 'errcode' in error ? `${error.message} (SQLite ${String(error.errcode)})` : error.message
}

/** The fault of a read that failed. */
export const readFault = (error: unknown): StoreFault => {
  const code = primaryCode(error)
  const kind = code === CORRUPT || code === NOTADB ? 'damaged' : 'unavailable'
  return new StoreFault(kind, `Reading the log failed: ${describeError(error)}`, { cause: error })
}
