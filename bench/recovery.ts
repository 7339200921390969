// How long a killed server is away: `node bench/recovery.ts`. A log of a million events with 10,000 live jobs, written to over HTTP when the server is killed with SIGKILL, and started again.
// What was acknowledged before each kill is looked for afterwards: a fast start that lost something would be none.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { TABLES_FILE } from '../src/settings.ts'
import { openSqliteStore } from '../src/store/sqlite/store.ts'
import { realWorld as world } from '../src/world.ts'
import { runAlone, say } from './alone.ts'
import { expecting, httpClient, type Client } from './calls.ts'
import { SCRIPT, scriptRow } from './floor.ts'
import { makeLog } from './make-log.ts'
import { numberText, quantile, rounded, rowOf, type Effort, type Row } from './row.ts'
import { startServer, temporaryDirectory, type ServerProcess } from './server-process.ts'

const EVENTS = 1_000_000
const LIVE = 10_000
const QUICK_SHARE = 0.02
const ROUNDS = 3
const CALLERS = 32
const LOAD_SECONDS = 5
const QUICK_LOAD_SECONDS = 1
/** Acknowledged registrations that are looked for after the start. */
const LOOKED_FOR = 200
const AGAIN_MS = 5

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const jobOf = (id: string) => ({ id, service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600, attributes: { tenant: 'acme' } })

/** Waits until the tables show what the log holds now. */
const caughtUp = async ({ call }: Client): Promise<void> => {
  const { header } = await expecting(200, call('GET', '/healthz'))
  const position = header('stint-position') ?? ''
  while ((await call('GET', '/v1/jobs?limit=1', undefined, { 'stint-position': position })).status !== 200);
}

/** Jobs are registered, report a phase and complete, until the server is killed in the middle of it. Answers the jobs whose registration was acknowledged. */
const killUnderLoad = async (server: ServerProcess, round: number, seconds: number): Promise<readonly string[]> => {
  const { call, close } = httpClient(server.url, CALLERS)
  const acknowledged: string[] = []
  let isKilled = false
  const live = async (caller: number): Promise<void> => {
    for (let turn = 0; ; turn += 1) {
      const id = `load-${round}-${caller}-${turn}`
      const registered = await expecting(201, call('POST', '/v1/jobs', jobOf(id)))
      acknowledged.push(id)
      const { lease } = JSON.parse(registered.body) as { lease: string }
      await expecting(200, call('POST', `/v1/jobs/${id}/reports`, { lease, phase: 'index' }))
      await expecting(200, call('POST', `/v1/jobs/${id}/reports`, { lease, outcome: { completed: { result: { documents: 12 } } } }))
    }
  }
  const callers = Array.from({ length: CALLERS }, (_, caller) =>
    live(caller).catch((cause: unknown) => {
      if (!isKilled) throw cause
    }),
  )
  await Promise.race([pause(seconds * 1_000), ...callers])
  isKilled = true
  await server.stop('SIGKILL')
  await Promise.all(callers)
  close()
  return acknowledged
}

/** Milliseconds from the start of the process to the first answer with this status. */
const until = async (server: ServerProcess, client: Client, status: number, method: string, path: string, body?: unknown): Promise<number> => {
  while ((await client.call(method, path, body)).status !== status) await pause(AGAIN_MS)
  return performance.now() - server.startedAt
}

interface Start {
  readonly listening: number
  readonly posted: number
  readonly ready: number
  readonly said: ServerProcess['said']
}

const started = async (server: ServerProcess, name: string): Promise<Start> => {
  const client = httpClient(server.url, 2)
  const [posted, ready] = await Promise.all([until(server, client, 201, 'POST', '/v1/jobs', jobOf(`first-${name}`)), until(server, client, 200, 'GET', '/readyz')])
  client.close()
  return { listening: server.startedInMs, posted, ready, said: server.said }
}

const allThere = async (server: ServerProcess, ids: readonly string[]): Promise<void> => {
  const { call, close } = httpClient(server.url, 8)
  await Promise.all(ids.map((id) => expecting(200, call('GET', `/v1/jobs/${id}`))))
  close()
}

const LIMIT = 'Loading Node and the program, handing the live items from the tables to the engine, and folding what the tables had not taken in.'

const rowsOf = (starts: readonly Start[], made: number): readonly Row[] => {
  const row = (what: string, ms: (start: Start) => number): Row => {
    const all = starts.map(ms)
    const more = {
      rounds: all.map((each) => numberText(rounded(each, 0))).join(' · '),
      'live items kept': Math.round(
        quantile(
          starts.map(({ said }) => Number(said['keptItems'])),
          0.5,
        ),
      ),
      'events folded': starts.map(({ said }) => numberText(Number(said['foldedEvents']))).join(' · '),
      'log events': made,
    }
    return rowOf(what, quantile(all, 1), 'ms', { aim: { most: 2_000 }, limit: LIMIT, against: SCRIPT, more })
  }
  return [
    row('Killed under load, to “listening” (worst)', ({ listening }) => listening),
    row('Killed under load, to the first job taken (worst)', ({ posted }) => posted),
    row('Killed under load, to /readyz ready (worst)', ({ ready }) => ready),
  ]
}

const rebuilt = async (directory: string, made: number): Promise<Row> => {
  rmSync(join(directory, TABLES_FILE), { force: true })
  const server = await startServer(directory)
  const { posted } = await started(server, 'rebuilt')
  await server.stop()
  return rowOf('Without the tabular file, to the first job taken', posted, 'ms', {
    limit: 'The fold of the whole log in memory; the tables are made anew beside the work.',
    against: SCRIPT,
    more: { 'log events': made, 'events/s': Math.round((made / posted) * 1_000) },
  })
}

export const measureRecovery = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const share = isQuick ? QUICK_SHARE : 1
  const floor = scriptRow(isQuick ? 0.2 : 1)
  const { directory, remove } = temporaryDirectory()
  try {
    const store = await openSqliteStore({ directory, world })
    say(`making a log of ${EVENTS * share} events`)
    const made = await makeLog(store, EVENTS * share, LIVE * share)
    await store.close()
    say('starting without a tabular file')
    const rebuild = await rebuilt(directory, made)
    let server = await startServer(directory)
    const client = httpClient(server.url, 1)
    await caughtUp(client)
    client.close()
    const starts: Start[] = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      say(`kill ${round} of ${ROUNDS}`)
      const acknowledged = await killUnderLoad(server, round, isQuick ? QUICK_LOAD_SECONDS : LOAD_SECONDS)
      server = await startServer(directory)
      starts.push(await started(server, String(round)))
      await allThere(server, acknowledged.slice(-LOOKED_FOR))
    }
    await server.stop()
    return [floor, ...rowsOf(starts, made), rebuild]
  } finally {
    remove()
  }
}

if (import.meta.main) await runAlone(measureRecovery)
