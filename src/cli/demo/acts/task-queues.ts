// The act of the task queues (B): an application outside puts tasks into a queue of an application inside, whose workers are busy, killed and suspended meanwhile.
import * as E from 'fp-ts/lib/Either.js'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Stint } from '../../../client/index.ts'
import { withLog } from '../../../offline/log.ts'
import { replayLog } from '../../../offline/replay.ts'
import { usage } from '../../failure.ts'
import type { Act, Claim, Play } from '../act.ts'
import { ARCHIVE, archiveQueueFiles, PUBLISHER, WORKERS } from '../archive-queue.ts'
import { isTrue, type Archived, type Order } from '../archive.ts'
import { historyTable } from '../evidence.ts'
import { openChronicle, type Chronicle } from '../chronicle.ts'
import { openOrderBook, type Ordered } from '../order-book.ts'
import { assembleQueueCast, type QueueCast } from '../queue-cast.ts'
import { aTaskIsBad, aWorkerDies, aWorkerStandsStill, QUEUE_SCENES, theQueueRunsEmpty, workComesIn, type QueueTelling } from '../queue-story.ts'
import { sourceFilesUnder } from '../source-files.ts'
import type { Picture, Stage } from '../stage.ts'
import { widthOfTables } from '../table-width.ts'
import { holdingsIn, isCompletedOnce, taskHistories } from '../task-evidence.ts'
import { agrees } from '../task-ledger.ts'
import { createWatch } from '../watch.ts'
import { workerBoardLines, type QueueFigure } from '../worker-board.ts'

const USUAL_SECONDS = 14
const FAST_SECONDS = 5
/** What all workers together do in a second. */
const TASKS_PER_SECOND = 32
const WORKER_COUNT = 4
/** Large files would make leases long and bars jump. */
const FILE_BYTES_MAX = 32 * 1024
const FILES_MAX = 600
/** So many tasks lie in the queue at most. */
const OPEN_MAX = 50
const SUMMARY_STEP = 50

/** Copies of files from all over the tree, as the users of the application outside uploaded them: a tree that somebody works on changes meanwhile. */
const uploadsFrom = async (root: string, into: string): Promise<readonly Order[]> => {
  const files = (await sourceFilesUnder(root)).filter(({ bytes }) => bytes <= FILE_BYTES_MAX)
  const stride = Math.max(1, Math.floor(files.length / FILES_MAX))
  const chosen = files.filter((_file, index) => index % stride === 0).slice(0, FILES_MAX)
  await mkdir(into)
  const uploaded = await Promise.all(
    chosen.map(async ({ path }, index) => {
      const content = await readFile(path).catch(() => undefined)
      if (content === undefined || content.length === 0) return undefined
      const copy = join(into, `${index}-${basename(path)}`)
      await writeFile(copy, content)
      return { path: copy, bytes: content.length }
    }),
  )
  return uploaded.filter((order) => order !== undefined)
}

const introduce = ({ say, root }: Play, orders: readonly Order[]): void => {
  say('Here, an application inside keeps an archive. An application outside has files archived')
  say(`from ${root}; each is a task, for which it is hashed, counted and packed:`)
  say(`${orders.length.toLocaleString('en')} files, one after another, and from the first on again. Four workers do it.`)
  say()
}

const presentCast = ({ context, say }: Play, { publisher, workers }: QueueCast): void => {
  const line = (name: string, where: string, pid: number, what: string): void =>
    say(`  ${name.padEnd(15)}${where.padEnd(23)}${context.paint('dim', `pid ${String(pid).padEnd(9)}${what}`)}`)
  line('publisher', publisher.url, publisher.child.pid, `${PUBLISHER.email}, may put tasks in`)
  for (const { name, child } of workers) line(name, `${ARCHIVE.app}/${ARCHIVE.queue}`, child.pid, `${WORKERS.email}, may lease them`)
}

