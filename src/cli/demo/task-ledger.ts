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
}

interface Answer {
  readonly status?: number
  readonly code?: string
  readonly late?: boolean
}

const itemsOf = <Of>(body: unknown): readonly Of[] => (body as { readonly items?: readonly Of[] } | null)?.items ?? [body as Of]

const toldIn = (verb: Told['verb'], sent: unknown, answered: unknown): readonly Told[] => {
  const answers = itemsOf<Answer>(answered)
  return itemsOf<Item>(sent).map(({ id, lease }, index) => {
    const { status = 200, code = 'unknown', late } = answers[index] ?? {}
    const told = { task: id, lease, verb }
    if (late === true) return { ...told, refused: 'late' }
    return status < 300 ? told : { ...told, refused: code }
  })
}

/** A `fetch` that writes down what Stint answers to completions and extensions before anybody else learns of it. */
export const keepingTaskLedger =
  (file: string, fetch: Fetch): Fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    const verb = /\/tasks\/(complete|extend)$/.exec(new URL(input).pathname)?.[1] as Told['verb'] | undefined
    if (verb === undefined || !response.ok || typeof init.body !== 'string') return response
    const entries = toldIn(verb, JSON.parse(init.body), await response.clone().json())
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
