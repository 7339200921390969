// `stint nodes`: the implementation nodes that run long tasks, whether they answer, and what they can run.
import type { Command } from 'commander'
import { listNodes, removeNode, showNode, type NodeShown } from '../wire/nodes.ts'
import { action, countFlag, type Context } from './context.ts'
import { examples } from './help.ts'
import { nodeOf } from './ids.ts'
import { nodeColumns, nodeLines } from './node-text.ts'
import { printList, printOne } from './output.ts'

const PAGE_MAX = 1_000

const EMPTY =
  'No node is registered. A program becomes one with `implementationNode({ name, management, listen, operations })` of stint/embedded, and registers itself when it starts.'

const list = async (context: Context, { limit, after }: { readonly limit: number; readonly after?: string }): Promise<void> => {
  const items: NodeShown[] = []
  let next = after
  do {
    const page = await context.http.call(listNodes, { query: { limit: Math.min(PAGE_MAX, limit - items.length), after: next } })
    items.push(...page.items)
    next = page.next
  } while (next !== undefined && items.length < limit)
  printList(context, { items, next }, nodeColumns(context.world.now()), EMPTY)
}

const show = async (context: Context, _options: unknown, node: string): Promise<void> => {
  const shown = await context.http.call(showNode, { params: { node } })
  printOne(context, shown, nodeLines(shown, context.world.now()))
}

const plural = (value: number, one: string): string => `${value.toLocaleString('en')} ${one}${value === 1 ? '' : 's'}`

/** What becomes of what the node has not done yet. */
const leftText = ({ running, waiting }: NodeShown): string => {
  const left = running + waiting
  return left === 0 ? '' : ` ${plural(left, 'long task')} of it ${left === 1 ? 'waits' : 'wait'} for it until the timeout.`
}

const remove = async (context: Context, _options: unknown, node: string): Promise<void> => {
  const found = await context.http.call(showNode, { params: { node } })
  await context.confirm(`Forget node ${node}?${leftText(found)}`)
  const removed = await context.http.call(removeNode, { params: { node } })
  if (context.format !== 'table') return printOne(context, removed, [])
  context.out(`${removed.id}  removed`)
  const left = leftText(removed).trim()
  if (left !== '') context.say(left)
}

const one = (command: Command): Command => command.argument('<node>', 'name of the node', nodeOf)

export const addNodes = (program: Command): void => {
  const nodes = program.command('nodes').description('implementation nodes, which run long tasks: list, show, remove')
  nodes.addHelpText('after', examples('stint nodes list', 'stint nodes show disk-1', 'stint long-tasks watch --node disk-1'))
  nodes
    .command('list')
    .description('list the registered nodes with their health, by name')
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 1_000)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint nodes list', 'stint nodes list -o json'))
  one(nodes.command('show').description('show a node: whether it answers, where it is, and what it can run'))
    .action(action(show))
    .addHelpText('after', examples('stint nodes show disk-1', 'stint nodes show disk-1 -o json'))
  one(nodes.command('remove').description('forget a node; its long tasks wait for it until their timeout'))
    .action(action(remove))
    .addHelpText('after', `\nA node that still runs registers itself anew when it starts again.\n${examples('stint nodes remove disk-1', 'stint nodes remove disk-1 --yes')}`)
}
