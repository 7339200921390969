// One performance of the demo: the cast is assembled, the acts are played, and in the end everything is shown and proved.
import { connect, type JobProxy, type Stint } from '../../client/index.ts'
import type { Context } from '../context.ts'
import { usage } from '../failure.ts'
import { assemble, type Cast } from './cast.ts'
import type { Nursery } from './children.ts'
import type { Claims } from './claims.ts'
import { tellEvents } from './event-lines.ts'
import { anAnswer, historyOf, historyTable, jobTable, missingFromLog, notOnce, quietCount, verify } from './evidence.ts'
import { createFeeder } from './feeder.ts'
import { createLookout } from './lookout.ts'
import type { Stage } from './stage.ts'
import { aServerDies, everythingEnds, jobsComeIn, oneIsAborted, stintDies } from './story.ts'
import { piecesOf, requestAt, type Piece } from './workload.ts'

export interface Tempo {
  /** Requests at least. */
  readonly requests: number
  /** Jobs under way at a time. */
  readonly atOnce: number
  /** What the work would take if nothing happened to it. */
  readonly seconds: number
  readonly reportEverySeconds: number
  /** Milliseconds that a viewer gets to look at something. */
  readonly breathMs: number
}

export interface Performance {
  readonly context: Context
  readonly nursery: Nursery
  readonly stage: Stage
  readonly claims: Claims
  readonly tempo: Tempo
  /** What is indexed. */
  readonly root: string
  /** Where the processes write. */
  readonly directory: string
  readonly interrupted: AbortSignal
}

