// What has happened to the tasks of a queue since somebody began to listen: the event stream, kept by task, for those who wait for something to happen.
import type { HistoryEvent, Stint } from '../../client/index.ts'
import { clockOf, colourOf, sentenceOf } from '../event-text.ts'
import type { Paint } from '../terminal/text.ts'
import { holdingsIn, type Holding } from './task-evidence.ts'

export interface Chronicle {
  readonly of: (id: string) => readonly HistoryEvent[]
  /** Each holding of a worker, with the id of its task. */
  readonly holdingsOf: (worker: string) => readonly (Holding & { readonly id: string })[]
  /** Tasks that have completed. */
  readonly completed: () => number
  readonly close: () => Promise<void>
}

/** Too many to be told one by one are those that are put in, leased and done. */
const TOLD: ReadonlySet<string> = new Set(['LeaseExpired', 'RetryScheduled', 'DeadLettered', 'Redriven', 'Failed', 'Cancelled'])

const isWorthTelling = ({ type, data }: HistoryEvent): boolean => TOLD.has(type) || (type === 'LeaseReleased' && (data as { readonly busy?: boolean }).busy === true)

const idOf = ({ workItem = '' }: HistoryEvent): string => workItem.slice(workItem.lastIndexOf('/') + 1)

/** Listens until it is closed. Resolves when it hears. */
export const openChronicle = async (stint: Stint, tell: (line: string) => void, paint: Paint): Promise<Chronicle> => {
  const histories = new Map<string, HistoryEvent[]>()
  const over = new AbortController()
  let completed = 0
  let failure: unknown

  const take = (event: HistoryEvent): void => {
    const id = idOf(event)
    const history = histories.get(id) ?? []
    history.push(event)
    histories.set(id, history)
    if (event.type === 'Completed') completed += 1
    if (!isWorthTelling(event)) return
    const holder = holdingsIn(history).at(-1)?.holder ?? ''
    const text = sentenceOf(event.type, event.data)
    const colour = colourOf(event.type)
    tell(`${paint('dim', clockOf(event.time))}  ${id.slice(-12)}  ${holder}  ${colour === undefined ? text : paint(colour, text)}`)
  }

  const listening = Promise.withResolvers<void>()
  const listen = async (): Promise<void> => {
    for await (const event of stint.events({ kind: 'task', signal: over.signal, onCaughtUp: listening.resolve })) take(event)
  }
  const heard = listen().catch((cause: unknown) => {
    failure = cause
    listening.reject(cause)
  })
  await listening.promise

  return {
    of: (id) => {
      if (failure !== undefined) throw failure
      return histories.get(id) ?? []
    },
    holdingsOf: (worker) => [...histories].flatMap(([id, history]) => holdingsIn(history).flatMap((holding) => (holding.holder === worker ? [{ ...holding, id }] : []))),
    completed: () => completed,
    close: async () => {
      over.abort()
      await heard
    },
  }
}
