// Tasks through several servers over one EventStoreDB, in a storm: `npx node bench/cluster-storm.ts --servers 3 --tasks 20000`. Servers are killed with SIGKILL at random, alone or all at
// once, and come again at once or later; workers are killed too. Afterwards the log is read: each task must have been completed once, by the holder of its current lease, and the tables of
// every server must equal a replay. Over the double in a process of its own, unless `--store esdb://…` names another that is empty.
import { parseArgs } from 'node:util'
import { openCluster } from '../test/support/cluster.ts'
import { chanceOf, isSound, judge, stormOver } from '../test/support/cluster-storm.ts'
import { watchOthers } from './machine.ts'
import { rounded } from './row.ts'
import { temporaryDirectory } from './server-process.ts'

const QUEUE = { app: 'storm', queue: 'tasks' }

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '20000' },
    servers: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '12' },
    'worker-kills': { type: 'string', default: '10' },
    workers: { type: 'string', default: '6' },
    concurrency: { type: 'string', default: '32' },
    'lease-seconds': { type: 'string', default: '5' },
    store: { type: 'string' },
  },
})
const tasks = Number(values.tasks)
const say = (line: string): void => console.log(line)

// Everything that it started ends with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

const { directory, remove } = temporaryDirectory()
const cluster = await openCluster({ directory, servers: Number(values.servers), store: values.store })
const othersSince = watchOthers()
const storm = await stormOver({
  ...QUEUE,
  ...{ cluster, tasks, workers: Number(values.workers), concurrency: Number(values.concurrency), leaseSeconds: Number(values['lease-seconds']) },
  ...{ kills: Number(values.kills), workerKills: Number(values['worker-kills']), random: chanceOf(Number(values.seed)), say },
})
const { stored, conflicts } = storm.appends
say(`${tasks} tasks through ${values.servers} servers and ${values.workers} workers in ${rounded(storm.seconds, 1)} s (${Math.round(tasks / storm.seconds)} tasks a second)`)
say(
  `killed: ${storm.killed} servers, ${storm.workersKilled} workers; the longest time without a completion was ${rounded(storm.longestPause.ms / 1_000, 1)} s, with ${storm.longestPause.at} done`,
)
say(`appends: ${stored + conflicts} counted, of which ${rounded((100 * conflicts) / (stored + conflicts), 1)} % met another's; ${storm.stale} stale endings refused`)
const verdict = await judge(cluster, QUEUE)
await cluster.close()
const others = othersSince()
say(`leases: ${verdict.leases}; ${verdict.expired} ended unused, ${verdict.givenBack} given back`)
say(`tasks: ${verdict.tasks}; ${verdict.completedOnce} completed once by the holder of the current lease, ${verdict.wrong.length} wrong, ${tasks - verdict.tasks} lost`)
say(
  `tables of every server: ${verdict.differences.length === 0 ? 'equal to a replay' : `NOT equal to a replay: ${verdict.differences.slice(0, 5).join('; ')}`} of ${verdict.events} events`,
)
say(`seed ${values.seed}; this and its children apart, others used ${others} cores meanwhile`)
remove()
if (!isSound(tasks, verdict)) process.exitCode = 1
