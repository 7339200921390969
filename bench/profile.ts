// Where a server's CPU time goes under one kind of load: `node bench/profile.ts LOAD [--seconds N] [--callers N] [--top N]`.
// Prints the functions that used most themselves, thread by thread; the profiles stay in bench/out, to be opened in a browser's developer tools.
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { closedLoop, expecting, httpClient, type Client } from './calls.ts'
import { registerJobs } from './polls.ts'
import { cpuMicros, startServer, temporaryDirectory } from './server-process.ts'

/** What runs while it is profiled; answers what a caller does again and again. */
type Load = (client: Client) => Promise<(client: Client) => Promise<unknown>>

let made = 0

const loads: Readonly<Record<string, Load>> = {
  registrations: async () => (client) =>
    expecting(201, client.call('POST', '/v1/jobs', { id: `job-${(made += 1)}`, service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600 })),
  inserts: async () => (client) =>
    expecting(201, client.call('POST', '/v1/queues/bench/work/tasks', { id: `task-${(made += 1)}`, payload: { to: 'someone@example.com', subject: 'x'.repeat(120) } })),
  reports: async (client) => {
    const jobs = await registerJobs(client, 64)
    return ({ call }) => {
      made += 1
      const { id, lease } = jobs[made % jobs.length] ?? { id: '', lease: '' }
      return expecting(200, call('POST', `/v1/jobs/${id}/reports`, { lease, phase: `phase-${made}` }))
    }
  },
  polls: async (client) => {
    const [job] = await registerJobs(client, 1)
    const headers = { 'If-None-Match': job?.etag ?? '' }
    return ({ call }) => expecting(304, call('GET', `/v1/jobs/${job?.id}/directive`, undefined, headers))
  },
  'polls-alive': async (client) => {
    const [job] = await registerJobs(client, 1)
    const headers = { 'If-None-Match': job?.etag ?? '', 'Stint-Lease': job?.lease ?? '' }
    return ({ call }) => expecting(304, call('GET', `/v1/jobs/${job?.id}/directive`, undefined, headers))
  },
}

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const IDLE = new Set(['(idle)', '(program)', '(root)'])

/** Microseconds by function, without those that it called. */
const selfTimes = ({ nodes, samples, timeDeltas }: Profile): ReadonlyMap<string, number> => {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || '(anonymous)'} ${url === '' ? '' : `${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`}`,
    ]),
  )
  const times = new Map<string, number>()
  for (const [index, sample] of samples.entries()) {
    const name = names.get(sample) ?? ''
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0))
  }
  return times
}

const print = (file: string, top: number): void => {
  const times = selfTimes(JSON.parse(readFileSync(file, 'utf8')) as Profile)
  const busy = [...times].filter(([name]) => !IDLE.has(name.trim())).toSorted(([, a], [, b]) => b - a)
  const all = busy.reduce((sum, [, micros]) => sum + micros, 0)
  const idle = [...times].filter(([name]) => IDLE.has(name.trim())).map(([name, micros]) => `${name.trim()} ${Math.round(micros / 1_000)}`)
  console.log(`\n${basename(file)}: ${Math.round(all / 1_000)} ms busy; ${idle.join(', ')} ms`)
  for (const [name, micros] of busy.slice(0, top)) console.log(`${((micros / all) * 100).toFixed(1).padStart(6)} %  ${name}`)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '5' }, callers: { type: 'string', default: '64' }, top: { type: 'string', default: '40' } },
})
const load = loads[positionals[0] ?? '']
if (load === undefined) throw new Error(`Expected one of ${Object.keys(loads).join(', ')}.`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const out = fileURLToPath(new URL('out/', import.meta.url))
mkdirSync(out, { recursive: true })
for (const name of readdirSync(out)) if (name.endsWith('.cpuprofile')) rmSync(join(out, name))
const { directory, remove } = temporaryDirectory()
const server = await startServer(directory, { nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${out}`] })
const client = httpClient(server.url, Number(values.callers))
const call = await load(client)
const before = cpuMicros(server.pid)
const measured = await closedLoop(Number(values.callers), Number(values.seconds), () => call(client))
console.log(`${Math.round(measured.perSecond)}/s, ${((cpuMicros(server.pid) - before) / measured.count).toFixed(1)} µs of CPU each, with the profiler's own`)
client.close()
await server.stop('SIGTERM')
remove()
for (const name of readdirSync(out).filter((each) => each.endsWith('.cpuprofile'))) print(join(out, name), Number(values.top))
