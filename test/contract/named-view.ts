// A store whose stream names all begin the same in a server that others use too, so that each test has a log of its own in one real server.
import * as E from 'fp-ts/lib/Either.js'
import { assertAppendable } from '../../src/store/append-check.ts'
import { StoreFault, type AppendFailure, type EventStore, type RecordedEvent, type Subscribed } from '../../src/store/port.ts'

/** The store as if `prefix` were not there. Its limit is by as much lower as the prefix is long. */
export const namedView = (store: EventStore, prefix: string): EventStore => {
  const limit = store.capabilities.maxAppendBytes - Buffer.byteLength(prefix)
  const bare = (event: RecordedEvent): RecordedEvent => ({ ...event, stream: event.stream.slice(prefix.length) })
  const all = (read: () => Promise<E.Either<StoreFault, readonly RecordedEvent[]>>) => async () => {
    const events = await read()
    return E.isLeft(events) ? events : E.right(events.right.map(bare))
  }
  const failed = (failure: AppendFailure): AppendFailure => (!(failure instanceof StoreFault) && failure.kind === 'tooLarge' ? { kind: 'tooLarge', limitBytes: limit } : failure)
  return {
    ...store,
    capabilities: { ...store.capabilities, maxAppendBytes: limit },
    append: (stream, expected, events) => {
      assertAppendable(stream, expected, events)
      const append = store.append(prefix + stream, expected, events)
      return async () => {
        const appended = await append()
        return E.isLeft(appended) ? E.left(failed(appended.left)) : appended
      }
    },
    erase: (stream, expected, tombstone) => {
      assertAppendable(stream, expected, tombstone)
      return store.erase(prefix + stream, expected, tombstone)
    },
    readStream: (stream, options) => all(store.readStream(prefix + stream, options)),
    readAll: (options) => all(store.readAll(options)),
    readFirst: (streams) => async () => {
      const first = await store.readFirst(streams.map((stream) => prefix + stream))()
      return E.isLeft(first) ? first : E.right(first.right.map((event) => (event === undefined ? undefined : bare(event))))
    },
    subscribe: async function* (options): AsyncGenerator<Subscribed> {
      for await (const item of store.subscribe(options)) yield item.type === 'event' ? { type: 'event', event: bare(item.event) } : item
    },
  }
}
