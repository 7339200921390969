// What time says about work items: rows of a table by a time and, within one time, by their place, page after page. Asked of what expires and of what is retired alike.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Due, DueFilter } from './tables.ts'

type DueRow = readonly [workItem: string, at: number, place: number]

/** @param where holds for the rows that count; its parameters come first */
export const askDue = (db: DatabaseSync, table: string, time: string, place: string, where: string) => {
  const rows = db.prepare(`SELECT work_item, ${time}, ${place} FROM ${table} WHERE ${where} AND ${time} <= ? AND (${time}, ${place}) > (?, ?) ORDER BY ${time}, ${place} LIMIT ?`)
  rows.setReturnArrays(true)
  return ({ notAfter, after, limit }: DueFilter, ...args: readonly SQLInputValue[]): readonly Due[] => {
    const found = rows.all(...args, notAfter, after?.at ?? Number.MIN_SAFE_INTEGER, after?.place ?? -1, limit) as unknown as readonly DueRow[]
    return found.map(([workItem, at, number]) => ({ workItem, at, place: number }))
  }
}
