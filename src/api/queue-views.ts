// Queues in the JSON of the surface: durations in seconds, times as text.
import type { Engine } from '../engine/engine.ts'
import type { ScopeStatistics } from '../projections/tables.ts'
import { NO_TOTALS } from '../projections/totals.ts'
import type * as wire from '../wire/queues.ts'
import type { QueueConfig } from '../wire/words.ts'
import { instantOf } from './views.ts'

export type QueueView = NonNullable<ReturnType<Engine['queues']['get']>>
type BulkState = QueueView['bulks'][number]

const secondsOf = (ms: number): number => ms / 1_000

type Quantiles = NonNullable<ScopeStatistics['runMs']>

/** Quantiles in seconds. */
export const quantilesView = (found: Quantiles | undefined) =>
  found === undefined ? undefined : { count: found.count, p50: secondsOf(found.p50), p90: secondsOf(found.p90), p99: secondsOf(found.p99), max: secondsOf(found.max) }

const settingsView = ({ mode, users, writers, retryLimit, storageLimitBytes, stint }: QueueConfig): wire.QueueSettings => {
  const { deadLetter, defaultLeaseMs, maxWaitMs, keyConcurrency, backoff, rate, webhook } = stint
  return {
    mode,
    users: [...users],
    writers: [...writers],
    retryLimit,
    storageLimitBytes,
    deadLetter,
    defaultLeaseSeconds: secondsOf(defaultLeaseMs),
    maxWaitSeconds: secondsOf(maxWaitMs),
    keyConcurrency,
    backoff: { minSeconds: secondsOf(backoff.minMs), maxSeconds: secondsOf(backoff.maxMs), doublings: backoff.doublings, jitter: backoff.jitter },
    rate: rate === undefined ? undefined : { perSecond: rate.perSecond, burst: rate.burst },
    webhook: webhook === undefined ? undefined : { url: webhook.url, debounceSeconds: secondsOf(webhook.debounceMs), secretEnv: webhook.secretEnv },
  }
}

/** Statistics of a queue; of one in which nothing happened yet there are none in the tables. */
const statisticsView = (found: ScopeStatistics | undefined, now: number): wire.QueueStatistics => {
  const { insertedLastMinute = 0, insertedLastHour = 0, leasedLastMinute = 0, leasedLastHour = 0, completedLastMinute = 0, completedLastHour = 0 } = found?.recent ?? {}
  const oldest = found?.oldestDueAt
  return {
    states: { ...found?.states },
    deadLetters: found?.deadLetters ?? 0,
    insertedLastMinute,
    insertedLastHour,
    leasedLastMinute,
    leasedLastHour,
    completedLastMinute,
    completedLastHour,
    totals: { ...(found?.totals ?? NO_TOTALS) },
    oldestDueAt: oldest === undefined || oldest > now ? undefined : instantOf(oldest),
    waitSeconds: quantilesView(found?.waitMs),
    runSeconds: quantilesView(found?.runMs),
  }
}

export const bulkView = ({ id, what, filter, by, startedAt, finished }: BulkState): wire.Bulk => {
  const { tag, key, code, insertedBefore } = filter
  return {
    id,
    what,
    state: finished === undefined ? 'running' : 'finished',
    filter: { tag, key, code, insertedBefore: insertedBefore === undefined ? undefined : instantOf(insertedBefore) },
    by,
    startedAt: instantOf(startedAt),
    finishedAt: finished === undefined ? undefined : instantOf(finished.at),
    done: finished?.done,
    skipped: finished?.skipped,
  }
}

const instantIf = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : instantOf(ms))

const webhookView = ({ url, off, failures, lastAttemptAt, lastStatus, lastError, nextAttemptAt }: NonNullable<QueueView['webhook']>): wire.WebhookShown => ({
  url,
  state: off === undefined ? 'on' : 'off',
  failures,
  off,
  lastAttemptAt: instantIf(lastAttemptAt),
  lastStatus,
  lastError: lastError?.slice(0, 1_000),
  nextAttemptAt: instantIf(nextAttemptAt),
})

/** A queue as those see it who may look at it. */
export const queueView = ({ config, status, paused, figures, bulks, webhook }: QueueView, statistics: ScopeStatistics | undefined, now: number): wire.Queue => ({
  app: config.app,
  queue: config.queue,
  state: status === 'removed' ? 'removed' : paused === undefined ? 'open' : 'paused',
  settings: settingsView(config),
  waiting: figures.waiting,
  delayed: figures.delayed,
  leased: figures.leased,
  waitingWorkers: figures.waiters,
  storedBytes: figures.storedBytes,
  statistics: statisticsView(statistics, now),
  paused: paused === undefined ? undefined : { by: paused.by, at: instantOf(paused.at), reason: paused.reason },
  bulks: bulks.length === 0 ? undefined : bulks.map(bulkView),
  webhook: webhook === undefined ? undefined : webhookView(webhook),
})
