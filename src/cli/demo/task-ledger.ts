// The workers' own record of what Stint told them about endings and extensions, kept beside Stint and compared with its log in the end.
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Fetch, HistoryEvent } from '../../client/index.ts'

/** What a worker said about a task under a lease, and how Stint took it. */
export interface Told {
  readonly task: string
  readonly lease: string
  readonly verb: 'complete' | 'extend'
  /** Undefined: it counts. Otherwise the code of the refusal. */
  readonly refused?: string
}

interface Item {
  readonly id: string
  readonly lease: string
  /** Of a report: an ending travels with the reports before it, where there are any. */
  readonly outcome?: object
}

interface Answer {
  readonly status?: number
  readonly code?: string
  readonly late?: boolean
}

interface Said {
  readonly verb: Told['verb']
  /** One, or many. */
  readonly sent: Item | readonly Item[]
}

/** What a request says of endings and extensions; undefined when it is about something else. */
const saidIn = (path: string, body: unknown): Said | undefined => {
  const { items } = body as { readonly items?: readonly Item[] }
  const [, verb] = /\/tasks\/(complete|extend)$/.exec(path) ?? []
  if (verb !== undefined) return { verb: verb as Told['verb'], sent: items ?? (body as Item) }
  const [, id] = /\/tasks\/([^/]+)\/reports$/.exec(path) ?? []
  const { outcome = {}, lease } = body as Item
  return id !== undefined && 'completed' in outcome ? { verb: 'complete', sent: { id, lease } } : undefined
}

const told = (verb: Told['verb'], { id, lease }: Item, { status = 200, code = 'unknown', late }: Answer): Told => {
  const entry = { task: id, lease, verb }
  if (late === true) return { ...entry, refused: 'late' }
  return status < 300 ? entry : { ...entry, refused: code }
}

const toldIn = ({ verb, sent }: Said, status: number, answered: unknown): readonly Told[] => {
  const answers = (answered as { readonly items?: readonly Answer[] } | null)?.items ?? []
  return 'lease' in sent ? [told(verb, sent, { ...(answered as Answer), status })] : sent.map((item, index) => told(verb, item, answers[index] ?? {}))
}

/** A `fetch` that writes down what Stint answers to completions and extensions before anybody else learns of it. */
export const keepingTaskLedger =
  (file: string, fetch: Fetch): Fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    if (typeof init.body !== 'string') return response
    const said = saidIn(new URL(input).pathname, JSON.parse(init.body))
    // A single one is refused by the status of the answer.
    if (said === undefined || (!response.ok && (Array.isArray(said.sent) || response.status !== 409))) return response
    const entries = toldIn(said, response.status, await response.clone().json())
    appendFileSync(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    return response
  }

export const readTaskLedger = (file: string): readonly Told[] => {
  if (!existsSync(file)) return []
  // The last line of a killed process may be cut: it was never acted on.
  const complete = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return complete.map((line) => JSON.parse(line) as Told)
}

type Data = Readonly<Record<string, unknown>>

const numberOf = (lease: string): number => Number(lease.split('.')[0])

const isCompletedUnder = (lease: number, history: readonly HistoryEvent[]): boolean => history.some(({ type, data }) => type === 'Completed' && (data as Data)['lease'] === lease)

/** Whether the log agrees: what counts is there under that lease, and an ending that was refused is not. */
export const agrees = ({ verb, lease, refused }: Told, history: readonly HistoryEvent[]): boolean =>
  verb === 'extend' ? true : isCompletedUnder(numberOf(lease), history) === (refused === undefined)
