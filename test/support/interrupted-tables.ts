// A process that follows a log until, in the middle of a batch, it says so and waits to be killed: `node interrupted-tables.ts TABLES LOG BATCHES`.
import { writeSync } from 'node:fs'
import { projections } from '../../src/projections/index.ts'
import type { Projection } from '../../src/projections/projection.ts'
import { openCore } from '../../src/projections/runner.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { realWorld } from '../../src/world.ts'
import { right } from './engine.ts'

const [, , file = '', storeFile = '', batches = '1'] = process.argv
let left = Number(batches)

/** Last in rank: when its turn comes, the tables of the others are written and not committed. */
const waiting: Projection = {
  name: 'waiting',
  version: 1,
  outlivesErasure: true,
  schema: 'CREATE TABLE waiting (number INTEGER PRIMARY KEY) STRICT',
  tables: [{ name: 'waiting', key: ['number'] }],
  open: () => ({
    apply: () => {
      left -= 1
      if (left > 0) return
      writeSync(1, 'in the middle\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    },
  }),
}

const reader = openSqliteReader(storeFile)
const core = await openCore({ file, reader, projections: [...projections, waiting], world: realWorld })
core.follow(right(await reader.head()()).position)
await core.idle()
