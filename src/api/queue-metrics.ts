// Figures of each queue for Prometheus: how full it is, from memory, and what only the tables know. Their number is bounded, because each queue is a label.
import { Gauge, type Registry } from 'prom-client'
import type { Engine } from '../engine/engine.ts'

/** Queues that have figures of their own, at most: the first ones by name. */
export const QUEUES_MEASURED_MAX = 1_000

const SECOND_MS = 1_000

/** Registers the gauges. What is returned brings them up to date, for a text that is about to be made; while the tables cannot be asked, theirs are left out. */
export const queueGauges = (engine: Pick<Engine, 'queues' | 'tables' | 'now'>, registers: Registry[]): (() => Promise<void>) => {
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, labelNames: ['app', 'queue'], registers })
  const waiting = gauge('stint_queue_waiting', 'Tasks that are due and wait')
  const delayed = gauge('stint_queue_delayed', 'Tasks whose time has not come')
  const leased = gauge('stint_queue_leased', 'Tasks that somebody holds')
  const waitingWorkers = gauge('stint_queue_waiting_workers', 'Lease calls that wait for work')
  const deadLetters = gauge('stint_queue_dead_letters', 'Tasks whose attempts are used up')
  const oldestDue = gauge('stint_queue_oldest_due_seconds', 'For how long the oldest due task waits; 0 while none does')
  const all = [waiting, delayed, leased, waitingWorkers, deadLetters, oldestDue]

  const asked = async (now: number) => {
    try {
      const { items } = await engine.tables.statistics({ kind: 'task' })
      return new Map(items.map(({ scope, deadLetters: dead, oldestDueAt = now }) => [scope, { dead, oldestMs: Math.max(0, now - oldestDueAt) }]))
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
      if (tables === undefined) continue
      deadLetters.set(labels, tables.get(key)?.dead ?? 0)
      oldestDue.set(labels, (tables.get(key)?.oldestMs ?? 0) / SECOND_MS)
    }
  }
}
