// A worker of the application inside, as a process of its own: it leases files and archives them. It is busy while the file `--busy` exists, as if its machine made a backup.
//   node archive-worker.ts --name NAME --stint URL --into DIRECTORY --ledger FILE --busy FILE [--bytes-per-second COUNT]        (token: STINT_TOKEN)
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { connect } from '../../client/index.ts'
import { pause, realWorld } from '../../world.ts'
import { ARCHIVE } from './archive-queue.ts'
import { archive, type Archived, type Order } from './archive.ts'
import { createPace } from './pace.ts'
import { tell } from './talk.ts'
import { keepingTaskLedger } from './task-ledger.ts'

const { values: given } = parseArgs({
  options: {
    name: { type: 'string', default: 'worker' },
    stint: { type: 'string', default: 'http://127.0.0.1:7070' },
    into: { type: 'string', default: 'archive' },
    ledger: { type: 'string', default: 'told.jsonl' },
    busy: { type: 'string', default: 'busy' },
    'bytes-per-second': { type: 'string', default: '1000000000' },
  },
})

const TELL_EVERY_MS = 200
const CONCURRENCY = 4

const pace = createPace(realWorld, Number(given['bytes-per-second']))
const isBackingUp = (): boolean => existsSync(given.busy)

const stint = connect({ url: given.stint, fetch: keepingTaskLedger(given.ledger, fetch) })
const worker = stint.worker<Order, Archived>(
  {
    ...ARCHIVE,
    worker: given.name,
    concurrency: CONCURRENCY,
    // The story tells one that it is busy while its question is out, and has to bring it a task then.
    waitSeconds: 60,
    // Only that: on a machine that has too much to do, as `isOverloaded` would find, all workers of the play would stand by and look.
    isBusy: isBackingUp,
    closeOn: ['SIGTERM'],
    onProblem: (problem, task) => tell({ type: 'problem', detail: problem.message, job: task }),
  },
  async (task) => {
    await pace.take(task.payload.bytes, task.signal)
    await task.checkpoint()
    return archive(task.payload, given.into, task.id)
  },
)

const over = new AbortController()
void worker.closed.then(() => over.abort())

let said = ''
const tellFigures = (): void => {
  const { leased, completed, failed, aborted, givenBack, refused } = worker.figures()
  // A task that was lost may be refused more than once.
  const figures = { inHand: Math.max(0, leased - completed - failed - aborted - givenBack - refused), completed, givenBack, isBusy: isBackingUp() }
  const text = JSON.stringify(figures)
  if (text !== said) tell({ type: 'figures', ...figures })
  said = text
}

while (!over.signal.aborted) {
  tellFigures()
  await pause(realWorld, TELL_EVERY_MS, over.signal)
}
tellFigures()
await stint.close()
