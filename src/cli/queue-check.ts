// `stint queues check`: what a server would say of queue files, without one.
import { checkQueueFiles, NoQueueFiles, type CheckedQueues } from '../offline/queue-check.ts'
import type { QueueConfig } from '../wire/words.ts'
import type { Context } from './context.ts'
import { formatDuration } from './duration.ts'
import { CliFailure, EXIT } from './failure.ts'
import { attemptsOf, mistakeText } from './queue-text.ts'
import { tableLines, type Column } from './terminal/table.ts'
import { plain } from './terminal/text.ts'

const columns: readonly Column<QueueConfig>[] = [
  { title: 'QUEUE', value: ({ app, queue }) => `${app}/${queue}`, whole: true },
  { title: 'MODE', value: ({ mode }) => (mode === 'push' ? 'push: not served' : mode), whole: true },
  { title: 'WRITERS', value: ({ writers }) => String(writers.length), align: 'right', whole: true },
  { title: 'USERS', value: ({ users }) => String(users.length), align: 'right', whole: true },
  { title: 'RETRY LIMIT', value: ({ retryLimit }) => (retryLimit === undefined ? undefined : attemptsOf(retryLimit).toLocaleString('en')), align: 'right', whole: true },
  { title: 'LEASE', value: ({ stint }) => formatDuration(stint.defaultLeaseMs), align: 'right', whole: true },
  { title: 'RATE', value: ({ stint: { rate } }) => (rate === undefined ? undefined : `${rate.perSecond}/s`), align: 'right', whole: true },
  { title: 'WEBHOOK', value: ({ stint: { webhook } }) => (webhook === undefined ? undefined : 'yes'), whole: true },
]

const checked = async (path: string): Promise<CheckedQueues> => {
  try {
    return await checkQueueFiles(path)
  } catch (cause) {
    if (cause instanceof NoQueueFiles)
      throw new CliFailure(EXIT.notFound, cause.message, 'Name a queue.yaml, a stint-queue.yaml, the directory of an app, or a config directory with apps/APP/queue.yaml in it.')
    throw cause
  }
}

const counted = (number: number, one: string): string => `${number} ${one}${number === 1 ? '' : 's'}`

/** Exit code 2 when something is wrong. */
export const checkQueues = async (context: Context, _options: unknown, path: string): Promise<void> => {
  const { out, say, format, paint } = context
  const { queues, errors, notices } = await checked(path)
  if (format === 'json') out(JSON.stringify({ ok: errors.length === 0, errors, notices, queues }, null, 2))
  if (format === 'jsonl')
    for (const mistake of [...errors.map((error) => ({ ...error, severity: 'error' })), ...notices.map((notice) => ({ ...notice, severity: 'notice' }))])
      out(JSON.stringify(mistake))
  if (format === 'table') {
    for (const error of errors) out(paint('red', plain(mistakeText(error))))
    for (const notice of notices) out(paint('yellow', plain(mistakeText(notice))))
    if (errors.length === 0 && queues.length > 0) for (const line of tableLines(columns, queues, paint, context.columns())) out(line)
  }
  if (errors.length > 0)
    throw new CliFailure(
      EXIT.usage,
      `${counted(errors.length, 'mistake')} in ${counted(new Set(errors.map(({ file }) => file)).size, 'file')}: a server keeps the last good ones in force.`,
    )
  say(queues.length === 0 ? 'The files are good and name no queue.' : `The files are good: ${counted(queues.length, 'queue')}.`)
}
