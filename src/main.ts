// The composition root of the server: store, tables, engine and api put together from settings, and taken apart in order.
import * as E from 'fp-ts/lib/Either.js'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createServer } from './api/server.ts'
import type { ApiSettings } from './api/settings.ts'
import { LOOPBACK_PATTERNS, parseUrlPattern, type UrlPattern } from './domain/policy/url-pattern.ts'
import { SERVERS_STREAM } from './domain/server.ts'
import { openEngine } from './engine/open.ts'
import type { OpenedEngine } from './engine/engine-face.ts'
import { checkQueueFiles, followQueueFiles, type FollowedFiles } from './engine/queues/follow-files.ts'
import type { Retention } from './engine/sweeper.ts'
import type { Logger } from './log.ts'
import { openTables, tablesInProcess } from './projections/open.ts'
import type { Tables } from './projections/tables.ts'
import { IN_MEMORY, LOG_FILE, OFF, TABLES_FILE, type ServerConfig } from './settings.ts'
import { shownConnection } from './store/kurrent/connection-string.ts'
import { assertOwnLog, holdDirectory, newServerName, type HeldDirectory } from './store/kurrent/directory.ts'
import { openKurrentStore } from './store/kurrent/store.ts'
import { memoryStore } from './store/memory.ts'
import { sequenceOf } from './store/position.ts'
import type { EventStore, Position } from './store/port.ts'
import { openSqliteStore } from './store/sqlite/store.ts'
import type { World } from './world.ts'

/** Of this package. */
export const version = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }).version

