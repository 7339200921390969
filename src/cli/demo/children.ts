// The demo's child processes: started, listened to, killed, and none of them left behind, however the demo ends.
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pause, type World } from '../../world.ts'

/** Time that a child gets to end by itself. */
const GRACE_MS = 3_000
/** Lines of a child that are kept for the case that it fails. */
const LINES_KEPT = 20

export interface Child {
  readonly name: string
  readonly pid: number
  /** Resolves with the first line, said before or to come, of which `read` makes something; rejects when the child ends before. */
  readonly until: <Found>(read: (line: string) => Found | undefined) => Promise<Found>
  /** Calls for every line on stdout, said before or to come. */
  readonly hear: (listener: (line: string) => void) => void
  /** Lets it stand still, or go on. */
  readonly suspend: () => void
  readonly resume: () => void
  /** Sends a signal; resolves when the child has ended. Does nothing when it has ended already. */
  readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
  readonly hasEnded: () => boolean
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
  /** What it said last, on stdout and stderr. */
  readonly lastLines: () => readonly string[]
}

export interface Nursery {
  /** Starts a program with arguments on this Node; `env` is added to the environment. */
  readonly start: (name: string, program: string, args: readonly string[], env?: Readonly<Record<string, string>>) => Child
  /** Ends all children: politely, then by force. */
  readonly endAll: () => Promise<void>
  /** Those that run. */
  readonly living: () => readonly Child[]
  /** By force and at once, where there is no time to wait: when the process exits. */
  readonly killAll: () => void
}

/** Sources run as they are; the published package has only what was compiled. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** A file of the demo beside this one, compiled or not. */
export const programOf = (name: string): string => fileURLToPath(new URL(`./${name}${EXTENSION}`, import.meta.url))

const LEASH = new URL(`./leash${EXTENSION}`, import.meta.url).href

const lines = (process: ChildProcess) => {
  const said: string[] = []
  const recent: string[] = []
  const readers = new Set<(line: string) => void>()
  for (const stream of [process.stdout, process.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', (line) => {
      recent.push(line)
      if (recent.length > LINES_KEPT) recent.shift()
      if (stream !== process.stdout) return
      said.push(line)
      for (const reader of readers) reader(line)
    })
  }
  return { said, recent, readers }
}

const watch = (name: string, process: ChildProcess): Child => {
  const { said, recent, readers } = lines(process)
  let hasEnded = false
  let isSuspended = false
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    process.once('error', reject)
    process.once('close', (code, signal) => resolve(signal ?? code ?? 0))
  }).finally(() => {
    hasEnded = true
  })
  ended.catch(() => undefined)

  const until: Child['until'] = (read) =>
    new Promise((resolve, reject) => {
      const look = (line: string): boolean => {
        const found = read(line)
        if (found === undefined) return false
        readers.delete(look)
        resolve(found)
        return true
      }
      if (said.some(look)) return
      readers.add(look)
      const gone = (how: unknown): void => reject(new Error(`${name} ended (${String(how)}) too early.\n${recent.join('\n')}`))
      ended.then(gone, gone)
    })

  return {
    name,
    pid: process.pid ?? 0,
    until,
    hear: (listener) => {
      for (const line of said) listener(line)
      readers.add(listener)
    },
    suspend: () => {
      isSuspended = process.kill('SIGSTOP')
    },
    resume: () => {
      if (isSuspended) process.kill('SIGCONT')
      isSuspended = false
    },
    end: async (signal) => {
      if (!hasEnded) process.kill(signal)
      await ended.catch(() => undefined)
    },
    hasEnded: () => hasEnded,
    ended,
    lastLines: () => recent,
  }
}

export const createNursery = (world: World): Nursery => {
  const children = new Set<Child>()

  const endPolitely = async (child: Child): Promise<void> => {
    const enough = new AbortController()
    const force = pause(world, GRACE_MS, enough.signal).then(() => (enough.signal.aborted ? undefined : child.end('SIGKILL')))
    // One that stands still would hear of it only then.
    child.resume()
    await child.end('SIGTERM')
    enough.abort()
    await force
  }

  return {
    start: (name, program, args, env = {}) => {
      // A process group of its own: Ctrl-C in the terminal reaches the demo only, which then ends its children in order.
      const child = watch(
        name,
        spawn(process.execPath, ['--import', LEASH, program, ...args], { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...env } }),
      )
      children.add(child)
      child.ended.finally(() => children.delete(child)).catch(() => undefined)
      return child
    },
    endAll: async () => {
      await Promise.all([...children].map(endPolitely))
    },
    living: () => [...children],
    killAll: () => {
      for (const child of children) void child.end('SIGKILL')
    },
  }
}
