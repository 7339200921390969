// `stint queues`: how full they are and how they are set up, stop and go, bulks, and their files checked without a server.
import type { Command } from 'commander'
import { listQueues, pauseQueue, resumeQueue, showQueue, type Queue } from '../wire/queues.ts'
import type { AnswerOf } from '../wire/route.ts'
import { runBulk, withBulkOptions, type BulkOptions } from './bulk.ts'
import { action, countFlag, durationFlag, type Context } from './context.ts'
import { usage } from './failure.ts'
import { examples } from './help.ts'
import { printList, printOne } from './output.ts'
import { present } from './payload.ts'
import { failingWebhooks, mistakeText, queueColumns, queueLines } from './queue-text.ts'
import { nameOf, queueFlag, type QueueName } from './task-lookup.ts'
import { plain } from './terminal/text.ts'

const PAGE_MAX = 1_000

type Listed = AnswerOf<typeof listQueues>

interface Filter {
  readonly app?: string
  readonly limit: number
  readonly after?: string
}

const listed = async ({ http }: Context, { app, limit, after }: Filter, options: { readonly attemptsMax?: number } = {}): Promise<Listed> => {
  const items: Queue[] = []
  let page: Listed = { items: [], ...present({ next: after }) }
  do {
    page = await http.call(listQueues, { query: { app, limit: Math.min(PAGE_MAX, limit - items.length), after: page.next }, ...options })
    items.push(...page.items)
  } while (page.next !== undefined && items.length < limit)
  return { ...page, items }
}

/** Below the queues: why some file is not in force, and which webhooks fail. With JSON lines, which are queues, to stderr. */
const printFaults = ({ format, out, say, paint }: Context, { items, fileErrors = [], warnings = [] }: Listed): void => {
  const told = format === 'table' ? out : say
  if (fileErrors.length > 0) told(paint('red', 'Not in force; the last good files of these apps are:'))
  for (const error of fileErrors) told(`  ${plain(mistakeText(error))}`)
  for (const warning of [...warnings, ...failingWebhooks(items)]) told(`${paint('yellow', 'Warning:')} ${plain(warning)}`)
}

const list = async (context: Context, filter: Filter): Promise<void> => {
  const answer = await listed(context, filter)
  if (context.format === 'json') return context.out(JSON.stringify(answer, null, 2))
  const empty =
    filter.app === undefined
      ? 'There is no queue that you may look at. Queues stand in apps/APP/queue.yaml of the config directory of the server; `stint queues check FILE` checks one. Without queue files `stint tasks put` makes a queue.'
      : `There is no queue of ${filter.app} that you may look at. \`stint queues list\` shows those of all apps.`
  printList(context, answer, queueColumns(context.world.now()), empty)
  printFaults(context, answer)
}

const printQueue = (context: Context, queue: Queue): void => printOne(context, queue, queueLines(queue, context.world.now()))

const show = async (context: Context, _options: unknown, queue: QueueName): Promise<void> => printQueue(context, await context.http.call(showQueue, { params: queue }))

/** What was done to it; the whole queue for programs. */
const told = (context: Context, queue: Queue): void => (context.format === 'table' ? context.out(`${nameOf(queue)}  ${queue.state}`) : printQueue(context, queue))

const pauseOne = async (context: Context, options: { readonly reason?: string }, queue: QueueName): Promise<void> =>
  told(context, await context.http.call(pauseQueue, { params: queue, body: present({ reason: options.reason }) }))

const resumeOne = async (context: Context, _options: unknown, queue: QueueName): Promise<void> => told(context, await context.http.call(resumeQueue, { params: queue, body: {} }))

const QUEUES_MAX = 10_000

const watch = async (context: Context, { app, every }: { readonly app?: string; readonly every: number }, queues: readonly QueueName[]): Promise<void> => {
  if (app !== undefined && queues.length > 0) throw usage('Expected queues or --app, not both.')
  const { watchQueues } = await import('./queue-watch.ts')
  const look = async (): Promise<readonly Queue[]> =>
    queues.length === 0
      ? (await listed(context, { limit: QUEUES_MAX, ...present({ app }) }, { attemptsMax: 1 })).items
      : Promise.all(queues.map((params) => context.http.call(showQueue, { params, attemptsMax: 1 })))
  await watchQueues(context, { look, everyMs: every })
}