export interface ServerOptions {
  readonly world: World
  readonly log: Logger
  /** Where the directory of apps with their queue files is looked for; none: no files, and every queue exists where no auth is configured. */
  readonly configDirectory?: string | undefined
  /** Told once when the log failed for good: reads go on, commands are refused until a restart (rules 9). */
  readonly onFatal?: (cause: Error) => void
}

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:7070`. */
  readonly url: string
  readonly engine: OpenedEngine
  /** The administrator's token that the first start with tokens made; it is shown here and nowhere else. */
  readonly firstToken?: string | undefined
  /** Answers what was taken, then lets go of port and files. Calling it again does nothing more. */
  readonly close: () => Promise<void>
}

interface Storage {
  readonly store: EventStore
  readonly tables: Tables
  /** The server's name, unless it is set. */
  readonly server: string
  readonly onFatal: (listener: (cause: Error) => void) => void
}

/** Of a server that has its log to itself. */
const ONLY_SERVER = 'stint'

const openInMemory = async (world: World, onLog: (text: string) => void): Promise<Storage> => {
  const store = memoryStore({ world })
  return { store, tables: await tablesInProcess({ file: IN_MEMORY, reader: store, world, onLog }), server: ONLY_SERVER, onFatal: () => undefined }
}

const openInFiles = async ({ data, allowAnyFileSystem }: ServerConfig, world: World, onLog: (text: string) => void): Promise<Storage> => {
  assertOwnLog(data, LOG_FILE)
  const store = await openSqliteStore({ directory: data, world, allowAnyFileSystem })
  try {
    return { store, tables: await openTables({ file: join(data, TABLES_FILE), storeFile: store.file, world, onLog }), server: ONLY_SERVER, onFatal: store.onFatal }
  } catch (cause) {
    await store.close()
    throw cause
  }
}

/** Each server says twice in 15 s that it is there: of a hundred servers these are the last twelve minutes. */
const SERVERS_KEPT = 10_000

/** A server that keeps nothing has a name that it has nowhere to keep. */
const holdNothing = (world: World): HeldDirectory => ({ name: newServerName(world), release: () => undefined })

const openOverServer = async ({ store: connectionString, data }: ServerConfig, { world, log }: ServerOptions, onLog: (text: string) => void): Promise<Storage> => {
  const held = data === IN_MEMORY ? holdNothing(world) : await holdDirectory({ directory: data, tables: TABLES_FILE, ownLog: LOG_FILE, world, onLog })
  try {
    const store = await openKurrentStore({ connectionString, world })
    log.info({ store: shownConnection(connectionString), version: store.serverVersion }, 'the log is in EventStoreDB')
    const kept = await store.keepLast(SERVERS_STREAM, SERVERS_KEPT)()
    if (E.isLeft(kept)) log.warn({ err: kept.left }, 'the events that say which servers are there will all be kept, which makes starts longer')
    const close = async (): Promise<void> => {
      await store.close()
      held.release()
    }
    try {
      const tables = await openTables({ file: data === IN_MEMORY ? IN_MEMORY : join(data, TABLES_FILE), connectionString, world, onLog })
      return { store: { ...store, close }, tables, server: held.name, onFatal: () => undefined }
    } catch (cause) {
      await store.close()
      throw cause
    }
  } catch (cause) {
    held.release()
    throw cause
  }
}

const openStorage = (config: ServerConfig, options: ServerOptions): Promise<Storage> => {
  const { world, log } = options
  const onLog = (text: string): void => log.info({ part: 'tables' }, text)
  if (config.store !== '') return openOverServer(config, options, onLog)
  return config.data === IN_MEMORY ? openInMemory(world, onLog) : openInFiles(config, world, onLog)
}

const PROGRESS_EVERY_MS = 1_000

/** Says how a long recovery goes: events a second, and how many remain where positions are numbers without gaps. */
const recoveryReport = async (store: EventStore, { world, log }: ServerOptions): Promise<(folded: number, position: Position) => void> => {
  const head = await store.head()()
  const startedAt = world.monotonic()
  let saidAt = startedAt
  const numberOf = (position: Position): number | undefined => {
    if (E.isLeft(head) || !store.capabilities.densePositions) return undefined
    const sequence = sequenceOf(position, head.right.incarnation)
    return E.isLeft(sequence) ? undefined : sequence.right
  }
  const goal = E.isLeft(head) ? undefined : numberOf(head.right.position)
  return (folded, position) => {
    const now = world.monotonic()
    if (now - saidAt < PROGRESS_EVERY_MS) return
    saidAt = now
    const at = numberOf(position)
    const remaining = goal === undefined || at === undefined ? undefined : goal - at
    const eventsPerSecond = Math.round((folded * 1_000) / (now - startedAt))
    const remainingSeconds = remaining === undefined ? undefined : Math.round(remaining / eventsPerSecond)
    log.info({ events: folded, eventsPerSecond, remaining, remainingSeconds }, 'reading the log')
  }
}

const apiSettings = (config: ServerConfig): Partial<ApiSettings> => {
  const { auth, hosts, bodyBytesMax, manyBytesMax, connectionsMax, eventClientsMax } = config
  const jwt = auth === 'jwt' || auth === 'tokens+jwt' ? { keysUrl: config.jwtKeysUrl, issuer: config.jwtIssuer, audience: config.jwtAudience } : undefined
  return {
    auth: { tokens: auth === 'tokens' || auth === 'tokens+jwt', ...(jwt === undefined ? {} : { jwt }) },
    hosts,
    bodyBytesMax,
    manyBytesMax,
    connectionsMax,
    eventClientsMax,
    version,
  }
}

/** A server that only this machine can reach may send to this machine without being told. */
const allowedPatterns = ({ allowUrls, auth }: ServerConfig): readonly UrlPattern[] => [
  ...allowUrls.flatMap((pattern) => {
    const parsed = parseUrlPattern(pattern)
    return E.isRight(parsed) ? [parsed.right] : []
  }),
  ...(auth === 'none' ? LOOPBACK_PATTERNS : []),
]

/** A server whose tokens nobody has yet would let nobody in: the first start makes one for an administrator. */
const makeFirstToken = async ({ tokens }: OpenedEngine, { auth }: ServerConfig, world: World): Promise<string | undefined> => {
  if ((auth !== 'tokens' && auth !== 'tokens+jwt') || tokens.size() > 0) return undefined
  const added = await tokens.add({ name: 'first', email: 'admin@localhost', roles: ['admin'] }, { subject: 'stint', actor: 'stint', commandId: world.uuid() })
  if (E.isLeft(added)) throw added.left instanceof Error ? added.left : new Error('The first token could not be made')
  return added.right.token
}

const DAY_MS = 86_400_000

const retentionOf = ({ retentionDays, releasedKeptDays }: ServerConfig): Retention => ({
  ...(retentionDays === OFF ? {} : { settledMs: retentionDays * DAY_MS }),
  ...(releasedKeptDays === OFF ? {} : { releasedMs: releasedKeptDays * DAY_MS }),
})

const nameOf = (config: ServerConfig, storage: Storage): string => (config.server === '' ? storage.server : config.server)

const openEngineOver = async (storage: Storage, config: ServerConfig, options: ServerOptions, hasApps: boolean): Promise<OpenedEngine> => {
  const { store, tables, onFatal } = storage
  const { world, log } = options
  const opened = await openEngine({
    store,
    tables,
    world,
    // Without auth and without files somebody is trying it out: every queue exists.
    settings: {
      server: nameOf(config, storage),
      maxLiveItems: config.maxLiveItems,
      openQueues: config.auth === 'none' && !hasApps,
      openContracts: config.auth === 'none',
      allowUrls: allowedPatterns(config),
      userAgent: `Stint/${version}`,
      retention: retentionOf(config),
    },
    secretOf: (name) => process.env[name],
    onTrouble: (what, cause) => log.error({ err: cause }, what),
    onRecovering: await recoveryReport(store, options),
  })
  if (E.isLeft(opened)) {
    await tables.close()
    await store.close()
    throw opened.left
  }
  const engine = opened.right
  onFatal((cause) => {
    log.fatal({ err: cause }, 'the log cannot be written any more; what was in flight may or may not be stored, a restart tells')
    engine.failed(cause)
    options.onFatal?.(cause)
  })
  return engine
}

const urlOf = (address: string, port: number): string => `http://${address.includes(':') ? `[${address}]` : address}:${port}`

