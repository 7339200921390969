// The store over an EventStoreDB or KurrentDB: the port on one connection, shared by all Stint servers of the cluster.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { realWorld, type World } from '../../world.ts'
import { IN_FLIGHT_LIMITS, assertAppendable, assertPrunable, encodedBytes, type InFlightLimits } from '../append-check.ts'
import { StoreFault, type EventStore } from '../port.ts'
import { StoreOpenError } from '../sqlite/open-error.ts'
import { AppendSender } from './append-call.ts'
import { Appender } from './appender.ts'
import { loadClient } from './client.ts'
import { adviceFor, assertConnectionString, shownConnection } from './connection-string.ts'
import { connectionTo, type Connection } from './connection.ts'
import { kindOfFailure, saidBy } from './failures.ts'
import { follow } from './follow.ts'
import { readOrMakeIdentity, type Identity } from './identity.ts'
import { lastOf, logReader, sightingOf } from './log-reader.ts'
import { wireReader, type WireReader } from './wire-reader.ts'
import { Patience } from './patience.ts'
import { watchReach } from './reach.ts'
import { STINT_PREFIXES, commitOf, streamNames, type Prefixes } from './streams.ts'
import { TAIL_LIMITS, Tail, type TailLimits } from './tail.ts'
import { erasures } from './erasures.ts'
import { keepingLast, streamMetadata, truncation } from './truncation.ts'

export interface KurrentOptions {
  /** `esdb://user:password@host:2113?tls=true`, or several hosts, or `esdb+discover://name`; the settings are the client's. */
  readonly connectionString: string
  readonly world?: World
  /** 1,000,000: below the 1 MiB that a server takes unless it is set otherwise (`MaxAppendSize`). A 20th more must fit there, for what goes with each event. */
  readonly maxAppendBytes?: number
  /** 10,000 appends, 64 MiB. */
  readonly inFlight?: InFlightLimits
  /** Beginnings of the names of streams that are read and appended to: those of Stint. */
  readonly prefixes?: Prefixes
  /** How long an append may take before its outcome is looked for: 5,000 ms. */
  readonly appendDeadlineMs?: number
  /** How long trouble is sat out before a caller is told: 10,000 ms. */
  readonly patienceMs?: number
  readonly tail?: TailLimits
}

export interface KurrentStore extends EventStore {
  /** What the server says it is: `23.10.6.0`. */
  readonly serverVersion: string
  /**
   * Takes everything before a revision out of the reach of streams, for good ($tb); it must not be the last. $all shows it, and the disk keeps it, until
   * the server is scavenged. Repeating it does nothing, and it never brings back what an earlier one took. Answers how many events it has taken.
   */
  readonly truncate: (stream: string, before: number) => TE.TaskEither<StoreFault, number>
  /** Of a stream only so many events stay in the reach of its readers ($maxCount), unless that was set before. $all shows the others until the server is scavenged. */
  readonly keepLast: (stream: string, count: number) => TE.TaskEither<StoreFault, void>
}

const MAX_APPEND_BYTES = 1_000_000
/** What the server may count beyond what the port counts: 1 MiB less the limit above. */
const OVERHEAD_BYTES = 48_576
const APPEND_DEADLINE_MS = 5_000
const PATIENCE_MS = 10_000

/** The first server that says when a subscription has caught up. */
const OLDEST = { major: 23, minor: 10 }

const assertVersion = (version: string): void => {
  const [major, minor] = version.split('.').map(Number)
  if (major === undefined || minor === undefined || Number.isNaN(major) || Number.isNaN(minor)) return
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return
  throw new StoreOpenError('not-a-store', `The server is EventStoreDB ${version}; Stint needs ${OLDEST.major}.${OLDEST.minor} or later`)
}

const openConnection = async (connectionString: string, world: World): Promise<Connection> => {
  assertConnectionString(connectionString)
  const library = await loadClient()
  try {
    return connectionTo(connectionString, library, world)
  } catch (cause) {
    throw new StoreOpenError('settings', `${shownConnection(connectionString)} cannot be used: ${saidBy(cause)}`, { cause })
  }
}

interface Parts {
  readonly connection: Connection
  readonly wire: WireReader
  readonly sender: AppendSender
  readonly patience: Patience
}

