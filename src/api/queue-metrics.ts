// Figures of each queue for Prometheus: how full it is, from memory, and what only the tables know. Their number is bounded, because each queue is a label.
import { Counter, Gauge, type Registry } from 'prom-client'
import { queueLine } from '../wire/words.ts'
import type { Engine } from '../engine/engine.ts'
import { TOTALS, type TotalName } from '../projections/totals.ts'

/** Queues that have figures of their own, at most: the first ones by name. */
export const QUEUES_MEASURED_MAX = 1_000

const SECOND_MS = 1_000

/** The counters: what has ever happened to the tasks of a queue, over restarts too. */
const COUNTERS: Readonly<Record<TotalName, readonly [name: string, help: string]>> = {
  inserted: ['stint_queue_inserted_total', 'Tasks that were put into the queue'],
  leased: ['stint_queue_leased_total', 'Leases that were given'],
  completed: ['stint_queue_completed_total', 'Tasks that completed'],
  failed: ['stint_queue_failed_total', 'Tasks that failed for good, dead letters apart'],
  retried: ['stint_queue_retried_total', 'Attempts that failed and were followed by another'],
  released: ['stint_queue_released_total', 'Leases that were given back'],
  expired: ['stint_queue_expired_total', 'Leases that ended by time'],
  deadLettered: ['stint_queue_dead_lettered_total', 'Tasks that became dead letters'],
  redriven: ['stint_queue_redriven_total', 'Dead letters that were given another life'],
  cancelled: ['stint_queue_cancelled_total', 'Tasks that were deleted, purged or aborted before they began'],
  aborted: ['stint_queue_aborted_total', 'Tasks that were aborted while somebody held them'],
}

/** Registers gauges and counters. What is returned brings them up to date, for a text that is about to be made; while the tables cannot be asked, theirs are left out. */
export const queueFigures = (engine: Pick<Engine, 'queues' | 'tables' | 'now' | 'leads'>, registers: Registry[]): (() => Promise<void>) => {
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, labelNames: ['app', 'queue'], registers })
  const waiting = gauge('stint_queue_waiting', 'Tasks that are due and wait')
  const delayed = gauge('stint_queue_delayed', 'Tasks whose time has not come')
  const leased = gauge('stint_queue_leased', 'Tasks that somebody holds')
  const waitingWorkers = gauge('stint_queue_waiting_workers', 'Lease calls that wait for work')
  const led = gauge('stint_queue_led', '1 where this server gives out the tasks of the queue, 0 where another does or nobody has asked')
  const deadLetters = gauge('stint_queue_dead_letters', 'Tasks whose attempts are used up')
  const oldestDue = gauge('stint_queue_oldest_due_seconds', 'For how long the oldest due task waits; 0 while none does')
  const counters = TOTALS.map((what) => {
    const [name, help] = COUNTERS[what]
    return { what, counter: new Counter({ name, help, labelNames: ['app', 'queue'], registers }) }
  })
  const all = [waiting, delayed, leased, waitingWorkers, led, deadLetters, oldestDue, ...counters.map(({ counter }) => counter)]

  const asked = async (now: number) => {
    try {
      const { items } = await engine.tables.statistics({ kind: 'task' })
      return new Map(items.map(({ scope, deadLetters: dead, oldestDueAt = now, totals }) => [scope, { dead, oldestMs: Math.max(0, now - oldestDueAt), totals }]))
    } catch {
      return undefined
    }
  }

  return async () => {
    const measured = engine.queues
      .list()
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .slice(0, QUEUES_MEASURED_MAX)
    const tables = measured.length === 0 ? undefined : await asked(engine.now())
    for (const each of all) each.reset()
    for (const { key, config, figures } of measured) {
      const labels = { app: config.app, queue: config.queue }
      waiting.set(labels, figures.waiting)
      delayed.set(labels, figures.delayed)
      leased.set(labels, figures.leased)
      waitingWorkers.set(labels, figures.waiters)
      led.set(labels, engine.leads(queueLine(config)) ? 1 : 0)
      if (tables === undefined) continue
      deadLetters.set(labels, tables.get(key)?.dead ?? 0)
      oldestDue.set(labels, (tables.get(key)?.oldestMs ?? 0) / SECOND_MS)
      for (const { what, counter } of counters) counter.inc(labels, tables.get(key)?.totals?.[what] ?? 0)
    }
  }
}
