// The embedded store: one SQLite file, written and read in the caller's thread. Everything that makes it durable is checked when it is opened.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import { lstat, mkdir, realpath } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { realWorld, type World } from '../../world.ts'
import { IN_FLIGHT_LIMITS, MAX_APPEND_BYTES, assertAppendable, assertPrunable, encodedBytes, pruneRange, tooLarge, type InFlightLimits } from '../append-check.ts'
import type { ChainReader } from '../chain.ts'
import { StoreFault, type AppendTooLarge, type EventStore, type EventToAppend, type Head } from '../port.ts'
import { newIncarnation, positionAt } from '../position.ts'
import { commits, follow, type Commits } from '../subscription.ts'
import { backupLog, syncToDisk } from './backup.ts'
import { assertLocalFileSystem } from './checks.ts'
import { checkpointThread, type CheckpointThread } from './checkpoint-thread.ts'
import { describeError } from './errors.ts'
import { GroupCommit, type Log } from './group-commit.ts'
import { lockFor, type EngineLock } from './lock.ts'
import { openSqliteReader, type SqliteReader } from './log-reader.ts'
import { openLogWriter, type LogWriter, type LogWriterSettings } from './log-writer.ts'
import { StoreOpenError } from './open-error.ts'
import { roomOf } from './room.ts'
import { syncOf, type Disk, type Sync } from './sync.ts'

export interface SqliteOptions {
  /** Where the data lives; the log is `stint.db` in it. Made if it does not exist. */
  readonly directory?: string
  /** The log itself, in place of `directory`. */
  readonly file?: string
  readonly world?: World
  /** Skip the refusal of network and shared file systems. */
  readonly allowAnyFileSystem?: boolean
  /** 32 MiB. */
  readonly maxAppendBytes?: number
  /** 10,000 appends, 64 MiB. */
  readonly inFlight?: InFlightLimits
  /** Bytes to which the file may grow; beyond, appends are `unavailable` as on a full disk. No limit. */
  readonly maxFileBytes?: number
  /** Pages of 4 KiB in the write-ahead log from which on it is copied into the file: 4,096. */
  readonly checkpointPages?: number
  /** Events that the index of streams is behind, at most, until it is taken on: 16,384. */
  readonly indexEvery?: number
  /** How the write-ahead log is synced. */
  readonly disk?: Disk
}

export interface SqliteStore extends EventStore, ChainReader {
  /** The log. */
  readonly file: string
  /**
   * Told once, with the cause, when a commit failed in a way that leaves its outcome unknown: from then on appends are `unavailable` and reads go on
   * (rules 9). The host decides whether to end the process. A listener that comes later is told at once.
   */
  readonly onFatal: (listener: (cause: Error) => void) => void
  /** A consistent copy of the log as of now or later; answers where it ends. Refuses a target that exists. */
  readonly backup: (target: string) => TE.TaskEither<StoreFault, Head>
}

const CHECKPOINT_PAGES = 4_096

const fileOf = ({ directory, file }: SqliteOptions): string => {
  if (file !== undefined) return resolve(file)
  if (directory !== undefined) return resolve(join(directory, 'stint.db'))
  throw new RangeError('A store needs a directory or a file')
}

/** Where a link leads, as SQLite does: what belongs to the log lies beside it there. */
const realFile = async (file: string): Promise<string> => {
  const found = await lstat(file).catch(() => undefined)
  return found?.isSymbolicLink() === true ? realpath(file) : file
}

/** Listeners for something that happens at most once. */
const once = () => {
  let cause: Error | undefined
  let listeners: ((cause: Error) => void)[] = []
  return {
    happened: (reason: Error): void => {
      cause = reason
      const told = listeners
      listeners = []
      for (const listener of told) listener(reason)
    },
    tell: (listener: (cause: Error) => void): void => {
      if (cause === undefined) listeners.push(listener)
      else listener(cause)
    },
  }
}

/** Makes the directory, and makes sure that its name outlives the machine. */
const makeDirectory = async (directory: string): Promise<void> => {
  const made = await mkdir(directory, { recursive: true })
  if (made === undefined) return
  for (let at = directory; at.length >= made.length; at = dirname(at)) await syncToDisk(dirname(at))
}

interface Parts {
  readonly lock: EngineLock
  readonly checkpoints: CheckpointThread
  readonly writer: LogWriter
  readonly sync: Sync
  readonly reader: SqliteReader
  /** Tells the reader that all that is written is durable. */
  readonly allDurable: () => void
}

