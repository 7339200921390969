// PostgreSQL as a process of the bench, with its defaults, which are durable: fsync and synchronous_commit are on. It refuses to run as root, so then it runs as the user that Debian makes for it, or as nobody.
import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Served } from './adapter.ts'
import { freePorts, LOOPBACK, startDaemon } from './daemon.ts'
import { programOf, versionSaid } from './installation.ts'

type User = { readonly uid: number; readonly gid: number }

const idOf = (flag: string, name: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))

/** Undefined: as whoever runs the bench. */
const userForPostgres = (): User | undefined => {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: idOf('-u', name), gid: idOf('-g', name) }
    } catch {
      // There is no such user.
    }
  }
  throw new Error('Postgres does not run as root, and there is neither a user postgres nor nobody')
}

export const POSTGRES_SETTINGS = 'fsync=on, synchronous_commit=on (defaults of Postgres)'

export const postgresVersion = (): string => `PostgreSQL ${versionSaid('postgres', 'postgres')}`

/** Makes a cluster in this directory and starts it on a free port; any user of this machine may connect. */
export const servePostgres = async (directory: string): Promise<Served> => {
  const user = userForPostgres()
  const data = join(directory, 'postgres')
  mkdirSync(data)
  if (user !== undefined) chownSync(data, user.uid, user.gid)
  execFileSync(programOf('postgres', 'initdb'), ['-D', data, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], { cwd: data, stdio: 'ignore', ...user })
  const [port = 0] = await freePorts(1)
  const daemon = await startDaemon(
    programOf('postgres', 'postgres'),
    ['-D', data, '-p', String(port), '-c', `listen_addresses=${LOOPBACK}`, '-c', 'unix_socket_directories='],
    // Its output lies beside its data, which must be its own.
    { directory: data, log: 'bench.log', port, signal: 'SIGQUIT', user },
  )
  return { address: { url: `postgres://bench@${LOOPBACK}:${port}/postgres` }, pids: [daemon.pid], stop: daemon.stop }
}

/** What is used of the package pg. */
export interface PgPool {
  readonly query: (text: string) => Promise<{ readonly rows: readonly { readonly count: string }[] }>
  readonly connect: () => Promise<PgClient>
  readonly on: (event: 'error' | 'connect', listener: (cause: Error & PgClient) => void) => void
}

export interface PgClient {
  readonly on: (event: 'error', listener: (cause: Error) => void) => void
  readonly query: (text: string) => Promise<unknown>
  readonly release: () => void
}

export interface Pg {
  readonly Pool: new (options: { readonly connectionString: string; readonly max: number }) => PgPool
}
