// Long tasks as they are shown: the columns of a list, and the fields of one.
import type { LongTaskShown } from '../wire/long-tasks.ts'
import { formatAge, formatDuration } from './duration.ts'
import { ago, receiptText } from './item-text.ts'
import { isSettled, LOOKS, outcomeText, progressText } from './look.ts'
import type { Column } from './terminal/table.ts'

type Line = readonly [name: string, value: string | undefined]

const stateText = ({ state }: LongTaskShown): string => `${LOOKS[state].symbol} ${state}`

/** How long it still has, while that matters. */
const leftText = ({ state, timeoutAt }: LongTaskShown, now: number): string | undefined => (isSettled(state) ? undefined : formatDuration(Date.parse(timeoutAt) - now))

/** What it does: how it ended, else its phase, else what its progress says. */
const doingText = ({ outcome, phase, sending }: LongTaskShown): string | undefined =>
  outcomeText(outcome) ?? phase ?? (sending?.lastFailure === undefined ? undefined : `not taken yet: ${sending.lastFailure}`)

const lastSeen = (now: number): Column<LongTaskShown> => ({
  title: 'LAST SEEN',
  value: ({ holder, state }) => (holder?.lastSeenAt === undefined || isSettled(state) ? undefined : ago(holder.lastSeenAt, now)),
  colour: ({ state }) => (state === 'lost' ? LOOKS.lost.colour : undefined),
  align: 'right',
  whole: true,
})

export const longTaskColumns = (now: number, tasks: readonly LongTaskShown[]): readonly Column<LongTaskShown>[] => [
  { title: 'ID', value: ({ id }) => id, whole: true },
  { title: 'STATE', value: stateText, colour: ({ state }) => LOOKS[state].colour, whole: true },
  { title: 'NODE', value: ({ node }) => node },
  { title: 'OPERATION', value: ({ operation }) => operation },
  { title: 'PROGRESS', value: ({ progress }) => progressText(progress) },
  { title: 'DOING', value: doingText, cut: 'words' },
  // Where all is well it tells nothing.
  ...(tasks.some(({ state }) => state === 'lost') ? [lastSeen(now)] : []),
  { title: 'TIME LEFT', value: (task) => leftText(task, now), align: 'right', whole: true },
  { title: 'AGE', value: ({ createdAt }) => formatAge(createdAt, now), align: 'right', whole: true },
]

const secondsText = (seconds: number | undefined): string | undefined => (seconds === undefined ? undefined : formatDuration(seconds * 1_000))

const sendingText = ({ sending }: LongTaskShown, now: number): string | undefined => {
  if (sending === undefined || sending.attempts === 0) return undefined
  const { attempts, lastFailure, lastFailedAt, nextAt } = sending
  const failed = lastFailure === undefined ? '' : `, the last one failed${lastFailedAt === undefined ? '' : ` ${ago(lastFailedAt, now)}`}: ${lastFailure}`
  const next = nextAt === undefined ? '' : `; the next one in ${formatDuration(Date.parse(nextAt) - now)}`
  return `${attempts.toLocaleString('en')} attempt${attempts === 1 ? '' : 's'}${failed}${next}`
}

const holderText = ({ holder }: LongTaskShown, now: number): string | undefined =>
  holder === undefined ? undefined : `${holder.name}${holder.lastSeenAt === undefined ? '' : `, last seen ${ago(holder.lastSeenAt, now)}`}`

export const longTaskLines = (task: LongTaskShown, now: number): readonly Line[] => {
  const left = leftText(task, now)
  return [
    ['id', task.id],
    ['state', stateText(task)],
    ['operation', task.operation],
    ['node', task.node],
    ['arguments', task.args === undefined ? undefined : JSON.stringify(task.args)],
    ['progress', [progressText(task.progress), task.progress?.message].filter((text, index, all) => text !== undefined && all.indexOf(text) === index).join(' ')],
    ['phase', task.phase],
    ['sending', sendingText(task, now)],
    ['outcome', outcomeText(task.outcome)],
    ['late outcome', outcomeText(task.lateOutcome)],
    ['directive', receiptText(task)],
    ['holder', holderText(task, now)],
    ['attempt', String(task.attempt)],
    ['times out', `after ${secondsText(task.timeoutSeconds)}, at ${task.timeoutAt}${left === undefined ? '' : ` (in ${left})`}`],
    ['stalled', task.stalledAfterSeconds === undefined ? 'never' : `after ${secondsText(task.stalledAfterSeconds)} without progress`],
    ['reports', `every ${secondsText(task.progressEverySeconds)}`],
    ['dispatched', `${task.createdAt} (${ago(task.createdAt, now)})`],
    ['changed', task.updatedAt],
    ['settled', task.settledAt],
  ]
}
