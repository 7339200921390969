// DBOS Transact over Postgres: a job is a workflow without steps in a queue, a request is a workflow that is started in the process that handles it.
import type { Adapter, Connection, Handler } from '../adapter.ts'
import { moduleOf, moduleVersion } from '../installation.ts'
import { POSTGRES_SETTINGS, postgresVersion, servePostgres, type Pg, type PgClient } from '../postgres.ts'

type Workflow = (id: string, payload: unknown) => Promise<unknown>

interface DbosClient {
  readonly enqueue: (options: object, ...args: readonly unknown[]) => Promise<unknown>
  readonly enqueueInTransaction: (client: PgClient, options: object, ...args: readonly unknown[]) => Promise<unknown>
}

/** What is used of the package. */
interface Exports {
  readonly DBOS: {
    readonly registerWorkflow: (workflow: Workflow, options: object) => Workflow
    readonly setConfig: (config: object) => void
    readonly launch: () => Promise<void>
    readonly registerQueue: (name: string, options: object) => Promise<unknown>
    readonly startWorkflow: (workflow: Workflow, options: object) => (...args: Parameters<Workflow>) => Promise<{ readonly getResult: () => Promise<unknown> }>
  }
  readonly DBOSClient: { readonly create: (options: object) => Promise<DbosClient> }
}

const POLL_MS = 10
/** A queue cannot be left: it is polled rarely then. */
const LEFT_POLL_MS = 60_000
const VERSION = 'v1'

const connectTo = async (url: string): Promise<Connection> => {
  const { DBOS, DBOSClient } = await moduleOf<Exports>('@dbos-inc/dbos-sdk')
  const { Pool } = await moduleOf<Pg>('pg')
  let run: Handler = () => undefined
  const workflow = DBOS.registerWorkflow(async (id) => run(id), { name: 'job' })
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, systemDatabasePoolSize: 20, logLevel: 'error', applicationVersion: VERSION })
  await DBOS.launch()
  const client = await DBOSClient.create({ systemDatabaseUrl: url, systemDatabasePoolSize: 20, applicationName: 'bench' })
  const pool = new Pool({ connectionString: url, max: 8 })
  let queueName = ''
  const options = (workflowID: string) => ({ workflowName: 'job', queueName, workflowID, appVersion: VERSION })
  return {
    use: (queue) => (queueName = queue),
    put: ({ id, payload }) => client.enqueue(options(id), id, payload),
    putMany: async (jobs) => {
      const transaction = await pool.connect()
      try {
        await transaction.query('BEGIN')
        for (const { id, payload } of jobs) await client.enqueueInTransaction(transaction, options(id), id, payload)
        await transaction.query('COMMIT')
      } finally {
        transaction.release()
      }
    },
    startWorker: async (handler, concurrency) => {
      run = handler
      await DBOS.registerQueue(queueName, { workerConcurrency: concurrency, minPollingIntervalMs: POLL_MS, onConflict: 'always_update' })
    },
    stopWorker: () => DBOS.registerQueue(queueName, { workerConcurrency: 1, minPollingIntervalMs: LEFT_POLL_MS, onConflict: 'always_update' }),
    pending: async () => Number((await pool.query(`SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')`)).rows[0]?.count),
    refreshStatistics: () => pool.query('ANALYZE'),
    serveRequests: async (handler) => {
      run = handler
      return async (id, payload) => (await DBOS.startWorkflow(workflow, { workflowID: id })(id, payload)).getResult()
    },
  }
}

export const dbos: Adapter = {
  about: {
    label: 'DBOS Transact',
    isDurable: true,
    settings: `${POSTGRES_SETTINGS}; pools of 20; queue: workerConcurrency 32, polled every ${POLL_MS} ms (at the default of 1 s it does 32 jobs a second); workflows without steps; workflow id = our id; requests are started in the process that handles them, without a queue; a batch is a transaction`,
    cannot: { 'idle-many': 'a process polls each queue once' },
  },
  needs: ['postgres'],
  versions: () => `@dbos-inc/dbos-sdk ${moduleVersion('@dbos-inc/dbos-sdk')}, ${postgresVersion()}`,
  serve: servePostgres,
  connect: ({ url = '' }) => connectTo(url),
}
