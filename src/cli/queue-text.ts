// Queues as they are shown: the columns of a list, the fields of one, and the mistakes of their files.
import type { Bulk, Queue, QueueSettings, QueueStatistics, QueueTotals } from '../wire/queues.ts'
import { bytesText } from './bytes.ts'
import { formatAge, formatDuration } from './duration.ts'
import { ago } from './item-text.ts'
import type { Column } from './terminal/table.ts'
import type { Colour } from './terminal/text.ts'

const SECOND_MS = 1_000

const count = (value: number): string => value.toLocaleString('en')
const duration = (seconds: number): string => formatDuration(seconds * SECOND_MS)
const plural = (value: number, one: string): string => `${count(value)} ${one}${value === 1 ? '' : 's'}`

const stateText = ({ state, settings }: Queue): string => (settings.mode === 'push' ? `${state}, push: not served` : state)

const COLOURS: Readonly<Record<Queue['state'], Colour>> = { open: 'green', paused: 'yellow', removed: 'gray' }

/** Without zeros, which would hide what is going on. */
const some = (value: number): string | undefined => (value === 0 ? undefined : count(value))

export const queueColumns = (now: number): readonly Column<Queue>[] => [
  { title: 'QUEUE', value: ({ app, queue }) => `${app}/${queue}`, whole: true },
  { title: 'STATE', value: stateText, colour: ({ state }) => COLOURS[state], whole: true },
  { title: 'WAITING', value: ({ waiting }) => count(waiting), align: 'right', whole: true },
  { title: 'DELAYED', value: ({ delayed }) => count(delayed), align: 'right', whole: true },
  { title: 'LEASED', value: ({ leased }) => count(leased), align: 'right', whole: true },
  { title: 'WORKERS', value: ({ waitingWorkers }) => count(waitingWorkers), align: 'right', whole: true },
  {
    title: 'DEAD LETTERS',
    value: ({ statistics }) => count(statistics.deadLetters),
    colour: ({ statistics }) => (statistics.deadLetters > 0 ? 'red' : undefined),
    align: 'right',
    whole: true,
  },
  { title: 'OLDEST', value: ({ statistics: { oldestDueAt } }) => (oldestDueAt === undefined ? undefined : formatAge(oldestDueAt, now)), align: 'right', whole: true },
  { title: 'IN/MIN', value: ({ statistics }) => count(statistics.insertedLastMinute), align: 'right', whole: true },
  { title: 'DONE/MIN', value: ({ statistics }) => count(statistics.completedLastMinute), align: 'right', whole: true },
]

/** What of a queue changes, in a line. */
export const figuresText = ({ state, waiting, delayed, leased, waitingWorkers, statistics: { deadLetters } }: Queue): string =>
  [
    `${state}: ${count(waiting)} waiting`,
    delayed === 0 ? undefined : `${count(delayed)} delayed`,
    `${count(leased)} leased`,
    waitingWorkers === 0 ? undefined : `${plural(waitingWorkers, 'worker')} waiting`,
    deadLetters === 0 ? undefined : plural(deadLetters, 'dead letter'),
  ]
    .filter((part) => part !== undefined)
    .join(', ')

type Line = readonly [name: string, value: string | undefined]

const quantilesText = (found: QueueStatistics['waitSeconds']): string | undefined =>
  found === undefined ? undefined : `p50 ${duration(found.p50)}, p90 ${duration(found.p90)}, p99 ${duration(found.p99)}, max ${duration(found.max)} (of ${count(found.count)})`

/** A limit of 0 counts as 1: a task that is never tried would be of no use. */
export const attemptsOf = (retryLimit: number): number => Math.max(1, retryLimit)

const settingsLines = (settings: QueueSettings): readonly Line[] => {
  const { backoff, rate, webhook } = settings
  const { minSeconds, maxSeconds, doublings, jitter } = backoff
  return [
    ['mode', settings.mode === 'push' ? 'push: listed, not served' : 'pull'],
    ['users', settings.users.length === 0 ? 'nobody' : settings.users.join(', ')],
    ['writers', settings.writers.length === 0 ? 'nobody' : settings.writers.join(', ')],
    ['retry limit', settings.retryLimit === undefined ? 'none' : plural(attemptsOf(settings.retryLimit), 'attempt')],
    ['after that', settings.deadLetter ? 'a dead letter, to be redriven' : 'failed for good'],
    ['backoff', `${duration(minSeconds)} to ${duration(maxSeconds)}, doubled ${plural(doublings, 'time')}, jitter ${Math.round(jitter * 100)}%`],
    ['default lease', duration(settings.defaultLeaseSeconds)],
    ['longest wait', duration(settings.maxWaitSeconds)],
    ['at once of a key', count(settings.keyConcurrency)],
    ['rate', rate === undefined ? 'no limit' : `${rate.perSecond} a second, bursts of ${count(rate.burst)}`],
    ['storage limit', settings.storageLimitBytes === undefined ? 'none' : bytesText(settings.storageLimitBytes)],
    ['webhook', webhook === undefined ? undefined : `${webhook.url}, at most once in ${duration(webhook.debounceSeconds)}`],
  ]
}

