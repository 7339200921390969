// `stint events`: the log as it is written, and what is in it.
import { InvalidArgumentError, type Command } from 'commander'
import { events, type EventFilter } from '../client/events.ts'
import type { HistoryEvent } from '../wire/items.ts'
import { health } from '../wire/service.ts'
import { action, countFlag, wordFlag, wordsFlag, type Context } from './context.ts'
import { clockOf, colourOf, eventTypes, sentenceOf } from './event-text.ts'
import { examples } from './help.ts'
import { printList } from './output.ts'
import type { Column } from './terminal/table.ts'
import { plain } from './terminal/text.ts'

const KINDS = ['job', 'task', 'request', 'long-task'] as const

interface Options {
  readonly kind?: (typeof KINDS)[number]
  readonly type?: readonly string[]
  readonly workItem?: string
  readonly after?: string
}

/** From the first event on, instead of a position. */
const START = 'start'

/** A position is opaque, but a word that was never one is told from one of another log before anybody is asked. */
const afterFlag = (text: string): string => {
  if (text !== START && !/^\w+\.\d+$/.test(text)) throw new InvalidArgumentError(`Expected the position of an event, as \`stint events list\` shows it, or ${START}.`)
  return text
}

const filterOf = ({ kind, type, workItem, after }: Options): EventFilter => ({
  ...(kind === undefined ? {} : { kind }),
  ...(type === undefined ? {} : { types: type }),
  ...(workItem === undefined ? {} : { workItem }),
  ...(after === undefined ? {} : { after }),
})

/** A stream waits for a server that is away; one that was never there is an error. */
const assertThere = async ({ http }: Context): Promise<void> => {
  await http.call(health, { attemptsMax: 1 })
}

const watch = async (context: Context, options: Options): Promise<void> => {
  const { http, out, format, paint } = context
  const signal = context.interrupted()
  await assertThere(context)
  for await (const event of events(http, { ...filterOf(options), signal })) {
    if (format !== 'table') {
      out(JSON.stringify(event))
      continue
    }
    const colour = colourOf(event.type)
    const type = event.type.padEnd(16)
    out(`${paint('dim', clockOf(event.time))}  ${event.workItem ?? ''}  ${colour === undefined ? type : paint(colour, type)}  ${plain(sentenceOf(event.type, event.data))}`)
  }
  http.close()
}

const columns: readonly Column<HistoryEvent>[] = [
  { title: 'POSITION', value: (event) => event.position, whole: true },
  { title: 'TIME', value: (event) => event.time, whole: true },
  { title: 'WORK ITEM', value: (event) => event.workItem, whole: true },
  { title: 'EVENT', value: (event) => event.type, colour: (event) => colourOf(event.type), whole: true },
  { title: 'WHAT', value: (event) => sentenceOf(event.type, event.data) },
]

const list = async (context: Context, options: Options & { readonly limit: number }): Promise<void> => {
  await assertThere(context)
  const end = new AbortController()
  const items: HistoryEvent[] = []
  for await (const event of events(context.http, { ...filterOf({ ...options, after: options.after ?? START }), signal: end.signal, onCaughtUp: () => end.abort() })) {
    items.push(event)
    if (items.length >= options.limit) break
  }
  end.abort()
  context.http.close()
  const last = items[items.length - 1]
  const next = items.length >= options.limit ? last?.position : undefined
  printList(context, { items, next }, columns, 'No event matches. `stint events watch` waits for new ones.')
}

const filters = (command: Command): Command =>
  command
    .option('--kind <kind>', `events of this kind of work: ${KINDS.join(' or ')}`, wordFlag(KINDS))
    .option('--type <types>', 'events of these types, separated by commas', wordsFlag(eventTypes))
    .option('--work-item <id>', 'events of one work item, for instance job/42')

export const addEvents = (program: Command): void => {
  const noun = program.command('events').description('the log: watch, list')
  noun.addHelpText('after', examples('stint events watch', 'stint events list --type Failed'))
  filters(noun.command('watch').description('every event as it happens, until Ctrl-C'))
    .option('--after <position>', 'begin behind this position; start: with the first event', afterFlag)
    .action(action(watch))
    .addHelpText('after', examples('stint events watch --kind job', 'stint events watch --type Completed,Failed -o jsonl', 'stint events watch --after start'))
  filters(noun.command('list').description('events of the log, oldest first'))
    .option('--after <position>', 'begin behind this position', afterFlag)
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .action(action(list))
    .addHelpText('after', examples('stint events list --work-item job/42', 'stint events list --type Failed,DeadLettered --limit 1000 -o jsonl'))
}
