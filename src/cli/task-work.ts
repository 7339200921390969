// What the holder of a task does with it, from a shell script or by hand: lease, done, fail, release, extend; and delete, which needs no lease.
import type { Command } from 'commander'
import { completeTask, deleteTask, extendTask, failTask, leaseTasks, releaseTask } from '../wire/tasks.ts'
import type { State } from '../wire/items.ts'
import { action, countFlag, durationFlag, type Context } from './context.ts'
import { CliFailure, EXIT } from './failure.ts'
import { examples } from './help.ts'
import { printList, printOne } from './output.ts'
import { JSON_FLAG, jsonOf, present } from './payload.ts'
import { inQueue, nameOf, oneTask, taskNamed, type OfQueue, type OfTask } from './task-lookup.ts'
import { leasedColumns } from './task-text.ts'

/** Who leases from a command line, unless it says who. */
const WORKER = 'stint-cli'
/** Milliseconds that an answer may take beyond the wait. */
const ANSWER_MS = 10_000

const secondsOf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

interface LeaseOptions extends OfQueue {
  readonly max: number
  readonly for?: number
  readonly wait?: number
  readonly worker: string
  readonly tag?: string
  readonly sameTag?: boolean
  readonly requestId?: string
}

const lease = async (context: Context, options: LeaseOptions): Promise<void> => {
  const { queue, max, for: termMs, wait = 0, worker, tag, sameTag, requestId } = options
  const seconds = Math.ceil(wait / 1_000)
  const body = { max, worker, ...present({ leaseSeconds: secondsOf(termMs), tag, sameTag, requestId }) }
  const headers = { Prefer: seconds > 0 ? `wait=${seconds}` : undefined }
  const { items } = await context.http.call(leaseTasks, { params: queue, body, headers, timeoutMs: wait + ANSWER_MS })
  printList(
    context,
    { items },
    leasedColumns,
    `No task is waiting in ${nameOf(queue)}${wait > 0 ? '' : '. --wait 30s waits for one'}; \`stint queues show ${nameOf(queue)}\` tells more.`,
  )
  if (items.length === 0 && wait > 0) throw new CliFailure(EXIT.timeout, 'No task came in time.')
}

interface Held extends OfTask {
  readonly lease: string
}

interface Ended {
  readonly id: string
  readonly state: State
  readonly leaseUntil?: string | undefined
}

const told = (context: Context, answer: Ended): void => {
  const until = answer.leaseUntil === undefined ? '' : `  until ${answer.leaseUntil}`
  if (context.format === 'table') context.out(`${answer.id}  ${answer.state}${until}`)
  else printOne(context, answer, [])
}

const done = async (context: Context, options: Held & { readonly result?: string }, given: string): Promise<void> => {
  const { id, queue } = taskNamed(options, given)
  const result = options.result === undefined ? {} : { result: jsonOf(options.result) }
  told(context, await context.http.call(completeTask, { params: queue, body: { id, lease: options.lease, ...result } }))
}

const fail = async (
  context: Context,
  options: Held & { readonly code: string; readonly message: string; readonly retry: boolean; readonly detail?: string },
  given: string,
): Promise<void> => {
  const { id, queue } = taskNamed(options, given)
  const { code, message, retry, detail } = options
  const failed = { code, message, retry, ...(detail === undefined ? {} : { detail: jsonOf(detail) }) }
  told(context, await context.http.call(failTask, { params: queue, body: { id, lease: options.lease, failed } }))
}

const release = async (context: Context, options: Held & { readonly reason?: string; readonly busy?: boolean; readonly delay?: number }, given: string): Promise<void> => {
  const { id, queue } = taskNamed(options, given)
  const said = present({ reason: options.reason, busy: options.busy, delaySeconds: secondsOf(options.delay) })
  told(context, await context.http.call(releaseTask, { params: queue, body: { id, lease: options.lease, ...said } }))
}

