// Figures of long tasks and of nodes for Prometheus: from memory, and bounded in number, since neither nodes nor operations are labels.
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Engine } from '../engine/engine.ts'

/** Registers them; they are read when a text is made. */
export const longTaskGauges = (engine: Pick<Engine, 'longTasks'>, registers: Registry[]): void => {
  const figures = () => engine.longTasks.figures()
  const byLabel = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void => {
    const made: Gauge = new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect: () => Object.entries(read()).forEach(([value, count]) => made.set({ [label]: value }, count)),
    })
  }
  byLabel('stint_long_tasks', 'Long tasks that are not settled, by state', 'state', () => figures().states)
  byLabel('stint_nodes', 'Registered implementation nodes, by what was found when they were last called', 'health', () => figures().nodes)

  const settled: Counter = new Counter({
    name: 'stint_long_tasks_settled_total',
    help: 'Long tasks that settled, by how they ended',
    labelNames: ['end'],
    registers,
    collect: () => {
      settled.reset()
      for (const [end, count] of Object.entries(figures().settled)) settled.inc({ end }, count)
    },
  })
  const failed: Counter = new Counter({
    name: 'stint_dispatch_attempts_failed_total',
    help: 'Attempts that did not get an operation to its node',
    registers,
    collect: () => {
      failed.reset()
      failed.inc(figures().failedAttempts)
    },
  })
}
