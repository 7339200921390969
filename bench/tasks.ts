// How fast tasks go into queues and out of them through the SDK, one call a task: `node bench/tasks.ts`. Producer and worker are this process, as an application has them; the server is another one.
// Each figure has a server of its own with an empty log. The floors are what fetch and the disk allow without Stint.
import type { Stint } from '../src/client/index.ts'
import { runAlone, say } from './alone.ts'
import { closedLoop, type Measured } from './calls.ts'
import { floorOf, floorRows, SCRIPT, scriptRow, SKELETON_ROW, skeletonOf, skeletonRow, type Floor } from './floor.ts'
import { CONCURRENCY, jobOf, jobsOf, MANY, putAndWork } from './loads.ts'
import { costOf, costOfCalls, costText, drain, fill, jobQueueOf, onServer, WARM_UP, WORK, type Cost } from './queue-client.ts'
import { rounded, rowOf, type About, type Effort, type Row } from './row.ts'
import type { ServerProcess } from './server-process.ts'

const SECONDS = 3
const QUICK_SECONDS = 0.5
const BATCH = 100
const BATCH_CALLERS = 4
const QUEUED = 20_000
const QUICK_QUEUED = 1_000
const WARM_UP_TASKS = 3_000
const DRAIN_SECONDS_MAX = 8

const latencies = ({ p50, p99 }: Measured): Readonly<Record<string, number>> => ({ 'p50 ms': rounded(p50, 2), 'p99 ms': rounded(p99, 2) })

const insertRows = async (stint: Stint, server: ServerProcess, seconds: number, floor: Floor, skeleton: Measured): Promise<readonly Row[]> => {
  const producer = stint.producer(WORK)
  const one = (): Promise<unknown> => {
    const { id, payload } = jobOf(1)
    return producer.put(payload, { id })
  }
  const batch = async (): Promise<void> => {
    const refused = (await producer.putMany(jobsOf(BATCH))).find(({ error }) => error !== undefined)
    if (refused !== undefined) throw new Error('A task was refused', { cause: refused.error })
  }
  const row = (what: string, cost: Cost, perCall: number, rest: About): Row =>
    rowOf(what, cost.perSecond * perCall, 'tasks/s', {
      ...rest,
      more: { ...rest.more, ...latencies(cost), ...costText({ serverMicros: cost.serverMicros / perCall, clientMicros: cost.clientMicros / perCall }) },
    })
  await closedLoop(16, Math.min(1, seconds), one)
  const alone = await costOfCalls(server, 1, seconds, one)
  const many = await costOfCalls(server, MANY, seconds, one)
  await closedLoop(BATCH_CALLERS, Math.min(1, seconds), batch)
  const batches = await costOfCalls(server, BATCH_CALLERS, seconds, batch)
  await producer.close()
  return [
    row('Insert, 1 caller', alone, 1, {
      aim: { least: 2_200 },
      limit: 'The disk once, and waking one another: caller, server and back. What a call runs through is seldom in the processor’s caches when nothing else runs.',
      against: SKELETON_ROW,
      more: {
        'of the bare skeleton': rounded(alone.perSecond / skeleton.perSecond, 2),
        'of bare fetch': rounded(alone.perSecond / floor.fetch.perSecond, 2),
        '× fdatasync': rounded(alone.perSecond / floor.fdatasyncs, 2),
      },
    }),
    row(`Insert, ${MANY} callers`, many, 1, {
      aim: { least: 40_000 },
      limit: 'The server’s main thread, which also writes and syncs the log, and is busy for more than four fifths of the time.',
      against: SCRIPT,
      more: { '× fdatasync': rounded(many.perSecond / floor.fdatasyncs, 1) },
    }),
    row(`Insert in batches of ${BATCH}, ${BATCH_CALLERS} callers`, batches, BATCH, { aim: { least: 62_000 }, limit: 'As above.', against: SCRIPT }),
  ]
}

const warmUp = async (stint: Stint, isQuick: boolean): Promise<void> => {
  const count = isQuick ? QUICK_QUEUED / 2 : WARM_UP_TASKS
  await fill(stint, WARM_UP, count)
  await drain(stint, WARM_UP, count, DRAIN_SECONDS_MAX)
}

const drainRow = async (stint: Stint, server: ServerProcess, isQuick: boolean): Promise<Row> => {
  await warmUp(stint, isQuick)
  const count = isQuick ? QUICK_QUEUED : QUEUED
  await fill(stint, WORK, count)
  const drained = await costOf(server, () => drain(stint, WORK, count, DRAIN_SECONDS_MAX))
  return rowOf(`Drain ${QUEUED.toLocaleString('en-US')} tasks with ${CONCURRENCY} handlers`, drained.perSecond, 'tasks/s', {
    aim: { least: 55_000 },
    limit: 'The server’s main thread: two commands for each task, and the reading of what was put.',
    against: SCRIPT,
    more: { tasks: drained.count, ...costText(drained) },
  })
}

const together = async (stint: Stint, server: ServerProcess, seconds: number, isQuick: boolean): Promise<Row> => {
  await warmUp(stint, isQuick)
  const queue = jobQueueOf(stint, WORK)
  const { backlog, ...cost } = await putAndWork(queue, Math.min(1, seconds), (countFor) => costOf(server, () => countFor(seconds)))
  await queue.close()
  return rowOf(`Producer with ${MANY} callers and worker with ${CONCURRENCY} handlers together`, cost.perSecond, 'tasks/s', {
    aim: { least: 18_000 },
    limit: 'Two cores for three: the main threads of both sides and the tables.',
    against: SCRIPT,
    more: { 'backlog at the end': backlog, ...costText(cost) },
  })
}

export const measureTasks = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS
  say('floors')
  const floor = await floorOf(seconds)
  const skeleton = await skeletonOf(seconds)
  const floors = [...floorRows(floor), skeletonRow(skeleton), scriptRow(Math.min(1, seconds))]
  say('inserts')
  const inserts = await onServer((stint, server) => insertRows(stint, server, seconds, floor, skeleton))
  say('drain')
  const drained = await onServer((stint, server) => drainRow(stint, server, isQuick))
  say('producer and worker together')
  return [...floors, ...inserts, drained, await onServer((stint, server) => together(stint, server, seconds, isQuick))]
}

if (import.meta.main) await runAlone(measureTasks)
