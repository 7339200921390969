// `watch` of jobs, tasks, requests and long tasks: a board of bars that is redrawn in place on a terminal, one line a change elsewhere.
import { events } from '../client/events.ts'
import type { Http } from '../client/http.ts'
import { showWorkItem } from '../wire/service.ts'
import { pause } from '../world.ts'
import type { Context } from './context.ts'
import { clockOf, colourOf, sentenceOf } from './event-text.ts'
import { CliFailure, EXIT, mayPass } from './failure.ts'
import { KIND_TEXT, type Item } from './item.ts'
import { boardLines, countsOfStates, type BoardSize } from './item-board.ts'
import { itemsSeen, seenOf, type Facts, type Looked, type Seen, type Watched } from './item-changes.ts'
import { observe, type Pace } from './item-pace.ts'
import { isSettled, LOOKS, progressText } from './look.ts'
import { openScreen } from './terminal/screen.ts'
import { plain } from './terminal/text.ts'

/** Items that are looked at, at most. */
export const PAGE = 1_000
/** Milliseconds between two looks, at least. */
const LOOK_EVERY_MS = 500
/** Items whose last printed form is remembered, so that none is printed twice. */
const PRINTED_MAX = 10_000

/** The items as they are now. */
const lookAt = async (http: Http, { workItems, list }: Watched): Promise<Looked> => {
  if (workItems.length === 0) return list(http)
  const answers = await Promise.all(workItems.map((workItem) => http.exchange(showWorkItem, { params: { workItem }, attemptsMax: 1 })))
  return { items: answers.flatMap(({ body }) => (body === undefined ? [] : [body])), more: false, position: answers[0]?.headers.get('stint-position') ?? undefined }
}

/** The items as they are now, with the nodes that they run on where it is asked for them. */
const look = async ({ http }: Context, watched: Watched): Promise<Looked> => {
  const [looked, nodes] = await Promise.all([lookAt(http, watched), watched.nodes?.(http)])
  return nodes === undefined ? looked : { ...looked, nodes }
}

/** Ids were given and all of them have ended: nothing is left to watch. */
const isOver = ({ workItems }: Watched, items: readonly Pick<Item, 'state'>[]): boolean =>
  workItems.length > 0 && items.length === workItems.length && items.every(({ state }) => isSettled(state))

const judge = ({ paint }: Context, { workItems }: Watched, items: readonly Item[]): void => {
  if (workItems.length > 0 && items.some(({ state }) => state !== 'completed')) throw new CliFailure(EXIT.failed, `Not all of them completed: ${countsOfStates(items, paint)}.`)
}

