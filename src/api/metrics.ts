// Figures for Prometheus. What the engine knows is read when it is asked for; only what passes by is counted.
import * as E from 'fp-ts/lib/Either.js'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Engine } from '../engine/engine.ts'
import { longTaskGauges } from './long-task-metrics.ts'
import { queueFigures } from './queue-metrics.ts'

export interface Metrics {
  /** A request was answered after so many seconds. */
  readonly answered: (route: string, status: number, seconds: number) => void
  /** A call of a contract was a duplicate and told what became of the first, or used the id of another request. */
  readonly duplicate: (outcome: 'replayed' | 'mismatched') => void
  readonly eventClients: { readonly inc: () => void; readonly dec: () => void }
  /** The engine, its recorded events counted. */
  readonly counting: (engine: Engine) => Engine
  /** Text format 0.0.4. */
  readonly text: () => Promise<string>
}

/** Seconds: from a poll that is answered at once to one that waits a minute. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 61]

/** What the event loop's histogram shows for a time in which it measured nothing: a minimum at the end of its range, a mean of nothing. */
const UNMEASURED = /^stint_nodejs_eventloop_lag_\w+ (?:Nan|NaN|9223372036\S*)\n/gm

let ofProcess: Registry | undefined

/** Prom-client counts CPU time from when its counters are made: adds what the process has used by then. */
const addCpuBefore = (registry: Registry): void => {
  const { user, system } = process.cpuUsage()
  const micros = { process_cpu_user_seconds_total: user, process_cpu_system_seconds_total: system, process_cpu_seconds_total: user + system }
  for (const [name, used] of Object.entries(micros)) {
    const counter = registry.getSingleMetric(`stint_${name}`)
    if (counter instanceof Counter) counter.inc(used / 1_000_000)
  }
}

/**
 * Memory, CPU, garbage collection and event loop lag: of the process, so made once however many servers it has, and when they are asked for first: lag is measured by a timer
 * of 10 ms, which costs half a percent of a core where nothing else happens. Collections count from then on, CPU time from the start of the process.
 */
const processRegistry = (): Registry => {
  if (ofProcess === undefined) {
    ofProcess = new Registry()
    collectDefaultMetrics({ register: ofProcess, prefix: 'stint_' })
    addCpuBefore(ofProcess)
  }
  return ofProcess
}

/** The contracts, with what is done through them counted. */
const countingContracts = (given: Engine['contracts'], counted: (events: number) => void, refused: () => void): Engine['contracts'] => {
  const told = <Refusal>(done: E.Either<Refusal, { readonly events: readonly unknown[] }>): void => (E.isRight(done) ? counted(done.right.events.length) : refused())
  return {
    ...given,
    accept: async (...call) => {
      const done = await given.accept(...call)
      told(done)
      return done
    },
    reply: async (...reply) => {
      const done = await given.reply(...reply)
      told(done)
      return done
    },
    lease: async (...call) => {
      const leased = await given.lease(...call)
      if (E.isRight(leased)) for (const one of leased.right) counted(one.events.length)
      return leased
    },
  }
}

/** Who is there and who gives out what: each server tells of itself, so that any two that think otherwise are seen. */
const serverGauges = (engine: Pick<Engine, 'servers'>, registers: Registry[]): void => {
  const there: Gauge = new Gauge({
    name: 'stint_server_there',
    help: '1 for each server over the log that is there, as far as this one has heard',
    labelNames: ['server'],
    registers,
    collect: () => {
      there.reset()
      for (const server of engine.servers()) there.set({ server }, 1)
    },
  })
}

