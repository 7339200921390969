// A log with a long queue to measure on: tasks that wait, each with its payload, made through the store's own append.
import * as E from 'fp-ts/lib/Either.js'
import { v7 } from 'uuid'
import { streamOf, taskId } from '../src/domain/ids.ts'
import { encodeEvent } from '../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../src/domain/work-item/events.ts'
import { openSqliteStore } from '../src/store/sqlite/store.ts'
import { realWorld as world } from '../src/world.ts'

const APPENDS_IN_FLIGHT = 5_000
const META = JSON.stringify({ actor: 'local', server: 'stint', commandId: world.uuid(), correlationId: world.uuid(), causationId: world.uuid() })

/** Fills the queue of a log that no server has open with so many tasks of this payload. */
export const makeQueue = async (directory: string, { app, queue }: { readonly app: string; readonly queue: string }, count: number, payload: unknown): Promise<void> => {
  const store = await openSqliteStore({ directory, world })
  const bytes = Buffer.from(JSON.stringify(payload))
  const began = world.now() - count
  const append = (n: number): Promise<E.Either<unknown, unknown>> => {
    const time = began + n
    const born: WorkItemEvent = { type: 'TaskInserted', app, queue, bytes: bytes.byteLength, dueAt: time, by: 'local', digest: world.token(43), mediaType: 'application/json' }
    return store.append(streamOf(taskId(app, queue, v7({ msecs: time }))), 'noStream', [{ id: world.uuid(), ...encodeEvent(born), time, meta: META, payload: bytes }])()
  }
  for (let made = 0; made < count; made += APPENDS_IN_FLIGHT) {
    const appended = await Promise.all(Array.from({ length: Math.min(APPENDS_IN_FLIGHT, count - made) }, (_, n) => append(made + n)))
    const failed = appended.find(E.isLeft)
    if (failed !== undefined) throw new Error(`An append failed: ${JSON.stringify(failed.left)}`)
  }
  await store.close()
}
