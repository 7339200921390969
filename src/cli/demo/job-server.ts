// A job server as a team would write it: an express app with one web service, `POST /index { directory, id?, label? }`, whose work outlives the request. The SDK makes jobs of it.
//   node job-server.ts --name NAME --stint URL --root DIRECTORY --into DIRECTORY --ledger FILE [--port PORT] [--bytes-per-second COUNT] [--report-every-seconds COUNT]
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import { createServer } from 'node:http'
import { join, relative, resolve } from 'node:path'
import { stat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { connect, StintError, type Job } from '../../client/index.ts'
import { realWorld } from '../../world.ts'
import { indexDirectory, type IndexResult } from './index-job.ts'
import { keepingLedger } from './ledger.ts'
import { createPace } from './pace.ts'
import { listening, tell } from './talk.ts'

const { values: given } = parseArgs({
  options: {
    name: { type: 'string', default: 'server' },
    stint: { type: 'string', default: 'http://127.0.0.1:7070' },
    root: { type: 'string', default: '.' },
    into: { type: 'string', default: 'index' },
    ledger: { type: 'string', default: 'acknowledged.jsonl' },
    port: { type: 'string', default: '0' },
    'bytes-per-second': { type: 'string', default: '1000000000' },
    'report-every-seconds': { type: 'string', default: '5' },
  },
})

const SERVICE = 'indexer'

const root = resolve(given.root)
const pace = createPace(realWorld, Number(given['bytes-per-second']))
/** What this process has done, whether or not Stint hears of it. */
const done = { files: 0, bytes: 0 }

const index = (job: Job, directory: string): Promise<IndexResult> => {
  job.signal.addEventListener('abort', () => tell({ type: 'aborting', job: job.id }), { once: true })
  const onFile = (bytes: number): void => {
    done.files += 1
    done.bytes += bytes
  }
  return indexDirectory(job, { directory, into: join(given.into, job.id), pace, onFile })
}

const stint = connect({ url: given.stint, fetch: keepingLedger(given.ledger, fetch) })
const jobs = stint.jobServer({
  service: SERVICE,
  server: given.name,
  reportEverySeconds: Number(given['report-every-seconds']),
  resume: (job, proxy) => index(job, String(proxy.attributes?.['directory'])),
  closeMode: 'fail',
  flushSeconds: 1,
  onProblem: (problem, job) => tell({ type: 'problem', detail: problem.message, job }),
})

interface Body {
  readonly directory: string
  /** The caller's own, so that it may repeat its request. */
  readonly id?: string
  readonly label?: string
}

const isDirectory = async (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

/** Only what is under the root is anybody's business. */
const checkBody: RequestHandler = async (request, response, next) => {
  const { directory } = (request.body ?? {}) as { readonly directory?: unknown }
  const isInside = typeof directory === 'string' && !relative(root, resolve(directory)).startsWith('..') && (await isDirectory(directory))
  if (isInside) next()
  else response.status(400).json({ detail: `Expected { "directory": … } to be a directory under ${root}.` })
}

const onError: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
  response.status(error instanceof StintError ? error.status : 500).json({ detail: error instanceof Error ? error.message : String(error) })
}

const app = express()
app.use(express.json())
app.post(
  '/index',
  checkBody,
  jobs.express(
    (request: { readonly body: Body }) => request.body.label ?? relative(root, request.body.directory),
    (job, request) => index(job, request.body.directory),
    { id: ({ body }) => body.id, attributes: ({ body }) => ({ directory: body.directory }) },
  ),
)
app.get('/done', (_request, response) => void response.json(done))
app.use(onError)

const server = createServer(app)
server.listen(Number(given.port), '127.0.0.1', () => listening(server))

void jobs.takenOver.then((taken) => tell({ type: 'takenOver', jobs: taken }))

process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
  void stint.close().finally(() => process.exit(0))
})