export const createMetrics = (engine: Engine): Metrics => {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    name: 'stint_http_request_seconds',
    help: 'Requests by route and status, long polls included',
    labelNames: ['route', 'status'],
    buckets: BUCKETS,
    registers,
  })
  const recorded = new Counter({ name: 'stint_events_recorded_total', help: 'Events recorded for callers of this server', registers })
  const commands = new Counter({ name: 'stint_commands_total', help: 'Commands by outcome: recorded, repeated or volatile, refused', labelNames: ['outcome'], registers })
  const replayed = new Counter({ name: 'stint_requests_replayed_total', help: 'Calls that were duplicates, told what had become of the first', registers })
  const mismatched = new Counter({ name: 'stint_requests_mismatched_total', help: 'Calls under an id that was used before for another request', registers })
  const eventClients = new Gauge({ name: 'stint_event_clients', help: 'Clients of the event stream', registers })
  const gauge = (name: string, help: string, read: () => number): void => {
    const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(read()) })
  }
  gauge('stint_live_items', 'Work items that can still change', () => engine.status().liveItems)
  gauge('stint_held_items', 'Work items that somebody holds', () => engine.status().heldItems)
  gauge('stint_requests_pending', 'Requests that are not settled', () => engine.status().pendingRequests)
  gauge('stint_waiting_polls', 'Long polls that wait for a change', () => engine.status().waitingPolls)
  gauge('stint_tables_behind_seconds', 'For how long the tables have not shown what the log has; 0 while they show all', () => engine.status().tablesBehindMs / 1_000)
  gauge('stint_ready', '1 while commands are taken', () => Number(engine.status().status !== 'not-ready'))

  const total = (name: string, help: string, read: () => number): void => {
    const made: Counter = new Counter({
      name,
      help,
      registers,
      collect: () => {
        made.reset()
        made.inc(read())
      },
    })
  }
  const appends: Counter = new Counter({
    name: 'stint_log_appends_total',
    help: 'Appends to the log by outcome: stored; conflict: another was first, and it was decided again; failed',
    labelNames: ['outcome'],
    registers,
    collect: () => {
      const { stored, conflicts, failed } = engine.appends()
      appends.reset()
      for (const [outcome, count] of Object.entries({ stored, conflict: conflicts, failed })) appends.inc({ outcome }, count)
    },
  })
  const deliveries = (): ReturnType<Engine['deliveries']['figures']> => engine.deliveries.figures()
  total('stint_deliveries_acknowledged_total', 'Messages that their receiver has acknowledged', () => deliveries().acknowledged)
  total('stint_deliveries_given_up_total', 'Messages that were given up: not allowed, gone, out of time, cancelled, or as the server stopped', () => deliveries().givenUp)
  total('stint_delivery_attempts_failed_total', 'Attempts to deliver a message that did not succeed', () => deliveries().failedAttempts)
  gauge('stint_deliveries_under_way', 'Messages that are neither acknowledged nor given up', () => deliveries().underWay)

  const swept = (): ReturnType<Engine['status']>['sweeper'] => engine.status().sweeper
  total('stint_replies_released_by_time_total', 'Replies of requests that were released because their time was over', () => swept().released)
  total('stint_items_erased_total', 'Settled work items of which the sweeper left only the tombstone', () => swept().erased)
  total('stint_events_pruned_total', 'Erased events whose rows were deleted', () => swept().pruned)

  if (engine.isShared) serverGauges(engine, registers)
  longTaskGauges(engine, registers)
  const measureQueues = queueFigures(engine, registers)

  const counted = (events: number): void => {
    recorded.inc(events)
    commands.inc({ outcome: events > 0 ? 'recorded' : 'nothing-new' })
  }

  return {
    answered: (route, status, seconds) => requests.observe({ route, status }, seconds),
    duplicate: (outcome) => (outcome === 'replayed' ? replayed : mismatched).inc(),
    eventClients: { inc: () => eventClients.inc(), dec: () => eventClients.dec() },
    counting: (given) => ({
      ...given,
      execute: async (...command) => {
        const done = await given.execute(...command)
        if (E.isRight(done)) counted(done.right.events.length)
        else commands.inc({ outcome: 'refused' })
        return done
      },
      insertTask: async (...task) => {
        const done = await given.insertTask(...task)
        if (E.isRight(done)) counted(done.right.events.length)
        else commands.inc({ outcome: 'refused' })
        return done
      },
      leaseTasks: async (...request) => {
        const leased = await given.leaseTasks(...request)
        if (E.isRight(leased)) for (const task of leased.right) counted(task.events.length)
        return leased
      },
      contracts: countingContracts(given.contracts, counted, () => commands.inc({ outcome: 'refused' })),
    }),
    text: async () => {
      await measureQueues()
      return (await Registry.merge([processRegistry(), registry]).metrics()).replaceAll(UNMEASURED, '')
    },
  }
}
