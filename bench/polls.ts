// What polling costs: `node bench/polls.ts`. CPU of a conditional poll that is answered 304, memory of many idle long polls, and how soon an abort reaches the one who waits for it.
import { runAlone, say } from './alone.ts'
import { expecting, httpClient, type Client } from './calls.ts'
import { FDATASYNC, machineRows, SCRIPT } from './floor.ts'
import { quantile, rounded, rowOf, type Effort, type Row } from './row.ts'
import { cpuMicros, rssMiB, startServer, temporaryDirectory, whenIdle } from './server-process.ts'

const IDLE_POLLS = 10_000
const QUICK_IDLE_POLLS = 500
const CONDITIONAL_POLLS = 100_000
const QUICK_CONDITIONAL_POLLS = 5_000
const WARM_UP = 10_000
const CALLERS = 32
const ABORTS = 200
const IDLE_SECONDS = 5
const ITEMS_A_REQUEST = 1_000

export interface PolledJob {
  readonly id: string
  readonly lease: string
  readonly etag: string
}

/** Registers so many jobs of one job server. */
export const registerJobs = async ({ call }: Client, count: number): Promise<readonly PolledJob[]> => {
  const jobs: { id: string; lease: string }[] = []
  for (let from = 0; from < count; from += ITEMS_A_REQUEST) {
    const size = Math.min(ITEMS_A_REQUEST, count - from)
    const items = Array.from({ length: size }, (_, index) => ({ id: `job-${from + index}`, service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600 }))
    const answer = await expecting(200, call('POST', '/v1/jobs', { items }))
    jobs.push(...(JSON.parse(answer.body) as { items: { id: string; lease: string }[] }).items)
  }
  const first = await expecting(200, call('GET', `/v1/jobs/${jobs[0]?.id}/directive`))
  const etag = String(first.header('etag'))
  return jobs.map(({ id, lease }) => ({ id, lease, etag }))
}

/** Opens a long poll for each job, as its holder; each resolves when it is answered or cut. */
export const waitForAll = ({ call }: Client, jobs: readonly PolledJob[]): readonly Promise<unknown>[] =>
  jobs.map(({ id, lease, etag }) => call('GET', `/v1/jobs/${id}/directive`, undefined, { Prefer: 'wait=60', 'If-None-Match': etag, 'Stint-Lease': lease }).catch(() => undefined))

/** CPU time of a process over so many seconds, as a share of a core in percent. */
export const cpuShare = async (pid: number, seconds: number): Promise<number> => {
  const before = cpuMicros(pid)
  const began = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  return ((cpuMicros(pid) - before) / (performance.now() - began) / 1_000) * 100
}

const idle = async (pid: number, url: string, jobs: readonly PolledJob[]): Promise<readonly Row[]> => {
  const client = httpClient(url, jobs.length + ABORTS)
  await whenIdle(pid)
  const before = rssMiB(pid)
  const polls = waitForAll(client, jobs)
  await whenIdle(pid)
  const after = rssMiB(pid)
  const share = await cpuShare(pid, IDLE_SECONDS)
  const latencies: number[] = []
  for (const [index, job] of jobs.slice(0, ABORTS).entries()) {
    const began = performance.now()
    const woken = polls[index]
    await client.call('POST', `/v1/jobs/${job.id}/directives`, { directive: 'abort', reason: 'bench' })
    await woken
    latencies.push(performance.now() - began)
  }
  client.close()
  const count = jobs.length.toLocaleString('en-US')
  return [
    rowOf(`Memory that ${count} idle long polls add`, after - before, 'MiB', {
      aim: { most: 400 },
      limit: 'Node’s buffers and objects for each connection, which are most of it.',
      more: { 'before MiB': before, 'after MiB': after },
    }),
    rowOf(`CPU while ${count} long polls wait`, share, '% of a core', { limit: 'Node’s check of all connections for timeouts every 5 s.', against: SCRIPT }),
    rowOf('Abort command to the waiting job server', quantile(latencies, 0.5), 'ms', {
      aim: { most: 1_000 },
      limit: 'Two commits: the directive, and that its holder has seen it.',
      against: FDATASYNC,
      more: { 'p99 ms': rounded(quantile(latencies, 0.99), 2) },
    }),
  ]
}

const conditional = async (pid: number, url: string, jobs: readonly PolledJob[], count: number, withLease: boolean): Promise<Row> => {
  const client = httpClient(url, CALLERS)
  const job = jobs[jobs.length - 1] as PolledJob
  const headers = { 'If-None-Match': job.etag, ...(withLease ? { 'Stint-Lease': job.lease } : {}) }
  const poll = async (times: number): Promise<void> => {
    for (let asked = 0; asked < times; asked += 1) await expecting(304, client.call('GET', `/v1/jobs/${job.id}/directive`, undefined, headers))
  }
  const all = (times: number): Promise<unknown> => Promise.all(Array.from({ length: CALLERS }, () => poll(Math.floor(times / CALLERS))))
  await all(Math.min(WARM_UP, count))
  const before = cpuMicros(pid)
  const began = performance.now()
  await all(count)
  const perSecond = count / ((performance.now() - began) / 1_000)
  const micros = (cpuMicros(pid) - before) / count
  client.close()
  return rowOf(`Conditional poll answered 304${withLease ? ', as a sign of life' : ''}`, micros, 'µs of CPU', {
    aim: { most: 60 },
    limit:
      'The system call that writes the answer, which is two fifths of it, more where it must wake a sleeping caller; then Node’s HTTP and express. Stint’s own part is a tenth.',
    against: SCRIPT,
    more: { 'polls/s': Math.round(perSecond), callers: CALLERS },
  })
}

export const measurePolls = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const polls = isQuick ? QUICK_CONDITIONAL_POLLS : CONDITIONAL_POLLS
  const floors = machineRows(isQuick ? 0.2 : 1)
  const { directory, remove } = temporaryDirectory()
  const server = await startServer(directory)
  try {
    const client = httpClient(server.url, 8)
    const jobs = await registerJobs(client, isQuick ? QUICK_IDLE_POLLS : IDLE_POLLS)
    client.close()
    say('conditional polls')
    const plain = await conditional(server.pid, server.url, jobs, polls, false)
    const alive = await conditional(server.pid, server.url, jobs, polls, true)
    say('idle long polls')
    return [...floors, plain, alive, ...(await idle(server.pid, server.url, jobs))]
  } finally {
    await server.stop('SIGKILL')
    remove()
  }
}

if (import.meta.main) await runAlone(measurePolls)