const extend = async (context: Context, options: Held & { readonly for: number }, given: string): Promise<void> => {
  const { id, queue } = taskNamed(options, given)
  told(context, await context.http.call(extendTask, { params: queue, body: { id, lease: options.lease, leaseSeconds: options.for / 1_000 } }))
}

const remove = async (context: Context, options: OfTask & { readonly lease?: string }, given: string): Promise<void> => {
  const { id, queue } = taskNamed(options, given)
  await context.confirm(`Delete task ${id} of ${nameOf(queue)}? This is final.`)
  told(context, await context.http.call(deleteTask, { params: { ...queue, id }, headers: { 'Stint-Lease': options.lease } }))
}

const onLease = (command: Command): Command => oneTask(command).requiredOption('--lease <lease>', 'the lease, as it was given')

const LEASE = `
Exit code 124 when --wait is over and no task came. What was leased is kept by its id and its lease until it is done, fails, is released, or the lease ends.
`

const addLease = (tasks: Command): void => {
  inQueue(tasks.command('lease').description('lease waiting tasks, by priority and then oldest first'))
    .option('--max <count>', 'at most so many', countFlag(1, 1_000), 1)
    .option('--for <duration>', 'how long the lease lasts (default: as the queue says)', durationFlag)
    .option('--wait <duration>', 'wait so long for work, 60s at most', durationFlag)
    .option('--tag <tag>', 'only tasks with this tag')
    .option('--same-tag', 'only tasks with the tag of the first one')
    .option('--worker <name>', 'name of the holder', WORKER)
    .option('--request-id <id>', 'names this call: repeated, it is given what is still under its lease')
    .action(action(lease))
    .addHelpText('after', LEASE + examples('stint tasks lease -q shop/mails --for 5m', 'stint tasks lease -q shop/mails --max 10 --wait 30s -o jsonl'))
}

/** Adds the verbs of those who work on tasks. */
export const addWork = (tasks: Command): void => {
  addLease(tasks)
  onLease(tasks.command('done').alias('complete').description('complete a leased task'))
    .option('--result <json>', JSON_FLAG)
    .action(action(done))
    .addHelpText(
      'after',
      examples('stint tasks done order-7 -q shop/mails --lease 1.abcdefgh', `stint tasks done order-7 -q shop/mails --lease 1.abcdefgh --result '{"sent":true}'`),
    )
  onLease(tasks.command('fail').description('say that a leased task failed: it is tried again as its queue says, or becomes a dead letter'))
    .requiredOption('--message <text>', 'what went wrong')
    .option('--code <code>', 'for programs to read', 'failed')
    .option('--detail <json>', `more about it: ${JSON_FLAG}`)
    .option('--no-retry', 'do not try it again')
    .action(action(fail))
    .addHelpText('after', examples('stint tasks fail order-7 -q shop/mails --lease 1.abcdefgh --message "no such address" --no-retry'))
  onLease(tasks.command('release').description('give a leased task back; burns no attempt'))
    .option('--reason <text>', 'kept in the history')
    .option('--busy', 'because this worker is too busy: others come first')
    .option('--delay <duration>', 'not to be leased before 30s, 5m, 2h … from now', durationFlag)
    .action(action(release))
    .addHelpText(
      'after',
      examples('stint tasks release order-7 -q shop/mails --lease 1.abcdefgh', 'stint tasks release order-7 -q shop/mails --lease 1.abcdefgh --delay 5m --reason "disk is full"'),
    )
  onLease(tasks.command('extend').description('let a lease last longer, from now on'))
    .requiredOption('--for <duration>', 'how long from now; 0 gives the task back at once', durationFlag)
    .action(action(extend))
    .addHelpText('after', examples('stint tasks extend order-7 -q shop/mails --lease 1.abcdefgh --for 10m'))
  oneTask(tasks.command('delete').alias('cancel').description('take a task out of its queue, in any state: cancelled, or completed by its holder'))
    .option('--lease <lease>', 'of its holder: the task is then completed')
    .action(action(remove))
    .addHelpText('after', examples('stint tasks delete order-7 -q shop/mails', 'stint tasks delete task/shop/mails/order-7 --yes'))
}
