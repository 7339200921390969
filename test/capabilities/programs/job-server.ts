// A job server as a process, whose jobs do what a test tells them over HTTP: go one step, or finish. They wait for that, never for time to pass.
//   node job-server.ts --name NAME --stint URL --ledger FILE [--port PORT]
import express, { type Request, type Response } from 'express'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { keepingLedger } from '../../../src/cli/demo/ledger.ts'
import { listening, tell } from '../../../src/cli/demo/talk.ts'
import { connect, type Job } from '../../../src/client/index.ts'

type Word = 'step' | 'finish'

const { values: given } = parseArgs({
  options: { name: { type: 'string', default: 'server' }, stint: { type: 'string' }, ledger: { type: 'string', default: 'ledger.jsonl' }, port: { type: 'string', default: '0' } },
})

/** What a job has been told and has not done yet. */
interface Inbox {
  readonly job: Job
  readonly put: (word: Word) => void
  readonly next: () => Promise<Word>
}

const inboxOf = (job: Job): Inbox => {
  const words: Word[] = []
  let wake = (): void => undefined
  job.signal.addEventListener('abort', () => wake(), { once: true })
  return {
    job,
    put: (word) => {
      words.push(word)
      wake()
    },
    next: async () => {
      for (;;) {
        job.signal.throwIfAborted()
        const word = words.shift()
        if (word !== undefined) return word
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}

const inboxes = new Map<string, Inbox>()

const work = async (job: Job): Promise<{ readonly steps: number; readonly attempt: number }> => {
  const inbox = inboxOf(job)
  inboxes.set(job.id, inbox)
  job.signal.addEventListener('abort', () => tell({ type: 'aborting', job: job.id }), { once: true })
  job.phase('work')
  for (let steps = 0; ; steps += 1) {
    job.partial({ steps })
    await job.checkpoint()
    if ((await inbox.next()) === 'finish') return { steps, attempt: job.attempt }
    job.progress({ done: steps + 1, total: 10, unit: 'steps' })
  }
}

const stint = connect({ url: given.stint, fetch: keepingLedger(given.ledger, fetch) })
const jobs = stint.jobServer({
  service: 'steps',
  server: given.name,
  reportEverySeconds: 0.5,
  silenceSeconds: 2,
  resume: work,
  onProblem: (problem, job) => tell({ type: 'problem', detail: problem.message, job }),
})

const app = express()
app.use(express.json())
app.post(
  '/steps',
  jobs.express(
    (request: Request) => (request.body as { readonly label: string }).label,
    (job) => work(job),
  ),
)
app.post('/jobs/:id/:word', (request: Request<{ id: string; word: Word }>, response: Response) => {
  const inbox = inboxes.get(request.params.id)
  if (inbox === undefined) return void response.status(404).json({})
  // What the job knows of the administrator's will before it acts on the word.
  response.json({ directive: inbox.job.directive })
  inbox.put(request.params.word)
})

const server = createServer(app)
server.listen(Number(given.port), '127.0.0.1', () => listening(server))
void jobs.takenOver.then((taken) => tell({ type: 'takenOver', jobs: taken }))