const NO_FIGURE: QueueFigure = { name: `${ARCHIVE.app}/${ARCHIVE.queue}`, put: 0, completed: 0, waiting: 0, delayed: 0, leased: 0, deadLetters: 0 }

const pictureOf = (queue: QueueFigure, { workers }: QueueCast): Picture => ({
  lines: (size, paint) =>
    workerBoardLines(
      queue,
      workers.map(({ figure }) => figure()),
      size,
      paint,
    ),
  // Each single one would be a line.
  summary: () => (queue.completed < SUMMARY_STEP ? '' : `${Math.floor(queue.completed / SUMMARY_STEP) * SUMMARY_STEP} tasks done`),
})

/** Looks at the queue, and at the number of workers that wait for work in it. */
const lookAt = (stint: Stint, chronicle: Chronicle) => {
  let figure = NO_FIGURE
  let waitingWorkers = 0
  return {
    figure: () => figure,
    waitingWorkers: () => waitingWorkers,
    look: async (put: number): Promise<void> => {
      try {
        const { waiting, delayed, leased, statistics, ...queue } = await stint.queues.show(ARCHIVE)
        waitingWorkers = queue.waitingWorkers
        figure = { ...NO_FIGURE, put, completed: chronicle.completed(), waiting, delayed, leased, deadLetters: statistics.deadLetters }
      } catch {
        // It answers again in a moment: the picture stays as it was.
      }
    },
  }
}

const playScenes = async (play: Play, cast: QueueCast, stage: Stage, orders: readonly Order[]): Promise<readonly Ordered[]> => {
  const { world, context, admin, claims, interrupted, breathMs, directory, isFast } = play
  const chronicle = await openChronicle(admin, stage.tell, context.paint)
  const { figure, waitingWorkers, look } = lookAt(admin, chronicle)
  let ordered: () => readonly Ordered[] = () => []
  const watch = createWatch(world, interrupted, () => look(ordered().length))
  watch.onLook(() => stage.draw(pictureOf(figure(), cast)))
  try {
    await watch.until('all workers to wait for work', () => waitingWorkers() === cast.workers.length)
    const seconds = play.seconds ?? (isFast ? FAST_SECONDS : USUAL_SECONDS)
    const open = (): number => ordered().length - chronicle.completed()
    const book = openOrderBook({ world, put: cast.publisher.order, files: orders, least: seconds * TASKS_PER_SECOND, open, enough: OPEN_MAX })
    ordered = book.ordered
    try {
      const title = (number: number, text: string): string => play.sceneTitle(number, QUEUE_SCENES, text)
      const telling: QueueTelling = { world, stint: admin, cast, stage, watch, chronicle, book, claims, breathMs, interrupted, directory, title }
      await workComesIn(telling, orders.slice(0, cast.workers.length))
      await aWorkerDies(telling)
      await aWorkerStandsStill(telling)
      await aTaskIsBad(telling, orders.find(({ bytes }) => bytes > 1) ?? { path: '', bytes: 0 })
      await theQueueRunsEmpty(telling)
    } finally {
      book.close()
    }
    return ordered()
  } finally {
    await watch.close()
    await chronicle.close()
  }
}

const named = ({ id }: Ordered) => ({ ...ARCHIVE, id })

/** Ids of the tasks whose result is not what an independent look at the file comes to. */
const falseResults = async ({ admin }: Play, { into }: QueueCast, ordered: readonly Ordered[]): Promise<readonly string[]> => {
  const wrong: string[] = []
  const results = new Map<string, Archived>()
  for await (const { id, outcome } of admin.tasks.each(ARCHIVE, { state: 'completed', limit: 1_000 }))
    if (outcome !== undefined && 'completed' in outcome) results.set(id, outcome.completed.result as Archived)
  for (const { id, order } of ordered) if (!(await isTrue(order, into, id, results.get(id)))) wrong.push(id)
  return wrong
}

/** Refusals of which the log keeps a record. */
const auditedRefusals = async ({ stint, world }: Play): Promise<number> => {
  const replayed = await withLog(stint.data, (reader) => replayLog(reader, { world }))
  if (E.isLeft(replayed)) throw replayed.left
  return replayed.right.types['RefusalRecorded'] ?? 0
}

