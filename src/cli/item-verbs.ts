// The verbs that mean the same for a job, a task, a request and a long task: history, why, wait, abort, pause and resume. How an item is named is its noun's own; everything behind the name is here.
import type { Command } from 'commander'
import type { HistoryEvent, State } from '../wire/items.ts'
import { directLongTask } from '../wire/long-tasks.ts'
import { giveDirective, showWorkItem, workItemHistory, workItemWhy } from '../wire/service.ts'
import type { Kind } from '../wire/words.ts'
import { action, durationFlag, wordsFlag, type Context } from './context.ts'
import { historyColumns } from './event-text.ts'
import { examples } from './help.ts'
import { KIND_TEXT, wordsOf, type Meant } from './item.ts'
import { askedText, lostText, whyLines } from './item-text.ts'
import { judgeWait, waitForItem } from './item-wait.ts'
import { printList, printOne } from './output.ts'
import { plain } from './terminal/text.ts'

const PAGE_MAX = 1_000

/** How the items of a noun are named. */
export interface Naming<Options> {
  readonly kind: Kind
  /** The states that its items can be in. */
  readonly states: readonly State[]
  /** Adds the argument and the options that name one. */
  readonly named: (command: Command) => Command
  /** The item that they name; of several a look takes the newest, a deed wants to know which. */
  readonly find: (context: Context, options: Options, id: string | undefined, several: 'newest' | 'refuse') => Promise<Meant>
  /** Names as they stand in examples, at least one. */
  readonly examples: readonly [string, ...string[]]
}

const history = async (context: Context, { workItem }: Meant): Promise<void> => {
  const items: HistoryEvent[] = []
  let after: string | undefined
  do {
    const page = await context.http.call(workItemHistory, { params: { workItem }, query: { limit: PAGE_MAX, after } })
    items.push(...page.items)
    after = page.next
  } while (after !== undefined)
  printList(context, { items }, historyColumns(items), '')
}

const why = async (context: Context, { workItem }: Meant): Promise<void> => {
  const { http, world, out, format } = context
  const params = { workItem }
  const answer = await http.call(workItemWhy, { params })
  if (format !== 'table') return printOne(context, answer, [])
  for (const line of whyLines(await http.call(showWorkItem, { params }), answer, world.now())) out(plain(line))
}

/** When it has an effect that is not seen yet, and on what that depends. */
const sayWhatFollows = async (context: Context, meant: Meant): Promise<void> => {
  const { http, world, say } = context
  const params = { workItem: meant.workItem }
  const item = await http.call(showWorkItem, { params })
  if (item.state === 'lost') return say(lostText(item, (await http.call(workItemWhy, { params })).until, world.now()))
  if (item.receipt === undefined || item.receipt.resolution !== undefined) return
  const told = meant.kind === 'long-task' ? 'Its node is told at once, and with the answer to its next report.' : 'Its holder is told with its next report or poll.'
  say(`${told} \`stint ${meant.kind}s wait ${wordsOf(meant)}\` waits for the end.`)
}

type Directive = 'abort' | 'pause' | 'resume'

const direct = async (context: Context, directive: Directive, reason: string | undefined, meant: Meant): Promise<void> => {
  const { kind, id, workItem } = meant
  if (directive === 'abort') await context.confirm(`Abort ${KIND_TEXT[kind]} ${id}? This is final.`)
  const body = { directive, ...(reason === undefined ? {} : { reason }) }
  // Its own door lets in whoever may dispatch; the general one administrators only.
  const answer = kind === 'long-task' ? await context.http.call(directLongTask, { params: { id }, body }) : await context.http.call(giveDirective, { params: { workItem }, body })
  if (context.format !== 'table') return printOne(context, { id, ...answer }, [])
  context.out(`${id}  ${askedText(directive, answer.state)}`)
  await sayWhatFollows(context, meant)
}

