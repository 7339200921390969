// `stint long-tasks`: give operations to implementation nodes, look at what they do over all nodes, watch it live, and say what should become of it.
import type { Command } from 'commander'
import { uuidv7 } from '../client/ids.ts'
import { StintError } from '../client/errors.ts'
import type { State } from '../wire/items.ts'
import { dispatchOperation, listLongTasks, showLongTask, type DispatchBody, type LongTaskShown } from '../wire/long-tasks.ts'
import { showNode } from '../wire/nodes.ts'
import { longTaskId } from '../wire/words.ts'
import { action, countFlag, durationFlag, wordFlag, type Context } from './context.ts'
import { formatDuration } from './duration.ts'
import { usage } from './failure.ts'
import { examples } from './help.ts'
import { longTaskIdOf, nodeOf } from './ids.ts'
import { addDirectives, addLooks, addWait, type Naming } from './item-verbs.ts'
import { longTaskColumns, longTaskLines } from './long-task-text.ts'
import type { LongTaskFilter } from './long-task-watch.ts'
import { printList, printOne } from './output.ts'
import { present, textOf } from './payload.ts'

const PAGE_MAX = 1_000

/** The states that a long task can be in: it waits for its node, and its node holds it from then on. */
const LONG_TASK_STATES = ['waiting', 'running', 'paused', 'aborting', 'lost', 'completed', 'failed', 'aborted', 'cancelled', 'timedOut'] as const satisfies readonly State[]

interface Paging {
  readonly limit: number
  readonly after?: string
}

const emptyText = (filter: LongTaskFilter): string =>
  Object.values(filter).some((value) => value !== undefined)
    ? 'No long task matches. `stint long-tasks list` without filters shows all; `stint nodes list` shows the nodes.'
    : 'There are no long tasks yet. `stint nodes list` shows the nodes and what they can run; `stint long-tasks dispatch OPERATION --node NODE` gives one to them.'

const list = async (context: Context, { limit, after, ...filter }: LongTaskFilter & Paging): Promise<void> => {
  const { node, operation, state } = filter
  const items: LongTaskShown[] = []
  let next = after
  do {
    const page = await context.http.call(listLongTasks, { query: { node, operation, state, limit: Math.min(PAGE_MAX, limit - items.length), after: next } })
    items.push(...page.items)
    next = page.next
  } while (next !== undefined && items.length < limit)
  printList(context, { items, next }, longTaskColumns(context.world.now(), items), emptyText(filter))
}

const show = async (context: Context, _options: unknown, id: string): Promise<void> => {
  const task = await context.http.call(showLongTask, { params: { id: longTaskIdOf(id) } })
  printOne(context, task, longTaskLines(task, context.world.now()))
}

interface DispatchOptions {
  readonly node: string
  readonly args?: string
  readonly id?: string
  readonly timeout?: number
  readonly stalledAfter?: number
  readonly progressEvery?: number
}

/** What an operation is given is checked by its node: a text that was meant as JSON and is none would be found out late. */
const argsOf = (argument: string): unknown => {
  const text = textOf(argument)
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw usage(`--args is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`, 'A text stands in quotes of its own: --args \'"text"\'.')
  }
}

const secondsOf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

/** Why it may wait for long: a node that is away is not an error, but a mistyped one looks the same. */
const sayWhereItWaits = async ({ http, world, say }: Context, { node, state, timeoutAt }: LongTaskShown): Promise<void> => {
  if (state !== 'waiting') return
  const left = formatDuration(Date.parse(timeoutAt) - world.now())
  try {
    const { health } = await http.call(showNode, { params: { node }, attemptsMax: 1 })
    if (health === 'down') say(`Node ${node} does not answer: it waits for it, ${left} at most.`)
  } catch (cause) {
    // It is dispatched: what cannot be said about its node does not matter.
    if (cause instanceof StintError && cause.code === 'not-found')
      say(`There is no node ${node} yet: it waits for it, ${left} at most. \`stint nodes list\` shows those there are.`)
  }
}

const dispatch = async (context: Context, options: DispatchOptions, operation: string): Promise<void> => {
  const { node, args, id, timeout, stalledAfter, progressEvery } = options
  const timing = present({ timeoutSeconds: secondsOf(timeout), stalledAfterSeconds: secondsOf(stalledAfter), progressEverySeconds: secondsOf(progressEvery) })
  const body: DispatchBody = { operation, node, id: id ?? uuidv7(context.world), ...timing, ...(args === undefined ? {} : { args: argsOf(args) }) }
  const task = await context.http.call(dispatchOperation, { body })
  if (context.format !== 'table') return printOne(context, task, [])
  context.out(`${task.id}  ${task.state}`)
  await sayWhereItWaits(context, task)
}

