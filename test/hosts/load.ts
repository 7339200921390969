// Work for servers that come and go: producers that keep queues from running dry, workers that work them off, both through a balancer that goes round the servers as a reverse proxy does.
import { connect, type Fetch, type Stint, type Worker } from '../../src/client/index.ts'
import { pause, realWorld } from '../../src/world.ts'

/** Tasks of a queue that were put and have not begun. */
const AHEAD = 15
const CONCURRENCY = 3
const TAKES_MS = 200
const LEASE_SECONDS = 10
/** A call that a paused server has taken is given up so much earlier than one of half a minute. */
const WAIT_SECONDS = 5
/** A call is given up so much later than it asks to wait. */
const PATIENCE_MS = 5_000
/** A server that did not answer gets no more calls for so long. */
const REST_MS = 3_000
/** Longer than any server is away. */
const RETRY_SECONDS = 120
const BASE = 'http://balancer'

const waitMs = (init: RequestInit): number => Number(/wait=(\d+)/.exec(new Headers(init.headers).get('prefer') ?? '')?.[1] ?? 0) * 1_000

/** Sends each call to the next server that has not failed of late; to any, if all have. */
export const balancer = (urls: readonly string[]): Fetch => {
  const restsUntil = new Map<string, number>()
  let turn = 0
  const next = (): string => {
    const now = realWorld.monotonic()
    const inOrder = urls.map((_url, index) => urls[(turn + index) % urls.length] ?? '')
    turn += 1
    return inOrder.find((url) => (restsUntil.get(url) ?? 0) <= now) ?? inOrder[0] ?? ''
  }
  return async (input, init) => {
    const url = next()
    const limit = AbortSignal.timeout(waitMs(init) + PATIENCE_MS)
    try {
      const answer = await fetch(input.replace(BASE, url), { ...init, signal: AbortSignal.any([limit, ...(init.signal ? [init.signal] : [])]) })
      if (answer.status >= 502) restsUntil.set(url, realWorld.monotonic() + REST_MS)
      return answer
    } catch (cause) {
      if (init.signal?.aborted !== true) restsUntil.set(url, realWorld.monotonic() + REST_MS)
      throw cause
    }
  }
}

export interface LoadOptions {
  readonly urls: readonly string[]
  readonly app: string
  readonly queues: readonly string[]
  /** Of a principal that may put. */
  readonly producer: string
  /** Of one that may work. */
  readonly worker: string
}

export interface Load {
  /** Ids of tasks that Stint said it has, by queue. */
  readonly acknowledged: ReadonlyMap<string, ReadonlySet<string>>
  /** Handlers that have run, more than once for a task whose worker lost it. */
  readonly runs: () => number
  /** Resolves when so many more handlers of each queue have run. */
  readonly more: (count: number) => Promise<void>
  /** Puts no more, and resolves when everything that was put has been acknowledged. */
  readonly stopPutting: () => Promise<void>
  /** Endings that were refused, as the task was somebody else's by then. */
  readonly refused: () => number
  readonly close: () => Promise<void>
  /** Rejects when a put was given up. */
  readonly failed: Promise<never>
}

interface Line {
  readonly queue: string
  readonly acknowledged: Set<string>
  begun: number
  isEnding: boolean
  /** Resolves when `begun` has changed. */
  news: PromiseWithResolvers<void>
  putting: Promise<void>
}

export const openLoad = ({ urls, app, queues, producer, worker }: LoadOptions): Load => {
  const fetch = balancer(urls)
  const outside: Stint = connect({ url: BASE, token: producer, fetch })
  const inside: Stint = connect({ url: BASE, token: worker, fetch })
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)

  const lines = queues.map((queue): Line => ({ queue, acknowledged: new Set(), begun: 0, isEnding: false, news: Promise.withResolvers(), putting: Promise.resolve() }))
  const workers: readonly Worker[] = lines.map((line) =>
    inside.worker(
      {
        app,
        queue: line.queue,
        worker: `worker of ${line.queue}`,
        concurrency: CONCURRENCY,
        leaseSeconds: LEASE_SECONDS,
        waitSeconds: WAIT_SECONDS,
        // This machine may be as full as it likes.
        isBusy: () => false,
        onProblem: () => undefined,
      },
      async () => {
        line.begun += 1
        line.news.resolve()
        line.news = Promise.withResolvers()
        await pause(realWorld, TAKES_MS)
      },
    ),
  )

  const put = async (line: Line): Promise<void> => {
    const puts = outside.producer({ app, queue: line.queue, retrySeconds: RETRY_SECONDS })
    const pending = new Set<Promise<void>>()
    for (let number = 1; !line.isEnding; number += 1) {
      while (number - line.begun > AHEAD && !line.isEnding) await line.news.promise
      const id = `t-${number}`
      const one = puts.put({ number }, { id }).then(() => void line.acknowledged.add(id))
      pending.add(one)
      one.catch(failed.reject).finally(() => pending.delete(one))
      // One at a time, mostly: what is put together travels together.
      if (number % 2 === 0) await one
    }
    await Promise.all(pending)
    await puts.close()
  }
  for (const line of lines) line.putting = put(line)
  for (const line of lines) line.putting.catch(failed.reject)

  const moreOf = async (line: Line, count: number): Promise<void> => {
    const goal = line.begun + count
    while (line.begun < goal) await line.news.promise
  }

  return {
    acknowledged: new Map(lines.map(({ queue, acknowledged }) => [queue, acknowledged])),
    runs: () => lines.reduce((sum, { begun }) => sum + begun, 0),
    more: async (count) => void (await Promise.race([Promise.all(lines.map((line) => moreOf(line, count))), failed.promise])),
    stopPutting: async () => {
      for (const line of lines) {
        line.isEnding = true
        line.news.resolve()
      }
      await Promise.all(lines.map(({ putting }) => putting))
    },
    refused: () => workers.reduce((sum, each) => sum + each.figures().refused, 0),
    close: async () => {
      await inside.close()
      await outside.close()
    },
    failed: failed.promise,
  }
}
