// Rows that are added to a table many at a time: a statement for each row costs half as much again.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'

const ROWS_A_STATEMENT = 16

export interface Inserts {
  readonly add: (...row: readonly SQLInputValue[]) => void
  /** Adds what is still held back. */
  readonly write: () => void
}

/** @returns what holds the rows of one batch back until there are enough, or until it is told to write */
export const insertsInto = (db: DatabaseSync, table: string, columns: readonly string[]): (() => Inserts) => {
  const marks = `(${columns.map(() => '?').join(', ')})`
  const sqlOf = (rows: number): string => `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${Array.from({ length: rows }, () => marks).join(', ')}`
  const [one, many] = [db.prepare(sqlOf(1)), db.prepare(sqlOf(ROWS_A_STATEMENT))]
  const width = columns.length
  return () => {
    let values: SQLInputValue[] = []
    return {
      add: (...row) => {
        values.push(...row)
        if (values.length < width * ROWS_A_STATEMENT) return
        many.run(...values)
        values = []
      },
      write: () => {
        for (let at = 0; at < values.length; at += width) one.run(...values.slice(at, at + width))
        values = []
      },
    }
  }
}
