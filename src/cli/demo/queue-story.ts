// The story of the task queues in five scenes. Each scene does something to the cast, waits until what must follow is seen, and checks what it claims.
import { copyFileSync, truncateSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Stint } from '../../client/index.ts'
import { pause, type World } from '../../world.ts'
import { formatDuration } from '../duration.ts'
import { ARCHIVE, ATTEMPTS_MAX, LEASE_SECONDS, PUBLISHER, WORKERS } from './archive-queue.ts'
import type { Order } from './archive.ts'
import type { Chronicle } from './chronicle.ts'
import type { Claims } from './claims.ts'
import type { OrderBook } from './order-book.ts'
import type { QueueCast, WorkerSeat } from './queue-cast.ts'
import type { Stage } from './stage.ts'
import { holdingsIn } from './task-evidence.ts'
import type { Watch } from './watch.ts'

export interface QueueTelling {
  readonly world: World
  readonly stint: Stint
  readonly cast: QueueCast
  readonly stage: Stage
  readonly watch: Watch
  readonly chronicle: Chronicle
  readonly book: OrderBook
  readonly claims: Claims
  readonly breathMs: number
  readonly interrupted: AbortSignal
  /** The act's own directory. */
  readonly directory: string
  readonly title: (number: number, text: string) => string
}

export const QUEUE_SCENES = 5

const breath = ({ world, breathMs, interrupted }: QueueTelling): Promise<void> => pause(world, breathMs, interrupted)
const tasks = (count: number): string => `${count} task${count === 1 ? '' : 's'}`

const seat = ({ cast }: QueueTelling, name: string): WorkerSeat => {
  const found = cast.workers.find((worker) => worker.name === name)
  if (found === undefined) throw new Error(`Expected a worker ${name}.`)
  return found
}

const isDone = ({ chronicle }: QueueTelling, id: string): boolean => chronicle.of(id).some(({ type }) => type === 'Completed')
const heldBy = ({ chronicle }: QueueTelling, name: string): number => chronicle.holdingsOf(name).filter(({ ended }) => ended === undefined).length
const unique = (ids: readonly string[]): readonly string[] => [...new Set(ids)]

/** Tasks that this worker did not keep. */
const losses = ({ chronicle }: QueueTelling, name: string, how: string): readonly string[] =>
  unique(chronicle.holdingsOf(name).flatMap(({ id, ended }) => (ended?.how === how ? [id] : [])))

/** Milliseconds from giving back to the next holder, for each task that the worker gave back because it was busy. */
const handedOn = ({ chronicle }: QueueTelling, name: string): readonly (number | undefined)[] =>
  chronicle
    .holdingsOf(name)
    .filter(({ ended }) => ended?.isBusy === true)
    .map(({ id, lease, ended }) => {
      const next = holdingsIn(chronicle.of(id)).find((holding) => holding.lease > lease && holding.holder !== name)
      return next === undefined ? undefined : Date.parse(next.from) - Date.parse(ended?.at ?? '')
    })

/** What a worker said before it was stopped has arrived by then. */
const ARRIVED_MS = 300

/** Stops a worker at a moment at which it holds tasks. */
const stopWithTasks = async (telling: QueueTelling, worker: WorkerSeat): Promise<void> => {
  const { watch, world, interrupted } = telling
  for (;;) {
    await watch.until('a worker with tasks', () => heldBy(telling, worker.name) > 0)
    worker.suspend()
    await pause(world, ARRIVED_MS, interrupted)
    if (heldBy(telling, worker.name) > 0) return
    worker.resume()
  }
}

/** Scene 1: an outsider puts tasks in and can do nothing else; a busy worker gives back what comes to it. All workers wait for work when it begins. */
export const workComesIn = async (telling: QueueTelling, first: readonly Order[]): Promise<void> => {
  const { stage, watch, cast, claims, chronicle, book } = telling
  const busy = seat(telling, 'worker-3')
  // Its question for work is out already: what that brings has to go on to somebody else.
  busy.setBusy(true)
  stage.scene({
    title: telling.title(1, 'An application outside gives work'),
    look: [
      `${PUBLISHER.email} puts a task into the queue for each file. The queue's file lets it do that, and nothing else.`,
      `Look: the four workers of ${WORKERS.email} share the tasks. ${busy.name} has just become busy: what comes to it goes on to another at once.`,
    ],
  })
  // One for each worker; which of them wait is for Stint to choose, so that it may take more than one round.
  while (handedOn(telling, busy.name).length === 0) {
    const round = await book.add(first)
    await watch.until('these tasks to be done', () => round.every(({ id }) => isDone(telling, id)))
  }
  await watch.until('tasks given back to be leased by others', () => handedOn(telling, busy.name).every((ms) => ms !== undefined))
  const delays = handedOn(telling, busy.name).map((ms) => ms ?? 0)
  claims.check('A busy worker gave its tasks back, and others had them at once.', delays.length > 0, `${tasks(delays.length)}, after ${Math.max(...delays)} ms at most`)
  book.begin()
  const refusal = await cast.publisher.tryToLease()
  claims.check('The outsider may not lease: it was refused.', refusal.status === 403, `${refusal.status} ${refusal.code ?? ''}: ${refusal.detail}`)
  await watch.until('tasks to be done', () => chronicle.completed() >= 20)
  await breath(telling)
  busy.setBusy(false)
}

