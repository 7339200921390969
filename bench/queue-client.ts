// What the measurements of task queues share: tasks as producers put them, a worker that drains a queue, and how long that takes. The SDK is on the caller's side, in this process; the server is another one.
import { connect, type Stint, type Worker } from '../src/client/index.ts'
import { closedLoop, type Measured } from './calls.ts'
import { CONCURRENCY, drainQueue, PREFETCH, jobsOf, type Counted, type JobQueue } from './loads.ts'
import { rounded } from './row.ts'
import { cpuMicros, startServer, temporaryDirectory, WARM_UP_QUEUE, WORK_QUEUE, type ServerProcess } from './server-process.ts'

export interface QueueName {
  readonly app: string
  readonly queue: string
}

export const WORK: QueueName = { app: 'bench', queue: WORK_QUEUE }
/** Beside the measured queue, so that what warmed up lies elsewhere. */
export const WARM_UP: QueueName = { app: 'bench', queue: WARM_UP_QUEUE }

const TOGETHER = 1_000

/** More than any measurement makes: a million tasks may wait while others warm up. */
const FLAGS = ['--max-live-items', '2000000']

/** Gives a server with a client to the measurement, and takes both away afterwards. `prepare` may make a log first. */
export const onServer = async <Result>(
  measure: (stint: Stint, server: ServerProcess) => Promise<Result>,
  prepare: (directory: string) => Promise<unknown> = () => Promise.resolve(),
): Promise<Result> => {
  const { directory, remove } = temporaryDirectory()
  try {
    await prepare(directory)
    const server = await startServer(directory, { flags: FLAGS })
    const stint = connect({ url: server.url })
    try {
      return await measure(stint, server)
    } finally {
      await stint.close()
      await server.stop('SIGKILL')
    }
  } finally {
    remove()
  }
}

/** Rates with what each piece of work cost the server and this process in CPU time. */
export interface Cost extends Measured {
  readonly serverMicros: number
  readonly clientMicros: number
}

/** Runs it and counts the CPU time of both sides for each of so many pieces. */
export const costOf = async <Figures extends { readonly count: number }>(server: ServerProcess, run: () => Promise<Figures>) => {
  const before = { server: cpuMicros(server.pid), client: process.cpuUsage() }
  const figures = await run()
  const { user, system } = process.cpuUsage(before.client)
  const pieces = Math.max(1, figures.count)
  return { ...figures, serverMicros: (cpuMicros(server.pid) - before.server) / pieces, clientMicros: (user + system) / pieces }
}

/** As `closedLoop`, with the cost of each call. */
export const costOfCalls = (server: ServerProcess, callers: number, seconds: number, call: () => Promise<unknown>): Promise<Cost> =>
  costOf(server, () => closedLoop(callers, seconds, call))

export const costText = ({ serverMicros, clientMicros }: Pick<Cost, 'serverMicros' | 'clientMicros'>): Readonly<Record<string, number>> => ({
  'server CPU µs each': rounded(serverMicros, 1),
  'caller CPU µs each': rounded(clientMicros, 1),
})

/** Puts so many tasks; throws when one is refused. */
export const fill = async (stint: Stint, queue: QueueName, count: number): Promise<void> => {
  const producer = stint.producer(queue)
  for (let put = 0; put < count; put += TOGETHER) {
    const done = await producer.putMany(jobsOf(Math.min(TOGETHER, count - put)))
    const refused = done.find(({ error }) => error !== undefined)
    if (refused !== undefined) throw new Error('A task was refused', { cause: refused.error })
  }
  await producer.close()
}

/** Starts a worker whose handlers do nothing but answer. */
export const startWorker = (stint: Stint, queue: QueueName, onRun: (id: string) => void): Worker =>
  stint.worker({ ...queue, concurrency: CONCURRENCY, prefetch: PREFETCH, onProblem: (problem) => console.error(problem) }, (task) => {
    onRun(task.id)
    return { ok: true, id: task.id }
  })

/** A queue as the loads see it. It holds a producer of its own, so close it when nothing is put any more. */
export const jobQueueOf = (stint: Stint, name: QueueName): JobQueue & { readonly close: () => Promise<void> } => {
  const producer = stint.producer(name)
  return {
    put: ({ id, payload }) => producer.put(payload, { id }),
    startWorker: (onRun) => {
      const worker = startWorker(stint, name, onRun)
      return { stop: () => worker.close({ graceSeconds: 0 }) }
    },
    pending: async () => {
      const { waiting, delayed, leased } = await stint.queues.show(name)
      return waiting + delayed + leased
    },
    close: producer.close,
  }
}

/** As `drainQueue`. */
export const drain = async (stint: Stint, name: QueueName, count: number, secondsMax: number): Promise<Counted> => {
  const queue = jobQueueOf(stint, name)
  try {
    return await drainQueue(queue, count, secondsMax)
  } finally {
    await queue.close()
  }
}
