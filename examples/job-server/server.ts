// A web service whose slow routes are jobs: `POST /scans` answers at once and works on, `GET /words` answers with the result. Run it beside `stint serve`.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import express, { type Request, type Response } from 'express'
// In your own project: import { connect, type Job } from 'stint'
import { connect, type Job } from '../../src/client/index.ts'

const port = Number(process.env['PORT'] ?? 8080)
const stint = connect() // STINT_URL and STINT_TOKEN, else http://127.0.0.1:7070

const textFiles = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile() && /\.(?:md|txt|ts|js)$/.test(entry.name)).map((entry) => join(entry.parentPath, entry.name))
}

/** The work itself: all that it knows of Stint is its job. */
const countWords = async (job: Job, folder: string): Promise<{ files: number; words: number }> => {
  job.phase('list')
  const files = await textFiles(folder)
  let words = 0
  job.phase('count')
  for (const [index, file] of files.entries()) {
    await job.checkpoint() // here it pauses, and here an abort ends it
    words += (await readFile(file, 'utf8')).split(/\s+/).length
    job.progress({ done: index + 1, total: files.length, unit: 'files' })
    job.partial({ files: index + 1, words })
  }
  return { files: files.length, words }
}

const jobs = stint.jobServer({
  service: 'word-count',
  server: `word-count-${port}`,
  // What this server was doing when it was killed is done again when it is back.
  resume: (job, { attributes }) => countWords(job, String(attributes?.['folder'])),
  onProblem: (problem, job) => process.stderr.write(`${job ?? 'Stint'}: ${problem.message}\n`),
})

const folderOf = (req: Request): string => (typeof req.query['folder'] === 'string' ? req.query['folder'] : '.')
const label = (req: Request): string => `words in ${folderOf(req)}`
const attributes = (req: Request) => ({ folder: folderOf(req) })
const count = (job: Job, req: Request) => countWords(job, folderOf(req))

const app = express()
app.post('/scans', jobs.express<Request, Response>(label, count, { attributes }))
app.get('/words', jobs.express<Request, Response>(label, count, { attributes, respond: 'result' }))

const server = app.listen(port, '127.0.0.1', () =>
  process.stdout.write(`http://127.0.0.1:${port}/words?folder=. · http://127.0.0.1:${port}/scans · to end it: kill ${process.pid}\n`),
)

const stop = async (): Promise<void> => {
  server.close()
  await jobs.close('fail')
  await stint.close()
  process.exit(0)
}
process.once('SIGINT', () => void stop())
process.once('SIGTERM', () => void stop())
