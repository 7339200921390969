// Several servers over one log in one process: each has an engine, tables and a connection to the log of its own, which can be cut, or be slow to tell what the others append.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { openEngine, type EngineSettings } from '../../src/engine/open.ts'
import type { OpenedEngine } from '../../src/engine/engine-face.ts'
import { tablesInProcess } from '../../src/projections/open.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { StoreFault, type EventStore, type Subscribed } from '../../src/store/port.ts'
import { queueLine } from '../../src/domain/leader.ts'
import { lease, right, settle, type TestEngine } from './engine.ts'
import { expectReplayEqual } from './replay.ts'
import { virtualWorld, type VirtualWorld } from './virtual-world.ts'

/** One server's way to the log. */
export interface Connection extends EventStore {
  /** Nothing comes or goes any more, until it is mended. */
  readonly cut: () => void
  readonly mend: () => void
  /** What the others append is not told, until `resume`; reading and appending go on. */
  readonly hold: () => void
  readonly resume: () => void
  /** The next append is stored, and nobody is told of it; `then` is called. */
  readonly loseNextAnswer: (then: () => void) => void
  /** The next append is not stored, and nobody is told so. */
  readonly loseNextAppend: () => void
  /** Before each of the next appends others append. */
  readonly overtake: (appends: number, others: () => Promise<unknown>) => void
  /** Appends that were sent, and those of them that met another's. */
  readonly figures: () => { readonly appends: number; readonly conflicts: number }
  /** How often the end of the log was asked for. */
  readonly looks: () => number
}

const gone = (): StoreFault => new StoreFault('unavailable', 'The connection to the log is cut')

const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

export interface ConnectionOptions {
  /** Turns of the event loop after which the answer to an append arrives; none: at once. */
  readonly answersAfter?: () => number
}

export const connectTo = (log: EventStore, options: ConnectionOptions = {}): Connection => {
  let isCut = false
  let closed = false
  let isLosing = false
  let isDropping = false
  let whenLost: () => void = () => undefined
  let overtaken: { left: number; readonly others: () => Promise<unknown> } = { left: 0, others: async () => undefined }
  let appends = 0
  let conflicts = 0
  let looks = 0
  let holding: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  let cutting = new AbortController()
  const over =
    <Asked extends readonly unknown[], L, A>(call: (...asked: Asked) => TE.TaskEither<L, A>) =>
    (...asked: Asked): TE.TaskEither<L | StoreFault, A> =>
    async () =>
      isCut || closed ? E.left(gone()) : call(...asked)()
  async function* subscribe({ after, signal }: Parameters<EventStore['subscribe']>[0]): AsyncGenerator<Subscribed, void, undefined> {
    if (isCut || closed) throw gone()
    const mine = cutting.signal
    for await (const said of log.subscribe({ ...(after === undefined ? {} : { after }), signal: AbortSignal.any([signal, mine]) })) {
      while (holding !== undefined && !signal.aborted) await Promise.race([holding.promise, aborted(signal)])
      if (mine.aborted || signal.aborted) break
      yield said
    }
    if (mine.aborted) throw gone()
  }
  const append: EventStore['append'] =
    (...asked) =>
    async () => {
      appends += 1
      if (overtaken.left > 0) {
        overtaken.left -= 1
        await overtaken.others()
      }
      if (isDropping) {
        isDropping = false
        return E.left(new StoreFault('unknown-outcome', 'The append got lost'))
      }
      const appended = await over(log.append)(...asked)()
      if (E.isLeft(appended) && !(appended.left instanceof StoreFault) && appended.left.kind === 'conflict') conflicts += 1
      // The log tells all who follow it at once; whoever appended may hear of it later than that.
      for (let turns = options.answersAfter?.() ?? 0; turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve))
      if (!isLosing) return appended
      isLosing = false
      whenLost()
      return E.left(new StoreFault('unknown-outcome', 'The answer got lost'))
    }
  const end = (): void => {
    cutting.abort()
    holding?.resolve()
    holding = undefined
  }
  return {
    ...log,
    readStream: over(log.readStream),
    readAll: over(log.readAll),
    readFirst: over(log.readFirst),
    head: () => {
      looks += 1
      return over(log.head)()
    },
    append,
    erase: over(log.erase),
    prune: over(log.prune),
    subscribe,
    close: async () => {
      closed = true
      end()
    },
    cut: () => {
      isCut = true
      end()
    },
    mend: () => {
      isCut = false
      cutting = new AbortController()
    },
    hold: () => {
      let resolve: () => void = () => undefined
      const promise = new Promise<void>((done) => (resolve = done))
      holding ??= { promise, resolve }
    },
    loseNextAnswer: (then) => {
      isLosing = true
      whenLost = then
    },
    loseNextAppend: () => {
      isDropping = true
    },
    overtake: (left, others) => {
      overtaken = { left, others }
    },
    figures: () => ({ appends, conflicts }),
    looks: () => looks,
    resume: () => {
      const held = holding
      holding = undefined
      held?.resolve()
    },
  }
}

