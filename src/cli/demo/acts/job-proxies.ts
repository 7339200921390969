// The act of the job proxies (A): job servers behind a load balancer index real files; a job is aborted, a job server is killed, Stint is killed.
import type { JobProxy, Stint } from '../../../client/index.ts'
import { boardLines, countsOfStates } from '../../item-board.ts'
import { usage } from '../../failure.ts'
import type { Act, Claim, Play } from '../act.ts'
import { assemble, type Cast } from '../cast.ts'
import { tellEvents } from '../event-lines.ts'
import { anAnswer, historyOf, historyTable, jobTable, missingFromLog, notOnce, quietCount } from '../evidence.ts'
import { createFeeder } from '../feeder.ts'
import { createLookout, type Lookout } from '../lookout.ts'
import type { Picture, Stage } from '../stage.ts'
import { aServerDies, everythingEnds, jobsComeIn, oneIsAborted, SCENES, stintDies } from '../story.ts'
import { widthOfTables } from '../table-width.ts'
import { piecesOf, requestAt, type Piece } from '../workload.ts'

interface Tempo {
  /** Requests at least. */
  readonly requests: number
  /** Jobs under way at a time. */
  readonly atOnce: number
  /** What the work would take if nothing happened to it. */
  readonly seconds: number
  readonly reportEverySeconds: number
}

const USUAL: Tempo = { requests: 18, atOnce: 9, seconds: 22, reportEverySeconds: 1 }
const FAST: Tempo = { requests: 12, atOnce: 6, seconds: 9, reportEverySeconds: 0.5 }

const INDEXER = { name: 'indexer', email: 'indexer@search.example', role: 'jobServer' } as const

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

const introduce = ({ say, root }: Play, pieces: readonly Piece[]): void => {
  const files = sum(pieces.map((piece) => piece.files)).toLocaleString('en')
  const megabytes = (sum(pieces.map((piece) => piece.bytes)) / 1e6).toFixed(1)
  say('Here, three job servers behind a load balancer build full-text indexes of')
  say(`directories in ${root}:`)
  say(`${files} Markdown and source files, ${megabytes} MB.`)
  say('Real work by real processes, on this machine only:')
  say()
}

const presentCast = ({ context, say }: Play, { balancer, servers }: Cast): void => {
  const line = (name: string, url: string, pid: number, what: string): void =>
    say(`  ${name.padEnd(15)}${url.padEnd(23)}${context.paint('dim', `pid ${String(pid).padEnd(9)}${what}`)}`)
  line('load balancer', balancer.url, balancer.child.pid, 'takes the requests')
  for (const { name, url, child } of servers) line(name, url, child().pid, 'indexes files')
}

const showJobs = ({ context, say }: Play, jobs: readonly JobProxy[]): void => {
  const { paint } = context
  say()
  say(paint('bold', 'All jobs'))
  for (const line of jobTable(jobs, paint, widthOfTables(context))) say(line)
  if (jobs.some((job) => job.attempt > 1)) say(paint('dim', 'Kept or begun anew: jobs that a new server took over from the one that was killed.'))
  const answer = anAnswer(jobs)
  if (answer !== undefined) say(paint('dim', `The indexes answer: ${answer}`))
}

const showHistory = async ({ context, say, admin }: Play, job: JobProxy): Promise<void> => {
  const { paint } = context
  const history = await historyOf(admin, job.id)
  say()
  say(paint('bold', `The history of ${job.label}, which was taken over`))
  for (const line of historyTable(history, paint, widthOfTables(context))) say(line)
  say(paint('dim', `${quietCount(history)} more events, which say how far it was and that it was alive, are left out.`))
}

