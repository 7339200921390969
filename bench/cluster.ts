// What several servers over one log bring and cost: `node bench/cluster.ts [--store esdb://…]`. Servers, workers and the double are processes of their own; the producer is this one.
// A store that is named need not be empty: each measurement has a queue of its own, and servers that join and leave.
import { join } from 'node:path'
import { openKurrentStore } from '../src/store/kurrent/store.ts'
import { realWorld as world } from '../src/world.ts'
import { openCluster, type Cluster } from '../test/support/cluster.ts'
import { appendsOf, caughtUp, putTasks, watchCompletions, type Appends } from '../test/support/cluster-storm.ts'
import { right } from '../test/support/engine.ts'
import { openCrew } from '../test/support/task-storm.ts'
import { runAlone, say } from './alone.ts'
import { closedLoop, expecting, httpClient, type Client } from './calls.ts'
import { makeLog } from './make-log.ts'
import { rounded, rowOf, type Effort, type Row } from './row.ts'
import { temporaryDirectory } from './server-process.ts'

const NODES = [1, 2, 3]
const TASKS = 3_000
const QUICK_TASKS = 200
const WARM_UP_TASKS = 500
const QUICK_WARM_UP_TASKS = 20
const WORKERS = 3
const CONCURRENCY = 32
/** Longer than anything here takes: no task is done twice. */
const LEASE_SECONDS = 120

const JOBS = 32
const CALLERS_A_SERVER = 16
const CONTENTION_SECONDS = 5
const QUICK_CONTENTION_SECONDS = 1

const EVENTS = 100_000
const QUICK_EVENTS = 2_000
const LIVE = 1_000
const APPENDS_IN_FLIGHT = 500

interface Stage {
  readonly directory: string
  readonly store: string
  readonly isQuick: boolean
  /** In names, so that nothing of an earlier run is met. */
  readonly run: string
}

const shareOf = ({ stored, conflicts }: Appends): number => (100 * conflicts) / Math.max(1, stored + conflicts)

const appendsOfAll = async ({ servers }: Cluster): Promise<Appends> => {
  const all = await Promise.all(servers.map(appendsOf))
  return { stored: all.reduce((sum, { stored }) => sum + stored, 0), conflicts: all.reduce((sum, { conflicts }) => sum + conflicts, 0) }
}

const since = async (cluster: Cluster, before: Appends): Promise<Appends> => {
  const { stored, conflicts } = await appendsOfAll(cluster)
  return { stored: stored - before.stored, conflicts: conflicts - before.conflicts }
}

/** Starts so many servers over the store, runs, and stops them. */
const over = async <Result>({ directory, store }: Stage, servers: number, run: (cluster: Cluster) => Promise<Result>): Promise<Result> => {
  const cluster = await openCluster({ directory: join(directory, `of-${servers}-${world.uuid()}`), servers, store })
  const result = await run(cluster)
  await Promise.all(cluster.up().map(({ stop }) => stop()))
  await cluster.close()
  return result
}

/** Puts tasks at all servers and has them worked through at all; answers how long that took. */
const work = async (cluster: Cluster, store: string, queue: { readonly app: string; readonly queue: string }, tasks: number, prefix: string): Promise<number> => {
  const log = await openKurrentStore({ connectionString: store })
  const { position } = right(await log.head()())
  const began = performance.now()
  await Promise.all([putTasks(cluster, queue, tasks, prefix), watchCompletions(log, queue, tasks, () => undefined, position)])
  const seconds = (performance.now() - began) / 1_000
  await log.close()
  return seconds
}

const throughput = (stage: Stage, servers: number): Promise<Row> =>
  over(stage, servers, async (cluster) => {
    const { isQuick, run, store } = stage
    const queue = { app: 'bench', queue: `q${run}-${servers}` }
    const crew = openCrew({ ...queue, urls: cluster.servers.map(({ url }) => url()), workers: WORKERS, concurrency: CONCURRENCY, leaseSeconds: LEASE_SECONDS })
    await crew.ready
    await work(cluster, store, queue, isQuick ? QUICK_WARM_UP_TASKS : WARM_UP_TASKS, 'warm-up')
    const tasks = isQuick ? QUICK_TASKS : TASKS
    const before = await appendsOfAll(cluster)
    const seconds = await work(cluster, store, queue, tasks, 'task')
    const appends = await since(cluster, before)
    await crew.close()
    return rowOf(`Tasks put and worked through, ${servers} server${servers === 1 ? '' : 's'}`, tasks / seconds, 'tasks/s', {
      limit: 'Two cores for servers, workers, producer and store together.',
      more: { tasks, workers: WORKERS, 'appends a task': rounded(appends.stored / tasks, 2), 'of appends met another’s %': rounded(shareOf(appends), 2) },
    })
  })

