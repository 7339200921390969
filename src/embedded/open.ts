// The engine in a user's own process, over a directory of its own and without HTTP.
import * as E from 'fp-ts/lib/Either.js'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openEngine } from '../engine/open.ts'
import type { OpenedEngine } from '../engine/engine-face.ts'
import type { Retention } from '../engine/sweeper.ts'
import { openTables } from '../projections/open.ts'
import { TABLES_FILE } from '../settings.ts'
import { openSqliteStore } from '../store/sqlite/store.ts'
import { realWorld, type World } from '../world.ts'
import { configOf, type ContractSettings } from './contract-settings.ts'
import type { ContractStore } from './contract-store.ts'
import { EMBEDDED, engineContract } from './engine-contract.ts'

export interface OpenOptions {
  /** Directory of the log, made if it is not there. One process at a time has it; several share a server. */
  readonly data: string
  /** The log can be written no more: reads go on, everything else is refused until the process starts anew. Default: a process warning. */
  readonly onFatal?: (cause: Error) => void
  /** What goes wrong while nobody is waiting for it. Default: a process warning. */
  readonly onTrouble?: (what: string, cause: unknown) => void
  /** Also where locks and syncs cannot be relied upon, as on network file systems. */
  readonly allowAnyFileSystem?: boolean
  /** How long settled work items are kept; for ever unless said. */
  readonly retention?: Retention
  readonly world?: World
}

export interface Embedded extends AsyncDisposable {
  readonly engine: OpenedEngine
  /** A contract of this engine, for `exactlyOnce({ store, … })`. Setting up anew what is in force already records nothing. */
  readonly contract: (settings: ContractSettings) => Promise<ContractStore>
  /** Refuses what comes, waits for what is being stored, and lets go of the files. Close the HTTP server first. Calling it again does nothing more. */
  readonly close: () => Promise<void>
}

const warn = (what: string, cause: unknown): void => process.emitWarning(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { type: 'StintWarning' })

/** Opens the engine on a directory. Rejects when another process has it, or when its log cannot be read. */
export const open = async ({ data, allowAnyFileSystem = false, retention = {}, world = realWorld, onTrouble = warn, ...options }: OpenOptions): Promise<Embedded> => {
  mkdirSync(data, { recursive: true })
  const store = await openSqliteStore({ directory: data, world, allowAnyFileSystem })
  const opened = await openTables({ file: join(data, TABLES_FILE), storeFile: store.file, world, onLog: () => undefined }).then(
    async (tables) => {
      const engine = await openEngine({ store, tables, world, settings: { server: EMBEDDED, retention }, onTrouble, endLeasesOf: EMBEDDED })
      if (E.isLeft(engine)) await tables.close()
      return engine
    },
    async (cause: unknown) => {
      await store.close()
      throw cause
    },
  )
  if (E.isLeft(opened)) {
    await store.close()
    throw opened.left
  }
  const engine = opened.right
  store.onFatal((cause) => {
    engine.failed(cause)
    if (options.onFatal === undefined) onTrouble('The log cannot be written any more; start the process anew', cause)
    else options.onFatal(cause)
  })
  const contracts = new Set<ContractStore>()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    for (const contract of contracts) await contract.close()
    await engine.close()
  }
  return {
    engine,
    contract: async (settings) => {
      const config = configOf(settings)
      const done = await engine.contracts.configure(settings.contract, config, { subject: EMBEDDED, actor: EMBEDDED, commandId: world.uuid() })
      if (E.isLeft(done)) throw new Error(`The contract ${settings.contract} could not be set up.`, { cause: done.left })
      const contract = engineContract({ engine, world, contract: settings.contract, config })
      contracts.add(contract)
      return contract
    },
    close: () => (closed ??= close()),
    [Symbol.asyncDispose]: () => (closed ??= close()),
  }
}
