// What is asked of every queue of jobs that is measured, Stint's or a peer's: a drain, jobs at a steady pace, a producer beside a worker, and requests that are asked twice. Whoever measures says how a job is put and worked on.

/** Handlers that run at the same time. */
export const CONCURRENCY = 32
/** What a worker of Stint holds beyond them: all together about what a graphile-worker of the comparison has at hand. */
export const PREFETCH = 480
/** Callers of a load that is not one caller's. */
export const MANY = 64
const TEXT = 'x'.repeat(150)
const LOOK_EVERY_MS = 10
/** Until a worker is given its first job. */
const FIRST_WITHIN_MS = 15_000
/** Jobs that may lie between producer and worker. */
const BACKLOG_MAX = 1_024
const DRIP_EVERY_MS = 20
/** For what was put last. */
const SETTLE_MS = 5_000

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export interface Job {
  readonly id: string
  readonly payload: unknown
}

/** A job of about 170 bytes with an id of its own that sorts nowhere, as an idempotency key is. */
export const jobOf = (n: number): Job => ({ id: crypto.randomUUID(), payload: { n, text: TEXT } })

export const jobsOf = (count: number): readonly Job[] => Array.from({ length: count }, (_, n) => jobOf(n))

export interface RunningWorker {
  readonly stop: () => Promise<unknown>
}

/** One queue of one system. */
export interface JobQueue {
  /** Resolves when the job is durable, as far as the system makes it so. */
  readonly put: (job: Job) => Promise<unknown>
  /** Starts a worker of `CONCURRENCY` handlers that do nothing but say that they ran. */
  readonly startWorker: (onRun: (id: string) => void) => RunningWorker | Promise<RunningWorker>
  /** Jobs that are not yet known to be done. */
  readonly pending: () => Promise<number>
}

export interface Counted {
  readonly perSecond: number
  readonly count: number
}

/** Has a worker drain a queue of so many jobs: from the first handler on until nothing is pending, or until the time is over: then what was handled in it. */
export const drainQueue = async (queue: Pick<JobQueue, 'startWorker' | 'pending'>, count: number, secondsMax: number): Promise<Counted> => {
  let [handled, first, last] = [0, 0, 0]
  const started = performance.now()
  const worker = await queue.startWorker(() => {
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
  while (isDone && (await queue.pending()) > 0) await pause(LOOK_EVERY_MS / 5)
  const ended = isDone ? performance.now() : last
  const perSecond = (handled / (ended - first)) * 1_000
  await worker.stop()
  return { perSecond, count: handled }
}

/** Puts jobs, fifty a second on a fixed schedule, so many `before` those that count; the milliseconds of each of these from the call to the first line of its handler. */
export const dripInto = async (queue: JobQueue, before: number, count: number): Promise<readonly number[]> => {
  const put = new Map<string, number>()
  const took = new Map<string, number>()
  const worker = await queue.startWorker((id) => took.set(id, performance.now() - (put.get(id) ?? Number.NaN)))
  const drip = async (jobs: number): Promise<void> => {
    const began = performance.now()
    const sent: Promise<unknown>[] = []
    for (let n = 0; n < jobs; n += 1) {
      const early = began + n * DRIP_EVERY_MS - performance.now()
      if (early > 0) await pause(early)
      const job = jobOf(n)
      put.set(job.id, performance.now())
      sent.push(queue.put(job))
    }
    await Promise.all(sent)
    for (const until = performance.now() + SETTLE_MS; took.size < jobs && performance.now() < until;) await pause(LOOK_EVERY_MS / 5)
    if (took.size < jobs) throw new Error(`Of ${jobs} jobs ${took.size} came to the worker`)
  }
  await drip(before)
  took.clear()
  await drip(count)
  await worker.stop()
  return [...took.values()]
}

/** Jobs that go through a queue while callers put and a worker works, both without a break; `measure` is told how to count for so many seconds. */
export const putAndWork = async <Result>(
  queue: JobQueue,
  warmUpSeconds: number,
  measure: (countFor: (seconds: number) => Promise<Counted>) => Promise<Result>,
): Promise<Result & { readonly backlog: number }> => {
  let [sent, handled] = [0, 0]
  let isOn = true
  const worker = await queue.startWorker(() => (handled += 1))
  const produce = async (): Promise<void> => {
    while (isOn) {
      if (sent - handled > BACKLOG_MAX) await pause(2)
      else await queue.put(jobOf((sent += 1)))
    }
  }
  const producing = Promise.all(Array.from({ length: MANY }, produce))
  await pause(warmUpSeconds * 1_000)
  const result = await measure(async (seconds) => {
    const [before, began] = [handled, performance.now()]
    await pause(seconds * 1_000)
    const count = handled - before
    return { count, perSecond: (count / (performance.now() - began)) * 1_000 }
  })
  const backlog = sent - handled
  isOn = false
  await producing
  await worker.stop()
  return { ...result, backlog }
}

/** Asks with this id and answers the reply's text, which names the `runs` of handlers until then; throws for anything but a reply. Whether it was asked before is known. */
export type Ask = (id: string, payload: { readonly n: number; readonly text: string }, isAgain: boolean) => Promise<string>

/** New requests, and those that were asked before. */
export interface Asking {
  readonly fresh: () => Promise<void>
  /** Throws when a request is given another reply than the first time. */
  readonly again: () => Promise<void>
  /** Throws unless handlers have run once for each request. */
  readonly prove: () => Promise<void>
}

export const askingWith = (ask: Ask): Asking => {
  const replies: (readonly [id: string, n: number, reply: string])[] = []
  let [sent, repeated] = [0, 0]
  const fresh = async (): Promise<void> => {
    const [id, n] = [crypto.randomUUID(), (sent += 1)]
    replies.push([id, n, await ask(id, { n, text: TEXT }, false)])
  }
  return {
    fresh,
    again: async () => {
      const [id, n, reply] = replies[(repeated += 1) % replies.length] ?? ['', 0, '']
      const given = await ask(id, { n, text: TEXT }, true)
      if (given !== reply) throw new Error(`Expected ${id} to be given its reply again, ${reply}, but it was ${given}`)
    },
    prove: async () => {
      await fresh()
      const { runs } = JSON.parse(replies.at(-1)?.[2] ?? '{}') as { runs?: number }
      if (runs !== sent) throw new Error(`${sent} requests, but handlers ran ${runs} times`)
    },
  }
}
