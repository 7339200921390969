// How soon a task is with a worker: `node bench/task-latency.ts`. New tasks at a steady pace, from the call that puts one to the first line of its handler; and tasks that are given back while another worker waits.
import { connect, type Stint } from '../src/client/index.ts'
import { completeTask, extendTask, leaseTasks, releaseTask, type LeasedTask } from '../src/wire/tasks.ts'
import { runAlone, say } from './alone.ts'
import { expecting, httpClient } from './calls.ts'
import { bareFetch, floorOf, floorRows } from './floor.ts'
import { dripInto, jobOf, pause } from './loads.ts'
import { jobQueueOf, onServer, WORK } from './queue-client.ts'
import { quantile, rounded, rowOf, type Effort, type Row } from './row.ts'
import type { ServerProcess } from './server-process.ts'

const TASKS = 500
const QUICK_TASKS = 50
const WARM_UP_TASKS = 500
const GIVEN_BACK = 1_000
const QUICK_GIVEN_BACK = 20
/** A server that has been running for a while: its code is compiled by then. */
const WARM_UP_GIVEN_BACK = 500
const LOOK_EVERY_MS = 2

const rowFor = (what: string, took: readonly number[], aim: { readonly p50?: number; readonly p99: number }, limit: string): readonly Row[] => {
  const against = bareFetch(1)
  const more = { 'worst ms': rounded(quantile(took, 1), 2), tasks: took.length }
  return [
    rowOf(`${what}, p50`, quantile(took, 0.5), 'ms', { ...(aim.p50 === undefined ? {} : { aim: { most: aim.p50 } }), limit, against, more }),
    rowOf(`${what}, p99`, quantile(took, 0.99), 'ms', { aim: { most: aim.p99 }, limit, against, more }),
  ]
}

/** A way to lease a task and to give it back. */
interface Giver {
  readonly lease: () => Promise<string>
  readonly giveBack: () => Promise<unknown>
}

const nativeGiver = (stint: Stint, back: (task: LeasedTask) => Promise<unknown>): Giver => {
  let task: LeasedTask | undefined
  const lease = async (): Promise<string> => {
    const { items } = await stint.call(leaseTasks, { params: WORK, body: { max: 1, leaseSeconds: 60, worker: 'giver' } })
    task = items[0]
    return task?.id ?? ''
  }
  return { lease, giveBack: async () => (task === undefined ? undefined : back(task)) }
}

/** As an application written for App Engine's pull queues does it. */
const dialectGiver = (url: string): Giver => {
  const { call } = httpClient(url, 1)
  const tasks = `/taskqueue/v1beta2/projects/${WORK.app}/taskqueues/${WORK.queue}/tasks`
  let task: { readonly id: string; readonly leaseTimestamp: string } | undefined
  const lease = async (): Promise<string> => {
    const answer = await expecting(200, call('POST', `${tasks}/lease?numTasks=1&leaseSecs=60`))
    task = (JSON.parse(answer.body) as { items: NonNullable<typeof task>[] }).items[0]
    return task?.id ?? ''
  }
  return {
    lease,
    giveBack: () => expecting(200, call('POST', `${tasks}/${task?.id}?newLeaseSeconds=0`, { id: task?.id, queueName: WORK.queue, leaseTimestamp: task?.leaseTimestamp })),
  }
}

/** One worker holds a task, another waits; the milliseconds from giving it back until the other has it. */
const givenBack = async (stint: Stint, other: Stint, { lease, giveBack }: Giver): Promise<number> => {
  const producer = stint.producer(WORK)
  await producer.put(jobOf(1).payload)
  await producer.close()
  const id = await lease()
  const waiting = other.call(leaseTasks, { params: WORK, body: { max: 1, leaseSeconds: 60, worker: 'other' }, headers: { Prefer: 'wait=30' } })
  while (((await stint.queues.show(WORK)).waitingWorkers ?? 0) === 0) await pause(LOOK_EVERY_MS)
  const began = performance.now()
  const back = giveBack()
  const { items } = await waiting
  const took = performance.now() - began
  const [task] = items
  if (task?.id !== id) throw new Error(`Expected ${id} to come to the other worker, but it was ${task?.id}`)
  await back
  await other.call(completeTask, { params: WORK, body: { id, lease: task.lease } })
  return took
}

const WAYS = {
  'lease modified to 0 s over the dialect': ({ url }: ServerProcess) => dialectGiver(url),
  'lease extended to 0 s': (_: ServerProcess, stint: Stint) =>
    nativeGiver(stint, ({ id, lease }) => stint.call(extendTask, { params: WORK, body: { id, lease, leaseSeconds: 0 } })),
  'released as busy': (_: ServerProcess, stint: Stint) => nativeGiver(stint, ({ id, lease }) => stint.call(releaseTask, { params: WORK, body: { id, lease, busy: true } })),
} as const

const giveBackRows = async (stint: Stint, server: ServerProcess, isQuick: boolean): Promise<readonly Row[]> => {
  const other = connect({ url: server.url })
  const rows: Row[] = []
  for (const [way, giverOf] of Object.entries(WAYS)) {
    const giver = giverOf(server, stint)
    for (let n = 0; n < (isQuick ? 1 : WARM_UP_GIVEN_BACK); n += 1) await givenBack(stint, other, giver)
    const took: number[] = []
    for (let n = 0; n < (isQuick ? QUICK_GIVEN_BACK : GIVEN_BACK); n += 1) took.push(await givenBack(stint, other, giver))
    rows.push(...rowFor(`Given back to a waiting worker (${way})`, took, { p99: 10 }, 'Two commits, one after the other: that it is given back, and the next lease.'))
  }
  await other.close()
  return rows
}

export const measureTaskLatency = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  say('floors')
  const floor = await floorOf(isQuick ? 0.5 : 2)
  say('pick-up')
  const picked = await onServer(async (stint) => {
    const queue = jobQueueOf(stint, WORK)
    const took = await dripInto(queue, isQuick ? QUICK_TASKS : WARM_UP_TASKS, isQuick ? QUICK_TASKS : TASKS)
    await queue.close()
    return took
  })
  const pickUp = rowFor(
    'Pick-up of a new task, 50 a second',
    picked,
    { p50: 1.2, p99: 3.5 },
    'One commit, the birth with the lease, and waking one another: caller, server, worker.',
  )
  say('give-back')
  return [...floorRows(floor), ...pickUp, ...(await onServer((stint, server) => giveBackRows(stint, server, isQuick)))]
}

if (import.meta.main) await runAlone(measureTaskLatency)