/** Any settled state, as a word beside the states. */
const SETTLED = 'settled'

interface WaitOptions {
  readonly for?: readonly (State | typeof SETTLED)[]
  readonly timeout?: number
}

const wait = async (context: Context, { for: wanted = [SETTLED], timeout }: WaitOptions, meant: Meant): Promise<void> => {
  const states = wanted.flatMap((word) => (word === SETTLED ? [] : [word]))
  const asked = { meant, states, isSettledWanted: wanted.includes(SETTLED), timeoutMs: timeout }
  const item = await waitForItem(context, asked)
  if (context.format === 'table') context.out(`${item.id}  ${item.state}`)
  else printOne(context, item, [])
  judgeWait(asked, item)
}

const PAUSES: Readonly<Record<Kind, string>> = {
  job: 'ask a job to park at its next checkpoint',
  task: 'keep a task from being leased, or ask its holder to park it',
  request: 'keep a request from being leased, or ask its holder to park it',
  'long-task': 'keep a long task from being sent, or ask its node to park it; its time runs on',
}

const DEEDS: readonly (readonly [Directive, (kind: Kind) => string])[] = [
  ['abort', (kind) => `abort a ${KIND_TEXT[kind]}; final`],
  ['pause', (kind) => PAUSES[kind]],
  ['resume', (kind) => `let a paused ${KIND_TEXT[kind]} go on`],
]

/** Adds `history` and `why`. */
export const addLooks = <Options>(noun: Command, { kind, named, find, examples: [first, ...more] }: Naming<Options>): void => {
  const look = (verb: 'history' | 'why', what: string, run: (context: Context, meant: Meant) => Promise<void>): void => {
    named(noun.command(verb).description(what))
      .action(action(async (context: Context, options: Options, id: string | undefined) => run(context, await find(context, options, id, 'newest'))))
      .addHelpText('after', examples(...[first, ...more].map((name) => `stint ${kind}s ${verb} ${name}`)))
  }
  look('history', `everything that happened to a ${KIND_TEXT[kind]}`, history)
  look('why', `why a ${KIND_TEXT[kind]} is in the state it is in`, why)
}

const WAIT = `
Exit codes: 0 when it is in the state that was asked for, 1 when it ended in another one, 124 when the time is over. Of \`settled\` only completed is 0.
`

/** Adds `wait`. */
export const addWait = <Options>(noun: Command, { kind, states, named, find, examples: [first] }: Naming<Options>): void => {
  named(noun.command('wait').description(`wait until a ${KIND_TEXT[kind]} is in a state`))
    .option('--for <states>', `any of these, separated by commas: ${[SETTLED, ...states].join(', ')} (default: ${SETTLED})`, wordsFlag([SETTLED, ...states]))
    .option('--timeout <duration>', 'give up after 30s, 5m, 2h … with exit code 124', durationFlag)
    .action(action(async (context: Context, options: Options & WaitOptions, id: string | undefined) => wait(context, options, await find(context, options, id, 'refuse'))))
    .addHelpText('after', WAIT + examples(`stint ${kind}s wait ${first} --timeout 5m`, `stint ${kind}s wait ${first} --for running,completed`))
}

/** Adds `abort`, `pause` and `resume`. */
export const addDirectives = <Options>(noun: Command, { kind, named, find, examples: [first, ...more] }: Naming<Options>): void => {
  for (const [directive, what] of DEEDS) {
    named(noun.command(directive).description(what(kind)))
      .option('--reason <text>', 'shown to the holder and kept in the history')
      .action(
        action(async (context: Context, options: Options & { readonly reason?: string }, id: string | undefined) =>
          direct(context, directive, options.reason, await find(context, options, id, 'refuse')),
        ),
      )
      .addHelpText('after', examples(`stint ${kind}s ${directive} ${first}`, `stint ${kind}s ${directive} ${more[0] ?? first} --reason "not tonight"`))
  }
}