const watch = async (context: Context, filter: LongTaskFilter, ids: readonly string[]): Promise<void> => {
  const { watchLongTasks } = await import('./long-task-watch.ts')
  await watchLongTasks(context, filter, ids)
}

const filters = (command: Command): Command =>
  command
    .option('--node <node>', 'long tasks of this node', nodeOf)
    .option('--operation <name>', 'long tasks of this class')
    .option('--state <state>', `long tasks in this state: ${LONG_TASK_STATES.join(', ')}`, wordFlag(LONG_TASK_STATES))

const named = (command: Command): Command => command.argument('<id>', 'id of the long task')

const NAMING: Naming<unknown> = {
  kind: 'long-task',
  states: LONG_TASK_STATES,
  named,
  find: (_context, _options, given = '') => {
    const id = longTaskIdOf(given)
    return Promise.resolve({ kind: 'long-task', id, workItem: longTaskId(id) })
  },
  examples: ['copy-7'],
}

const addReading = (longTasks: Command): void => {
  filters(longTasks.command('list').description('list long tasks over all nodes, newest first'))
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint long-tasks list', 'stint long-tasks list --node disk-1 --state running', 'stint long-tasks list --operation CopyImage -o jsonl'))
  named(longTasks.command('show').description('show one long task with its progress of now'))
    .action(action(show))
    .addHelpText('after', examples('stint long-tasks show copy-7', 'stint long-tasks show copy-7 -o json'))
}

const DISPATCH = `
It is recorded before anything is sent; its node is called until it has taken it or the time is over. The same --id with the same content is the same long task.
What is not said here is as the node declared it for the operation: \`stint nodes show NODE\` tells.
`

const addDispatch = (longTasks: Command): void => {
  longTasks
    .command('dispatch')
    .description('give an operation to a node')
    .argument('<operation>', "name of the operation's class")
    .requiredOption('--node <node>', 'the node that is to run it', nodeOf)
    .option('--args <json>', 'its arguments as JSON; - reads standard input, @FILE a file')
    .option('--id <id>', 'your name for it; the same again is answered as the first', longTaskIdOf)
    .option('--timeout <duration>', 'it times out after 30s, 15m, 2h …', durationFlag)
    .option('--stalled-after <duration>', 'it times out after so long without progress', durationFlag)
    .option('--progress-every <duration>', 'interval at which its node reports', durationFlag)
    .action(action(dispatch))
    .addHelpText(
      'after',
      DISPATCH +
        examples(
          `stint long-tasks dispatch CopyImage --node disk-1 --args '{"from":"a.img","to":"b.img"}'`,
          'stint long-tasks dispatch CopyImage --node disk-1 --args @copy.json --id copy-7 --timeout 15m --stalled-after 1m',
        ),
    )
}

const WATCH = `
On a terminal: under each node its long tasks with their bars, rate and time left, redrawn in place. Elsewhere: one line a change.
With ids it ends when they have all settled, with exit code 1 unless all completed; otherwise it goes on until Ctrl-C.
`

export const addLongTasks = (program: Command): void => {
  const longTasks = program.command('long-tasks').description('long tasks over all implementation nodes: dispatch, list, show, watch, history, why, wait, abort, pause, resume')
  longTasks.addHelpText(
    'after',
    examples(`stint long-tasks dispatch CopyImage --node disk-1 --args '{"from":"a.img","to":"b.img"}'`, 'stint long-tasks list --state running', 'stint long-tasks watch'),
  )
  addDispatch(longTasks)
  addReading(longTasks)
  addLooks(longTasks, NAMING)
  filters(longTasks.command('watch').description('watch long tasks live').argument('[ids...]', 'ids of long tasks; none: all that the filters let through'))
    .action(action(watch))
    .addHelpText('after', WATCH + examples('stint long-tasks watch', 'stint long-tasks watch --node disk-1', 'stint long-tasks watch copy-7 copy-8 -o jsonl'))
  addWait(longTasks, NAMING)
  addDirectives(longTasks, NAMING)
}