const TOTAL_WORDS = {
  inserted: 'inserted',
  leased: 'leased',
  completed: 'completed',
  failed: 'failed',
  retried: 'to be tried again',
  released: 'given back',
  expired: 'expired',
  deadLettered: 'dead-lettered',
  redriven: 'redriven',
  cancelled: 'cancelled',
  aborted: 'aborted',
} as const satisfies Record<keyof QueueTotals, string>

/** What has ever happened; what never did is left out. */
const totalsText = (totals: QueueTotals): string | undefined => {
  const happened = (Object.keys(TOTAL_WORDS) as readonly (keyof QueueTotals)[]).filter((what) => totals[what] > 0)
  return happened.length === 0 ? undefined : happened.map((what) => `${count(totals[what])} ${TOTAL_WORDS[what]}`).join(', ')
}

const statisticsLines = ({ statistics, storedBytes }: Queue, now: number): readonly Line[] => [
  ['oldest waits', statistics.oldestDueAt === undefined ? undefined : `since ${statistics.oldestDueAt} (${ago(statistics.oldestDueAt, now)})`],
  ['dead letters', some(statistics.deadLetters)],
  [
    'tasks',
    Object.entries(statistics.states)
      .map(([state, number]) => `${count(number)} ${state}`)
      .join(', '),
  ],
  ['ever', totalsText(statistics.totals)],
  ['last minute', `${count(statistics.insertedLastMinute)} inserted, ${count(statistics.leasedLastMinute)} leased, ${count(statistics.completedLastMinute)} completed`],
  ['last hour', `${count(statistics.insertedLastHour)} inserted, ${count(statistics.leasedLastHour)} leased, ${count(statistics.completedLastHour)} completed`],
  ['waited', quantilesText(statistics.waitSeconds)],
  ['ran', quantilesText(statistics.runSeconds)],
  ['stored by the app', bytesText(storedBytes)],
]

export const bulkText = ({ id, what, state, by, startedAt, done, skipped }: Bulk, now: number): string => {
  const outcome = done === undefined ? '' : `: ${count(done)} done, ${count(skipped ?? 0)} skipped`
  return `${what} ${id} by ${by}, begun ${ago(startedAt, now)}, ${state === 'running' ? 'under way' : 'over'}${outcome}`
}

/** Bulks of `show`, the latest ones, at most; what is under way is always there. */
const BULKS_MAX = 5

const bulkLines = (bulks: readonly Bulk[], now: number): readonly Line[] => {
  const latest = bulks.toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1))
  return latest.filter(({ state }, index) => state === 'running' || index < BULKS_MAX).map((bulk) => ['bulk', bulkText(bulk, now)])
}

/** How the calls of its webhook go; nothing where it has none. */
const webhookLines = ({ webhook }: Queue, now: number): readonly Line[] => {
  if (webhook === undefined) return []
  const { state, off, failures, lastAttemptAt, lastStatus, lastError, nextAttemptAt } = webhook
  const lastly = lastError ?? (lastStatus === undefined ? undefined : `answered ${lastStatus}`)
  return [
    ['webhook is', off === undefined ? (failures === 0 ? state : `on, and failing: ${plural(failures, 'attempt')} in a row`) : `off: ${off}`],
    ['last called', lastAttemptAt === undefined ? undefined : `${ago(lastAttemptAt, now)}${lastly === undefined ? '' : `: ${lastly}`}`],
    ['next call', nextAttemptAt === undefined ? undefined : `at ${nextAttemptAt}`],
  ]
}

/** A sentence on each webhook that is on and whose last attempts failed; those that are off are among the warnings of the server. */
export const failingWebhooks = (queues: readonly Queue[]): readonly string[] =>
  queues.flatMap(({ app, queue, webhook }) =>
    webhook === undefined || webhook.off !== undefined || webhook.failures === 0
      ? []
      : [`The webhook of ${app}/${queue} fails: ${plural(webhook.failures, 'attempt')} in a row${webhook.lastError === undefined ? '' : `, the last one: ${webhook.lastError}`}`],
  )

export const queueLines = (queue: Queue, now: number): readonly Line[] => {
  const { paused } = queue
  return [
    ['queue', `${queue.app}/${queue.queue}`],
    ['state', stateText(queue)],
    ['paused', paused === undefined ? undefined : `by ${paused.by} ${ago(paused.at, now)}${paused.reason === undefined ? '' : `: "${paused.reason}"`}`],
    ['waiting', `${count(queue.waiting)}, and ${count(queue.delayed)} delayed`],
    ['leased', count(queue.leased)],
    ['workers waiting', count(queue.waitingWorkers)],
    ...statisticsLines(queue, now),
    ...bulkLines(queue.bulks ?? [], now),
    ...settingsLines(queue.settings),
    ...webhookLines(queue, now),
  ]
}

export interface Mistake {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly code: string
  readonly detail: string
}

/** A mistake of a queue file as compilers tell theirs: `file:line:column: code: path: sentence`. */
export const mistakeText = ({ file, line, column, path, code, detail }: Mistake): string => `${file}:${line}:${column}: ${code}: ${path === '' ? '' : `${path}: `}${detail}`
