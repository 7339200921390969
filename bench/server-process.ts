// A Stint server as a process of its own, its CPU time and memory from /proc, and directories that are gone when the measurement is, however it ends.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { rounded } from './row.ts'

/** User and system CPU time of a process with all its threads, in microseconds. */
export const cpuMicros = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // Fields 14 and 15, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

/** Resident memory of a process in MiB. */
export const rssMiB = (pid: number): number => rounded(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)

const LOOK_EVERY_MS = 500
const LOOKS_MAX = 60

/** Resolves when the process has used at most one tick of CPU time in half a second, or after half a minute. */
export const whenIdle = async (pid: number): Promise<void> => {
  for (let looked = 0; looked < LOOKS_MAX; looked += 1) {
    const before = cpuMicros(pid)
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
    if (cpuMicros(pid) - before <= 10_000) return
  }
}

export interface TemporaryDirectory {
  readonly directory: string
  readonly remove: () => void
}

/** Set TMPDIR to measure another disk. */
export const temporaryDirectory = (): TemporaryDirectory => {
  const directory = mkdtempSync(join(tmpdir(), 'stint-bench-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  process.once('exit', remove)
  return {
    directory,
    remove: () => {
      process.off('exit', remove)
      remove()
    },
  }
}

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  /** `performance.now()` when the process was started. */
  readonly startedAt: number
  /** Milliseconds from the start of the process to its line that it listens. */
  readonly startedInMs: number
  /** What its log said of the start: `keptItems`, `foldedEvents`. */
  readonly said: Readonly<Record<string, unknown>>
  readonly child: ChildProcess
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
}

const parsed = (line: string): Readonly<Record<string, unknown>> => {
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}

/** The queues of the app `bench`: what is measured, and what only warms up. */
export const WORK_QUEUE = 'work'
export const WARM_UP_QUEUE = 'warm-up'
/** The contract that requests are measured with: one with the defaults, as every contract of an open server. */
export const CONTRACT = 'bench'
/** Where the config of a server is that has its data in `directory`: no file of the working directory has a say. */
export const configOf = (directory: string): string => join(directory, 'config')
/** Gives the app `bench` these queues. */
export const makeQueues = (directory: string, names: readonly string[]): void => {
  const app = join(configOf(directory), 'apps', 'bench')
  mkdirSync(app, { recursive: true })
  writeFileSync(join(app, 'queue.yaml'), `queue: [${names.map((name) => `{ name: ${name}, mode: pull }`).join(', ')}]\n`)
}

export interface StartOptions {
  /** Of Node, `--cpu-prof` say. */
  readonly nodeFlags?: readonly string[]
  /** Of `stint serve`, beside those that say where its files are. */
  readonly flags?: readonly string[]
  /** Another program that says `listening` and its address on its output. */
  readonly program?: string
  /** Of that program. */
  readonly args?: readonly string[]
}

/** Starts `stint serve` on a free port and resolves when it listens. */
export const startServer = async (directory: string, { nodeFlags = [], flags = [], program, args = [] }: StartOptions = {}): Promise<ServerProcess> => {
  if (program === undefined) makeQueues(directory, [WORK_QUEUE, WARM_UP_QUEUE])
  const command = program === undefined ? [MAIN, 'serve', '--port', '0', '--data', directory, '--config', configOf(directory), ...flags] : [program, ...args]
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...nodeFlags, ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = once(child, 'exit').then(() => process.off('exit', kill))
  const said: string[] = []
  const line = await new Promise<string>((resolve, reject) => {
    const look = (text: string): void => {
      said.push(text)
      if (/listening.*http:|http:.*listening/.test(text)) resolve(text)
    }
    createInterface({ input: child.stdout }).on('line', look)
    createInterface({ input: child.stderr }).on('line', look)
    void ended.then(() => reject(new Error(`The server ended: ${said.slice(-5).join('\n')}`)))
  })
  const startedInMs = performance.now() - startedAt
  return {
    url: /http:\/\/[\d.]+:\d+/.exec(line)?.[0] ?? '',
    pid: child.pid ?? 0,
    startedAt,
    startedInMs,
    // The log's line is the first of the two that name the address.
    said: parsed(line),
    child,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      await ended
    },
  }
}
