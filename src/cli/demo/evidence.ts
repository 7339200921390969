// The proof in the end: what the job servers were told is acknowledged, against Stint's log; and the log against everything that was made from it.
import type { HistoryEvent, JobProxy, Stint } from '../../client/index.ts'
import { formatDuration } from '../duration.ts'
import { clockOf, historyColumns } from '../event-text.ts'
import { isSettled, LOOKS } from '../look.ts'
import { tableLines, type Column } from '../terminal/table.ts'
import type { Paint } from '../terminal/text.ts'
import type { Nursery } from './children.ts'
import type { IndexResult } from './index-job.ts'
import { isInHistory, type Acknowledged } from './ledger.ts'
import { COMMAND_LINE, type StintSeat } from './stint-seat.ts'

const PAGE_MAX = 1_000

export const historyOf = async (stint: Stint, job: string): Promise<readonly HistoryEvent[]> => {
  const events: HistoryEvent[] = []
  let after: string | undefined
  do {
    const page = await stint.jobs.history(job, { limit: PAGE_MAX, after })
    events.push(...page.items)
    after = page.next
  } while (after !== undefined)
  return events
}

/** What was acknowledged and is not in the log. */
export const missingFromLog = async (stint: Stint, acknowledged: readonly Acknowledged[]): Promise<readonly Acknowledged[]> => {
  const missing: Acknowledged[] = []
  for (const [job, entries] of Map.groupBy(acknowledged, (entry) => entry.job)) {
    const history = await historyOf(stint, job)
    missing.push(...entries.filter((entry) => !isInHistory(entry, history)))
  }
  return missing
}

const ENDINGS: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Aborted', 'Cancelled'])

/** Jobs that did not end exactly once. */
export const notOnce = async (stint: Stint, jobs: readonly string[]): Promise<readonly string[]> => {
  const wrong: string[] = []
  for (const job of jobs) if ((await historyOf(stint, job)).filter(({ type }) => ENDINGS.has(type)).length !== 1) wrong.push(job)
  return wrong
}

const resultOf = (job: JobProxy): IndexResult | undefined => (job.outcome !== undefined && 'completed' in job.outcome ? (job.outcome.completed.result as IndexResult) : undefined)

/** What an index holds, or held when its job was aborted. */
const countsOf = (job: JobProxy): { readonly files?: number; readonly words?: number } | undefined =>
  job.outcome !== undefined && 'aborted' in job.outcome ? (job.outcome.aborted.partial as { readonly files?: number; readonly words?: number } | undefined) : resultOf(job)

const counted = (value: number | undefined): string | undefined => value?.toLocaleString('en')

const takenOverNote = (files: number): string => (files === 0 ? 'begun anew' : `${counted(files)} file${files === 1 ? '' : 's'} kept`)

const NOTES: Readonly<Record<string, (job: JobProxy) => string | undefined>> = {
  completed: (job) => (job.attempt > 1 ? takenOverNote(resultOf(job)?.filesTakenOver ?? 0) : undefined),
  failed: (job) => (job.outcome !== undefined && 'failed' in job.outcome ? job.outcome.failed.message : undefined),
  aborted: (job) => (job.outcome !== undefined && 'aborted' in job.outcome ? (job.outcome.aborted.partial === undefined ? undefined : 'partial result') : undefined),
}

const COLUMNS: readonly Column<JobProxy>[] = [
  { title: 'LABEL', value: (job) => job.label, cut: 'name' },
  { title: 'SERVER', value: (job) => job.server, whole: true },
  { title: 'STATE', value: (job) => `${LOOKS[job.state].symbol} ${job.state}`, colour: (job) => LOOKS[job.state].colour, whole: true },
  { title: 'FILES', value: (job) => counted(countsOf(job)?.files), align: 'right', whole: true },
  { title: 'WORDS', value: (job) => counted(countsOf(job)?.words), align: 'right', whole: true },
  { title: 'TOOK', value: (job) => (job.settledAt === undefined ? undefined : formatDuration(Date.parse(job.settledAt) - Date.parse(job.createdAt))), align: 'right', whole: true },
  { title: 'NOTE', value: (job) => NOTES[job.state]?.(job), cut: 'words' },
]

/** All jobs in the order of their requests. */
export const jobTable = (jobs: readonly JobProxy[], paint: Paint, columns: number | undefined): readonly string[] => tableLines(COLUMNS, jobs, paint, columns)

/** Off a terminal lines are cut too: results are long. */
const COLUMNS_OF_PAPER = 120

/** Facts that only say that a job is alive and how far it is: many, and all alike. */
const QUIET: ReadonlySet<string> = new Set(['LeaseExtended', 'ProgressReported'])

export const historyTable = (events: readonly HistoryEvent[], paint: Paint, columns: number | undefined): readonly string[] => {
  const shown = events.filter((event, index) => !QUIET.has(event.type) || index === events.length - 1)
  const table = historyColumns(shown)
    .filter(({ title }) => title !== 'BY')
    .map((column) => (column.title === 'WHAT' ? { ...column, cut: 'words' as const } : column))
    .map((column) => (column.title === 'TIME' ? { ...column, value: (event: HistoryEvent) => clockOf(event.time) } : column))
  return tableLines(table, shown, paint, columns ?? COLUMNS_OF_PAPER)
}

export const quietCount = (events: readonly HistoryEvent[]): number => events.filter(({ type }) => QUIET.has(type)).length

export interface Verdict {
  readonly isSound: boolean
  /** What `stint verify` printed about chain and tables. */
  readonly lines: readonly string[]
}

/** Runs `stint verify` on the data that a stopped Stint, or a node, left. */
export const verify = async (nursery: Nursery, { data }: Pick<StintSeat, 'data'>): Promise<Verdict> => {
  const child = nursery.start('stint verify', COMMAND_LINE, ['verify', '--data', data])
  const code = await child.ended
  return { isSound: code === 0, lines: code === 0 ? child.lastLines().filter((line) => /^(?:chain|tables)/.test(line)) : child.lastLines() }
}

/** Words of the answers that an index gave, for those who doubt that work was done. */
export const anAnswer = (jobs: readonly JobProxy[]): string | undefined => {
  for (const job of jobs) {
    const answer = resultOf(job)?.answers.find(({ hits, best }) => hits > 0 && best !== undefined)
    if (answer !== undefined && isSettled(job.state)) return `"${answer.question}" in ${job.label}: ${answer.hits} files, the best is ${answer.best}`
  }
  return undefined
}
