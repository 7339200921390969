// What the platform allows without Stint, measured in the same run as what is held against it: fetch to a server that does nothing, and a disk that keeps a block.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fdatasyncs } from './appends.ts'
import { closedLoop, type Measured } from './calls.ts'
import { rounded, rowOf, type Row } from './row.ts'
import { startServer, temporaryDirectory } from './server-process.ts'

const BARE = fileURLToPath(new URL('bare-server.ts', import.meta.url))
const BODY = JSON.stringify({ n: 1, text: 'x'.repeat(250) })

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

export const floorRows = ({ callers, fetch: calls, fdatasyncs: perSecond }: Floor): readonly Row[] => [
  rowOf(`Bare node:http answers fetch, ${callers} caller${callers === 1 ? '' : 's'}`, calls.perSecond, 'calls/s', {
    limit: 'fetch itself, and the way there and back.',
    more: { 'p50 ms': rounded(calls.p50, 2), 'p99 ms': rounded(calls.p99, 2) },
  }),
  rowOf('Append 4 KiB and fdatasync, without Stint', perSecond, 'appends/s', { limit: 'The disk.' }),
]
