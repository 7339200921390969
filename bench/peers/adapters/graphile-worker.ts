// graphile-worker over Postgres, set as its own page on performance advises for throughput.
import type { Adapter, Connection } from '../adapter.ts'
import { moduleOf, moduleVersion } from '../installation.ts'
import { POSTGRES_SETTINGS, postgresVersion, servePostgres, type Pg } from '../postgres.ts'

interface WorkerUtils {
  readonly migrate: () => Promise<void>
  readonly addJob: (name: string, payload: unknown, options: object) => Promise<unknown>
  readonly addJobs: (jobs: readonly object[]) => Promise<unknown>
}

interface Runner {
  readonly stop: () => Promise<void>
}

/** What is used of the package. */
interface Exports {
  readonly Logger: new (factory: () => (level: string, message: string) => void) => object
  readonly makeWorkerUtils: (options: object) => Promise<WorkerUtils>
  readonly run: (options: object) => Promise<Runner>
}

const LOCAL_QUEUE = 500

const connectTo = async (connectionString: string): Promise<Connection> => {
  const { Logger, makeWorkerUtils, run } = await moduleOf<Exports>('graphile-worker')
  const { Pool } = await moduleOf<Pg>('pg')
  const say = (level: string, message: string): void => {
    if (level === 'error') console.error('graphile-worker:', message)
  }
  const logger = new Logger(() => say)
  const [pgPool, workerPool] = [new Pool({ connectionString, max: 20 }), new Pool({ connectionString, max: 20 })]
  const onError = (cause: Error): void => say('error', cause.message)
  for (const pool of [pgPool, workerPool]) {
    pool.on('error', onError)
    pool.on('connect', (client) => client.on('error', onError))
  }
  const utils = await makeWorkerUtils({ pgPool, logger })
  await utils.migrate()
  let identifier = ''
  let runner: Runner | undefined
  return {
    use: (queue) => (identifier = queue),
    put: (job) => utils.addJob(identifier, job, { jobKey: job.id }),
    putMany: (jobs) => utils.addJobs(jobs.map((job) => ({ identifier, payload: job, jobKey: job.id }))),
    startWorker: async (handler, concurrency) => {
      runner = await run({
        pgPool: workerPool,
        logger,
        noHandleSignals: true,
        taskList: { [identifier]: async ({ id }: { readonly id: string }) => void handler(id) },
        preset: { worker: { concurrentJobs: concurrency, localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      })
    },
    stopWorker: async () => runner?.stop(),
    pending: async () => Number((await pgPool.query('SELECT count(*) FROM graphile_worker._private_jobs')).rows[0]?.count),
    refreshStatistics: () => pgPool.query('ANALYZE'),
  }
}

export const graphileWorker: Adapter = {
  about: {
    label: 'graphile-worker',
    isDurable: true,
    settings: `${POSTGRES_SETTINGS}; pools of 20 for producer and worker; concurrentJobs 32, localQueue ${LOCAL_QUEUE}, completeJobBatchDelay 0 (its own advice for throughput); job key = our id`,
    cannot: {
      requests: 'a finished job is deleted, so neither its result nor its key is kept',
      'idle-many': 'each runner listens on a connection of its own, and Postgres takes 100',
    },
  },
  needs: ['postgres'],
  versions: () => `graphile-worker ${moduleVersion('graphile-worker')}, ${postgresVersion()}`,
  serve: servePostgres,
  connect: ({ url = '' }) => connectTo(url),
}