/** Callers at all servers who report on the same jobs: what is decided at one place is out of date at another as often as it can be. */
const contention = (stage: Stage): Promise<Row> =>
  over(stage, NODES.length, async (cluster) => {
    const clients = cluster.servers.map(({ url }) => httpClient(url(), CALLERS_A_SERVER))
    const [first] = clients as [Client]
    const jobs: { readonly id: string; readonly lease: string }[] = []
    for (let n = 0; n < JOBS; n += 1) {
      const registered = await expecting(201, first.call('POST', '/v1/jobs', { id: `j${stage.run}-${n}`, service: 'bench', server: 'bench-1', reportEverySeconds: 600 }))
      jobs.push(JSON.parse(registered.body) as { id: string; lease: string })
    }
    const before = await appendsOfAll(cluster)
    let phase = 0
    const report = (caller: number): Promise<unknown> => {
      const job = jobs[(phase += 1) % JOBS]
      return expecting(200, (clients[caller % clients.length] as Client).call('POST', `/v1/jobs/${job?.id}/reports`, { lease: job?.lease, phase: `phase-${phase}` }))
    }
    const { perSecond, p50, p99 } = await closedLoop(CALLERS_A_SERVER * clients.length, stage.isQuick ? QUICK_CONTENTION_SECONDS : CONTENTION_SECONDS, report)
    const appends = await since(cluster, before)
    for (const { close } of clients) close()
    return rowOf(`Wasted appends: ${CALLERS_A_SERVER * clients.length} callers at ${clients.length} servers report on the same ${JOBS} jobs`, shareOf(appends), '% of appends', {
      limit: 'Each job is changed at three places at once: whoever is second reads on and decides again.',
      more: { 'reports/s': rounded(perSecond, 0), 'p50 ms': rounded(p50, 1), 'p99 ms': rounded(p99, 1) },
    })
  })

/** A server with an empty directory over a long log: until it takes calls, and until its lists show everything. */
const catchUp = async (stage: Stage): Promise<readonly Row[]> => {
  const log = await openKurrentStore({ connectionString: stage.store })
  await makeLog(log, stage.isQuick ? QUICK_EVENTS : EVENTS, stage.isQuick ? LIVE / 10 : LIVE, APPENDS_IN_FLIGHT)
  const { position } = right(await log.head()())
  let events = 0
  for (let after: string | undefined; ;) {
    const page = right(await log.readAll({ ...(after === undefined ? {} : { after }), max: 10_000 })())
    events += page.length
    after = page.at(-1)?.position
    if (after === undefined || page.length < 10_000) break
  }
  await log.close()
  return over(stage, 1, async (cluster) => {
    const fresh = cluster.add('fresh')
    const began = performance.now()
    const startMs = await fresh.start()
    await caughtUp(fresh, position)
    const tablesMs = performance.now() - began
    const row = (what: string, ms: number): Row =>
      rowOf(`A fresh server, ${what}`, (events * 1_000) / ms, 'events/s', {
        limit: 'It reads the log twice, for what is live and for its tables.',
        more: { events, s: rounded(ms / 1_000, 2) },
      })
    return [row('from its start until it takes calls', startMs), row('from its start until its lists show everything', tablesMs)]
  })
}

export const measureCluster = async ({ isQuick, store }: Effort): Promise<readonly Row[]> => {
  const { directory, remove } = temporaryDirectory()
  const double = await openCluster({ directory, servers: 0, store })
  const stage: Stage = { directory, store: double.connectionString, isQuick, run: world.uuid().slice(0, 8) }
  const rows: Row[] = []
  for (const servers of NODES) {
    say(`tasks through ${servers}`)
    rows.push(await throughput(stage, servers))
  }
  say('contention')
  rows.push(await contention(stage))
  say('catching up')
  rows.push(...(await catchUp(stage)))
  await double.close()
  remove()
  return rows.map((row) => ({ ...row, more: { ...row.more, over: store === undefined ? 'the double' : 'a server' } }))
}

if (import.meta.main) await runAlone(measureCluster)
