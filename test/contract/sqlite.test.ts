// The SQLite store keeps the contract.
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { directories } from './directories.ts'
import { exercise } from './event-store.ts'
import { exerciseSharing } from './sharing.ts'

const directory = directories()

exercise('sqlite', (options) => openSqliteStore({ directory: directory(), ...options }))

exercise('sqlite, its index always behind by one event at most,', (options) => openSqliteStore({ directory: directory(), indexEvery: 1, ...options }))

exerciseSharing('sqlite', false, async () => {
  const log = directory()
  const open = () => openSqliteStore({ directory: log })
  const first = await open()
  return { first, again: open, close: first.close }
})
