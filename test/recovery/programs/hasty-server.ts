// A Stint with a planted fault: `node hasty-server.ts DATA PORT`. It acknowledges a reply before the reply is durable, and stores it a while later. Who kills it in between
// has been told of a reply that is not there, which is what the storm of requests must find out.
import * as E from 'fp-ts/lib/Either.js'
import { join } from 'node:path'
import { pino } from 'pino'
import { createServer } from '../../../src/api/server.ts'
import { openEngine } from '../../../src/engine/open.ts'
import { openTables } from '../../../src/projections/open.ts'
import { TABLES_FILE } from '../../../src/settings.ts'
import type { EventStore } from '../../../src/store/port.ts'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'
import { pause, realWorld } from '../../../src/world.ts'
import { right } from '../../support/engine.ts'

const [data = '', port = ''] = process.argv.slice(2)
/** How long a reply that was acknowledged is not stored. */
const HASTE_MS = 300

/** Answers an append with a `Completed` at once, with the place that it will have and the position of the last append before it. */
const hasty = (store: EventStore, first: string): EventStore => {
  const late = new Map<string, Promise<unknown>>()
  let position = first
  return {
    ...store,
    append: (stream, expected, events) => async () => {
      if (events.some(({ type }) => type === 'Completed') && typeof expected === 'number') {
        const stored = pause(realWorld, HASTE_MS).then(store.append(stream, expected, events))
        late.set(stream, stored)
        void stored.then(() => late.delete(stream))
        return E.right({ revision: expected + events.length, position })
      }
      await late.get(stream)
      const appended = await store.append(stream, expected, events)()
      if (E.isRight(appended) && appended.right.position > position) position = appended.right.position
      return appended
    },
  }
}

const sqlite = await openSqliteStore({ directory: data, world: realWorld })
const tables = await openTables({ file: join(data, TABLES_FILE), storeFile: sqlite.file, world: realWorld })
const engine = right(await openEngine({ store: hasty(sqlite, right(await sqlite.head()()).position), tables, world: realWorld }))
const server = createServer({ engine, world: realWorld, log: pino({ level: 'silent' }) })
const { address, port: taken } = await server.listen(Number(port), '127.0.0.1')
process.stdout.write(`listening http://${address}:${taken}\n`)
process.once('SIGTERM', () => {
  const stop = async (): Promise<void> => {
    await server.close({ graceMs: 1_000 })
    await pause(realWorld, 2 * HASTE_MS)
    await engine.close()
  }
  void stop()
})
