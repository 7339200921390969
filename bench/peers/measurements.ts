// Carries the loads to one system, from the client's side: what Stint's own bench does to Stint (see ../loads.ts), done to whoever has an adapter.
import { closedLoop, type Measured } from '../calls.ts'
import { askingWith, CONCURRENCY, drainQueue, dripInto, jobOf, jobsOf, MANY, pause, putAndWork, type JobQueue } from '../loads.ts'
import { quantile, rounded, rowOf, type Row } from '../row.ts'
import type { Connection } from './adapter.ts'
import { cpuMsOf, gauged, memoryMiB, quiet } from './gauge.ts'
import { depthOf, DRAINED, MEMORY_DEPTH, QUEUES, ROW, WAITING_WORKERS, type LoadName } from './rows.ts'

const SECONDS = 3
const QUICK_SECONDS = 0.5
const WARM_UP_JOBS = 1_000
const QUICK_WARM_UP_JOBS = 300
/** Of the numbers of jobs and workers. */
const QUICK_SHARE = 0.02
const BATCH = 100
const BATCH_CALLERS = 4
const FILL_SECONDS_MAX = 150
const DRAIN_SECONDS_MAX = 8
const WARM_UP_SECONDS_MAX = 30
const STOP_MS_MAX = 5_000
const PICK_UPS = 500
const PICK_UPS_BEFORE = 100
/** A queue that is drained faster than it can be timed is filled and drained so often; the middle counts. */
const SHORT = 1_000
const IDLE_SECONDS = 20
/** Longer than Stint's workers wait before they ask again. */
const IDLE_SECONDS_OF_MANY = 35
const QUICK_IDLE_SECONDS = 2
const MS = 1_000

export interface Measuring {
  readonly system: Connection
  /** Of the server. */
  readonly pids: readonly number[]
  readonly isQuick: boolean
}

const secondsOf = ({ isQuick }: Measuring): number => (isQuick ? QUICK_SECONDS : SECONDS)
const shareOf = ({ isQuick }: Measuring, count: number): number => (isQuick ? Math.ceil(count * QUICK_SHARE) : count)
const latencies = ({ p50, p99 }: Measured) => ({ 'p50 ms': rounded(p50, 2), 'p99 ms': rounded(p99, 2) })

/** The queue in use as the loads see it. */
const queueOf = (system: Connection): JobQueue => ({
  put: system.put,
  startWorker: async (onRun) => {
    const run = (id: string): unknown => {
      onRun(id)
      return { ok: true, id }
    }
    await system.startWorker(run, CONCURRENCY)
    // Some take long when they are left with jobs that there was no time for; the server ends soon.
    return { stop: () => Promise.race([system.stopWorker(), pause(STOP_MS_MAX)]) }
  },
  pending: system.pending,
})

/** Fills the queue in use, several batches at a time. Throws when it takes too long. */
const fill = async ({ system }: Measuring, count: number): Promise<void> => {
  let begun = 0
  const until = performance.now() + FILL_SECONDS_MAX * MS
  const caller = async (): Promise<void> => {
    while (begun < count) {
      if (performance.now() > until) throw new Error(`After ${FILL_SECONDS_MAX} s only ${begun} of ${count} jobs were queued`)
      const size = Math.min(BATCH, count - begun)
      begun += size
      await system.putMany(jobsOf(size))
    }
  }
  await Promise.all(Array.from({ length: BATCH_CALLERS }, caller))
}

const fillAndDrain = async (measuring: Measuring, queue: string, count: number, secondsMax: number, atFull: () => void = () => undefined) => {
  const { system, pids, isQuick } = measuring
  await system.use(queue)
  await fill(measuring, count)
  await quiet(isQuick)
  await system.refreshStatistics?.()
  atFull()
  return gauged(pids, () => drainQueue(queueOf(system), count, secondsMax))
}

const warmUp = async (measuring: Measuring): Promise<void> => {
  const count = measuring.isQuick ? QUICK_WARM_UP_JOBS : WARM_UP_JOBS
  const { figures } = await fillAndDrain(measuring, 'warm-up', count, WARM_UP_SECONDS_MAX)
  // What is left would be worked on while the next thing is measured.
  if (figures.count < count) throw new Error(`The warm-up of ${count} jobs was not over after ${WARM_UP_SECONDS_MAX} s`)
}

const enqueue = async (measuring: Measuring): Promise<readonly Row[]> => {
  const { system, pids, isQuick } = measuring
  const seconds = secondsOf(measuring)
  await system.use('work')
  const one = (): Promise<unknown> => system.put(jobOf(1))
  const batch = (): Promise<unknown> => system.putMany(jobsOf(BATCH))
  const row = async (what: string, callers: number, perCall: number, call: () => Promise<unknown>): Promise<Row> => {
    await closedLoop(callers, Math.min(1, seconds), call)
    await quiet(isQuick)
    const { figures, beside } = await gauged(pids, () => closedLoop(callers, seconds, call))
    return rowOf(what, figures.perSecond * perCall, 'jobs/s', { more: { ...latencies(figures), ...beside } })
  }
  // The first of them warms up more than one caller can.
  await closedLoop(MANY, Math.min(1, seconds), one)
  return [await row(ROW.one, 1, 1, one), await row(ROW.many, MANY, 1, one), await row(ROW.batches, BATCH_CALLERS, BATCH, batch)]
}

const drain = async (measuring: Measuring): Promise<readonly Row[]> => {
  await warmUp(measuring)
  const { figures, beside } = await fillAndDrain(measuring, 'work', shareOf(measuring, DRAINED), DRAIN_SECONDS_MAX)
  return [rowOf(ROW.drain, figures.perSecond, 'jobs/s', { more: { jobs: figures.count, ...beside } })]
}