/** A full line would make some terminals begin another. */
const widthOfTables = ({ columns }: Context): number | undefined => {
  const most = columns()
  return most === undefined ? undefined : most - 1
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

const introduce = ({ context, stage, root }: Performance, pieces: readonly Piece[]): void => {
  const files = sum(pieces.map((piece) => piece.files)).toLocaleString('en')
  const megabytes = (sum(pieces.map((piece) => piece.bytes)) / 1e6).toFixed(1)
  stage.say(context.paint('bold', 'Stint watches over jobs that outlive the requests that start them.'))
  stage.say()
  stage.say('Here, three job servers behind a load balancer build full-text indexes of')
  stage.say(`directories in ${root}:`)
  stage.say(`${files} Markdown and source files, ${megabytes} MB.`)
  stage.say('Real work by real processes, on this machine only:')
  stage.say()
}

const presentCast = ({ context, stage }: Performance, { stint, balancer, servers }: Cast): void => {
  const line = (name: string, url: string, pid: number, what: string): void =>
    stage.say(`  ${name.padEnd(15)}${url.padEnd(23)}${context.paint('dim', `pid ${String(pid).padEnd(9)}${what}`)}`)
  line('load balancer', balancer.url, balancer.child.pid, 'takes the requests')
  for (const { name, url, child } of servers) line(name, url, child().pid, 'indexes files')
  line('Stint', stint.url, stint.child().pid, 'keeps watch')
  stage.say()
  stage.say(`Stint keeps its log in ${stint.data}`)
}

const showJobs = ({ context, stage }: Performance, jobs: readonly JobProxy[]): void => {
  const { paint } = context
  stage.say()
  stage.say(paint('bold', 'All jobs'))
  for (const line of jobTable(jobs, paint, widthOfTables(context))) stage.say(line)
  if (jobs.some((job) => job.attempt > 1)) stage.say(paint('dim', 'Kept or begun anew: jobs that a new server took over from the one that was killed.'))
  const answer = anAnswer(jobs)
  if (answer !== undefined) stage.say(paint('dim', `The indexes answer: ${answer}`))
}

const showHistory = async ({ context, stage }: Performance, stint: Stint, job: JobProxy): Promise<void> => {
  const { paint } = context
  const history = await historyOf(stint, job.id)
  stage.say()
  stage.say(paint('bold', `The history of ${job.label}, which was taken over`))
  for (const line of historyTable(history, paint, widthOfTables(context))) stage.say(line)
  stage.say(paint('dim', `${quietCount(history)} more events, which say how far it was and that it was alive, are left out.`))
}

/** What the story leaves behind, and the proof that it is true. */
const show = async (performance: Performance, cast: Cast, stint: Stint, sent: readonly string[], taken: readonly string[]): Promise<void> => {
  const { nursery, context, stage, claims } = performance
  const jobs = await Promise.all(sent.map((job) => stint.jobs.show(job)))
  showJobs(performance, jobs)
  // One whose second attempt came to its end tells the most.
  const interesting = jobs.find((job) => taken.includes(job.id) && job.state === 'completed') ?? jobs.find((job) => taken.includes(job.id))
  if (interesting !== undefined) await showHistory(performance, stint, interesting)

  stage.say()
  stage.say(context.paint('bold', 'The proof'))
  const states = Map.groupBy(jobs, (job) => job.state)
  const counts = [...states].map(([state, list]) => `${list.length} ${state}`).join(', ')
  // Whoever watches may have aborted more than one.
  const isAsWanted = jobs.every((job) => job.state === 'completed' || (job.state === 'aborted' && job.receipt?.resolution === 'obeyed'))
  claims.check('Every job ended, and ended once.', isAsWanted && states.has('aborted') && (await notOnce(stint, sent)).length === 0, counts)
  const acknowledged = cast.acknowledged()
  const missing = await missingFromLog(stint, acknowledged)
  claims.check('Everything that Stint acknowledged is in its log.', missing.length === 0, `${acknowledged.length.toLocaleString('en')} acknowledgements, ${missing.length} missing`)
  await cast.stint.stop()
  const { isSound, lines } = await verify(nursery, cast)
  claims.check('The log is whole, and its replay gives what Stint showed.', isSound, 'says `stint verify`')
  for (const line of lines) stage.say(`  ${context.paint('dim', line)}`)
}

/** Plays everything; rejects when the cast fails or `interrupted` aborts. The caller ends the cast. */
export const perform = async (performance: Performance): Promise<void> => {
  const { nursery, context, stage, claims, tempo, root, directory, interrupted } = performance
  const { world, paint } = context
  const pieces = await piecesOf(root, tempo.requests)
  if (pieces.length === 0) throw usage(`There are no Markdown or source files under ${root}.`, 'Name another directory: stint demo DIRECTORY')
  introduce(performance, pieces)
  const bytes = sum(Array.from({ length: tempo.requests }, (_each, number) => requestAt(root, pieces, number).bytes))
  const cast = await assemble({ nursery, directory, root, bytesPerSecond: bytes / tempo.seconds / 3, reportEverySeconds: tempo.reportEverySeconds })
  presentCast(performance, cast)

  await using stint = connect({ url: cast.stint.url, world })
  const lookout = createLookout(stint, world, interrupted)
  const trouble = (): string | undefined => (lookout.isBlind() ? 'Stint does not answer' : undefined)
  lookout.onLook(() => stage.draw({ jobs: lookout.jobs(), paces: lookout.paces(), now: world.now(), trouble: trouble() }))
  const feeder = createFeeder({ world, lookout, url: cast.balancer.url, requestAt: (number) => requestAt(root, pieces, number), atOnce: tempo.atOnce, least: tempo.requests })
  const telling = new AbortController()
  const told = tellEvents(stint, stage.tell, paint, telling.signal).catch((cause: unknown) => stage.say(`The event stream ended: ${String(cause)}`))
  let taken: readonly string[]
  try {
    const told = { world, stint, cast, stage, lookout, feeder, claims, breathMs: tempo.breathMs, interrupted }
    await jobsComeIn(told)
    await oneIsAborted(told)
    taken = await aServerDies(told)
    await stintDies(told)
    await everythingEnds(told)
  } finally {
    feeder.close()
    telling.abort()
    await lookout.close()
    await told
  }
  stage.close()
  await show(
    performance,
    cast,
    stint,
    feeder.sent().map(({ job }) => job),
    taken,
  )
}