/** Wakes whoever waits; what is rung while nobody waits is remembered once. */
const bell = () => {
  let isRung = false
  let wake: (() => void) | undefined
  return {
    ring: (): void => {
      isRung = true
      wake?.()
    },
    heard: async (signal: AbortSignal): Promise<void> => {
      if (!isRung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      wake = undefined
      isRung = false
    },
  }
}

/** Some terminals do not tell their size. */
const sizeOf = ({ columns, rows }: NodeJS.WriteStream): BoardSize => ({ columns: columns || 80, rows: rows || 24 })

/** The board: looked at again after each change, and twice a second while something runs, because progress between two records is not an event. */
const watchOnTerminal = async (context: Context, watched: Watched, signal: AbortSignal): Promise<void> => {
  const { world, paint, http } = context
  const changes = bell()
  let looked = await look(context, watched)
  let failure: unknown
  const followed = (async () => {
    for await (const _event of events(http, { kind: watched.kind, signal, ...(looked.position === undefined ? {} : { after: looked.position }) })) changes.ring()
  })().catch((cause: unknown) => {
    failure = cause
    changes.ring()
  })
  const screen = openScreen((text) => void process.stdout.write(text))
  process.stdout.on('resize', screen.clear)
  let paces: ReadonlyMap<string, Pace> = new Map()
  let trouble: string | undefined
  try {
    for (;;) {
      paces = new Map(looked.items.map((item) => [item.id, observe(paces.get(item.id), item, world.monotonic())]))
      screen.draw((watched.draw ?? boardLines)({ ...looked, kind: watched.kind, paces, now: world.now(), trouble }, sizeOf(process.stdout), paint))
      if (failure !== undefined) throw failure
      if (signal.aborted || isOver(watched, looked.items)) break
      await pause(world, LOOK_EVERY_MS, signal)
      if (trouble === undefined && looked.items.every(({ state }) => isSettled(state))) await changes.heard(signal)
      if (signal.aborted) break
      try {
        looked = await look(context, watched)
        trouble = undefined
      } catch (cause) {
        if (!mayPass(cause)) throw cause
        trouble = 'the server does not answer; trying again'
      }
    }
  } finally {
    process.stdout.off('resize', screen.clear)
    screen.close()
    http.close()
    await followed
  }
  judge(context, watched, looked.items)
}

const stateText = ({ paint }: Context, { state, progress }: Item): string =>
  paint(LOOKS[state].colour, [state, progressText(progress)].filter((part) => part !== undefined).join(' '))

const placeOfFacts = ({ service, server, operation, node, tag, caller }: Facts): string => {
  if (service !== undefined) return `${service}@${server}`
  return operation === undefined ? (tag ?? caller ?? '') : `${operation}@${node}`
}

/** A line of a change: where and what the item is stands as it was born, because that does not change. */
const printLine = ({ out, paint }: Context, time: string, { id, facts }: Seen, what: string): void => {
  const place = placeOfFacts(facts)
  const label = facts.label === undefined ? '' : `  "${plain(facts.label)}"`
  out(`${paint('dim', clockOf(time))}  ${id}${place === '' ? '' : `  ${plain(place)}`}${label}  ${what}`)
}

/** Facts that keep an item alive but change nothing that people ask about. */
const QUIET = new Set(['LeaseExtended'])

/** One line for each change, or with JSON the item after it. */
const watchOffTerminal = async (context: Context, watched: Watched, signal: AbortSignal): Promise<void> => {
  const { http, out, say, format, paint } = context
  const { kind, workItems } = watched
  const first = await look(context, watched)
  if (first.more) {
    const [many, which] = [PAGE.toLocaleString('en'), kind === 'task' ? 'first' : 'newest']
    say(`stint: There are more than ${many} ${KIND_TEXT[kind]}s: only the ${which} ${many} are shown as they are now. Changes are shown of all.`)
  }
  const seen = itemsSeen(http, watched, first.items)
  const printed = new Map<string, string>()
  const printItem = (item: Item): void => {
    if (printed.get(item.workItem) === item.position) return
    printed.set(item.workItem, item.position)
    // A watch may go on for months.
    if (printed.size > PRINTED_MAX) printed.clear()
    out(JSON.stringify(item))
  }
  for (const item of kind === 'task' ? first.items : first.items.toReversed()) {
    if (workItems.length === 0 && isSettled(item.state)) continue
    if (format === 'table') printLine(context, item.updatedAt, seenOf(item), stateText(context, item))
    else printItem(item)
  }
  let latest = first.items
  const after = first.position === undefined ? {} : { after: first.position }
  const [only] = workItems
  if (!isOver(watched, latest)) {
    for await (const event of events(http, { kind, signal, ...after, ...(workItems.length === 1 && only !== undefined ? { workItem: only } : {}) })) {
      const item = await seen.matching(event)
      if (item === undefined) continue
      if (format === 'table' && !QUIET.has(event.type)) {
        const sentence = plain(sentenceOf(event.type, event.data))
        const colour = colourOf(event.type)
        printLine(context, event.time, item, colour === undefined ? sentence : paint(colour, sentence))
      }
      if (format !== 'table') printItem(await http.call(showWorkItem, { params: { workItem: item.workItem } }))
      if (workItems.length > 0 && seen.allEnded()) break
    }
    if (workItems.length > 0 && !signal.aborted) latest = (await look(context, watched)).items
  }
  http.close()
  if (!signal.aborted) judge(context, watched, latest)
}

/** Lines are redrawn in place: a terminal that can, and a person who reads. */
export const isLive = ({ format }: Pick<Context, 'format'>): boolean => process.stdout.isTTY && format === 'table' && process.env['TERM'] !== 'dumb'

export const watchItems = async (context: Context, watched: Watched): Promise<void> => {
  const signal = context.interrupted()
  await (isLive(context) ? watchOnTerminal(context, watched, signal) : watchOffTerminal(context, watched, signal))
}
