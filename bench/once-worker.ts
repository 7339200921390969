// A worker of the bench's contract as a process of its own: `node bench/once-worker.ts URL`. Its handlers do nothing but answer, with how often a handler has run.
import { connect } from '../src/client/index.ts'
import { CONCURRENCY } from './loads.ts'
import { CONTRACT } from './server-process.ts'

const url = process.argv[2] ?? ''
let runs = 0
connect({ url }).requestWorker({ contract: CONTRACT, concurrency: CONCURRENCY, closeOn: ['SIGTERM'], onProblem: (problem) => console.error(problem) }, ({ id }) => {
  runs += 1
  return { body: { ok: true, id, runs } }
})
console.log(`listening for requests at ${url}`)
