// `stint jobs`: look at jobs over all servers, watch them, and say what should become of them.
import type { Command } from 'commander'
import { directJob, jobHistory, jobWhy, listJobs, showJob, type JobProxy } from '../wire/jobs.ts'
import type { HistoryEvent, State } from '../wire/items.ts'
import { action, countFlag, durationFlag, wordFlag, wordsFlag, type Context } from './context.ts'
import { formatAge } from './duration.ts'
import { historyColumns } from './event-text.ts'
import { findJob, jobIdOf, type JobFilter, type Named } from './job-lookup.ts'
import { ago, askedText, lostText, receiptText, whyLines } from './job-text.ts'
import { judgeWait, waitForJob } from './job-wait.ts'
import { isSettled, LOOKS, outcomeText, progressText } from './look.ts'
import { printList, printOne } from './output.ts'
import type { Column } from './terminal/table.ts'
import { plain } from './terminal/text.ts'
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
  const job = await findJob(context, id, named)
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

const history = async (context: Context, named: Named, id: string | undefined): Promise<void> => {
  const job = await jobIdOf(context, id, named, 'newest')
  const items: HistoryEvent[] = []
  let after: string | undefined
  do {
    const page = await context.http.call(jobHistory, { params: { id: job }, query: { limit: PAGE_MAX, after } })
    items.push(...page.items)
    after = page.next
  } while (after !== undefined)
  printList(context, { items }, historyColumns(items), '')
}

const why = async (context: Context, named: Named, id: string | undefined): Promise<void> => {
  const { http, world, out, format } = context
  const params = { id: await jobIdOf(context, id, named, 'newest') }
  const answer = await http.call(jobWhy, { params })
  if (format !== 'table') return printOne(context, answer, [])
  for (const line of whyLines(await http.call(showJob, { params }), answer, world.now())) out(plain(line))
}

/** When it has an effect that is not seen yet, and on what that depends. */
const sayWhatFollows = async (context: Context, id: string): Promise<void> => {
  const { http, world, say } = context
  const params = { id }
  const job = await http.call(showJob, { params })
  if (job.state === 'lost') return say(lostText(job, (await http.call(jobWhy, { params })).until, world.now()))
  if (job.receipt !== undefined && job.receipt.resolution === undefined) say(`Its server is told with its next report or poll. \`stint jobs wait ${id}\` waits for the end.`)
}

const direct = (directive: 'abort' | 'pause' | 'resume') => async (context: Context, options: Named & { readonly reason?: string }, id: string | undefined) => {
  const job = await jobIdOf(context, id, options, 'refuse')
  if (directive === 'abort') await context.confirm(`Abort job ${job}? This is final.`)
  const answer = await context.http.call(directJob, { params: { id: job }, body: { directive, ...(options.reason === undefined ? {} : { reason: options.reason }) } })
  if (context.format !== 'table') return printOne(context, { id: job, ...answer }, [])
  context.out(`${job}  ${askedText(directive, answer.state)}`)
  await sayWhatFollows(context, job)
}

const wait = async (context: Context, options: Named & { readonly for?: readonly State[]; readonly timeout?: number }, id: string | undefined): Promise<void> => {
  const wanted = { id: await jobIdOf(context, id, options, 'refuse'), states: options.for ?? [], timeoutMs: options.timeout }
  const job = await waitForJob(context, wanted)
  if (context.format === 'table') context.out(`${job.id}  ${job.state}`)
  else printOne(context, job, [])
  judgeWait(wanted, job)
}

const stateFlag = wordFlag(JOB_STATES)

const filters = (command: Command): Command =>
  command
    .option('--service <name>', 'jobs of this service')
    .option('--server <name>', 'jobs on this server')
    .option('--label <text>', 'jobs with this label')
    .option('--state <state>', `jobs in this state: ${JOB_STATES.join(', ')}`, stateFlag)

const named = (command: Command): Command => command.argument('[id]', 'id of the job').option('--label <text>', 'the job with this label, in place of its id')

const look = (jobs: Command): void => {
  filters(jobs.command('list').description('list jobs, newest first'))
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint jobs list --state running', 'stint jobs list --service index -o jsonl'))
  named(jobs.command('show').description('show one job'))
    .action(action(show))
    .addHelpText('after', examples('stint jobs show 0197a4d2-…', 'stint jobs show --label nightly -o json'))
  named(jobs.command('history').description('everything that happened to a job')).action(action(history)).addHelpText('after', examples('stint jobs history --label nightly'))
  named(jobs.command('why').description('why a job is in the state it is in')).action(action(why)).addHelpText('after', examples('stint jobs why --label nightly'))
}

const WATCH = `
On a terminal: one line a job with its bar, redrawn in place. Elsewhere: one line a change.
With ids it ends when they have all settled; with filters it goes on until Ctrl-C.
`

const follow = (jobs: Command): void => {
  filters(jobs.command('watch').description('watch jobs live').argument('[ids...]', 'ids of jobs; none: all that the filters let through'))
    .action(async (...given: readonly unknown[]) => {
      const { watchJobs } = await import('./job-watch.ts')
      await action(watchJobs)(...given)
    })
    .addHelpText('after', WATCH + examples('stint jobs watch', 'stint jobs watch --service index', 'stint jobs watch 0197a4d2-… -o jsonl'))
  named(jobs.command('wait').description('wait until a job is in a state'))
    .option('--for <states>', 'any of these, separated by commas (default: settled in any way)', wordsFlag(JOB_STATES))
    .option('--timeout <duration>', 'give up after 30s, 5m, 2h … with exit code 124', durationFlag)
    .action(action(wait))
    .addHelpText('after', examples('stint jobs wait 0197a4d2-… --timeout 5m', 'stint jobs wait --label nightly --for running,completed'))
}

const steer = (jobs: Command): void => {
  const verb = (directive: 'abort' | 'pause' | 'resume', what: string): void => {
    named(jobs.command(directive).description(what))
      .option('--reason <text>', 'shown to the service and kept in the history')
      .action(action(direct(directive)))
      .addHelpText('after', examples(`stint jobs ${directive} 0197a4d2-…`, `stint jobs ${directive} --label nightly --reason "not tonight"`))
  }
  verb('abort', 'abort a job; final')
  verb('pause', 'ask a job to park at its next checkpoint')
  verb('resume', 'let a paused job go on')
}

export const addJobs = (program: Command): void => {
  const jobs = program.command('jobs').description('jobs over all servers: list, show, watch, history, why, wait, abort, pause, resume')
  jobs.addHelpText('after', examples('stint jobs list', 'stint jobs watch', 'stint jobs abort --label nightly'))
  look(jobs)
  follow(jobs)
  steer(jobs)
}
