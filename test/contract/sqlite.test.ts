// The SQLite store keeps the contract.
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { directories } from './directories.ts'
import { exercise } from './event-store.ts'

const directory = directories()

exercise('sqlite', (options) => openSqliteStore({ directory: directory(), ...options }))