const together = async (measuring: Measuring): Promise<readonly Row[]> => {
  const { system, pids, isQuick } = measuring
  await warmUp(measuring)
  await system.use('work')
  await quiet(isQuick)
  const seconds = secondsOf(measuring)
  const { figures, beside, backlog } = await putAndWork(queueOf(system), Math.min(1, seconds), (countFor) => gauged(pids, () => countFor(seconds)))
  return [rowOf(ROW.together, figures.perSecond, 'jobs/s', { more: { 'backlog at the end': backlog, ...beside } })]
}

const pickUp = async (measuring: Measuring): Promise<readonly Row[]> => {
  const { system, pids, isQuick } = measuring
  await system.use('work')
  await quiet(isQuick)
  const { figures, beside } = await gauged(pids, () => dripInto(queueOf(system), PICK_UPS_BEFORE, isQuick ? PICK_UPS_BEFORE : PICK_UPS))
  const more = { 'worst ms': rounded(quantile(figures, 1), 2), jobs: figures.length, ...beside }
  return [rowOf(ROW.pickUp50, quantile(figures, 0.5), 'ms', { more }), rowOf(ROW.pickUp99, quantile(figures, 0.99), 'ms', { more })]
}

const requests = async (measuring: Measuring): Promise<readonly Row[]> => {
  const { system, pids, isQuick } = measuring
  await system.use('work')
  let runs = 0
  const ask = await system.serveRequests?.((id) => ({ ok: true, id, runs: (runs += 1) }), CONCURRENCY)
  if (ask === undefined) throw new Error('It has no requests')
  const { fresh, again, prove } = askingWith(async (id, payload) => {
    const reply = await ask(id, payload)
    return typeof reply === 'string' ? reply : JSON.stringify(reply)
  })
  const seconds = secondsOf(measuring)
  await closedLoop(MANY, Math.min(2, seconds * 2), fresh)
  await quiet(isQuick)
  const first = await gauged(pids, () => closedLoop(MANY, seconds, fresh))
  await closedLoop(MANY, Math.min(1, seconds), again)
  await quiet(isQuick)
  const second = await gauged(pids, () => closedLoop(MANY, seconds, again))
  // A system that ran a handler twice is to be told, not to fail here.
  const once = await prove().then(
    () => 'yes',
    () => 'no',
  )
  const row = (what: string, unit: string, { figures, beside }: typeof first): Row =>
    rowOf(what, figures.perSecond, unit, { more: { ...latencies(figures), 'each handled once': once, ...beside } })
  return [row(ROW.requests, 'requests/s', first), row(ROW.again, 'replies/s', second)]
}

const depth = async (measuring: Measuring, length: number): Promise<readonly Row[]> => {
  await warmUp(measuring)
  let memory = 0
  const atFull = (): void => {
    memory = memoryMiB(measuring.pids)
  }
  const count = shareOf(measuring, length)
  const rounds: Awaited<ReturnType<typeof fillAndDrain>>[] = []
  for (const queue of QUEUES.slice(1, length <= SHORT ? undefined : 2)) rounds.push(await fillAndDrain(measuring, queue, count, DRAIN_SECONDS_MAX, atFull))
  const middle = rounds.toSorted((a, b) => a.figures.perSecond - b.figures.perSecond)[Math.floor(rounds.length / 2)]
  if (middle === undefined) throw new Error('Nothing was drained')
  const row = rowOf(ROW.depth(length), middle.figures.perSecond, 'jobs/s', { more: { jobs: middle.figures.count, ...middle.beside } })
  return length < MEMORY_DEPTH ? [row] : [row, rowOf(ROW.memory(length), memory, 'MiB', { more: { jobs: count } })]
}

/** CPU time of the server, as a share of a core in percent. */
const idleRow = async ({ pids, isQuick }: Measuring, what: string, seconds: number): Promise<Row> => {
  await quiet(isQuick)
  const { figures, beside } = await gauged(pids, async () => {
    const [before, began] = [cpuMsOf(pids), performance.now()]
    await pause(seconds * MS)
    return ((cpuMsOf(pids) - before) / (performance.now() - began)) * 100
  })
  return rowOf(what, figures, '% of a core', { more: { seconds, ...beside } })
}

const idle = async (measuring: Measuring): Promise<readonly Row[]> => {
  await warmUp(measuring)
  await measuring.system.use('work')
  await queueOf(measuring.system).startWorker(() => undefined)
  return [await idleRow(measuring, ROW.idle, measuring.isQuick ? QUICK_IDLE_SECONDS : IDLE_SECONDS)]
}

const idleMany = async (measuring: Measuring): Promise<readonly Row[]> => {
  await measuring.system.use('work')
  await measuring.system.startManyWorkers?.(shareOf(measuring, WAITING_WORKERS))
  return [await idleRow(measuring, ROW.idleMany, measuring.isQuick ? QUICK_IDLE_SECONDS : IDLE_SECONDS_OF_MANY)]
}

const MEASUREMENTS: Readonly<Partial<Record<LoadName, (measuring: Measuring) => Promise<readonly Row[]>>>> = {
  enqueue,
  drain,
  together,
  'pick-up': pickUp,
  requests,
  idle,
  'idle-many': idleMany,
}

/** The rows of one load. Throws when the system does not carry it. */
export const measureLoad = (load: LoadName, measuring: Measuring): Promise<readonly Row[]> => {
  const length = depthOf(load)
  if (length !== undefined) return depth(measuring, length)
  const measure = MEASUREMENTS[load]
  if (measure === undefined) throw new Error(`There is no load ${load}`)
  return measure(measuring)
}
