// What many tasks and many workers cost: `node bench/task-depth.ts`. How fast a queue is drained and what it takes in memory when 1,000 to 1,000,000 tasks wait in it, and what the server uses while 1,000 workers wait.
// A server of its own for each length, over a log that was made before.
import type { Stint } from '../src/client/index.ts'
import { runAlone, say } from './alone.ts'
import { machineRows, SCRIPT } from './floor.ts'
import { jobOf } from './loads.ts'
import { makeQueue } from './make-queue.ts'
import { cpuShare } from './polls.ts'
import { costOf, costText, drain, fill, onServer, WARM_UP, WORK } from './queue-client.ts'
import { rounded, rowOf, type Effort, type Row } from './row.ts'
import { rssMiB, whenIdle, type ServerProcess } from './server-process.ts'

const LENGTHS = [1_000, 10_000, 100_000, 1_000_000]
const QUICK_LENGTHS = [100, 1_000]
/** A queue that is drained faster than it can be timed is filled and drained so often; the middle counts. */
const SHORT = 1_000
const SHORT_ROUNDS = 5
const WARM_UP_TASKS = 10_000
const QUICK_WARM_UP_TASKS = 500
const DRAIN_SECONDS_MAX = 6
const WORKERS = 1_000
const QUICK_WORKERS = 50
/** Longer than a worker waits before it asks again. */
const IDLE_SECONDS = 35
const QUICK_IDLE_SECONDS = 2

interface Depth {
  readonly length: number
  readonly perSecond: number
  readonly rssMiB: number
  readonly cost: Readonly<Record<string, number>>
}

const drained = async (stint: Stint, server: ServerProcess, length: number): Promise<Pick<Depth, 'perSecond' | 'cost'>> => {
  const rounds: Pick<Depth, 'perSecond' | 'cost'>[] = []
  for (let round = 0; round < (length <= SHORT ? SHORT_ROUNDS : 1); round += 1) {
    if (round > 0) await fill(stint, WORK, length)
    const figures = await costOf(server, () => drain(stint, WORK, length, DRAIN_SECONDS_MAX))
    rounds.push({ perSecond: figures.perSecond, cost: costText(figures) })
  }
  return rounds.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(rounds.length / 2)] as Depth
}

const depthOf = (length: number, isQuick: boolean): Promise<Depth> => {
  say(`${length.toLocaleString('en-US')} tasks`)
  return onServer(
    async (stint, server) => {
      await whenIdle(server.pid)
      const memory = rssMiB(server.pid)
      if (length === 0) return { length, perSecond: 0, rssMiB: memory, cost: {} }
      const warmUp = isQuick ? QUICK_WARM_UP_TASKS : WARM_UP_TASKS
      await fill(stint, WARM_UP, warmUp)
      await drain(stint, WARM_UP, warmUp, DRAIN_SECONDS_MAX)
      return { length, rssMiB: memory, ...(await drained(stint, server, length)) }
    },
    (directory) => makeQueue(directory, WORK, length, jobOf(1).payload),
  )
}

/** Of the shortest queue's rate, at least. */
const FLAT = 0.75
const BYTES_A_TASK = 1_024
const BYTES_OF_MIB = 1_024 ** 2

const depthRows = (empty: Depth, depths: readonly Depth[]): readonly Row[] => {
  const [shortest] = depths
  const least = (shortest?.perSecond ?? 0) * FLAT
  const rates = depths.map(({ length, perSecond, cost }) =>
    rowOf(`Drain of ${length.toLocaleString('en-US')} waiting tasks`, perSecond, 'tasks/s', {
      ...(length === shortest?.length ? {} : { aim: { least, words: `≥ ${FLAT} × the shortest queue` } }),
      limit: 'As a drain of a short queue: nothing on the way looks at more than the tasks that are leased.',
      against: SCRIPT,
      more: { '× the shortest': rounded(perSecond / (shortest?.perSecond ?? 1), 2), ...cost },
    }),
  )
  const memory = depths.slice(-2).map(({ length, rssMiB: memoryMiB }) =>
    rowOf(`Memory of a waiting task, of ${length.toLocaleString('en-US')}`, ((memoryMiB - empty.rssMiB) * BYTES_OF_MIB) / length, 'bytes', {
      aim: { most: BYTES_A_TASK },
      limit: 'Its state and its places in the indexes, and what the heap of a process that has read a log keeps to itself.',
      more: { 'server MiB': memoryMiB, 'empty server MiB': empty.rssMiB },
    }),
  )
  return [...rates, ...memory]
}

const idleRow = (isQuick: boolean): Promise<Row> =>
  onServer(async (stint, server) => {
    const count = isQuick ? QUICK_WORKERS : WORKERS
    say(`${count.toLocaleString('en-US')} waiting workers`)
    for (let started = 0; started < count; started += 1) stint.worker({ ...WORK, isBusy: () => false }, () => undefined)
    for (let waiting = 0; waiting < count;) waiting = (await stint.queues.show(WORK)).waitingWorkers ?? 0
    await whenIdle(server.pid)
    const share = await cpuShare(server.pid, isQuick ? QUICK_IDLE_SECONDS : IDLE_SECONDS)
    return rowOf(`CPU while ${count.toLocaleString('en-US')} workers wait`, share, '% of a core', {
      aim: { most: 0.5 },
      limit: 'Each worker asks again when its 30 s are over.',
      against: SCRIPT,
      more: { seconds: isQuick ? QUICK_IDLE_SECONDS : IDLE_SECONDS },
    })
  })

export const measureTaskDepth = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const floors = machineRows(isQuick ? 0.2 : 1)
  const empty = await depthOf(0, isQuick)
  const depths: Depth[] = []
  for (const length of isQuick ? QUICK_LENGTHS : LENGTHS) depths.push(await depthOf(length, isQuick))
  return [...floors, ...depthRows(empty, depths), await idleRow(isQuick)]
}

if (import.meta.main) await runAlone(measureTaskDepth)
