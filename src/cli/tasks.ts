// `stint tasks`: put tasks into a queue, look at them, and work on them by hand or from a shell script.
import { InvalidArgumentError, type Command } from 'commander'
import * as E from 'fp-ts/lib/Either.js'
import { readFileSync } from 'node:fs'
import { appName, queueName } from '../wire/queues.ts'
import { completeTask, failTask, insertTask, leaseTasks, listTasks, releaseTask, showTask, type LeasedTask, type Task } from '../wire/tasks.ts'
import { states, type State } from '../wire/items.ts'
import { action, countFlag, durationFlag, wordsFlag, type Context } from './context.ts'
import { formatAge } from './duration.ts'
import { CliFailure, EXIT, usage } from './failure.ts'
import { examples } from './help.ts'
import { taskIdOf } from './ids.ts'
import { LOOKS, outcomeText } from './look.ts'
import { printList, printOne } from './output.ts'
import type { Column } from './terminal/table.ts'

interface Queue {
  readonly app: string
  readonly queue: string
}

const WORKER = 'stint-cli'

const queueArgument = (text: string): Queue => {
  const [app, queue, ...more] = text.split('/')
  if (E.isLeft(appName.decode(app)) || E.isLeft(queueName.decode(queue)) || more.length > 0)
    throw new InvalidArgumentError(
      'Expected APP/QUEUE, for instance shop/mails. APP has small letters, digits, dots, colons and hyphens; QUEUE has letters, digits and hyphens; 100 of them at most.',
    )
  return { app: app ?? '', queue: queue ?? '' }
}

