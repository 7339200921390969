// `stint jobs`: look at jobs over all servers, watch them, and say what should become of them.
import type { Command } from 'commander'
import { listJobs, showJob, type JobProxy } from '../wire/jobs.ts'
import type { State } from '../wire/items.ts'
import { jobId } from '../wire/words.ts'
import { action, countFlag, wordFlag, type Context } from './context.ts'
import { formatAge } from './duration.ts'
import { localId } from './ids.ts'
import { addDirectives, addLooks, addWait, type Naming } from './item-verbs.ts'
import { ago, receiptText } from './item-text.ts'
import { findJob, type JobFilter, type Named } from './job-lookup.ts'
import { isSettled, LOOKS, outcomeText, progressText } from './look.ts'
import { printList, printOne } from './output.ts'
import type { Column } from './terminal/table.ts'
import { examples } from './help.ts'

const PAGE_MAX = 1_000

/** The states that a job can be in: it is held from its registration on, and nobody cancels it or waits for it to begin. */
const JOB_STATES = ['running', 'paused', 'aborting', 'lost', 'completed', 'failed', 'aborted'] as const satisfies readonly State[]

interface Paging {
  readonly limit: number
  readonly after?: string
}

const lastSeenAt = (now: number): Column<JobProxy> => ({
  title: 'LAST SEEN',
  value: (job) => (job.holder?.lastSeenAt === undefined || isSettled(job.state) ? undefined : ago(job.holder.lastSeenAt, now)),
  colour: (job) => (job.state === 'lost' ? LOOKS.lost.colour : undefined),
  align: 'right',
  whole: true,
})

const columnsAt = (now: number, jobs: readonly JobProxy[]): readonly Column<JobProxy>[] => [
  { title: 'ID', value: (job) => job.id, whole: true },
  { title: 'STATE', value: (job) => `${LOOKS[job.state].symbol} ${job.state}`, colour: (job) => LOOKS[job.state].colour, whole: true },
  { title: 'SERVICE', value: (job) => job.service },
  { title: 'SERVER', value: (job) => job.server },
  { title: 'LABEL', value: (job) => job.label, cut: 'name' },
  { title: 'PROGRESS', value: (job) => progressText(job.progress) },
  { title: 'PHASE', value: (job) => job.phase },
  // Where all is well it tells nothing.
  ...(jobs.some((job) => job.state === 'lost') ? [lastSeenAt(now)] : []),
  { title: 'AGE', value: (job) => formatAge(job.createdAt, now), align: 'right', whole: true },
]

const list = async (context: Context, { service, server, label, state, limit, after }: JobFilter & Paging): Promise<void> => {
  const items: JobProxy[] = []
  let next = after
  do {
    const page = await context.http.call(listJobs, { query: { service, server, label, state, limit: Math.min(PAGE_MAX, limit - items.length), after: next } })
    items.push(...page.items)
    next = page.next
  } while (next !== undefined && items.length < limit)
  const isFiltered = [service, server, label, state].some((value) => value !== undefined)
  const empty = isFiltered
    ? 'No job matches. `stint jobs list` without filters shows all; `stint jobs watch` waits for new ones.'
    : 'There are no jobs yet. A job server registers them: see `stint demo`, or README.md for the five lines it takes.'
  printList(context, { items, next }, columnsAt(context.world.now(), items), empty)
}

const seen = (job: JobProxy, now: number): string | undefined => {
  if (job.holder === undefined) return undefined
  return `${job.holder.name}${job.holder.lastSeenAt === undefined ? '' : `, last seen ${ago(job.holder.lastSeenAt, now)}`}`
}

const show = async (context: Context, named: Named, id: string | undefined): Promise<void> => {
  const { id: found } = await findJob(context, named, id, 'newest')
  const job = await context.http.call(showJob, { params: { id: found } })
  const now = context.world.now()
  printOne(context, job, [
    ['id', job.id],
    ['state', `${LOOKS[job.state].symbol} ${job.state}`],
    ['service', job.service],
    ['server', job.server],
    ['label', job.label],
    ['progress', [progressText(job.progress), job.progress?.message].filter((text, index, all) => text !== undefined && all.indexOf(text) === index).join(' ')],
    ['phase', job.phase],
    ['outcome', outcomeText(job.outcome)],
    ['late outcome', outcomeText(job.lateOutcome)],
    ['directive', receiptText(job)],
    ['holder', seen(job, now)],
    ['attempt', String(job.attempt)],
    ['registered', `${job.createdAt} (${formatAge(job.createdAt, now)} ago)`],
    ['changed', job.updatedAt],
    ['settled', job.settledAt],
    ['attributes', job.attributes === undefined ? undefined : JSON.stringify(job.attributes)],
  ])
}

const stateFlag = wordFlag(JOB_STATES)

const filters = (command: Command): Command =>
  command
    .option('--service <name>', 'jobs of this service')
    .option('--server <name>', 'jobs on this server')
    .option('--label <text>', 'jobs with this label')
    .option('--state <state>', `jobs in this state: ${JOB_STATES.join(', ')}`, stateFlag)

const named = (command: Command): Command => command.argument('[id]', 'id of the job').option('--label <text>', 'the job with this label, in place of its id')

const NAMING: Naming<Named> = { kind: 'job', states: JOB_STATES, named, find: findJob, examples: ['0197a4d2-…', '--label nightly'] }

const look = (jobs: Command): void => {
  filters(jobs.command('list').description('list jobs, newest first'))
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint jobs list --state running', 'stint jobs list --service index -o jsonl'))
  named(jobs.command('show').description('show one job'))
    .action(action(show))
    .addHelpText('after', examples('stint jobs show 0197a4d2-…', 'stint jobs show --label nightly -o json'))
}

const watch = async (context: Context, filter: JobFilter, ids: readonly string[]): Promise<void> => {
  const { PAGE, watchItems } = await import('./item-watch.ts')
  const { service, server, label, state } = filter
  await watchItems(context, {
    kind: 'job',
    workItems: [...new Set(ids.map((id) => jobId(localId(id))))],
    filter: { service, server, label },
    prefix: 'job/',
    list: async (http) => {
      const { body, headers } = await http.exchange(listJobs, { query: { service, server, label, state, limit: PAGE }, attemptsMax: 1 })
      return { items: body?.items ?? [], more: body?.next !== undefined, position: headers.get('stint-position') ?? undefined }
    },
  })
}

const WATCH = `
On a terminal: one line a job with its bar, redrawn in place. Elsewhere: one line a change.
With ids it ends when they have all settled; with filters it goes on until Ctrl-C.
`

export const addJobs = (program: Command): void => {
  const jobs = program.command('jobs').description('jobs over all servers: list, show, watch, history, why, wait, abort, pause, resume')
  jobs.addHelpText('after', examples('stint jobs list', 'stint jobs watch', 'stint jobs abort --label nightly'))
  look(jobs)
  addLooks(jobs, NAMING)
  filters(jobs.command('watch').description('watch jobs live').argument('[ids...]', 'ids of jobs; none: all that the filters let through'))
    .action(action(watch))
    .addHelpText('after', WATCH + examples('stint jobs watch', 'stint jobs watch --service index', 'stint jobs watch 0197a4d2-… -o jsonl'))
  addWait(jobs, NAMING)
  addDirectives(jobs, NAMING)
}
