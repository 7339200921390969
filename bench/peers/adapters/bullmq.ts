// BullMQ over Redis, which has what was written on the disk before it answers (always), or within a second (everysec): that is fast, and not durable.
import type { Adapter, Connection } from '../adapter.ts'
import { moduleOf, moduleVersion } from '../installation.ts'
import { redisVersion, serveRedis, type Appendfsync } from '../redis.ts'

interface Emitter {
  readonly setMaxListeners: (count: number) => void
  readonly waitUntilReady: () => Promise<unknown>
  readonly close: () => Promise<void>
}

interface QueuedJob {
  readonly waitUntilFinished: (events: QueueEvents) => Promise<unknown>
}

interface Queue extends Emitter {
  readonly name: string
  readonly add: (name: string, data: unknown, options: { readonly jobId: string }) => Promise<QueuedJob>
  readonly addBulk: (jobs: readonly object[]) => Promise<unknown>
  readonly getJobCounts: (...states: readonly string[]) => Promise<Readonly<Record<string, number>>>
}

type QueueEvents = Emitter

interface Worker extends Emitter {
  readonly on: (event: 'error', listener: (cause: Error) => void) => void
}

/** What is used of the package. */
interface Exports {
  readonly Queue: new (name: string, options: object) => Queue
  readonly QueueEvents: new (name: string, options: object) => QueueEvents
  readonly Worker: new (name: string, process: (job: { readonly id: string }) => Promise<unknown>, options: object) => Worker
}

const PENDING = ['wait', 'active', 'prioritized', 'delayed']

const connectTo = async (host: string, port: number): Promise<Connection> => {
  const { Queue, QueueEvents, Worker } = await moduleOf<Exports>('bullmq')
  const connection = { host, port, maxRetriesPerRequest: null }
  let queue = new Queue('bench', { connection })
  let worker: Worker | undefined
  const workerOf = async (run: (id: string) => unknown, concurrency: number): Promise<Worker> => {
    const started = new Worker(queue.name, async ({ id }) => run(id), { connection, concurrency })
    started.on('error', (cause) => console.error('BullMQ:', cause.message))
    await started.waitUntilReady()
    return started
  }
  return {
    use: async (name) => {
      await queue.close()
      queue = new Queue(name, { connection })
      queue.setMaxListeners(0)
      await queue.waitUntilReady()
    },
    put: ({ id, payload }) => queue.add('job', payload, { jobId: id }),
    putMany: (jobs) => queue.addBulk(jobs.map(({ id, payload }) => ({ name: 'job', data: payload, opts: { jobId: id } }))),
    startWorker: async (handler, concurrency) => {
      worker = await workerOf(handler, concurrency)
    },
    stopWorker: async () => worker?.close(),
    pending: async () => Object.values(await queue.getJobCounts(...PENDING)).reduce((sum, count) => sum + count, 0),
    serveRequests: async (handler, concurrency) => {
      await workerOf(handler, concurrency)
      const events = new QueueEvents(queue.name, { connection })
      events.setMaxListeners(0)
      await events.waitUntilReady()
      return async (id, payload) => (await queue.add('job', payload, { jobId: id })).waitUntilFinished(events)
    },
    startManyWorkers: async (count) => {
      await Promise.all(Array.from({ length: count }, () => workerOf(() => undefined, 1)))
    },
  }
}

export const bullmq = (appendfsync: Appendfsync): Adapter => ({
  about: {
    label: `BullMQ (${appendfsync})`,
    isDurable: appendfsync === 'always',
    settings: `appendonly yes, appendfsync ${appendfsync}${appendfsync === 'always' ? '' : ' (up to a second of what was acknowledged can be lost)'}, no snapshots; worker concurrency 32; completed jobs are kept (default); job id = our id`,
  },
  needs: ['redis'],
  versions: () => `bullmq ${moduleVersion('bullmq')}, ioredis ${moduleVersion('ioredis')}, ${redisVersion()}`,
  serve: (directory) => serveRedis(directory, appendfsync),
  connect: ({ host = '', port }) => connectTo(host, Number(port)),
})
