// A worker inside: it leases the print shop's orders, prints them, and tells how it went. Start as many as you like; kill one, and its orders come back to the others.
// In your own project: import { connect, isOverloaded, PermanentFailure, type WorkerTask } from 'stint'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, isOverloaded, PermanentFailure, type WorkerTask } from '../../src/client/index.ts'

interface Order {
  readonly title: string
  readonly pages: number
}

const MS_PER_PAGE = 20
const PAGES_MAX = 85

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The work itself. What it returns is the task's result; what it throws is why this attempt failed. */
const print = async (task: WorkerTask<Order>): Promise<{ readonly sheets: number }> => {
  const { title, pages } = task.payload
  if (pages > PAGES_MAX) throw new PermanentFailure(`${title} is too thick to be bound.`, { code: 'too-thick', detail: { pages } })
  say(`printing ${title}, attempt ${task.attempt}`)
  task.phase('print')
  for (let page = 1; page <= pages; page += 1) {
    await task.checkpoint() // here it pauses, and here an abort ends it
    await pause(MS_PER_PAGE, undefined, { signal: task.signal })
    task.progress({ done: page, total: pages, unit: 'pages' })
  }
  say(`printed ${title}`)
  return { sheets: Math.ceil(pages / 2) }
}

const stint = connect({ as: 'press@print-shop.example' })
let isOutOfPaper = false

const worker = stint.worker(
  {
    app: 'print-shop',
    queue: 'orders',
    concurrency: 4,
    leaseSeconds: 30,
    // Asked before orders are leased and before each is begun: a busy worker gives them back, and another prints them.
    isBusy: (load) => isOutOfPaper || isOverloaded(load),
    closeOn: ['SIGTERM', 'SIGINT'],
  },
  print,
)
process.on('SIGUSR2', () => {
  isOutOfPaper = !isOutOfPaper
  say(isOutOfPaper ? 'out of paper' : 'paper is back')
})

say(`worker ${worker.worker} waits for orders; to signal it: kill ${process.pid}`)
await worker.closed
await stint.close()
say(`closed: ${JSON.stringify(worker.figures())}`)
