// A memory store whose appends can be held up once they are sent: what happens meanwhile is for the test to say.
import { memoryStore } from '../../src/store/memory.ts'
import type { EventStore } from '../../src/store/port.ts'
import type { World } from '../../src/world.ts'

export interface GatedStore extends EventStore {
  /** Types of the events that were sent, in their order. */
  readonly sent: string[]
  /** Holds up every append from now on. */
  readonly shut: () => void
  /** Lets go on what is held up. */
  readonly release: () => void
}

export const gatedStore = (world: World): GatedStore => {
  const store = memoryStore({ world })
  const gate = Promise.withResolvers<void>()
  const sent: string[] = []
  let isGated = false
  return {
    ...store,
    sent,
    append: (stream, expected, events) => {
      const append = store.append(stream, expected, events)
      sent.push(...events.map(({ type }) => type))
      return async () => {
        if (isGated) await gate.promise
        return append()
      }
    },
    shut: () => {
      isGated = true
    },
    release: gate.resolve,
  }
}
