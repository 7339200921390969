// What the log says of each of a kind of thing that is no work item (queues, contracts), resident, and the one way in which their streams grow.
import * as E from 'fp-ts/lib/Either.js'
import type { EncodedEvent, UndecodableEvent } from '../domain/work-item/codec.ts'
import type { At } from '../domain/work-item/evolve.ts'
import { StoreFault, type AppendTooLarge, type EventStore, type Position, type RecordedEvent } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Context } from './command.ts'
import { encodeMeta, uuidV5 } from './envelope.ts'

const STREAM_PAGE = 1_000
const ATTEMPTS_MAX = 5

/** A state that knows where its stream is. */
interface Placed {
  readonly status: string
  readonly revision: number
  readonly updatedAt?: number
}

/** The rules of one kind of thing. */
export interface Aggregate<Command, State extends Placed, Event, Rejection> {
  /** For sentences: `queue`. */
  readonly noun: string
  readonly streamOf: (key: string) => string
  readonly absent: State
  readonly decide: (command: Command, state: State) => E.Either<Rejection, readonly Event[]>
  readonly evolve: (state: State, event: Event, at: At) => State
  readonly encode: (event: Event) => EncodedEvent
  readonly decode: (type: string, v: number, data: unknown) => E.Either<UndecodableEvent, Event>
}

export interface Book<Command, State, Event, Rejection> {
  /** The thing as it stands; one of which the log says nothing is absent. */
  readonly get: (key: string) => State
  readonly entries: () => Iterable<readonly [string, State]>
  /** Reads its stream. */
  readonly load: (key: string) => Promise<E.Either<StoreFault, State>>
  readonly loadAll: (keys: Iterable<string>) => Promise<E.Either<StoreFault, void>>
  /** Takes in events of one stream, in order, that may be another server's; those that are known are passed over. */
  readonly follow: (key: string, events: readonly RecordedEvent[]) => Promise<E.Either<StoreFault, void>>
  readonly execute: (
    key: string,
    command: Command,
    context: Context,
  ) => Promise<E.Either<Rejection | StoreFault | AppendTooLarge, { readonly state: State; readonly events: readonly Event[] }>>
}

export const createBook = <Command, State extends Placed, Event, Rejection>(
  { noun, streamOf, absent, decide, evolve, encode, decode }: Aggregate<Command, State, Event, Rejection>,
  options: {
    readonly store: EventStore
    readonly world: World
    readonly server: string
    readonly onAppended: (position: Position, events: number) => void
    readonly onChange: (key: string) => void
  },
): Book<Command, State, Event, Rejection> => {
  const { store, world, server } = options
  const states = new Map<string, State>()
  const lanes = new Map<string, Promise<unknown>>()
  const get = (key: string): State => states.get(key) ?? absent

  /** Makes the state that is kept at least as new as this one; answers what is kept. */
  const bring = (key: string, state: State): State => {
    if (state.revision > get(key).revision) states.set(key, state)
    return get(key)
  }

  const evolved = (state: State, recorded: RecordedEvent): E.Either<StoreFault, State> => {
    const event = decode(recorded.type, recorded.v, JSON.parse(recorded.data))
    if (E.isRight(event)) return E.right(evolve(state, event.right, recorded))
    return E.left(new StoreFault('damaged', `Event ${recorded.position} (${recorded.type} v${recorded.v}) cannot be read by this version of Stint: ${event.left.detail}`))
  }

  const load: Book<Command, State, Event, Rejection>['load'] = async (key) => {
    let state = absent
    for (let from = 0; ; from += STREAM_PAGE) {
      const page = await store.readStream(streamOf(key), { from, max: STREAM_PAGE })()
      if (E.isLeft(page)) return page
      for (const recorded of page.right) {
        const next = evolved(state, recorded)
        if (E.isLeft(next)) return next
        state = next.right
      }
      if (page.right.length < STREAM_PAGE) break
    }
    return E.right(bring(key, state))
  }

  const follow: Book<Command, State, Event, Rejection>['follow'] = async (key, events) => {
    const before = get(key).revision
    for (const recorded of events) {
      const { revision } = get(key)
      if (recorded.revision <= revision) continue
      const next = recorded.revision === revision + 1 ? evolved(get(key), recorded) : await load(key)
      if (E.isLeft(next)) return next
      bring(key, next.right)
    }
    if (get(key).revision > before) options.onChange(key)
    return E.right(undefined)
  }

  const attempt = async (key: string, command: Command, context: Context): ReturnType<Book<Command, State, Event, Rejection>['execute']> => {
    for (let tried = 1; tried <= ATTEMPTS_MAX; tried++) {
      const before = get(key)
      const decided = decide(command, before)
      const events = E.isLeft(decided) ? [] : decided.right
      if (events.length === 0) {
        // What appends nothing is final only at the stream's head (rules 11).
        const isSure = tried > 1 || !store.capabilities.shared
        const known = isSure ? E.right(before) : await load(key)
        if (E.isLeft(known)) return known
        if (known.right.revision > before.revision) {
          options.onChange(key)
          continue
        }
        return E.isLeft(decided) ? decided : E.right({ state: before, events })
      }
      const time = Math.max(world.now(), before.updatedAt ?? 0)
      const meta = encodeMeta(context, server)
      const encoded = events.map((event, index) => ({ id: uuidV5(context.commandId, `${key} ${index}`), ...encode(event), time, meta }))
      const appended = await store.append(streamOf(key), before.status === 'absent' ? 'noStream' : before.revision, encoded)()
      if (E.isRight(appended)) {
        const state = events.reduce((known, event) => evolve(known, event, { time, revision: known.revision + 1 }), before)
        bring(key, state)
        options.onAppended(appended.right.position, events.length)
        options.onChange(key)
        return E.right({ state, events })
      }
      const failure = appended.left
      if (failure instanceof StoreFault || failure.kind !== 'conflict') return E.left(failure)
      const loaded = await load(key)
      if (E.isLeft(loaded)) return loaded
      options.onChange(key)
    }
    return E.left(new StoreFault('overloaded', `The ${noun} ${key} is still in conflict after ${ATTEMPTS_MAX} attempts`))
  }

  return {
    get,
    entries: () => states.entries(),
    load,
    follow,
    loadAll: async (keys) => {
      for (const key of keys) {
        const loaded = await load(key)
        if (E.isLeft(loaded)) return loaded
      }
      return E.right(undefined)
    },
    execute: (key, command, context) => {
      const run = (lanes.get(key) ?? Promise.resolve()).then(() => attempt(key, command, context))
      const settled: Promise<void> = run.then(
        () => void (lanes.get(key) === settled && lanes.delete(key)),
        () => void (lanes.get(key) === settled && lanes.delete(key)),
      )
      lanes.set(key, settled)
      return run
    },
  }
}
