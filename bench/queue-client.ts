// What the measurements of task queues share: tasks as producers put them, a worker that drains a queue, and how long that takes. The SDK is on the caller's side, in this process; the server is another one.
import { connect, type NewTask, type Stint, type Worker } from '../src/client/index.ts'
import { closedLoop, type Measured } from './calls.ts'
import { rounded } from './row.ts'
import { cpuMicros, startServer, temporaryDirectory, WARM_UP_QUEUE, WORK_QUEUE, type ServerProcess } from './server-process.ts'

export interface QueueName {
  readonly app: string
  readonly queue: string
}

export const WORK: QueueName = { app: 'bench', queue: WORK_QUEUE }
/** Beside the measured queue, so that what warmed up lies elsewhere. */
export const WARM_UP: QueueName = { app: 'bench', queue: WARM_UP_QUEUE }

/** Handlers that run at the same time. */
export const CONCURRENCY = 32
const TOGETHER = 1_000
const TEXT = 'x'.repeat(150)
const LOOK_EVERY_MS = 10
/** Until a worker is given its first task. */
const FIRST_WITHIN_MS = 15_000

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A task of about 170 bytes with an id of its own that sorts nowhere, as an idempotency key is. */
export const taskOf = (n: number): NewTask & { readonly id: string } => ({ id: crypto.randomUUID(), payload: { n, text: TEXT } })

export const tasksOf = (count: number): readonly NewTask[] => Array.from({ length: count }, (_, n) => taskOf(n))

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
    const done = await producer.putMany(tasksOf(Math.min(TOGETHER, count - put)))
    const refused = done.find(({ error }) => error !== undefined)
    if (refused !== undefined) throw new Error('A task was refused', { cause: refused.error })
  }
  await producer.close()
}

/** Starts a worker whose handlers do nothing but answer. */
export const startWorker = (stint: Stint, queue: QueueName, onRun: (id: string) => void): Worker =>
  stint.worker({ ...queue, concurrency: CONCURRENCY, onProblem: (problem) => console.error(problem) }, (task) => {
    onRun(task.id)
    return { ok: true, id: task.id }
  })

const pending = async (stint: Stint, queue: QueueName): Promise<number> => {
  const { waiting, delayed, leased } = await stint.queues.show(queue)
  return waiting + delayed + leased
}

export interface Drained {
  readonly perSecond: number
  readonly count: number
}

/** Has a worker drain a queue of so many tasks: from the first handler on until nothing is pending, or until the time is over: then what was handled in it. */
export const drain = async (stint: Stint, queue: QueueName, count: number, secondsMax: number): Promise<Drained> => {
  let [handled, first, last] = [0, 0, 0]
  const started = performance.now()
  const worker = startWorker(stint, queue, () => {
    handled += 1
    last = performance.now()
    if (first === 0) first = last
  })
  while (first === 0) {
    if (performance.now() - started > FIRST_WITHIN_MS) throw new Error('The worker was given nothing')
    await pause(1)
  }
  while (handled < count && performance.now() - first < secondsMax * 1_000) await pause(LOOK_EVERY_MS)
  const isDone = handled >= count
  while (isDone && (await pending(stint, queue)) > 0) await pause(LOOK_EVERY_MS / 5)
  const ended = isDone ? performance.now() : last
  const perSecond = (handled / (ended - first)) * 1_000
  await worker.close({ graceSeconds: 0 })
  return { perSecond, count: handled }
}
