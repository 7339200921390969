// The demo's own record of what Stint acknowledged, kept by the job servers beside Stint and compared with Stint's log in the end: the proof that nothing acknowledged was lost.
import { appendFileSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Fetch, HistoryEvent, Outcome, Progress } from '../../client/index.ts'

/** What a holder said about a job under a lease, and Stint answered that it is recorded. */
export interface Acknowledged {
  readonly job: string
  readonly lease: string
  readonly said: Said
}

export interface Said {
  readonly registered?: true
  readonly phase?: string
  readonly progress?: Progress
  readonly state?: 'paused' | 'running'
  readonly outcome?: Outcome
}

type Item = Said & { readonly id: string; readonly lease: string }
type Answer = { readonly id?: string; readonly status?: number; readonly lease?: string; readonly recorded?: boolean; readonly late?: boolean }

const itemsOf = <Of>(body: unknown): readonly Of[] => {
  const many = body as { readonly items?: readonly Of[] } | null
  return many?.items ?? [body as Of]
}

const acknowledgedIn = (path: string, sent: unknown, answered: unknown): readonly Acknowledged[] => {
  const answers = itemsOf<Answer>(answered)
  if (path === '/v1/jobs')
    return answers.flatMap(({ id, lease, status = 200 }) => (id === undefined || lease === undefined || status >= 300 ? [] : [{ job: id, lease, said: { registered: true } }]))
  if (path !== '/v1/jobs/reports') return []
  return itemsOf<Item>(sent).flatMap(({ id, lease, phase, progress, state, outcome }, index) => {
    const answer = answers[index]
    const said: Said =
      answer?.late === true ? { ...(outcome && { outcome }) } : { ...(phase && { phase }), ...(progress && { progress }), ...(state && { state }), ...(outcome && { outcome }) }
    return answer?.recorded === true && (answer.status ?? 200) < 300 && Object.keys(said).length > 0 ? [{ job: id, lease, said }] : []
  })
}

/** A `fetch` that writes what Stint acknowledges into a file before anybody else learns of it. */
export const keepingLedger =
  (file: string, fetch: Fetch): Fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    const { pathname } = new URL(input)
    if (init.method !== 'POST' || !response.ok || typeof init.body !== 'string') return response
    const entries = acknowledgedIn(pathname, JSON.parse(init.body), await response.clone().json())
    if (entries.length > 0) appendFileSync(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    return response
  }

export const readLedger = (file: string): readonly Acknowledged[] => {
  // The last line of a killed process may be cut: it was never acted on.
  const complete = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return complete.map((line) => JSON.parse(line) as Acknowledged)
}

type Data = Readonly<Record<string, unknown>>

/** The events under a lease of a job, and before them what still held when it began: saying the same again appends nothing. */
const underLease = (history: readonly HistoryEvent[], lease: string): readonly HistoryEvent[] => {
  const number = Number(lease.split('.')[0])
  const from = history.findIndex(({ type, data }) => type === 'Leased' && (data as Data)['lease'] === number)
  if (from < 0) return []
  const to = history.findIndex(({ type }, index) => index > from && type === 'Leased')
  const before = history.slice(0, from)
  const held = ['PhaseEntered', 'ProgressReported'].flatMap((wanted) => before.findLast(({ type }) => type === wanted) ?? [])
  return [...held, ...history.slice(from, to < 0 ? undefined : to)]
}

const same = (a: unknown, b: unknown): boolean => isDeepStrictEqual(JSON.parse(JSON.stringify(a ?? null)), JSON.parse(JSON.stringify(b ?? null)))

const outcomeIn = (events: readonly HistoryEvent[], outcome: Outcome): boolean =>
  events.some(({ type, data }) => {
    const { result, code, reason, outcome: late } = data as Data
    if (type === 'LateResultRecorded') return same(late, outcome)
    if ('completed' in outcome) return type === 'Completed' && same(result, outcome.completed.result)
    if ('failed' in outcome) return type === 'Failed' && code === outcome.failed.code
    return type === 'Aborted' && reason === outcome.aborted.reason
  })

/** Whether all that was acknowledged is in the job's history. */
export const isInHistory = ({ lease, said }: Acknowledged, history: readonly HistoryEvent[]): boolean => {
  const events = underLease(history, lease)
  const has = (type: string, fits: (data: Data) => boolean): boolean => events.some((event) => event.type === type && fits(event.data as Data))
  if (events.length === 0) return false
  if (said.phase !== undefined && !has('PhaseEntered', ({ phase }) => phase === said.phase)) return false
  if (said.progress !== undefined && !has('ProgressReported', ({ progress }) => same(progress, said.progress))) return false
  if (said.state === 'paused' && !has('Paused', () => true)) return false
  if (said.state === 'running' && has('Paused', () => true) && !has('Resumed', () => true)) return false
  return said.outcome === undefined || outcomeIn(events, said.outcome)
}
