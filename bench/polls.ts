// What polling costs: memory of many idle long polls, CPU of a conditional poll that is answered 304, and how soon an abort reaches the one who waits for it.
// The callers are this process; the server is another.
import { httpClient, cpuMicros, load, quantile, rounded, rssMiB, startServer, temporaryDirectory, type Row } from './measure.ts'

const IDLE_POLLS = 10_000
const CONDITIONAL_POLLS = 100_000
const CALLERS = 32
const ABORTS = 200

interface Job {
  readonly id: string
  readonly lease: string
  readonly etag: string
}

const registerAll = async (client: ReturnType<typeof httpClient>, count: number): Promise<readonly Job[]> => {
  const jobs: Job[] = []
  for (let from = 0; from < count; from += 1_000) {
    const size = Math.min(1_000, count - from)
    const items = Array.from({ length: size }, (_, index) => ({ id: `job-${from + index}`, service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600 }))
    const answer = await client.call('POST', '/v1/jobs', { items })
    const body = JSON.parse(answer.body) as { items: { id: string; lease: string }[] }
    for (const { id, lease } of body.items) jobs.push({ id, lease, etag: '' })
  }
  const first = await client.call('GET', `/v1/jobs/${jobs[0]?.id}/directive`)
  return jobs.map((job) => ({ ...job, etag: String(first.headers.etag) }))
}

/** Resolves when the process has used less than 2 % of a core for a quarter of a second. */
const whenQuiet = async (pid: number): Promise<void> => {
  for (;;) {
    const before = cpuMicros(pid)
    await new Promise((resolve) => setTimeout(resolve, 500))
    if (cpuMicros(pid) - before <= 10_000) return
  }
}

const idle = async (pid: number, url: string, jobs: readonly Job[]): Promise<readonly Row[]> => {
  const client = httpClient(url, IDLE_POLLS + 100)
  await whenQuiet(pid)
  const before = rssMiB(pid)
  const polls = jobs.map(({ id, lease, etag }) => client.call('GET', `/v1/jobs/${id}/directive`, undefined, { prefer: 'wait=60', 'if-none-match': etag, 'stint-lease': lease }).catch(() => undefined))
  await whenQuiet(pid)
  const after = rssMiB(pid)
  const cpuBefore = cpuMicros(pid)
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const idleCpu = (cpuMicros(pid) - cpuBefore) / 5_000_000
  const latencies: number[] = []
  for (const [index, job] of jobs.slice(0, ABORTS).entries()) {
    const began = performance.now()
    const woken = polls[index]
    await client.call('POST', `/v1/jobs/${job.id}/directives`, { directive: 'abort', reason: 'bench' })
    await woken
    latencies.push(performance.now() - began)
  }
  client.close()
  return [
    { row: `RSS growth with ${IDLE_POLLS} idle long polls`, value: rounded(after - before), unit: 'MiB', aim: '< 400 MiB', more: { 'before MiB': before, 'after MiB': after }, load: load() },
    { row: `CPU while ${IDLE_POLLS} long polls wait`, value: rounded(idleCpu * 100, 2), unit: '% of a core', load: load() },
    { row: 'abort command to the waiting job server', value: rounded(quantile(latencies, 0.5), 2), unit: 'ms p50', aim: '< 1 s', more: { 'p99 ms': rounded(quantile(latencies, 0.99), 2) }, load: load() },
  ]
}

const conditional = async (pid: number, url: string, jobs: readonly Job[], withLease: boolean): Promise<Row> => {
  const client = httpClient(url, CALLERS)
  const job = jobs[jobs.length - 1] as Job
  const headers = { 'if-none-match': job.etag, ...(withLease ? { 'stint-lease': job.lease } : {}) }
  const poll = async (count: number): Promise<void> => {
    for (let asked = 0; asked < count; asked++) {
      const answer = await client.call('GET', `/v1/jobs/${job.id}/directive`, undefined, headers)
      if (answer.status !== 304) throw new Error(`Expected 304, got ${answer.status}`)
    }
  }
  const all = (count: number): Promise<unknown> => Promise.all(Array.from({ length: CALLERS }, () => poll(Math.floor(count / CALLERS))))
  await all(10_000)
  const cpu = cpuMicros(pid)
  const began = performance.now()
  await all(CONDITIONAL_POLLS)
  const seconds = (performance.now() - began) / 1_000
  const perPoll = (cpuMicros(pid) - cpu) / CONDITIONAL_POLLS
  client.close()
  return { row: `conditional poll answered 304${withLease ? ', as a sign of life' : ''}`, value: rounded(perPoll), unit: 'µs of server CPU', aim: '≤ 60 µs', more: { 'polls/s': rounded(CONDITIONAL_POLLS / seconds, 0) }, load: load() }
}

export const measurePolls = async (): Promise<readonly Row[]> => {
  const { directory, remove } = await temporaryDirectory()
  const server = await startServer(directory)
  try {
    const client = httpClient(server.url, 8)
    const jobs = await registerAll(client, IDLE_POLLS)
    client.close()
    const plain = await conditional(server.pid, server.url, jobs, false)
    const alive = await conditional(server.pid, server.url, jobs, true)
    return [plain, alive, ...(await idle(server.pid, server.url, jobs))]
  } finally {
    await server.stop('SIGKILL')
    await remove()
  }
}
