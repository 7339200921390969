// `stint jobs watch`: a board of bars that is redrawn in place on a terminal, one line a change elsewhere.
import { jobsSeen, type Seen, type Watched } from './job-changes.ts'
import { events } from '../client/events.ts'
import { StintError, Unreachable } from '../client/errors.ts'
import { listJobs, showJob, type JobProxy } from '../wire/jobs.ts'
import { pause } from '../world.ts'
import type { Context } from './context.ts'
import { clockOf, colourOf, sentenceOf } from './event-text.ts'
import { CliFailure, EXIT } from './failure.ts'
import { boardLines, countsOfStates, type BoardSize } from './job-board.ts'
import { localId } from './ids.ts'
import type { JobFilter } from './job-lookup.ts'
import { observe, type Pace } from './job-pace.ts'
import { isSettled, LOOKS, progressText } from './look.ts'
import { openScreen } from './terminal/screen.ts'
import { plain } from './terminal/text.ts'

const PAGE = 1_000
/** Milliseconds between two looks at the jobs, at least. */
const LOOK_EVERY_MS = 500

interface Looked {
  readonly jobs: readonly JobProxy[]
  readonly more: boolean
  /** The log up to here is in what was looked at. */
  readonly position: string | undefined
}

/** The jobs as they are now. */
const look = async ({ http }: Context, { ids, filter }: Watched): Promise<Looked> => {
  if (ids.length > 0) {
    const answers = await Promise.all(ids.map((id) => http.exchange(showJob, { params: { id }, attemptsMax: 1 })))
    return { jobs: answers.flatMap(({ body }) => (body === undefined ? [] : [body])), more: false, position: answers[0]?.headers.get('stint-position') ?? undefined }
  }
  const { service, server, label, state } = filter
  const { body, headers } = await http.exchange(listJobs, { query: { service, server, label, state, limit: PAGE }, attemptsMax: 1 })
  return { jobs: body?.items ?? [], more: body?.next !== undefined, position: headers.get('stint-position') ?? undefined }
}

/** A server that is away or restarts is waited for; a refusal is not. */
const mayPass = (cause: unknown): boolean => cause instanceof Unreachable || (cause instanceof StintError && (cause.status === 503 || cause.status === 429))

/** Ids were given and all of them have settled: nothing is left to watch. */
const isOver = ({ ids }: Watched, jobs: readonly Pick<JobProxy, 'state'>[]): boolean => ids.length > 0 && jobs.length === ids.length && jobs.every((job) => isSettled(job.state))

const judge = ({ paint }: Context, { ids }: Watched, jobs: readonly JobProxy[]): void => {
  if (ids.length > 0 && jobs.some((job) => job.state !== 'completed')) throw new CliFailure(EXIT.failed, `Not all of them completed: ${countsOfStates(jobs, paint)}.`)
}