/** Shows what the story leaves behind, and proves that it is true. */
const show = async (play: Play, cast: Cast, sent: readonly string[], taken: readonly string[]): Promise<readonly Claim[]> => {
  const { admin } = play
  const jobs = await Promise.all(sent.map((job) => admin.jobs.show(job)))
  showJobs(play, jobs)
  // One whose second attempt came to its end tells the most.
  const interesting = jobs.find((job) => taken.includes(job.id) && job.state === 'completed') ?? jobs.find((job) => taken.includes(job.id))
  if (interesting !== undefined) await showHistory(play, interesting)

  const states = Map.groupBy(jobs, (job) => job.state)
  // Whoever watches may have aborted more than one.
  const isAsWanted = jobs.every((job) => job.state === 'completed' || (job.state === 'aborted' && job.receipt?.resolution === 'obeyed'))
  const acknowledged = cast.acknowledged()
  const missing = await missingFromLog(admin, acknowledged)
  return [
    {
      claim: 'Every job ended, and ended once.',
      isTrue: isAsWanted && states.has('aborted') && (await notOnce(admin, sent)).length === 0,
      seen: [...states].map(([state, list]) => `${list.length} ${state}`).join(', '),
    },
    {
      claim: 'Everything that Stint acknowledged to the job servers is in its log.',
      isTrue: missing.length === 0,
      seen: `${acknowledged.length.toLocaleString('en')} acknowledgements, ${missing.length} missing`,
    },
  ]
}

const pictureOf = (lookout: Lookout, now: number): Picture => {
  const jobs = lookout.jobs()
  const trouble = lookout.isBlind() ? 'Stint does not answer' : undefined
  return { lines: (size, paint) => boardLines({ items: jobs, paces: lookout.paces(), now, trouble }, size, paint), summary: (paint) => countsOfStates(jobs, paint) }
}

interface Played {
  /** The jobs of all requests. */
  readonly sent: readonly string[]
  /** Those that were taken over. */
  readonly taken: readonly string[]
}

const playScenes = async (play: Play, cast: Cast, stage: Stage, stint: Stint, tempo: Tempo, pieces: readonly Piece[]): Promise<Played> => {
  const { world, context, claims, root, interrupted, breathMs } = play
  const lookout = createLookout(stint, world, interrupted)
  lookout.onLook(() => stage.draw(pictureOf(lookout, world.now())))
  const feeder = createFeeder({ world, lookout, url: cast.balancer.url, requestAt: (number) => requestAt(root, pieces, number), atOnce: tempo.atOnce, least: tempo.requests })
  const telling = new AbortController()
  const told = tellEvents(stint, stage.tell, context.paint, telling.signal).catch((cause: unknown) => stage.say(`The event stream ended: ${String(cause)}`))
  const title = (number: number, text: string): string => play.sceneTitle(number, SCENES, text)
  try {
    const story = { world, stint, seat: play.stint, cast, stage, lookout, feeder, claims, breathMs, interrupted, title, adminTokenFile: play.adminTokenFile }
    await jobsComeIn(story)
    await oneIsAborted(story)
    const taken = await aServerDies(story)
    await stintDies(story)
    await everythingEnds(story)
    return { sent: feeder.sent().map(({ job }) => job), taken }
  } finally {
    feeder.close()
    telling.abort()
    await lookout.close()
    await told
  }
}

export const jobProxies: Act = {
  title: 'Jobs that outlive their requests',
  shows: ['Job servers register what they run; everybody sees each job, and can stop it.', 'Whatever dies, nothing that was acknowledged is lost.'],
  perform: async (play) => {
    const { nursery, root, directory, stint } = play
    const usual = play.isFast ? FAST : USUAL
    const tempo = { ...usual, seconds: play.seconds ?? usual.seconds }
    const pieces = await piecesOf(root, tempo.requests)
    if (pieces.length === 0) throw usage(`There are no Markdown or source files under ${root}.`, 'Name another directory: stint demo DIRECTORY')
    introduce(play, pieces)
    const bytes = sum(Array.from({ length: tempo.requests }, (_each, number) => requestAt(root, pieces, number).bytes))
    const token = await play.tokenFor(INDEXER)
    const { reportEverySeconds } = tempo
    const cast = await assemble({ nursery, stintUrl: stint.url, token, directory, root, bytesPerSecond: bytes / tempo.seconds / 3, reportEverySeconds })
    presentCast(play, cast)
    const stage = play.openStage()
    const { sent, taken } = await playScenes(play, cast, stage, play.admin, tempo, pieces)
    stage.close()
    await cast.close()
    return show(play, cast, sent, taken)
  },
}
