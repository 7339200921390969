// `stint tasks`: put tasks into a queue, look at them, work on them by hand or from a shell script, and say what should become of them.
import type { Command } from 'commander'
import { insertTask, listTasks, redriveTask, showTask, type InsertBody, type Task } from '../wire/tasks.ts'
import type { State } from '../wire/items.ts'
import { runBulk, withBulkOptions, type BulkOptions } from './bulk.ts'
import { action, countFlag, durationFlag, wordFlag, type Context } from './context.ts'
import { usage } from './failure.ts'
import { examples } from './help.ts'
import { taskIdOf } from './ids.ts'
import { addDirectives, addLooks, addWait, type Naming } from './item-verbs.ts'
import { printList, printOne } from './output.ts'
import { JSON_FLAG, jsonOf, present } from './payload.ts'
import { inQueue, nameOf, oneTask, queueFlag, taskNamed, type OfQueue, type OfTask } from './task-lookup.ts'
import { taskColumns, taskLines } from './task-text.ts'
import { addWork } from './task-work.ts'

const PAGE_MAX = 1_000

/** The states that a task can be in: its lease ends where a job would be lost. A dead letter shows as failed. */
const TASK_STATES = ['waiting', 'running', 'paused', 'aborting', 'completed', 'failed', 'aborted', 'cancelled'] as const satisfies readonly State[]

interface PutOptions extends OfQueue {
  readonly id?: string
  readonly tag?: string
  readonly priority?: number
  readonly key?: string
  readonly delay?: number
  readonly lines?: string
}

const put = async (context: Context, { queue, id, tag, priority, key, delay, lines }: PutOptions, payload: string | undefined): Promise<void> => {
  const shared = present({ tag, priority, key, delaySeconds: delay === undefined ? undefined : delay / 1_000 })
  if (lines !== undefined) {
    if (payload !== undefined || id !== undefined) throw usage('Expected either --lines, or a payload and --id, not both.', 'Each line holds its own: {"id": …, "payload": …}.')
    const { putLines } = await import('./task-lines.ts')
    return putLines(context, queue, lines, shared)
  }
  const body: InsertBody = { ...shared, ...present({ id }), ...(payload === undefined ? {} : { payload: jsonOf(payload) }) }
  const task = await context.http.call(insertTask, { params: queue, body })
  if (context.format === 'table') context.out(`${task.id}  ${task.state}`)
  else printOne(context, task, [])
}

interface ListOptions extends OfQueue {
  readonly state?: State
  readonly deadLetters?: boolean
  readonly limit: number
  readonly after?: string
}

const emptyText = ({ queue, state, deadLetters }: ListOptions): string => {
  const name = nameOf(queue)
  if (deadLetters === true) return `There is no dead letter in ${name}. \`stint tasks list -q ${name}\` lists all tasks.`
  if (state !== undefined) return `No task of ${name} is ${state}. \`stint tasks list -q ${name}\` lists all.`
  return `There is no task in ${name}. \`stint tasks put '{"hello":"world"}' -q ${name}\` makes one.`
}

const list = async (context: Context, options: ListOptions): Promise<void> => {
  const { queue, state, deadLetters, limit, after } = options
  const items: Task[] = []
  let next = after
  do {
    const query = { state, deadLetter: deadLetters === true ? ('true' as const) : undefined, limit: Math.min(PAGE_MAX, limit - items.length), after: next }
    const page = await context.http.call(listTasks, { params: queue, query })
    items.push(...page.items)
    next = page.next
  } while (next !== undefined && items.length < limit)
  printList(context, { items, next }, taskColumns(context.world.now()), emptyText(options))
}

const show = async (context: Context, options: OfTask & { readonly payload?: boolean }, given: string): Promise<void> => {
  const { id, queue } = taskNamed(options, given)
  const task = await context.http.call(showTask, { params: { ...queue, id }, query: options.payload === true ? { payload: 'true' } : {} })
  printOne(context, task, taskLines(task, context.world.now()))
}

const watch = async (context: Context, options: OfTask & { readonly tag?: string }, ids: readonly string[]): Promise<void> => {
  const { watchTasks } = await import('./task-watch.ts')
  await watchTasks(context, options, ids)
}

interface RedriveOptions extends OfTask, BulkOptions {
  readonly all?: boolean
}

const redrive = async (context: Context, options: RedriveOptions, given: string | undefined): Promise<void> => {
  const { all = false, queue: of, tag, key, code, insertedBefore } = options
  if (all === (given !== undefined)) throw usage('Expected the id of a dead letter, or --all.', '`stint tasks list --dead-letters -q APP/QUEUE` shows them.')
  if (given === undefined) {
    if (of === undefined) throw usage('Expected a queue: -q APP/QUEUE.', '`stint queues list` shows them.')
    return runBulk(context, 'redrive', of, options)
  }
  if ([tag, key, code, insertedBefore].some((filter) => filter !== undefined)) throw usage('Filters narrow --all; one dead letter is named by its id.')
  const { id, queue } = taskNamed(options, given)
  const answer = await context.http.call(redriveTask, { params: queue, body: { id } })
  if (context.format === 'table') context.out(`${answer.id}  ${answer.state}`)
  else printOne(context, answer, [])
}