/** A text argument as JSON; what is no JSON is taken as a string. `-` reads standard input, `@FILE` a file. */
const jsonOf = (text: string): unknown => {
  const read = (): string => {
    if (text === '-') return readFileSync(0, 'utf8')
    if (!text.startsWith('@')) return text
    try {
      return readFileSync(text.slice(1), 'utf8')
    } catch (cause) {
      throw usage(`${text.slice(1)} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
  }
  const content = read()
  try {
    return JSON.parse(content) as unknown
  } catch {
    return content
  }
}

const columnsAt = (now: number): readonly Column<Task>[] => [
  { title: 'ID', value: (task) => task.id, whole: true },
  {
    title: 'STATE',
    value: (task) => `${LOOKS[task.state].symbol} ${task.deadLetter === true ? 'dead letter' : task.state}`,
    colour: (task) => LOOKS[task.state].colour,
    whole: true,
  },
  { title: 'ATTEMPT', value: (task) => String(task.attempt), align: 'right', whole: true },
  { title: 'TAG', value: (task) => task.tag },
  { title: 'KEY', value: (task) => task.key },
  { title: 'HOLDER', value: (task) => task.holder?.name },
  { title: 'OUTCOME', value: (task) => outcomeText(task.outcome) },
  { title: 'AGE', value: (task) => formatAge(task.createdAt, now), align: 'right', whole: true },
]

interface PutOptions {
  readonly id?: string
  readonly tag?: string
  readonly priority?: number
  readonly key?: string
  readonly delay?: number
}

const put = async (context: Context, { id, tag, priority, key, delay }: PutOptions, queue: Queue, payload: string | undefined): Promise<void> => {
  const given = { id, tag, priority, key, delaySeconds: delay === undefined ? undefined : delay / 1_000, payload: payload === undefined ? undefined : jsonOf(payload) }
  const body = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const task = await context.http.call(insertTask, { params: queue, body })
  if (context.format === 'table') context.out(`${task.id}  ${task.state}`)
  else printOne(context, task, [])
}

const list = async (context: Context, { state, limit, after }: { readonly state?: State; readonly limit: number; readonly after?: string }, queue: Queue): Promise<void> => {
  const page = await context.http.call(listTasks, { params: queue, query: { state, limit, after } })
  const empty = `There is no ${state === undefined ? '' : `${state} `}task in ${queue.app}/${queue.queue}. \`stint tasks put ${queue.app}/${queue.queue} '{"hello":"world"}'\` makes one.`
  printList(context, page, columnsAt(context.world.now()), empty)
}

const show = async (context: Context, _options: unknown, queue: Queue, id: string): Promise<void> => {
  const task = await context.http.call(showTask, { params: { ...queue, id } })
  const lines = columnsAt(context.world.now()).map(({ title, value }) => [title.toLowerCase(), value(task)] as const)
  printOne(context, task, [...lines, ['due', task.dueAt], ['inserted', task.createdAt], ['changed', task.updatedAt]])
}

const leased: readonly Column<LeasedTask>[] = [
  { title: 'ID', value: (task) => task.id, whole: true },
  { title: 'LEASE', value: (task) => task.lease, whole: true },
  { title: 'UNTIL', value: (task) => task.leaseUntil, whole: true },
  { title: 'ATTEMPT', value: (task) => String(task.attempt), align: 'right', whole: true },
  { title: 'PAYLOAD', value: (task) => (task.payload === undefined ? task.payloadBase64 : JSON.stringify(task.payload)) },
]

interface LeaseOptions {
  readonly max: number
  readonly for: number
  readonly wait?: number
  readonly worker: string
}

/** Milliseconds that an answer may take beyond the wait. */
const ANSWER_MS = 10_000

const lease = async (context: Context, { max, for: termMs, wait = 0, worker }: LeaseOptions, queue: Queue): Promise<void> => {
  const seconds = Math.ceil(wait / 1_000)
  const body = { max, leaseSeconds: termMs / 1_000, worker }
  const { items } = await context.http.call(leaseTasks, { params: queue, body, headers: { Prefer: seconds > 0 ? `wait=${seconds}` : undefined }, timeoutMs: wait + ANSWER_MS })
  printList(context, { items }, leased, `No task is waiting in ${queue.app}/${queue.queue}. --wait 30s waits for one.`)
  if (items.length === 0 && wait > 0) throw new CliFailure(EXIT.timeout, 'No task came in time.')
}

interface Held {
  readonly lease: string
}

const ended = (context: Context, answer: { readonly id: string; readonly state: State }): void =>
  context.format === 'table' ? context.out(`${answer.id}  ${answer.state}`) : printOne(context, answer, [])

const complete = async (context: Context, { lease: token, result }: Held & { readonly result?: string }, queue: Queue, id: string): Promise<void> =>
  ended(context, await context.http.call(completeTask, { params: queue, body: { id, lease: token, ...(result === undefined ? {} : { result: jsonOf(result) }) } }))

const fail = async (context: Context, options: Held & { readonly code: string; readonly message: string; readonly retry: boolean }, queue: Queue, id: string): Promise<void> => {
  const { lease: token, code, message, retry } = options
  ended(context, await context.http.call(failTask, { params: queue, body: { id, lease: token, failed: { code, message, retry } } }))
}

const release = async (context: Context, { lease: token, reason }: Held & { readonly reason?: string }, queue: Queue, id: string): Promise<void> =>
  ended(context, await context.http.call(releaseTask, { params: queue, body: { id, lease: token, ...(reason === undefined ? {} : { reason }) } }))

const stateFlag = (text: string): State => wordsFlag(states)(text)[0] ?? 'waiting'

const inQueue = (command: Command): Command => command.argument('<app/queue>', 'the queue', queueArgument)
const oneTask = (command: Command): Command => inQueue(command).argument('<id>', 'id of the task', taskIdOf)
const onLease = (command: Command): Command => oneTask(command).requiredOption('--lease <lease>', 'the lease, as it was given')

const addPut = (tasks: Command): void => {
  inQueue(tasks.command('put').description('put a task into a queue'))
    .argument('[payload]', 'JSON or any text; - reads standard input, @FILE a file')
    .option('--id <id>', 'your name for it; the same again is answered as the first', taskIdOf)
    .option('--tag <tag>', 'to be leased by')
    .option('--priority <number>', 'higher goes first', countFlag(-1_000, 1_000))
    .option('--key <key>', 'tasks of one key run one after another')
    .option('--delay <duration>', 'not before 30s, 5m, 2h … from now', durationFlag)
    .action(action(put))
    .addHelpText('after', examples(`stint tasks put shop/mails '{"to":"ann@example.com"}'`, 'stint tasks put shop/mails --id order-7 --delay 5m @mail.json'))
}

const addReading = (tasks: Command): void => {
  inQueue(tasks.command('list').description('list the tasks of a queue, oldest first'))
    .option('--state <state>', `tasks in this state: ${states.join(', ')}`, stateFlag)
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint tasks list shop/mails', 'stint tasks list shop/mails --state running -o json'))
  oneTask(tasks.command('show').description('show one task')).action(action(show)).addHelpText('after', examples('stint tasks show shop/mails order-7'))
}

const addWorking = (tasks: Command): void => {
  inQueue(tasks.command('lease').description('lease waiting tasks'))
    .option('--max <count>', 'at most so many', countFlag(1, 1_000), 1)
    .option('--for <duration>', 'how long the lease lasts', durationFlag, 60_000)
    .option('--wait <duration>', 'wait so long for work, 60s at most', durationFlag)
    .option('--worker <name>', 'name of the holder', WORKER)
    .action(action(lease))
    .addHelpText('after', examples('stint tasks lease shop/mails --for 5m', 'stint tasks lease shop/mails --max 10 --wait 30s -o jsonl'))
  onLease(tasks.command('complete').description('complete a leased task'))
    .option('--result <json>', 'JSON or any text; - reads standard input, @FILE a file')
    .action(action(complete))
    .addHelpText('after', examples('stint tasks complete shop/mails order-7 --lease 1.abcdefgh'))
  onLease(tasks.command('fail').description('say that a leased task failed'))
    .requiredOption('--message <text>', 'what went wrong')
    .option('--code <code>', 'for programs to read', 'failed')
    .option('--no-retry', 'do not try it again')
    .action(action(fail))
    .addHelpText('after', examples('stint tasks fail shop/mails order-7 --lease 1.abcdefgh --message "no such address" --no-retry'))
  onLease(tasks.command('release').description('give a leased task back; burns no attempt'))
    .option('--reason <text>', 'kept in the history')
    .action(action(release))
    .addHelpText('after', examples('stint tasks release shop/mails order-7 --lease 1.abcdefgh'))
}

export const addTasks = (program: Command): void => {
  const tasks = program.command('tasks').description('tasks of queues: put, list, show, lease, complete, fail, release')
  tasks.addHelpText('after', examples(`stint tasks put shop/mails '{"to":"ann@example.com"}'`, 'stint tasks lease shop/mails'))
  addPut(tasks)
  addReading(tasks)
  addWorking(tasks)
}
