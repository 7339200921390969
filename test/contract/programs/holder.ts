// A process that opens a store, says so, and keeps it until it is killed: holder.ts DIRECTORY.
import { realWorld } from '../../../src/world.ts'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'

await openSqliteStore({ directory: process.argv[2] ?? '' })
process.stdout.write('open\n')
// A store keeps no process from ending.
realWorld.timer(600_000, () => undefined)