/** Wakes whoever waits; what is rung while nobody waits is remembered once. */
const bell = () => {
  let isRung = false
  let wake: (() => void) | undefined
  return {
    ring: (): void => {
      isRung = true
      wake?.()
    },
    heard: async (signal: AbortSignal): Promise<void> => {
      if (!isRung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      wake = undefined
      isRung = false
    },
  }
}

/** Some terminals do not tell their size. */
const sizeOf = ({ columns, rows }: NodeJS.WriteStream): BoardSize => ({ columns: columns || 80, rows: rows || 24 })

/** The board: looked at again after each change, and twice a second while something runs, because progress between two records is not an event. */
const watchOnTerminal = async (context: Context, watched: Watched, signal: AbortSignal): Promise<void> => {
  const { world, paint, http } = context
  const changes = bell()
  let looked = await look(context, watched)
  let failure: unknown
  const followed = (async () => {
    for await (const _event of events(http, { kind: 'job', signal, ...(looked.position === undefined ? {} : { after: looked.position }) })) changes.ring()
  })().catch((cause: unknown) => {
    failure = cause
    changes.ring()
  })
  const screen = openScreen((text) => void process.stdout.write(text))
  process.stdout.on('resize', screen.clear)
  let paces: ReadonlyMap<string, Pace> = new Map()
  let trouble: string | undefined
  try {
    for (;;) {
      paces = new Map(looked.jobs.map((job) => [job.id, observe(paces.get(job.id), job, world.monotonic())]))
      screen.draw(boardLines({ jobs: looked.jobs, paces, now: world.now(), more: looked.more, trouble }, sizeOf(process.stdout), paint))
      if (failure !== undefined) throw failure
      if (signal.aborted || isOver(watched, looked.jobs)) break
      await pause(world, LOOK_EVERY_MS, signal)
      if (trouble === undefined && looked.jobs.every((job) => isSettled(job.state))) await changes.heard(signal)
      if (signal.aborted) break
      try {
        looked = await look(context, watched)
        trouble = undefined
      } catch (cause) {
        if (!mayPass(cause)) throw cause
        trouble = 'the server does not answer; trying again'
      }
    }
  } finally {
    process.stdout.off('resize', screen.clear)
    screen.close()
    http.close()
    await followed
  }
  judge(context, watched, looked.jobs)
}

const stateText = ({ paint }: Context, job: JobProxy): string =>
  paint(LOOKS[job.state].colour, [job.state, progressText(job.progress)].filter((part) => part !== undefined).join(' '))

const printLine = ({ out, paint }: Context, time: string, seen: Seen, what: string): void => {
  const label = seen.label === undefined ? '' : `  "${plain(seen.label)}"`
  out(`${paint('dim', clockOf(time))}  ${seen.id}  ${plain(`${seen.service}@${seen.server}`)}${label}  ${what}`)
}

/** Facts that keep a job alive but change nothing that people ask about. */
const QUIET = new Set(['LeaseExtended'])

/** One line for each change, or with JSON the job after it. */
const watchOffTerminal = async (context: Context, watched: Watched, signal: AbortSignal): Promise<void> => {
  const { http, out, say, format, paint } = context
  const first = await look(context, watched)
  if (first.more)
    say(`stint: There are more than ${PAGE.toLocaleString('en')} jobs: only the newest ${PAGE.toLocaleString('en')} are shown as they are now. Changes are shown of all.`)
  const seen = jobsSeen(http, watched, first.jobs)
  const printed = new Map<string, string>()
  const printJob = (job: JobProxy): void => {
    if (printed.get(job.id) === job.position) return
    printed.set(job.id, job.position)
    out(JSON.stringify(job))
  }
  for (const job of first.jobs.toReversed()) {
    if (watched.ids.length === 0 && isSettled(job.state)) continue
    if (format === 'table') printLine(context, job.updatedAt, job, stateText(context, job))
    else printJob(job)
  }
  let latest = first.jobs
  const after = first.position === undefined ? {} : { after: first.position }
  if (!isOver(watched, latest)) {
    for await (const event of events(http, {
      kind: 'job',
      signal,
      ...after,
      ...(watched.ids.length === 1 ? { workItem: `job/${encodeURIComponent(watched.ids[0] ?? '')}` } : {}),
    })) {
      const job = await seen.matching(event)
      if (job === undefined) continue
      if (format === 'table' && !QUIET.has(event.type)) {
        const sentence = plain(sentenceOf(event.type, event.data))
        const colour = colourOf(event.type)
        printLine(context, event.time, job, colour === undefined ? sentence : paint(colour, sentence))
      }
      if (format !== 'table') printJob(await http.call(showJob, { params: { id: job.id } }))
      if (watched.ids.length > 0 && seen.allEnded()) break
    }
    if (watched.ids.length > 0 && !signal.aborted) latest = (await look(context, watched)).jobs
  }
  http.close()
  if (!signal.aborted) judge(context, watched, latest)
}

export const watchJobs = async (context: Context, filter: JobFilter, ids: readonly string[]): Promise<void> => {
  const watched: Watched = { ids: [...new Set(ids.map(localId))], filter }
  const signal = context.interrupted()
  const isLive = process.stdout.isTTY && context.format === 'table' && process.env['TERM'] !== 'dumb'
  await (isLive ? watchOnTerminal(context, watched, signal) : watchOffTerminal(context, watched, signal))
}
