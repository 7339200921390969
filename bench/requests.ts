// What single commands cost over HTTP, each durable before it is answered: `node bench/requests.ts`. Beside them a bare Node server that answers the same requests with hello, measured in the same run.
// Another process calls; the bench has the other core, and its callers cost less than the servers.
import { fileURLToPath } from 'node:url'
import { runAlone, say } from './alone.ts'
import { closedLoop, expecting, httpClient, type Client, type Measured } from './calls.ts'
import { rounded, rowOf, type About, type Effort, type Row } from './row.ts'
import { cpuMicros, startServer, temporaryDirectory, type ServerProcess } from './server-process.ts'

const SECONDS = 3
const QUICK_SECONDS = 0.5
const MANY = 64
const ITEMS_A_REQUEST = 1_000
const CALLERS_WITH_MANY_ITEMS = 4
const BARE = fileURLToPath(new URL('bare-server.ts', import.meta.url))

/** Rates with what each answer cost the server in CPU time. */
interface Cost extends Measured {
  readonly micros: number
}

type Run = (callers: number, call: (client: Client, caller: number) => Promise<unknown>) => Promise<Cost>

/** Measures after a second (or less) of the same, so that the server's code is compiled. */
const runOn =
  (server: ServerProcess, seconds: number): Run =>
  async (callers, call) => {
    const client = httpClient(server.url, callers)
    await closedLoop(callers, Math.min(1, seconds), (caller) => call(client, caller))
    const before = cpuMicros(server.pid)
    const measured = await closedLoop(callers, seconds, (caller) => call(client, caller))
    const micros = (cpuMicros(server.pid) - before) / measured.count
    client.close()
    return { ...measured, micros }
  }

let made = 0
const jobOf = () => ({ id: `job-${(made += 1)}`, service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600 })
const taskOf = () => ({ id: `task-${(made += 1)}`, payload: { to: 'someone@example.com', subject: 'x'.repeat(120) } })
const TASKS = '/v1/queues/bench/work/tasks'

const register = ({ call }: Client): Promise<unknown> => expecting(201, call('POST', '/v1/jobs', jobOf()))
const insert = ({ call }: Client): Promise<unknown> => expecting(201, call('POST', TASKS, taskOf()))

/** Each caller reports on a job of its own, a new phase each time, so that each report is recorded. */
const reporter = async (client: Client, callers: number): Promise<(client: Client, caller: number) => Promise<unknown>> => {
  const jobs: { id: string; lease: string }[] = []
  for (let caller = 0; caller < callers; caller += 1) jobs.push(JSON.parse((await expecting(201, client.call('POST', '/v1/jobs', jobOf()))).body) as { id: string; lease: string })
  let phase = 0
  return ({ call }, caller) => expecting(200, call('POST', `/v1/jobs/${jobs[caller]?.id}/reports`, { lease: jobs[caller]?.lease, phase: `phase-${(phase += 1)}` }))
}

const insertMany = async ({ call }: Client): Promise<void> => {
  const answer = await expecting(200, call('POST', TASKS, { items: Array.from({ length: ITEMS_A_REQUEST }, taskOf) }))
  const { items } = JSON.parse(answer.body) as { items: readonly { status: number }[] }
  const refused = items.find(({ status }) => status !== 201)
  if (refused !== undefined) throw new Error(`An insert was refused: ${JSON.stringify(refused)}`)
}

const LIMIT_ALONE = 'One fdatasync for each request, and waking one another: caller, server and back.'
const LIMIT_MANY =
  'The server’s main thread: HTTP, decoding, rules, digests and encoding, and the log, which it writes and syncs itself. On two cores it shares them with the callers and its own tables.'

const bareName = (callers: number): string => `Bare node:http answers hello, ${callers} caller${callers === 1 ? '' : 's'}`

const row = (what: string, unit: string, cost: Cost, bare: Cost | undefined, { limit, against }: Pick<About, 'limit' | 'against'>): Row =>
  rowOf(what, cost.perSecond, unit, {
    limit,
    ...(against === undefined ? {} : { against }),
    more: {
      ...(bare === undefined ? {} : { 'of bare node:http': rounded(cost.perSecond / bare.perSecond, 2) }),
      'p50 ms': rounded(cost.p50, 2),
      'p99 ms': rounded(cost.p99, 2),
      'server CPU µs each': rounded(cost.micros, 1),
    },
  })

const bareRows = async (seconds: number): Promise<{ readonly rows: readonly Row[]; readonly one: Cost; readonly many: Cost }> => {
  const server = await startServer('', { program: BARE })
  const run = runOn(server, seconds)
  const one = await run(1, register)
  const many = await run(MANY, register)
  await server.stop()
  const limit = 'The main thread of a server that does nothing else; with one caller, the way there and back.'
  return {
    one,
    many,
    rows: [row(bareName(1), 'requests/s', one, undefined, { limit }), row(bareName(MANY), 'requests/s', many, undefined, { limit })],
  }
}

const stintRows = async (server: ServerProcess, seconds: number, bare: { readonly one: Cost; readonly many: Cost }): Promise<readonly Row[]> => {
  const run = runOn(server, seconds)
  const client = httpClient(server.url, 1)
  const rows: Row[] = []
  for (const [what, call] of [
    ['Job registrations', register],
    ['Task inserts', insert],
    ['Job reports', await reporter(client, MANY)],
  ] as const) {
    say(what.toLowerCase())
    rows.push(row(`${what}, 1 caller`, 'requests/s', await run(1, call), bare.one, { limit: LIMIT_ALONE, against: bareName(1) }))
    rows.push(row(`${what}, ${MANY} callers`, 'requests/s', await run(MANY, call), bare.many, { limit: LIMIT_MANY, against: bareName(MANY) }))
  }
  client.close()
  say('task inserts, many a request')
  const many = await run(CALLERS_WITH_MANY_ITEMS, insertMany)
  const items: Cost = { ...many, perSecond: many.perSecond * ITEMS_A_REQUEST, micros: many.micros / ITEMS_A_REQUEST }
  rows.push(
    row(`Task inserts, ${ITEMS_A_REQUEST} a request, ${CALLERS_WITH_MANY_ITEMS} callers`, 'tasks/s', items, undefined, {
      limit: 'The server’s main thread: decoding, rules and encoding of each item.',
      against: bareName(MANY),
    }),
  )
  return rows
}

export const measureRequests = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS
  say('bare node:http')
  const bare = await bareRows(seconds)
  const { directory, remove } = temporaryDirectory()
  const server = await startServer(directory)
  try {
    return [...bare.rows, ...(await stintRows(server, seconds, bare))]
  } finally {
    await server.stop('SIGKILL')
    remove()
  }
}

if (import.meta.main) await runAlone(measureRequests)
