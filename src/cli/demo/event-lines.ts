// What happens to the jobs, and to the long tasks, as lines of text, for a viewer without a board: the event stream, with what is said all the time left out.
import type { HistoryEvent, Stint } from '../../client/index.ts'
import { clockOf, colourOf, sentenceOf } from '../event-text.ts'
import type { Paint } from '../terminal/text.ts'

const TOLD: ReadonlySet<string> = new Set(['JobRegistered', 'Leased', 'HolderLost', 'HolderFound', 'DirectiveGiven', 'DirectiveSeen', 'Completed', 'Failed', 'Aborted'])

interface Data {
  readonly label?: string
  readonly server?: string
  readonly lease?: number
}

/** The first lease comes with the registration. */
const isWorthTelling = ({ type, data }: HistoryEvent): boolean => TOLD.has(type) && !(type === 'Leased' && (data as Data).lease === 1)

/** Results are long; the table in the end has them. */
const sentence = ({ type, data }: HistoryEvent): string => {
  if (type === 'JobRegistered') return 'registered'
  if (type === 'Leased') return `taken over: ${sentenceOf(type, data)}`
  return type === 'Completed' ? 'completed' : sentenceOf(type, data)
}

const TOLD_OF_LONG_TASKS: ReadonlySet<string> = new Set(['OperationDispatched', 'HolderLost', 'HolderFound', 'Completed', 'Failed', 'Aborted', 'TimedOut', 'LateResultRecorded'])

/** Tells events of long tasks from now on, until `signal` aborts. */
export const tellLongTasks = async (stint: Stint, tell: (line: string) => void, paint: Paint, signal: AbortSignal): Promise<void> => {
  for await (const event of stint.events({ kind: 'long-task', signal })) {
    const { type, time, workItem = '' } = event
    if (!TOLD_OF_LONG_TASKS.has(type)) continue
    const text = sentence(event)
    const colour = colourOf(type)
    tell(`${paint('dim', clockOf(time))}  ${workItem.replace('long-task/', '')}  ${colour === undefined ? text : paint(colour, text)}`)
  }
}

/** Tells events of jobs from now on, until `signal` aborts. */
export const tellEvents = async (stint: Stint, tell: (line: string) => void, paint: Paint, signal: AbortSignal): Promise<void> => {
  const names = new Map<string, string>()
  for await (const event of stint.events({ kind: 'job', signal })) {
    const { label = '', server = '' } = (event.data ?? {}) as Data
    const workItem = event.workItem ?? ''
    if (event.type === 'JobRegistered') names.set(workItem, `${server}  ${label}`)
    if (!isWorthTelling(event)) continue
    const text = sentence(event)
    const colour = colourOf(event.type)
    tell(`${paint('dim', clockOf(event.time))}  ${names.get(workItem) ?? workItem}  ${colour === undefined ? text : paint(colour, text)}`)
  }
}