/** Proves what the story leaves behind. */
const prove = async (play: Play, cast: QueueCast, ordered: readonly Ordered[]): Promise<readonly Claim[]> => {
  const { admin, context, say } = play
  const histories = await taskHistories(admin, ordered.map(named))
  const of = (id: string) => histories.get(id) ?? []
  const storied = ordered.find(({ id }) => of(id).some(({ type }) => type === 'DeadLettered'))
  if (storied !== undefined) {
    say()
    say(context.paint('bold', 'The history of the task that was a dead letter'))
    for (const line of historyTable(of(storied.id), context.paint, widthOfTables(context))) say(line)
  }
  const wrong = await falseResults(play, cast, ordered)
  const notOnce = ordered.filter(({ id }) => !isCompletedOnce(of(id)))
  const told = cast.workers.flatMap((worker) => worker.told())
  const accepted = told.filter(({ verb, refused }) => verb === 'complete' && refused === undefined)
  const refused = told.filter((entry) => entry.refused !== undefined)
  const disagreeing = told.filter((entry) => !agrees(entry, of(entry.task)))
  const leases = ordered.reduce((sum, { id }) => sum + holdingsIn(of(id)).length, 0)
  const { waiting, delayed, leased, statistics } = await admin.queues.show(ARCHIVE)
  const audited = await auditedRefusals(play)
  const count = (value: number): string => value.toLocaleString('en')
  return [
    {
      claim: 'Every file is in the archive as it is, and every result is right.',
      isTrue: wrong.length === 0,
      seen: `${count(ordered.length)} unpacked, compared and hashed again, ${wrong.length} wrong`,
    },
    {
      claim: 'Every task was completed exactly once, by a holder of its current lease.',
      isTrue: notOnce.length === 0,
      seen: `${count(ordered.length)} tasks, ${count(leases)} leases, ${notOnce.length} otherwise`,
    },
    {
      claim: 'What Stint acknowledged to the workers is in its log, and what it refused is not.',
      isTrue: disagreeing.length === 0 && refused.length > 0,
      seen: `${count(accepted.length)} completions, ${refused.length} stale endings and extensions refused`,
    },
    { claim: 'The outsider’s attempt to lease is on record.', isTrue: audited > 0, seen: `${audited} in the audit stream` },
    {
      claim: 'The queue is empty.',
      isTrue: waiting + delayed + leased + statistics.deadLetters === 0,
      seen: `${waiting} waiting, ${delayed} delayed, ${leased} leased, ${statistics.deadLetters} dead letters`,
    },
  ]
}

export const taskQueues: Act = {
  title: 'Work from outside',
  shows: [
    'An application outside puts tasks into a queue of one inside, and may do nothing else.',
    'Workers are busy, die and stand still; every task is done exactly once all the same.',
  ],
  queueFiles: archiveQueueFiles,
  perform: async (play) => {
    const { nursery, stint, directory, root } = play
    const orders = await uploadsFrom(root, join(directory, 'files'))
    if (orders.length === 0) throw usage(`There are no Markdown or source files under ${root}.`, 'Name another directory: stint demo DIRECTORY')
    introduce(play, orders)
    const [publisherToken, workerToken] = [await play.tokenFor(PUBLISHER), await play.tokenFor(WORKERS)]
    const average = orders.reduce((sum, { bytes }) => sum + bytes, 0) / orders.length
    const bytesPerSecond = (average * TASKS_PER_SECOND) / WORKER_COUNT
    const cast = await assembleQueueCast({ nursery, stintUrl: stint.url, publisherToken, workerToken, directory, bytesPerSecond })
    presentCast(play, cast)
    const stage = play.openStage()
    const ordered = await playScenes(play, cast, stage, orders)
    stage.close()
    await cast.close()
    return prove(play, cast, ordered)
  },
}
