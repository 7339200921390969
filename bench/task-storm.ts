// Tasks in a storm: `npx node bench/task-storm.ts --tasks 100000`. A queue is worked through by worker processes of which one is killed with SIGKILL each second and replaced,
// and one frozen every few seconds until its leases have ended. Afterwards the log is read: each task must have been completed once, by the holder of its current lease.
import * as E from 'fp-ts/lib/Either.js'
import { parseArgs } from 'node:util'
import { connect } from '../src/client/index.ts'
import { verifyData } from '../src/offline/verify.ts'
import { realWorld } from '../src/world.ts'
import { auditLog, openCrew } from '../test/support/task-storm.ts'
import { watchOthers } from './machine.ts'
import { rounded } from './row.ts'
import { startServer, temporaryDirectory } from './server-process.ts'

/** The queue that a server of the bench has. */
const QUEUE = { app: 'bench', queue: 'work' }
const LOOK_EVERY_MS = 250
/** Tasks that are put at once. */
const TOGETHER = 5_000
/** Tasks that the crew may leave open before the rest is given up: none should be, so this is a bound on the time only. */
const STANDSTILL_MS = 60_000

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '100000' },
    workers: { type: 'string', default: '8' },
    concurrency: { type: 'string', default: '32' },
    prefetch: { type: 'string', default: '0' },
    'lease-seconds': { type: 'string', default: '2' },
    'kill-every-seconds': { type: 'string', default: '1' },
    'freeze-every-seconds': { type: 'string', default: '5' },
  },
})
const tasks = Number(values.tasks)
const workers = Number(values.workers)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const say = (line: string): void => console.log(line)

const { directory, remove } = temporaryDirectory()
const server = await startServer(directory)
const stint = connect({ url: server.url })
const othersSince = watchOthers()
const crew = openCrew({
  ...QUEUE,
  urls: [server.url],
  workers,
  concurrency: Number(values.concurrency),
  prefetch: Number(values.prefetch),
  leaseSeconds: Number(values['lease-seconds']),
})
await crew.ready

const began = performance.now()
const secondsSince = (since: number): number => rounded((performance.now() - since) / 1_000, 1)
const freezes = new Set<Promise<void>>()
const killing = setInterval(crew.replaceOne, Number(values['kill-every-seconds']) * 1_000)
const freezing = setInterval(
  () => {
    const freeze = crew.freezeOne(stint)
    freezes.add(freeze)
    void freeze.finally(() => freezes.delete(freeze))
  },
  Number(values['freeze-every-seconds']) * 1_000,
)

const producer = stint.producer(QUEUE)
for (let put = 0; put < tasks; put += TOGETHER) {
  const done = await producer.putMany(Array.from({ length: Math.min(TOGETHER, tasks - put) }, (_, n) => ({ payload: { n: put + n } })))
  const refused = done.find(({ error }) => error !== undefined)
  if (refused !== undefined) throw new Error('A task was refused', { cause: refused.error })
}
say(`${tasks} tasks put in ${secondsSince(began)} s, while ${workers} workers work`)

let open = tasks
for (let changedAt = performance.now(); open > 0; await pause(LOOK_EVERY_MS)) {
  const { waiting, delayed, leased } = await stint.queues.show(QUEUE)
  if (waiting + delayed + leased !== open) changedAt = performance.now()
  open = waiting + delayed + leased
  if (performance.now() - changedAt > STANDSTILL_MS) throw new Error(`Nothing moves: ${waiting} wait, ${delayed} are delayed, ${leased} are leased.`)
}
const seconds = secondsSince(began)
clearInterval(killing)
clearInterval(freezing)
await Promise.all(freezes)
await crew.close()
await stint.close()
await server.stop()
const others = othersSince()

const audit = await auditLog(directory, QUEUE)
const { chain, tables } = await verifyData(directory, { world: realWorld })
const isEqual = tables !== undefined && E.isRight(tables) && tables.right.equal
say(`worked through in ${seconds} s (${Math.round(tasks / seconds)} tasks a second), others used ${others} cores meanwhile`)
say(`workers: ${crew.killed()} killed and replaced, ${crew.frozen()} frozen until a lease had ended`)
say(`leases: ${audit.leases}; ${audit.expired} ended unused, ${audit.givenBack} given back, ${crew.stale()} stale endings refused`)
say(`tasks: ${audit.tasks}; ${audit.completedOnce} completed once by the holder of the current lease, ${audit.wrong.length} wrong, ${tasks - audit.tasks} lost`)
say(`log: chain ${E.isRight(chain) ? 'whole' : 'BROKEN'}, tables ${isEqual ? 'equal to a replay' : 'NOT equal to a replay'}`)
remove()
if (audit.tasks !== tasks || audit.wrong.length > 0 || E.isLeft(chain) || !isEqual) process.exitCode = 1
