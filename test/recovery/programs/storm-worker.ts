// A worker process that is to be killed, frozen and told to end: `node storm-worker.ts URL APP QUEUE NAME CONCURRENCY LEASE_SECONDS PREFETCH`.
// It says when it begins, and of each task that ended here although it was somebody else's, or done by somebody else, by then.
import { connect, LeaseLost, StintError } from '../../../src/client/index.ts'

const [url = '', app = '', queue = '', name = '', concurrency = '', leaseSeconds = '', prefetch = ''] = process.argv.slice(2)

const stint = connect({ url })

/** Long enough to be killed in the middle of it. */
const handle = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

const worker = stint.worker(
  {
    app,
    queue,
    worker: name,
    concurrency: Number(concurrency),
    prefetch: Number(prefetch),
    leaseSeconds: Number(leaseSeconds),
    closeOn: ['SIGTERM'],
    // The machine may be full of workers: what is tried here is that none is missed, not that a busy one rests.
    isBusy: () => false,
    onProblem: (problem) => {
      const isStale = problem instanceof LeaseLost || (problem instanceof StintError && (problem.code === 'stale-lease' || problem.code === 'settled'))
      if (isStale) process.stdout.write('stale\n')
    },
  },
  handle,
)
process.stdout.write('working\n')
await worker.closed
await stint.close()
