// What the store tests append, and how they take answers apart.
import * as E from 'fp-ts/lib/Either.js'
import type { ChainReader } from '../../src/store/chain.ts'
import type { EventStore, EventToAppend, RecordedEvent, Subscribed } from '../../src/store/port.ts'

/** A store under test; one with a chain shows it. */
export type ContractStore = EventStore & Partial<ChainReader>

export const BEGAN = Date.UTC(2030, 0, 1)

/** The `number`th event of a test; every field differs from that of any other. */
export const sample = (number: number, changed: Partial<EventToAppend> = {}): EventToAppend => ({
  id: `00000000-0000-5000-8000-${String(number).padStart(12, '0')}`,
  type: `Sample${number}`,
  v: (number % 3) + 1,
  time: BEGAN + number,
  data: JSON.stringify({ number }),
  meta: JSON.stringify({ actor: `actor-${number}` }),
  ...changed,
})

export const samples = (count: number, from = 1): readonly EventToAppend[] => Array.from({ length: count }, (_, index) => sample(from + index))

export const right = <L, A>(either: E.Either<L, A>): A => {
  if (E.isRight(either)) return either.right
  throw new Error(`Expected a Right, but got a Left: ${either.left instanceof Error ? either.left.message : JSON.stringify(either.left)}`, { cause: either.left })
}

export const left = <L, A>(either: E.Either<L, A>): L => {
  if (E.isLeft(either)) return either.left
  throw new Error(`Expected a Left, but got a Right: ${JSON.stringify(either.right)}`)
}

/** Appends and insists on it. */
export const put = async (store: EventStore, stream: string, events: readonly EventToAppend[]) => right(await store.append(stream, 'any', events)())

export const everything = async (store: EventStore, max = 100_000): Promise<readonly RecordedEvent[]> => right(await store.readAll({ max })())

/** The next `count` items of a subscription. */
export const take = async (items: AsyncIterator<Subscribed>, count: number): Promise<readonly Subscribed[]> => {
  const taken: Subscribed[] = []
  while (taken.length < count) {
    const next = await items.next()
    if (next.done === true) return taken
    taken.push(next.value)
  }
  return taken
}

/** A subscription in short: the types of its events, and `caughtUp`. */
export const brief = (items: readonly Subscribed[]): readonly string[] => items.map((item) => (item.type === 'event' ? item.event.type : 'caughtUp'))