/** Scene 2: a worker is killed with tasks in its hands. */
export const aWorkerDies = async (telling: QueueTelling): Promise<void> => {
  const { stage, watch, claims, world } = telling
  const victim = seat(telling, 'worker-2')
  await stopWithTasks(telling, victim)
  const killedAt = world.monotonic()
  await victim.kill()
  stage.scene({
    title: telling.title(2, 'A worker dies'),
    look: [
      `kill -9 ${victim.child.pid}: ${victim.name} is gone with what it had in hand. Nobody has to notice: its leases last ${LEASE_SECONDS} s, and nobody extends them now.`,
      `Look: its tasks come back, and the others do them. ${seat(telling, 'worker-3').name} is not busy any more and takes its share.`,
    ],
  })
  await watch.until('its leases to end', () => losses(telling, victim.name, 'LeaseExpired').length > 0 && heldBy(telling, victim.name) === 0)
  const endedMs = world.monotonic() - killedAt
  const lost = losses(telling, victim.name, 'LeaseExpired')
  await watch.until('its tasks to be done by others', () => lost.every((id) => isDone(telling, id)))
  claims.check('The tasks of the killed worker were done by others.', lost.length > 0, `${tasks(lost.length)}; the leases had ended ${formatDuration(endedMs)} after the kill`)
  await breath(telling)
}

/** Scene 3: a worker stands still for longer than its leases, goes on, and is refused. */
export const aWorkerStandsStill = async (telling: QueueTelling): Promise<void> => {
  const { stage, watch, claims } = telling
  const sleeper = seat(telling, 'worker-4')
  const before = new Set(losses(telling, sleeper.name, 'LeaseExpired'))
  const lost = (): readonly string[] => losses(telling, sleeper.name, 'LeaseExpired').filter((id) => !before.has(id))
  await stopWithTasks(telling, sleeper)
  stage.scene({
    title: telling.title(3, 'A worker stands still, and goes on'),
    look: [
      `kill -STOP ${sleeper.child.pid}: ${sleeper.name} stands still, as on a machine that is suspended. Its leases end, and its tasks go to others.`,
      'Look: when it goes on it still believes that they are its own. Every lease has a number, so Stint knows better.',
    ],
  })
  await watch.until('its leases to end', () => lost().length > 0 && heldBy(telling, sleeper.name) === 0)
  const stale = new Set(lost())
  sleeper.resume()
  const refusals = (): number => sleeper.told().filter(({ task, refused }) => stale.has(task) && refused !== undefined).length
  await watch.until('what it says to be refused', () => refusals() > 0)
  await watch.until('its tasks to be done', () => [...stale].every((id) => isDone(telling, id)))
  claims.check('What it said under leases that had ended was refused.', refusals() > 0, `${tasks(stale.size)}, ${refusals()} refusals`)
  await breath(telling)
}

/** It need not stand in line, so that nobody has to wait for its three attempts. */
const BAD_PRIORITY = 10

/** A copy of the file that was cut off on its way. */
const cutOff = (directory: string, { path, bytes }: Order): Order => {
  const copy = join(directory, `cut-off-${basename(path)}`)
  copyFileSync(path, copy)
  truncateSync(copy, Math.floor(bytes / 2))
  return { path: copy, bytes }
}

/** Scene 4: a task that cannot be done becomes a dead letter, and is redriven when what was wrong with it is mended. */
export const aTaskIsBad = async (telling: QueueTelling, file: Order): Promise<void> => {
  const { stage, watch, claims, stint, book, chronicle } = telling
  const [bad] = await book.add([cutOff(telling.directory, file)], BAD_PRIORITY)
  if (bad === undefined) throw new Error('Expected the order to be taken.')
  stage.scene({
    title: telling.title(4, 'A bad task'),
    look: [
      `${basename(file.path)} was cut off when it was uploaded. The worker throws, and the task is tried again, ${ATTEMPTS_MAX} times in all.`,
      'Look: then it is set aside as a dead letter, which is neither forgotten nor in anybody’s way.',
    ],
  })
  const count = (type: string): number => chronicle.of(bad.id).filter((event) => event.type === type).length
  await watch.until('a dead letter', () => count('DeadLettered') > 0)
  const name = { ...ARCHIVE, id: bad.id }
  const dead = await stint.tasks.show(name)
  const why = dead.outcome !== undefined && 'failed' in dead.outcome ? `${dead.outcome.failed.code}: ${dead.outcome.failed.message}` : ''
  claims.check(`A task that failed ${ATTEMPTS_MAX} times is a dead letter, with the reason.`, dead.deadLetter === true && count('Leased') === ATTEMPTS_MAX, why)
  await breath(telling)
  copyFileSync(file.path, bad.order.path)
  await stint.tasks.redrive(name)
  await watch.until('the redriven task to be done', () => isDone(telling, bad.id))
  claims.check('Its file was mended, an administrator redrove it, and it was done.', count('Redriven') === 1, `task ${bad.id.slice(-12)}`)
}

/** Scene 5: everything comes to its end. */
export const theQueueRunsEmpty = async (telling: QueueTelling): Promise<void> => {
  const { stage, watch, book } = telling
  stage.scene({ title: telling.title(5, 'The queue runs empty'), look: ['The last orders are made and the last tasks done.', 'Look: nothing waits, nothing is leased.'] })
  await book.finish()
  await watch.until('all tasks to be done', () => book.ordered().every(({ id }) => isDone(telling, id)), 300_000)
}
