// A whole Stint in the test's own process: HTTP server, engine and tables over the memory store, which outlives a restart here as a file would.
import { pino } from 'pino'
import { createServer, type ApiServer } from '../../src/api/server.ts'
import type { ApiSettings } from '../../src/api/settings.ts'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { openEngine } from '../../src/engine/open.ts'
import type { OpenedEngine } from '../../src/engine/engine-face.ts'
import { tablesInProcess } from '../../src/projections/open.ts'
import { memoryStore, type MemoryStore } from '../../src/store/memory.ts'
import { realWorld, type World } from '../../src/world.ts'
import { right } from './engine.ts'

export interface RealStint {
  readonly url: string
  readonly engine: () => OpenedEngine
  /** Ends the server with all its connections; what is in the log stays. */
  readonly stop: () => Promise<void>
  /** Begins again at the same address over the same log, or over an empty one. */
  readonly start: (log?: 'same' | 'empty') => Promise<void>
  readonly close: () => Promise<void>
}

interface Running {
  readonly server: ApiServer
  readonly engine: OpenedEngine
}

export const startRealStint = async ({ world = realWorld, settings = {} }: { readonly world?: World; readonly settings?: Partial<ApiSettings> } = {}): Promise<RealStint> => {
  let store: MemoryStore = memoryStore({ world })
  let running: Running | undefined
  let port = 0

  const start = async (log: 'same' | 'empty' = 'same'): Promise<void> => {
    if (log === 'empty') store = memoryStore({ world })
    const tables = await tablesInProcess({ file: ':memory:', reader: store, world })
    // The engine closes what it was given; the log itself stays for the next start.
    const kept = { ...store, close: () => Promise.resolve() } as MemoryStore
    const engine = right(await openEngine({ store: kept, tables, world, settings: { allowUrls: LOOPBACK_PATTERNS } }))
    const server = createServer({ engine, world, log: pino({ level: 'silent' }), settings })
    const address = await server.listen(port, '127.0.0.1')
    port = address.port
    running = { server, engine }
  }

  const stop = async (): Promise<void> => {
    if (running === undefined) return
    const { server, engine } = running
    running = undefined
    await server.close({ graceMs: 0 })
    engine.stop()
    await engine.close()
  }

  await start()
  return {
    url: `http://127.0.0.1:${port}`,
    engine: () => {
      if (running === undefined) throw new Error('Expected a running Stint')
      return running.engine
    },
    start,
    stop,
    close: stop,
  }
}
