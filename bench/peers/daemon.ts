// Servers of others as processes of the bench: on free ports of loopback, with their output in a file, and ended by their process id, however the bench ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pause } from '../loads.ts'

export const LOOPBACK = '127.0.0.1'
const LOOK_EVERY_MS = 20
const LISTENS_WITHIN_MS = 30_000
const ENDS_WITHIN_MS = 20_000
/** Characters of a server's output that are told when it did not start. */
const TOLD = 2_000

/** So many ports that nobody listens on. */
export const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      server.listen(0, LOOPBACK)
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, LOOPBACK, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

export interface Daemon {
  readonly pid: number
  /** Resolves once the server listens on this port too. */
  readonly listensOn: (port: number) => Promise<void>
  readonly stop: () => Promise<void>
}

export interface DaemonOptions {
  /** Where its output goes, and where it runs. */
  readonly directory: string
  readonly log: string
  readonly port: number
  /** What it is asked to end with; killed if it does not. */
  readonly signal: NodeJS.Signals
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  readonly env?: NodeJS.ProcessEnv
}

/** Starts a program and resolves when it listens on its port. */
export const startDaemon = async (program: string, args: readonly string[], { directory, log, port, signal, user, env }: DaemonOptions): Promise<Daemon> => {
  const file = join(directory, log)
  const output = openSync(file, 'a')
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', output, output], ...user, ...(env === undefined ? {} : { env: { ...process.env, ...env } }) })
  closeSync(output)
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  let hasEnded = false
  const ended = Promise.race([once(child, 'exit'), once(child, 'error')]).then(() => {
    hasEnded = true
    process.off('exit', kill)
  })
  const stop = async (): Promise<void> => {
    child.kill(signal)
    const late = setTimeout(kill, ENDS_WITHIN_MS)
    await ended
    clearTimeout(late)
  }
  const listensOn = async (one: number): Promise<void> => {
    for (const until = performance.now() + LISTENS_WITHIN_MS; !(await isOpen(one)); await pause(LOOK_EVERY_MS)) {
      if (!hasEnded && performance.now() < until) continue
      if (!hasEnded) await stop()
      throw new Error(`${program} does not listen on ${one}:\n${readFileSync(file, 'utf8').slice(-TOLD)}`)
    }
  }
  await listensOn(port)
  return { pid: child.pid ?? 0, listensOn, stop }
}