/** Asks the server who it is and the log whose it is, for as long as trouble is sat out. */
const introduce = async (
  { connection, wire, sender, patience }: Parts,
  world: World,
  connectionString: string,
): Promise<{ readonly version: string; readonly identity: Identity }> => {
  const trying = patience.begin()
  for (;;) {
    try {
      const version = await connection.version()
      assertVersion(version)
      const identity = await readOrMakeIdentity(connection, wire, sender, world)
      patience.worked()
      return { version, identity }
    } catch (cause) {
      if (cause instanceof StoreOpenError) throw cause
      const kind = kindOfFailure(cause)
      if (kind === 'denied')
        throw new StoreOpenError('settings', `EventStoreDB at ${shownConnection(connectionString)} denies access; check the user and its rights in the connection string`, {
          cause,
        })
      if (!('code' in (cause as object)) && kind !== 'unsent') throw new StoreOpenError('not-a-store', saidBy(cause), { cause })
      if (!(await trying.again())) {
        const [shown, words] = [shownConnection(connectionString), saidBy(cause)]
        throw new StoreOpenError('io', `EventStoreDB at ${shown} does not answer (${words}); ${adviceFor(connectionString, words)}`, { cause })
      }
    }
  }
}

/** Opens the log of a server, makes it if there is none. Rejects with StoreOpenError, whose message says what to do. */
export const openKurrentStore = async (options: KurrentOptions): Promise<KurrentStore> => {
  const { connectionString, world = realWorld, maxAppendBytes = MAX_APPEND_BYTES, prefixes = STINT_PREFIXES } = options
  const connection = await openConnection(connectionString, world)
  const wire = wireReader(connection)
  const sender = new AppendSender(connection, world, options.appendDeadlineMs ?? APPEND_DEADLINE_MS)
  const ending = new AbortController()
  const { patienceMs = PATIENCE_MS } = options
  const patience = new Patience(world, patienceMs, ending.signal)
  const parts = { connection, wire, sender, patience }
  const { version, identity } = await introduce(parts, world, connectionString).catch(async (cause: unknown) => {
    sender.close()
    await connection.close()
    throw cause
  })
  const { incarnation, origin } = identity
  const names = streamNames(prefixes)
  let acknowledged = origin
  const reach = watchReach({ connection, world, identity, patience, patienceMs })
  sender.askFirst(reach)
  patience.noneWhile(() => reach.refusal() !== undefined)
  const reader = logReader({ ...parts, names, identity, reach, isClosed: () => ending.signal.aborted })
  const appender = new Appender({
    ...{ sender, patience, world, incarnation, maxAppendBytes },
    lookFor: (append) => sightingOf(connection, wire, append),
    lastOf: (stream) => lastOf(connection, wire, stream),
    limits: options.inFlight ?? IN_FLIGHT_LIMITS,
    serverBytesMax: maxAppendBytes + OVERHEAD_BYTES,
    reach,
    onAppended: (event, dated) => {
      reach.holds(event, dated)
      if (event.commit > acknowledged) acknowledged = event.commit
      tail.expects(event.commit)
    },
  })
  const tail = new Tail({
    ...{ connection, world, names, incarnation, reach, limits: options.tail ?? TAIL_LIMITS },
    end: async () => {
      const head = await reader.head()()
      if (E.isLeft(head)) throw head.left
      return commitOf(head.right.position)
    },
  })
  const isClosed = (): boolean => ending.signal.aborted
  const metadata = streamMetadata({ ...parts, world, isClosed })
  const truncate = truncation(metadata)
  const unable = (what: string) => (): Promise<E.Either<StoreFault, never>> =>
    Promise.resolve(E.left(new StoreFault('unavailable', ending.signal.aborted ? 'The store is closed' : `EventStoreDB cannot ${what}`)))
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    await appender.stop()
    ending.abort()
    reach.close()
    await tail.close()
    sender.close()
    await connection.close()
  }

  return {
    serverVersion: version,
    reach,
    capabilities: { densePositions: false, globalChain: false, erase: false, prune: false, truncate: true, durable: true, shared: true, maxAppendBytes },
    readStream: reader.readStream,
    readFirst: reader.readFirst,
    readAll: reader.readAll,
    head: reader.head,
    append: (stream, expected, events) => {
      assertAppendable(stream, expected, events)
      // It would be stored and never be seen again.
      if (!names.isOurs(stream)) throw new RangeError(`No stream of this store: ${stream}`)
      return () => appender.append(stream, expected, events, encodedBytes(stream, events))
    },
    subscribe: (from) => follow({ reader, tail, world, incarnation, acknowledged: () => acknowledged }, from),
    erase: (stream, expected, tombstone) => {
      assertAppendable(stream, expected, tombstone)
      return unable('take the data of an event and keep the event')
    },
    prune: (asked) => {
      assertPrunable(asked)
      return unable('delete single events')
    },
    truncateErased: erasures({ connection, names, incarnation, reader, reach, metadata, truncate, isClosed }),
    truncate,
    keepLast: keepingLast(metadata),
    close: () => (closing ??= close()),
  }
}
