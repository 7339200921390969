// Finds a row by the name of its work item, in tables that are keyed by births. Names lie in no order, so an index of them costs each new row a page of its own: it is made
// when it is first asked for, which is where a log is folded anew of which beginnings are gone, and it goes when the file is opened again.
import type { DatabaseSync } from 'node:sqlite'
import type { WorkItemId } from '../domain/ids.ts'

/** The number of the birth under which a table keeps a work item. Asked of what the log does not tell the birth of. */
export const byName = (db: DatabaseSync, table: string): ((workItem: WorkItemId) => number | undefined) => {
  const index = `${table}_by_name`
  db.exec(`DROP INDEX IF EXISTS ${index}`)
  return (workItem) => {
    // Each time, since a batch that fails takes the index back with it.
    db.exec(`CREATE INDEX IF NOT EXISTS ${index} ON ${table} (work_item)`)
    const found = db.prepare(`SELECT created FROM ${table} WHERE work_item = ?`).get(workItem)?.['created']
    return typeof found === 'number' ? found : undefined
  }
}
