// What the platform allows without Stint, measured in the same run as what is held against it: fetch to a server that does nothing, a disk that keeps a block, a server that keeps a row before it answers, and a fixed piece of JavaScript.
import { hash } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { closedLoop, type Measured } from './calls.ts'
import { rounded, rowOf, type Row } from './row.ts'
import { startServer, temporaryDirectory } from './server-process.ts'

const BARE = fileURLToPath(new URL('bare-server.ts', import.meta.url))
const SKELETON = fileURLToPath(new URL('skeleton-server.ts', import.meta.url))
const BODY = JSON.stringify({ n: 1, text: 'x'.repeat(250) })

/** What the disk allows one writer who waits for each write. */
export const fdatasyncs = (file: string, seconds: number): number => {
  const descriptor = openSync(file, 'w')
  const block = Buffer.alloc(4_096, 1)
  const began = performance.now()
  let count = 0
  while (performance.now() - began < seconds * 1_000) {
    writeSync(descriptor, block)
    fdatasyncSync(descriptor)
    count += 1
  }
  const perSecond = (count / (performance.now() - began)) * 1_000
  closeSync(descriptor)
  rmSync(file)
  return perSecond
}

export interface Floor {
  readonly callers: number
  readonly fetch: Measured
  readonly fdatasyncs: number
}

export const floorOf = async (seconds: number, callers = 1): Promise<Floor> => {
  const server = await startServer('', { program: BARE })
  const call = async (): Promise<string> => (await fetch(server.url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: BODY })).text()
  await closedLoop(callers, Math.min(1, seconds), call)
  const measured = await closedLoop(callers, seconds, call)
  await server.stop()
  const { directory, remove } = temporaryDirectory()
  const perSecond = fdatasyncs(join(directory, 'floor'), Math.min(1, seconds))
  remove()
  return { callers, fetch: measured, fdatasyncs: perSecond }
}

/** Names of floors, by which other rows of the same part say what they are held against. */
export const FDATASYNC = 'Append 4 KiB and fdatasync, without Stint'
export const SKELETON_ROW = 'Bare skeleton: node:http, a writer thread, a commit of one row, 1 caller'
export const SCRIPT = 'A fixed piece of JavaScript'
export const bareFetch = (callers: number): string => `Bare node:http answers fetch, ${callers} caller${callers === 1 ? '' : 's'}`

export const fdatasyncRow = (perSecond: number): Row => rowOf(FDATASYNC, perSecond, 'appends/s', { limit: 'The disk.' })

/** The floors of parts that ask neither a server nor fetch of their own. */
export const machineRows = (seconds = 1): readonly Row[] => {
  const { directory, remove } = temporaryDirectory()
  const perSecond = fdatasyncs(join(directory, 'floor'), seconds)
  remove()
  return [scriptRow(seconds), fdatasyncRow(perSecond)]
}

export const floorRows = ({ callers, fetch: calls, fdatasyncs: perSecond }: Floor): readonly Row[] => [
  rowOf(bareFetch(callers), calls.perSecond, 'calls/s', {
    limit: 'fetch itself, and the way there and back.',
    more: { 'p50 ms': rounded(calls.p50, 2), 'p99 ms': rounded(calls.p99, 2) },
  }),
  fdatasyncRow(perSecond),
]

/** One caller who asks over node:http for what is kept before it is answered, for so many seconds. */
export const skeletonOf = async (seconds: number): Promise<Measured> => {
  const { directory, remove } = temporaryDirectory()
  const server = await startServer('', { program: SKELETON, args: [directory] })
  const agent = new Agent({ keepAlive: true })
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(BODY) }
  const call = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const asked = request(server.url, { method: 'POST', agent, headers }, (answer) => answer.resume().once('end', resolve))
      asked.once('error', reject)
      asked.end(BODY)
    })
  try {
    await closedLoop(1, Math.min(1, seconds), call)
    return await closedLoop(1, seconds, call)
  } finally {
    agent.destroy()
    await server.stop('SIGKILL')
    remove()
  }
}

export const skeletonRow = ({ perSecond, p50, p99 }: Measured): Row =>
  rowOf(SKELETON_ROW, perSecond, 'requests/s', {
    limit: 'The disk once, and waking one another: caller, server, writer and back.',
    more: { 'p50 ms': rounded(p50, 2), 'p99 ms': rounded(p99, 2) },
  })

const EVENT = { id: '0190a1b2-0000-7000-8000-000000000001', type: 'ProgressReported', v: 1, data: { fraction: 0.5, done: 5, total: 10, unit: 'files', message: 'indexing' } }
const TURNS_A_LOOK = 1_000

/** What a core does of the work that servers mostly do: texts made of values, values of texts, and digests. It needs no disk and no network. */
export const scriptRow = (seconds = 1): Row => {
  const events = new Map<number, unknown>()
  const run = (until: number): number => {
    let turns = 0
    for (; performance.now() < until; turns += TURNS_A_LOOK) {
      for (let turn = 0; turn < TURNS_A_LOOK; turn += 1) {
        const text = JSON.stringify({ ...EVENT, turn, previous: hash('sha256', String(turn)) })
        events.set(turn, JSON.parse(text))
      }
    }
    return turns
  }
  run(performance.now() + (seconds * 1_000) / 2)
  const began = performance.now()
  const turns = run(began + seconds * 1_000)
  return rowOf(SCRIPT, (turns / (performance.now() - began)) * 1_000, 'turns/s', { limit: 'One core.' })
}