/** Opens what a store is made of, and lets go of all of it if any part fails. */
const openParts = async (file: string, options: SqliteOptions, world: World): Promise<Parts> => {
  const directory = dirname(file)
  await makeDirectory(directory)
  if (options.allowAnyFileSystem !== true) await assertLocalFileSystem(directory)
  const lock = lockFor(file, world)
  const opened: { readonly close: () => unknown }[] = [{ close: lock.release }]
  try {
    const checkpoints = checkpointThread(file)
    const writer = openWriter({
      file,
      identity: { storeId: world.uuid(), incarnation: newIncarnation(world), createdAt: world.now() },
      checkpointPages: options.checkpointPages ?? CHECKPOINT_PAGES,
      checkpoints,
      ...(options.maxFileBytes === undefined ? {} : { maxFileBytes: options.maxFileBytes }),
      ...(options.indexEvery === undefined ? {} : { indexEvery: options.indexEvery }),
    })
    opened.push(writer)
    const sync = syncOf(`${file}-wal`, world, options.disk)
    opened.push(sync)
    await syncToDisk(directory)
    // What an earlier process left behind may not have been synced.
    await sync.run()
    let durable = writer.last()
    const reader = openSqliteReader(file, { shownTo: () => durable, index: writer.index })
    const allDurable = (): void => {
      durable = writer.last()
    }
    return { lock, checkpoints, writer, sync, reader, allDurable }
  } catch (error) {
    for (const part of opened.toReversed()) await part.close()
    throw error
  }
}

/** What SQLite says of a file that cannot be opened, as every other reason why not. */
const openWriter = (settings: LogWriterSettings): LogWriter => {
  try {
    return openLogWriter(settings)
  } catch (error) {
    throw error instanceof StoreOpenError ? error : new StoreOpenError('io', describeError(error), { cause: error })
  }
}

/** The reader leaves first: whoever is last to let go of the file tidies it up, and only the writer can. */
const closeParts = async (parts: Parts, group: GroupCommit, news: Commits): Promise<void> => {
  await group.stop()
  news.end()
  parts.reader.close()
  await parts.checkpoints.close()
  await parts.sync.close()
  parts.writer.close(!group.failed)
  parts.lock.release()
}

/** Opens the log of a directory, makes it if there is none. Rejects with StoreOpenError, whose message says what to do. */
export const openSqliteStore = async (options: SqliteOptions): Promise<SqliteStore> => {
  const file = await realFile(fileOf(options))
  const { world = realWorld, maxAppendBytes = MAX_APPEND_BYTES } = options
  const parts = await openParts(file, options, world)
  const { reader, writer, sync, allDurable } = parts
  const { incarnation } = writer.identity
  const news = commits()
  const fatal = once()
  const room = roomOf(dirname(file), world, writer.fits)
  const write: Log['write'] = (operations) => {
    const outcome = writer.write(operations)
    if (outcome.kind === 'refused') room.lacked(outcome.message)
    else if (outcome.kind === 'written') room.sufficed()
    return outcome
  }
  const log: Log = { incarnation, write, sync: sync.run, tidy: writer.tidy }
  const committed = (): void => {
    allDurable()
    news.announce()
  }
  const group = new GroupCommit(log, options.inFlight ?? IN_FLIGHT_LIMITS, world, { commit: committed, fatal: fatal.happened })
  let closed: Promise<void> | undefined

  const whenItFits = <Failure, Answer>(
    stream: string,
    events: readonly EventToAppend[],
    ask: (bytes: number) => Promise<E.Either<Failure, Answer>>,
  ): Promise<E.Either<Failure | AppendTooLarge, Answer>> => {
    const bytes = encodedBytes(stream, events)
    return bytes > maxAppendBytes ? Promise.resolve(E.left(tooLarge(maxAppendBytes))) : ask(bytes)
  }

  return {
    file,
    capabilities: { densePositions: true, globalChain: true, erase: true, prune: true, truncate: false, durable: true, shared: false, maxAppendBytes },
    reach: room.reach,
    readStream: reader.readStream,
    readFirst: reader.readFirst,
    readAll: reader.readAll,
    readChain: reader.readChain,
    readGaps: reader.readGaps,
    head: reader.head,
    append: (stream, expected, events) => {
      assertAppendable(stream, expected, events)
      return () => whenItFits(stream, events, (bytes) => group.append(stream, expected, events, bytes))
    },
    subscribe: (from) => follow(reader, news, positionAt(incarnation, 0), from),
    erase: (stream, expected, tombstone) => {
      assertAppendable(stream, expected, tombstone)
      return () => whenItFits(stream, tombstone, (bytes) => group.erase(stream, expected, tombstone, bytes))
    },
    truncateErased: () => async () => E.left(new StoreFault('unavailable', 'This store erases in place; there is nothing to truncate')),
    prune: (asked) => {
      assertPrunable(asked)
      return async () => {
        const range = pruneRange(asked, incarnation)
        return E.isLeft(range) ? range : group.prune(range.right)
      }
    },
    onFatal: fatal.tell,
    backup: (target) => backupLog(file, resolve(target), world),
    close: () => {
      room.close()
      return (closed ??= closeParts(parts, group, news))
    },
  }
}
