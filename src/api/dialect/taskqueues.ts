// The queue itself in the v1beta2 Task Queue API: its limit, its lists and, when asked for, its figures.
import * as E from 'fp-ts/lib/Either.js'
import type { DialectCall, Handle } from './call.ts'
import { shows } from './fields.ts'
import type { DialectError } from './refusal.ts'
import { oldestTasks } from './tasks.ts'

/** All figures as of the same moment in the log, but for the number of tasks, which is as of now. */
const statsOf = async (call: DialectCall): Promise<E.Either<DialectError, object>> => {
  const { engine, queue } = call
  const oldest = await oldestTasks(call, 1)
  if (E.isLeft(oldest)) return oldest
  const { items } = await engine.tables.statistics({ kind: 'task', scope: queue.key, now: engine.now() })
  const { leasedLastMinute = 0, leasedLastHour = 0 } = items[0]?.recent ?? {}
  const { waiting, delayed, leased } = queue.figures
  const insertedAt = oldest.right[0]?.item.createdAt ?? 0
  return E.right({
    totalTasks: waiting + delayed + leased,
    oldestTask: String(Math.floor(insertedAt / 1_000)),
    leasedLastMinute: String(leasedLastMinute),
    leasedLastHour: String(leasedLastHour),
  })
}

const unlessEmpty = (emails: readonly string[]): readonly string[] | undefined => (emails.length === 0 ? undefined : emails)

export const get: Handle = async (call) => {
  const { queue, retryLimit = 0, users, writers } = call.queue.config
  const stats = call.values.getStats === true && shows(call.mask, 'stats') ? await statsOf(call) : E.right(undefined)
  if (E.isLeft(stats)) return stats
  return E.right({
    kind: 'taskqueues#taskqueue',
    id: queue,
    maxLeases: retryLimit,
    stats: stats.right,
    acl: { consumerEmails: unlessEmpty(users), producerEmails: unlessEmpty(writers) },
  })
}