export interface TestServer extends TestEngine {
  readonly engine: OpenedEngine
  readonly name: string
  readonly connection: Connection
  /** Is gone from one moment to the next, without a word. */
  readonly vanish: () => void
  readonly isGone: () => boolean
}

export interface Servers {
  readonly log: EventStore
  readonly world: VirtualWorld
  readonly start: (name: string, settings?: Partial<EngineSettings>) => Promise<TestServer>
  /** Those that have not vanished or stopped. */
  readonly running: () => readonly TestServer[]
  /** Of all servers that there have been. */
  readonly figures: () => { readonly appends: number; readonly conflicts: number }
  /** Lets time pass a quarter of a second at a time, with everything that it brings about. */
  readonly pass: (ms: number) => Promise<void>
  readonly close: () => Promise<void>
}

const STEP_MS = 250

export const createServers = (world: VirtualWorld = virtualWorld(), options: ConnectionOptions = {}): Servers => {
  const log = memoryStore({ world, shared: true })
  const all: TestServer[] = []
  const running = (): readonly TestServer[] => all.filter(({ isGone }) => !isGone())

  const start: Servers['start'] = async (name, settings) => {
    const connection = connectTo(log, options)
    const troubles: string[] = []
    const tables = await tablesInProcess({ file: ':memory:', reader: connection, world })
    const onTrouble = (what: string): void => void troubles.push(what)
    const engine = right(await openEngine({ store: connection, tables, world, onTrouble, settings: { url: `http://${name}`, ...settings, server: name } }))
    let isGone = false
    const server: TestServer = {
      engine: { ...engine, close: () => ((isGone = true), engine.close()) },
      store: connection,
      ...{ name, connection, world, troubles },
      vanish: () => {
        isGone = true
        connection.cut()
        engine.stop()
      },
      isGone: () => isGone,
    }
    all.push(server)
    return server
  }

  return {
    log,
    world,
    start,
    running,
    figures: () => {
      const each = all.map(({ connection }) => connection.figures())
      return { appends: each.reduce((sum, { appends }) => sum + appends, 0), conflicts: each.reduce((sum, { conflicts }) => sum + conflicts, 0) }
    },
    pass: async (ms) => {
      for (let passed = 0; passed < ms; passed += STEP_MS) {
        world.advance(Math.min(STEP_MS, ms - passed))
        await settle()
      }
    },
    close: async () => {
      for (const server of all) await server.engine.close()
    },
  }
}

/** Whoever gives out the tasks of a queue, as a server knows it; undefined: nobody, for the moment. */
export const leaderOf = async ({ running }: Servers, at: TestServer, queue = 'mail'): Promise<TestServer | undefined> => {
  const leading = await at.engine.leaderOf(queueLine({ app: 'shop', queue }))
  const leader = leading === 'here' ? at : running().find(({ name }) => name === leading?.server)
  // One that nobody leads yet is led by whoever is named, once it is asked.
  await leader?.engine.leaderOf(queueLine({ app: 'shop', queue }))
  return leader
}

/** Leases as a client does whose call is passed on to whoever leads. */
export const leaseFrom = async (servers: Servers, at: TestServer, how: Parameters<typeof lease>[1] = {}): ReturnType<typeof lease> => {
  const leader = await leaderOf(servers, at, how.queue)
  if (leader === undefined) throw new Error('Expected somebody to lead')
  await settle()
  return lease(leader, how)
}

/** Every server has taken in everything, and what each knows equals a replay; so they equal each other. */
export const expectEqualServers = async ({ log, running }: Servers): Promise<void> => {
  const { position } = right(await log.head()())
  for (const { engine } of running()) {
    const reached = engine.reached(position, 1_000, 'live')
    await settle()
    if ((await reached) !== 'reached') throw new Error('Expected the server to have taken in the whole log')
    await expectReplayEqual(engine, log)
  }
}
