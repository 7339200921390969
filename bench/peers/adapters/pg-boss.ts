// pg-boss over Postgres: as it comes, polling twice a second, and with its notifications, which are soon with a worker but make Postgres commit one by one.
import { pause } from '../../loads.ts'
import type { Adapter, Connection } from '../adapter.ts'
import { moduleOf, moduleVersion } from '../installation.ts'
import { POSTGRES_SETTINGS, postgresVersion, servePostgres } from '../postgres.ts'

interface BossJob {
  readonly id: string
}

/** What is used of the package. */
interface PgBoss {
  readonly on: (event: 'error', listener: (cause: Error) => void) => void
  readonly start: () => Promise<unknown>
  readonly createQueue: (name: string, options: object) => Promise<void>
  readonly send: (name: string, data: unknown, options: object) => Promise<unknown>
  readonly insert: (name: string, jobs: readonly object[]) => Promise<unknown>
  readonly work: (name: string, options: object, handler: (jobs: readonly BossJob[]) => Promise<unknown>) => Promise<string>
  readonly offWork: (name: string, options: object) => Promise<void>
  readonly getJobById: (name: string, id: string) => Promise<{ readonly state: string; readonly output: unknown } | null>
  readonly getDb: () => { readonly executeSql: (text: string, values?: readonly unknown[]) => Promise<{ readonly rows: readonly { readonly count: string }[] }> }
}

interface Exports {
  readonly PgBoss: new (options: object) => PgBoss
}

const POLL_SECONDS = 0.5
/** There is no call that waits for a result. */
const LOOK_EVERY_MS = 25
const POLLERS = 2

const connectTo = async (connectionString: string, notify: boolean): Promise<Connection> => {
  const { PgBoss } = await moduleOf<Exports>('pg-boss')
  const boss = new PgBoss({ connectionString, max: 20, useListenNotify: notify, schedule: false })
  boss.on('error', (cause) => console.error('pg-boss:', cause.message))
  await boss.start()
  let name = ''
  const connection: Connection = {
    use: async (queue) => {
      name = queue
      await boss.createQueue(name, { notify, retryLimit: 2 })
    },
    put: ({ id, payload }) => boss.send(name, payload, { id }),
    putMany: (jobs) =>
      boss.insert(
        name,
        jobs.map(({ id, payload }) => ({ id, data: payload })),
      ),
    startWorker: (handler, concurrency) =>
      boss.work(
        name,
        { batchSize: concurrency / POLLERS, localConcurrency: POLLERS, burstWhenBatchFull: true, pollingIntervalSeconds: POLL_SECONDS, perJobResults: true },
        async (jobs) => jobs.map(({ id }) => ({ id, status: 'completed', output: handler(id) })),
      ),
    stopWorker: () => boss.offWork(name, { wait: true }),
    pending: async () => Number((await boss.getDb().executeSql(`SELECT count(*) FROM pgboss.job WHERE name = $1 AND state < 'completed'`, [name])).rows[0]?.count),
    refreshStatistics: () => boss.getDb().executeSql('ANALYZE'),
    serveRequests: async (handler, concurrency) => {
      await connection.startWorker(handler, concurrency)
      return async (id, payload) => {
        await connection.put({ id, payload })
        for (;;) {
          const job = await boss.getJobById(name, id)
          if (job?.state === 'completed') return job.output
          await pause(LOOK_EVERY_MS)
        }
      }
    },
    startManyWorkers: async (count) => {
      for (let started = 0; started < count; started += 1) await boss.work(name, {}, async () => undefined)
    },
  }
  return connection
}

export const pgBoss = (notify: boolean): Adapter => ({
  about: {
    label: notify ? 'pg-boss (notify)' : 'pg-boss',
    isDurable: true,
    settings: `${POSTGRES_SETTINGS}; pool 20; LISTEN/NOTIFY ${notify ? 'on' : 'off (default)'}; worker: ${POLLERS} pollers with batches of 16, burstWhenBatchFull, perJobResults, polling every ${POLL_SECONDS} s; job id = our id; a reply is looked for every ${LOOK_EVERY_MS} ms, as no call waits for it; of many waiting workers each with its defaults`,
  },
  needs: ['postgres'],
  versions: () => `pg-boss ${moduleVersion('pg-boss')}, ${postgresVersion()}`,
  serve: servePostgres,
  connect: ({ url = '' }) => connectTo(url, notify),
})