/** Listens on every address of the machine, and is none that it can be reached at from elsewhere. */
const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Where the other servers over the same log reach this one, unless it is told. */
export const reachedAt = (address: string, port: number): string => urlOf(EVERYWHERE.has(address) ? hostname() : address, port)

const NO_FILES: FollowedFiles = { close: async () => undefined }

/** Starts a server and resolves when it takes requests. Rejects with QueueFilesError, StoreOpenError, StoreFault or an error of the port; nothing is left open then. */
export const startServer = async (config: ServerConfig, options: ServerOptions): Promise<RunningServer> => {
  const { world, log, configDirectory } = options
  const startedAt = world.monotonic()
  const { hasApps } = configDirectory === undefined ? { hasApps: false } : await checkQueueFiles(configDirectory)
  const storage = await openStorage(config, options)
  const engine = await openEngineOver(storage, config, options, hasApps)
  let files = NO_FILES
  const server = createServer({ engine, world, log, settings: apiSettings(config) })
  try {
    if (configDirectory !== undefined)
      files = await followQueueFiles({ directory: configDirectory, hasApps, queues: engine.queues, world, onNews: (level, text) => log[level]({ part: 'queue files' }, text) })
    const firstToken = await makeFirstToken(engine, config, world)
    const { address, port } = await server.listen(config.port, config.host)
    const url = urlOf(address, port)
    const advertised = config.advertise === '' ? reachedAt(address, port) : config.advertise
    const announced = await engine.announce(advertised)
    if (E.isLeft(announced)) throw announced.left
    const { kept, folded } = engine.recovered
    if (engine.isShared) log.info({ server: nameOf(config, storage), url: advertised }, 'one of the servers over this log')
    log.info({ url, version, data: config.data, auth: config.auth, keptItems: kept, foldedEvents: folded, startMs: Math.round(world.monotonic() - startedAt) }, 'listening')
    let closed: Promise<void> | undefined
    const close = async (): Promise<void> => {
      log.info('stopping: what was taken is answered, nothing new is taken')
      await server.close({ graceMs: config.shutdownSeconds * 1_000 })
      await files.close()
      await engine.close()
      log.info('stopped')
    }
    return { url, engine, firstToken, close: () => (closed ??= close()) }
  } catch (cause) {
    await files.close()
    await engine.close()
    throw cause
  }
}
