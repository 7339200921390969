// Tasks as they are shown: the columns of a list, the fields of one, and what a lease brought.
import type { LeasedTask, Task, TaskWithPayload } from '../wire/tasks.ts'
import { formatAge, formatDuration } from './duration.ts'
import { ago, receiptText } from './item-text.ts'
import { LOOKS, outcomeText, progressText } from './look.ts'
import type { Column } from './terminal/table.ts'

const stateText = ({ state, deadLetter }: Task): string => `${LOOKS[state].symbol} ${deadLetter === true ? 'dead letter' : state}`

/** When a task that waits is due, while that is to come. */
const dueText = ({ state, dueAt }: Task, now: number): string | undefined => {
  const left = dueAt === undefined || (state !== 'waiting' && state !== 'paused') ? 0 : Date.parse(dueAt) - now
  return left > 0 ? `in ${formatDuration(left)}` : undefined
}

const failureText = ({ failure }: Task): string | undefined => (failure === undefined ? undefined : `${failure.code}, ${failure.message}`)

/** What is to be said of how it ended, or of how its last attempt did. */
const endText = (task: Task): string | undefined => outcomeText(task.outcome) ?? (task.failure === undefined ? undefined : `last attempt failed: ${failureText(task)}`)

export const taskColumns = (now: number): readonly Column<Task>[] => [
  { title: 'ID', value: (task) => task.id, whole: true },
  { title: 'STATE', value: stateText, colour: (task) => LOOKS[task.state].colour, whole: true },
  { title: 'ATTEMPT', value: (task) => String(task.attempt), align: 'right', whole: true },
  { title: 'PRIORITY', value: ({ priority }) => (priority === undefined || priority === 0 ? undefined : String(priority)), align: 'right', whole: true },
  { title: 'TAG', value: (task) => task.tag },
  { title: 'KEY', value: (task) => task.key },
  { title: 'DUE', value: (task) => dueText(task, now), align: 'right', whole: true },
  { title: 'HOLDER', value: (task) => task.holder?.name },
  { title: 'PROGRESS', value: (task) => progressText(task.progress) },
  { title: 'OUTCOME', value: endText },
  { title: 'AGE', value: (task) => formatAge(task.createdAt, now), align: 'right', whole: true },
]

export const payloadText = ({ payload, payloadBase64 }: Pick<TaskWithPayload, 'payload' | 'payloadBase64'>): string | undefined =>
  payload === undefined ? payloadBase64 : JSON.stringify(payload)

export const taskLines = (task: TaskWithPayload, now: number): readonly (readonly [string, string | undefined])[] => [
  ['id', task.id],
  ['queue', `${task.app}/${task.queue}`],
  ['state', stateText(task)],
  ['attempt', String(task.attempt)],
  ['priority', task.priority === undefined ? undefined : String(task.priority)],
  ['tag', task.tag],
  ['key', task.key],
  ['due', task.dueAt],
  ['holder', task.holder === undefined ? undefined : `${task.holder.name}${task.holder.lastSeenAt === undefined ? '' : `, last seen ${ago(task.holder.lastSeenAt, now)}`}`],
  ['lease until', task.leaseUntil],
  ['progress', progressText(task.progress)],
  ['phase', task.phase],
  ['outcome', outcomeText(task.outcome)],
  ['late outcome', outcomeText(task.lateOutcome)],
  ['last failure', failureText(task)],
  ['directive', receiptText(task)],
  ['media type', task.mediaType],
  ['bytes', task.bytes === undefined ? undefined : task.bytes.toLocaleString('en')],
  ['payload', payloadText(task)],
  ['inserted', task.createdAt],
  ['changed', task.updatedAt],
  ['settled', task.settledAt],
]

export const leasedColumns: readonly Column<LeasedTask>[] = [
  { title: 'ID', value: (task) => task.id, whole: true },
  { title: 'LEASE', value: (task) => task.lease, whole: true },
  { title: 'UNTIL', value: (task) => task.leaseUntil, whole: true },
  { title: 'ATTEMPT', value: (task) => String(task.attempt), align: 'right', whole: true },
  { title: 'TAG', value: (task) => task.tag },
  { title: 'PAYLOAD', value: payloadText },
]
