// What every measurement needs: a Stint server as a process of its own, its CPU time and memory from /proc, quantiles, the load beside the figures, and one form for results.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Row {
  /** What was measured. */
  readonly row: string
  readonly value: number
  readonly unit: string
  /** What was aimed at, in words. */
  readonly aim?: string
  /** More figures of the same measurement. */
  readonly more?: Readonly<Record<string, number | string>>
  /** One-minute load average when the measurement ended, this measurement included. */
  readonly load: number
}

export const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits))
export const load = (): number => rounded(loadavg()[0] ?? 0, 2)

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = Float64Array.from(values).toSorted()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

/** User and system CPU time of a process with all its threads, in microseconds. */
export const cpuMicros = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // Fields 14 and 15, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

/** Resident memory of a process in MiB. */
export const rssMiB = (pid: number): number => rounded(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  /** Milliseconds from the start of the process to its line that it listens. */
  readonly startedInMs: number
  readonly child: ChildProcess
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
}

/** Starts `stint serve` on a free port and resolves when it listens. */
export const startServer = async (directory: string, flags: readonly string[] = []): Promise<ServerProcess> => {
  const began = performance.now()
  const child = spawn(process.execPath, [MAIN, 'serve', '--port', '0', '--data', directory, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  const url = await new Promise<string>((resolve, reject) => {
    const said: string[] = []
    const look = (line: string): void => {
      said.push(line)
      const found = /http:\/\/[\d.]+:\d+/.exec(line)
      if (found !== null) resolve(found[0])
    }
    createInterface({ input: child.stdout }).on('line', look)
    createInterface({ input: child.stderr }).on('line', look)
    void ended.then(() => reject(new Error(`The server ended: ${said.slice(-5).join('\n')}`)))
  })
  return {
    url,
    pid: child.pid ?? 0,
    startedInMs: performance.now() - began,
    child,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      await ended
    },
  }
}

export const temporaryDirectory = async (): Promise<{ readonly directory: string; readonly remove: () => Promise<void> }> => {
  const directory = await mkdtemp(join(tmpdir(), 'stint-bench-'))
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** A keep-alive client that costs as little as Node allows. */
export const httpClient = (url: string, sockets: number) => {
  const { hostname, port } = new URL(url)
  const agent = new http.Agent({ keepAlive: true, maxSockets: sockets })
  const call = (method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const typed = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
      const request = http.request({ agent, hostname, port, method, path, headers: { ...headers, ...typed } }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString() }))
      })
      request.on('error', reject)
      request.end(text)
    })
  return { call, close: () => agent.destroy() }
}

/** So many callers, each asking again when it was answered, for so long. */
export const closedLoop = async (callers: number, seconds: number, call: () => Promise<unknown>): Promise<{ readonly perSecond: number; readonly p50: number; readonly p99: number; readonly count: number }> => {
  const began = performance.now()
  const until = began + seconds * 1_000
  const took: number[] = []
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const asked = performance.now()
      await call()
      took.push(performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return { perSecond: took.length / ((performance.now() - began) / 1_000), p50: quantile(took, 0.5), p99: quantile(took, 0.99), count: took.length }
}
