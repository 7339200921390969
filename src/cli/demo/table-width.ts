// How wide a table may be that stays on the terminal.
import type { Context } from '../context.ts'

/** Undefined off a terminal. A full line would make some terminals begin another. */
export const widthOfTables = ({ columns }: Context): number | undefined => {
  const most = columns()
  return most === undefined ? undefined : most - 1
}