const NAMING: Naming<OfTask> = {
  kind: 'task',
  states: TASK_STATES,
  named: oneTask,
  find: (_context, options, id) => Promise.resolve(taskNamed(options, id ?? '')),
  examples: ['order-7 -q shop/mails', 'task/shop/mails/order-7'],
}

const LINES = `
With --lines, one task a line as JSON: {"id": "order-7", "payload": …, "tag": …, "key": …, "priority": 1, "delaySeconds": 60}; all fields may be left out, and the
options hold for lines that do not say otherwise. A line that is refused is told with its number and the path of its field, the rest is put; exit code 1 then.
`

const addPut = (tasks: Command): void => {
  inQueue(tasks.command('put').description('put a task into a queue, or many'))
    .argument('[payload]', JSON_FLAG)
    .option('--id <id>', 'your name for it; the same again is answered as the first', taskIdOf)
    .option('--tag <tag>', 'to be leased by')
    .option('--priority <number>', 'higher goes first', countFlag(-1_000, 1_000))
    .option('--key <key>', 'tasks of one key run one after another')
    .option('--delay <duration>', 'not before 30s, 5m, 2h … from now', durationFlag)
    .option('--lines <file>', 'put one task for each line of a file; - reads standard input')
    .action(action(put))
    .addHelpText(
      'after',
      LINES +
        examples(
          `stint tasks put '{"to":"ann@example.com"}' -q shop/mails`,
          'stint tasks put @mail.json -q shop/mails --id order-7 --delay 5m',
          'stint tasks put --lines mails.jsonl -q shop/mails',
        ),
    )
}

const addReading = (tasks: Command): void => {
  inQueue(tasks.command('list').description('list the tasks of a queue, oldest first'))
    .option('--state <state>', `tasks in this state: ${TASK_STATES.join(', ')}`, wordFlag(TASK_STATES))
    .option('--dead-letters', 'only tasks whose attempts are used up')
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint tasks list -q shop/mails', 'stint tasks list -q shop/mails --state running -o json', 'stint tasks list -q shop/mails --dead-letters'))
  oneTask(tasks.command('show').description('show one task'))
    .option('--payload', 'with its payload, for those who may lease it and for whoever made it')
    .action(action(show))
    .addHelpText('after', examples('stint tasks show order-7 -q shop/mails', 'stint tasks show task/shop/mails/order-7 --payload -o json'))
}

const WATCH = `
On a terminal: one line a task, redrawn in place, with the counts of the whole queue below. Elsewhere: one line a change.
With ids it ends when they have all settled or become dead letters; otherwise it goes on until Ctrl-C.
`

const addWatch = (tasks: Command): void => {
  tasks
    .command('watch')
    .description('watch the tasks of a queue live')
    .argument('[ids...]', 'ids of tasks; none: all of the queue')
    .option('-q, --queue <app/queue>', 'the queue, unless the ids are global', queueFlag)
    .option('--tag <tag>', 'only tasks with this tag')
    .action(action(watch))
    .addHelpText('after', WATCH + examples('stint tasks watch -q shop/mails', 'stint tasks watch order-7 order-8 -q shop/mails', 'stint tasks watch -q shop/mails -o jsonl'))
}

const addRedrive = (tasks: Command): void => {
  const command = tasks
    .command('redrive')
    .description('give a dead letter another life, or all of a queue')
    .argument('[id]', 'id of the dead letter in the queue, or its global ID task/APP/QUEUE/ID alone')
    .option('-q, --queue <app/queue>', 'the queue, unless the id is global', queueFlag)
    .option('--all', 'all dead letters of the queue, or those that the filters name; asks first')
  withBulkOptions(command, 'redrive')
    .action(action(redrive))
    .addHelpText('after', examples('stint tasks redrive order-7 -q shop/mails', 'stint tasks redrive --all -q shop/mails --code smtp --yes'))
}

const GRAMMAR = `
The queue is named by -q APP/QUEUE with every verb. A task is named by its id there, or by its global ID task/APP/QUEUE/ID, which needs no -q.
`

export const addTasks = (program: Command): void => {
  const tasks = program
    .command('tasks')
    .description('tasks of queues: put, list, show, watch, lease, done, fail, release, extend, delete, redrive, history, why, wait, abort, pause, resume')
  tasks.addHelpText('after', GRAMMAR + examples(`stint tasks put '{"to":"ann@example.com"}' -q shop/mails`, 'stint tasks list -q shop/mails', 'stint tasks lease -q shop/mails'))
  addPut(tasks)
  addReading(tasks)
  addWatch(tasks)
  addWork(tasks)
  addRedrive(tasks)
  addLooks(tasks, NAMING)
  addWait(tasks, NAMING)
  addDirectives(tasks, NAMING)
}