/** For arguments that may be many. */
const queuesArgument = (text: string, before: readonly QueueName[] = []): readonly QueueName[] => [...before, queueFlag(text)]

const oneQueue = (command: Command): Command => command.argument('<app/queue>', 'the queue', queueFlag)

const addLooks = (queues: Command): void => {
  queues
    .command('list')
    .description('list the queues that you may look at; for administrators with what is wrong in their files')
    .option('--app <app>', 'queues of this app')
    .option('--limit <count>', 'at most so many', countFlag(1, QUEUES_MAX), QUEUES_MAX)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint queues list', 'stint queues list --app shop -o json'))
  oneQueue(queues.command('show').description('show a queue: how full it is, statistics, bulks, and its settings as applied'))
    .action(action(show))
    .addHelpText('after', examples('stint queues show shop/mails', 'stint queues show shop/mails -o json'))
  queues
    .command('watch')
    .description('watch queues live, until Ctrl-C')
    .argument('[app/queue...]', 'queues; none: all that you may look at', queuesArgument, [])
    .option('--app <app>', 'queues of this app')
    .option('--every <duration>', 'look once in 500ms, 5s, 1m …', durationFlag, 1_000)
    .action(action(watch))
    .addHelpText(
      'after',
      `\nOn a terminal: one line a queue, redrawn in place. Elsewhere: a line whenever the figures of a queue change.\n${examples('stint queues watch', 'stint queues watch shop/mails -o jsonl')}`,
    )
}

const BULK = `
It asks first; off a terminal it needs --yes. It is carried out by the server, also without this command, and told step by step until it is over.
`

const addDeeds = (queues: Command): void => {
  oneQueue(queues.command('pause').description('give no more leases; inserts are taken, and holders may finish'))
    .option('--reason <text>', 'shown to those who look at the queue')
    .action(action(pauseOne))
    .addHelpText('after', examples('stint queues pause shop/mails --reason "the mail server is down"'))
  oneQueue(queues.command('resume').description('give leases again')).action(action(resumeOne)).addHelpText('after', examples('stint queues resume shop/mails'))
  withBulkOptions(oneQueue(queues.command('purge').description('cancel the tasks that wait now, all or those that the filters name')), 'purge')
    .action(action((context: Context, options: BulkOptions, queue: QueueName) => runBulk(context, 'purge', queue, options)))
    .addHelpText('after', BULK + examples('stint queues purge shop/mails', 'stint queues purge shop/mails --tag newsletter --inserted-before 2d --yes'))
  withBulkOptions(oneQueue(queues.command('redrive').description('give the dead letters of now another life, all or those that the filters name')), 'redrive')
    .action(action((context: Context, options: BulkOptions, queue: QueueName) => runBulk(context, 'redrive', queue, options)))
    .addHelpText('after', BULK + examples('stint queues redrive shop/mails', 'stint queues redrive shop/mails --code smtp --yes'))
}

const CHECK = `
Takes a queue.yaml or stint-queue.yaml (the other one is read from beside it), the directory of an app, or a config directory. Needs no server.
Exit code 2 when something is wrong; each mistake is told as file:line:column: code: path: sentence.
`

const addCheck = (queues: Command): void => {
  queues
    .command('check')
    .description('check queue files as a server would, without one')
    .argument('<path>', 'file or directory')
    .action(async (...given: readonly unknown[]) => {
      const { checkQueues } = await import('./queue-check.ts')
      await action(checkQueues)(...given)
    })
    .addHelpText('after', CHECK + examples('stint queues check apps/shop/queue.yaml', 'stint queues check /etc/stint -o json'))
}

export const addQueues = (program: Command): void => {
  const queues = program.command('queues').description('queues: list, show, watch, pause, resume, purge, redrive, check')
  queues.addHelpText('after', examples('stint queues list', 'stint queues show shop/mails', 'stint queues check apps/shop/queue.yaml'))
  addLooks(queues)
  addDeeds(queues)
  addCheck(queues)
}
