// Stint servers as real processes over one EventStoreDB, or over its double in a process of its own: killed, left dead for a while, and started again at the same address.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { realWorld } from '../../src/world.ts'

const CLI = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
const DOUBLE = join(import.meta.dirname, 'kurrent-double', 'program.ts')
/** Lines kept of what a process has said, for whoever asks why it ended. */
const SAID_MAX = 40

export interface ClusterServer {
  readonly name: string
  /** The same over all its lives. */
  readonly url: () => string
  readonly pid: () => number
  readonly isUp: () => boolean
  /** With SIGKILL; resolves when it is gone. */
  readonly kill: () => Promise<void>
  /** Resolves when it takes requests, with the milliseconds that took. */
  readonly start: () => Promise<number>
  /** With SIGTERM; resolves when it has ended by itself. */
  readonly stop: () => Promise<void>
  /** The file of its tables. */
  readonly tablesFile: string
}

export interface Cluster {
  readonly connectionString: string
  readonly servers: readonly ClusterServer[]
  readonly up: () => readonly ClusterServer[]
  /** Adds a server that has not been there before, without starting it. */
  readonly add: (name: string) => ClusterServer
  readonly close: () => Promise<void>
}

export interface ClusterOptions {
  /** For the tables of each. */
  readonly directory: string
  readonly servers: number
  /** `esdb://…`; the double, unless it is given. */
  readonly store?: string | undefined
  /** Of `stint serve`, beside those that say where things are. */
  readonly flags?: readonly string[]
}

interface Told {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  readonly said: () => string
  /** The rest of the first line that begins with this word. */
  readonly after: (word: string) => Promise<string>
}

const running = new Set<ChildProcess>()
const killAll = (): void => {
  for (const child of running) child.kill('SIGKILL')
}

/** Whatever this process starts ends with it. */
const startProcess = (args: readonly string[]): Told => {
  if (running.size === 0) process.on('exit', killAll)
  // Without what would steer the command line.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STINT_')))
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], env })
  running.add(child)
  const ended = once(child, 'close').then(() => {
    running.delete(child)
    if (running.size === 0) process.off('exit', killAll)
  })
  const said: string[] = []
  const looks = new Set<(line: string) => void>()
  const hear = (line: string): void => {
    said.push(line)
    if (said.length > SAID_MAX) said.shift()
    for (const look of looks) look(line)
  }
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', hear)
  const after = (word: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (line: string): void => {
        if (!line.startsWith(`${word} `)) return
        looks.delete(look)
        resolve(line.slice(word.length + 1))
      }
      looks.add(look)
      for (const line of said) look(line)
      void ended.then(() => reject(new Error(`It ended without "${word}":\n${said.join('\n')}`)))
    })
  return { child, ended, said: () => said.join('\n'), after }
}

const serverOf = (name: string, directory: string, store: string, flags: readonly string[]): ClusterServer => {
  const data = join(directory, name)
  let url = ''
  let told: Told | undefined

  const start = async (): Promise<number> => {
    const began = realWorld.monotonic()
    const port = url === '' ? '0' : new URL(url).port
    const mine = startProcess([CLI, 'serve', '--port', port, '--data', data, '--config', data, '--store', store, '--server', name, '--log-level', 'error', ...flags])
    told = mine
    void mine.ended.then(() => {
      if (told === mine) told = undefined
    })
    url = await mine.after('listening')
    return realWorld.monotonic() - began
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const mine = told
    told = undefined
    mine?.child.kill(signal)
    await mine?.ended
    if (signal === 'SIGTERM' && mine !== undefined && mine.child.exitCode !== 0) throw new Error(`${name} did not end well:\n${mine.said()}`)
  }
  return {
    name,
    url: () => url,
    pid: () => told?.child.pid ?? 0,
    isUp: () => told !== undefined,
    kill: () => end('SIGKILL'),
    start,
    stop: () => end('SIGTERM'),
    tablesFile: join(data, 'tables.db'),
  }
}

/** Resolves when every server takes requests. */
export const openCluster = async ({ directory, servers: count, store, flags = [] }: ClusterOptions): Promise<Cluster> => {
  const double = store === undefined ? startProcess([DOUBLE]) : undefined
  const connectionString = store ?? (await double?.after('serving')) ?? ''
  const servers = Array.from({ length: count }, (_, index) => serverOf(`server-${index + 1}`, directory, connectionString, flags))
  await Promise.all(servers.map(({ start }) => start()))
  const up = (): readonly ClusterServer[] => servers.filter(({ isUp }) => isUp())
  return {
    connectionString,
    servers,
    up,
    add: (name) => {
      const server = serverOf(name, directory, connectionString, flags)
      servers.push(server)
      return server
    },
    close: async () => {
      await Promise.all(up().map(({ kill }) => kill()))
      double?.child.stdin?.end()
      await double?.ended
    },
  }
}
