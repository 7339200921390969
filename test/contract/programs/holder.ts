// A process that opens a store, says so, and keeps it until it is killed: holder.ts DIRECTORY.
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'

await openSqliteStore({ directory: process.argv[2] ?? '' })
process.stdout.write('open\n')
